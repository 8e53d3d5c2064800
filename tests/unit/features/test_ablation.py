import numpy as np
import pytest
import torch

from replication.features.ablation import effects
from replication.features.logit_weights import written
from replication.model.transformer import Architecture, Transformer


@pytest.fixture(scope="module")
def model():
    made = Transformer(Architecture(d_model=8, d_mlp=12, n_heads=2, n_ctx=10, act_fn="relu", d_vocab=30)).initialise(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return made.double().eval()


def test_effects_are_those_of_a_pass_with_the_feature_taken_out_of_the_whole_text(model):
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(30, size=10))
    W_dec = torch.nn.functional.normalize(torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2)), dim=1)
    f = torch.from_numpy(np.maximum(rng.normal(size=(10, 5)), 0))
    token, feature = f[:-1].nonzero(as_tuple=True)
    order = torch.from_numpy(rng.permutation(len(token)))  # pairs may come in any order
    found = effects(model, model.resid_post(tokens[None])[0, :-1], tokens[1:], written(model, "mlp_act", W_dec), token[order], feature[order],
                    f[token, feature][order])
    plain = torch.log_softmax(model(tokens[None])[0, :-1], 1).gather(1, tokens[1:, None])[:, 0]
    act = model.mlp_act(model.resid_mid(tokens[None]))
    for i in range(5):
        ablated = act - f[None, :, i, None] * W_dec[i]  # at every position
        logits = model.logits(model.splice(tokens[None], "mlp_act", ablated))
        expected = torch.log_softmax(logits[0, :-1], 1).gather(1, tokens[1:, None])[:, 0] - plain
        at = feature[order] == i
        torch.testing.assert_close(found[at], expected[token[order][at]], rtol=1e-9, atol=1e-9)
        assert (expected[f[:-1, i] == 0] == 0).all()  # where a feature is off nothing changes
