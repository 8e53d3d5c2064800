import numpy as np
import pytest
import torch

from replication.features import ablation as module
from replication.features.logit_weights import written
from replication.model.transformer import Architecture, Transformer
from replication.studies.ablated import ablated

N_CTX = 6


@pytest.fixture
def model():
    made = Transformer(Architecture(d_model=8, d_mlp=12, n_heads=2, n_ctx=N_CTX, act_fn="relu", d_vocab=20)).initialise(1)
    with torch.no_grad():
        for parameter in (made.embed["W_E"], made.unembed["W_U"], made.pos_embed["W_pos"]):
            parameter *= 30
    return made.requires_grad_(False)


def by_passes(model, tokens, direction, token, activation):
    """The change of the next token's log-likelihood, one whole pass for each."""
    found = []
    for at, f in zip(token, activation, strict=True):
        text = torch.from_numpy(tokens[at // N_CTX].astype(np.int64))[None]
        resid = model.resid_post(text)
        changed = resid.clone()
        changed[0, at % N_CTX] -= float(f) * direction
        before, after = (torch.log_softmax(model.logits(stream)[0, at % N_CTX], dim=0) for stream in (resid, changed))
        found.append(float((after - before)[text[0, at % N_CTX + 1]]))
    return found


@pytest.mark.parametrize(("tokens_at_once", "logits_at_once"), [(10**6, 10**6), (N_CTX, 40)])
def test_effects_are_those_of_whole_passes(model, monkeypatch, tokens_at_once, logits_at_once):
    monkeypatch.setattr(module, "FORWARD_TOKENS", {"cpu": tokens_at_once})
    monkeypatch.setattr(module, "BLOCK", {"cpu": logits_at_once})
    rng = np.random.default_rng(0)
    tokens = rng.integers(20, size=(7, N_CTX)).astype(np.int32)
    directions = written(model, "mlp_act", torch.randn(3, 12, generator=torch.Generator().manual_seed(0)))
    fired = []
    for _ in range(3):
        at = np.sort(rng.choice(7 * N_CTX, 17, replace=False))
        fired.append((at, rng.exponential(1, 17).astype(np.float32)))
    found = ablated(model, directions, tokens, fired)
    assert not (found["token"] % N_CTX == N_CTX - 1).any()
    for place, (at, activation) in enumerate(fired):
        inside = at % N_CTX < N_CTX - 1
        rows = found[found["feature"] == place]
        assert rows["token"].tolist() == at[inside].tolist()
        np.testing.assert_allclose(rows["effect"], by_passes(model, tokens, directions[place], at[inside], activation[inside]), atol=2e-5)
    assert found["effect"].abs().max() > 0.05


def test_a_feature_that_never_fires_has_no_rows(model):
    none = (np.empty(0, np.int64), np.empty(0, np.float32))
    found = ablated(model, torch.randn(2, 8), np.zeros((2, N_CTX), np.int32), [none, (np.array([1]), np.ones(1, np.float32))])
    assert found["feature"].tolist() == [1]
    assert ablated(model, torch.randn(1, 8), np.zeros((2, N_CTX), np.int32), [none]).empty
