import pytest
import torch

from replication.features import sampling
from replication.features.sampling import FREE, drawn, pin, sample
from replication.model.transformer import Architecture, Transformer
from replication.sae.dictionary import Dictionary

D_MLP, D_VOCAB = 12, 30


@pytest.fixture
def model():
    model = Transformer(Architecture(d_model=8, d_mlp=D_MLP, n_heads=2, n_ctx=20, act_fn="relu", d_vocab=D_VOCAB)).initialise(1)
    with torch.no_grad():
        for parameter in (model.embed["W_E"], model.unembed["W_U"], model.pos_embed["W_pos"]):
            parameter *= 30
    return model


@pytest.fixture
def dictionary():
    """Features are single neurons, so that a feature that is set reads what it was set to."""
    return Dictionary(W_enc=torch.eye(D_MLP), b_enc=torch.zeros(D_MLP), W_dec=torch.eye(D_MLP), b_dec=torch.zeros(D_MLP))


def rows(*features):
    return torch.tensor(features), torch.full((len(features),), 4.0)


def test_a_pinned_feature_has_its_value_and_all_else_stays(dictionary):
    x = torch.rand(3, D_MLP)
    found = pin(dictionary, x, torch.tensor([2, FREE, 5]), torch.tensor([4.0, 4.0, 0.0]))
    expected = x.clone()
    expected[0, 2], expected[2, 5] = 4.0, 0.0
    torch.testing.assert_close(found, expected)


def test_a_draw_picks_the_first_token_whose_cumulative_probability_lies_above_it():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.0, 0.7]])).expand(6, 4)
    draws = torch.tensor([0.0, 0.0999, 0.1001, 0.29, 0.3001, 0.99999], dtype=torch.float64)
    assert drawn(logits, draws).tolist() == [0, 0, 1, 1, 3, 3]
    assert drawn(torch.tensor([[-torch.inf, 0.0]]), torch.zeros(1, dtype=torch.float64)).tolist() == [1]  # what has no probability is never drawn


def test_a_feature_that_writes_one_token_makes_the_model_write_it(model, dictionary):
    with torch.no_grad():
        model.block.mlp.W_out[3] = 1e3 * (model.unembed["W_U"][:, 7] - model.unembed["W_U"].mean(dim=1))
        model.block.mlp.b_in[3] = -1e6  # silent but where it is pinned
        model.ln_final.w.mul_(5)
    draws = torch.rand(5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    feature, value = torch.tensor([3] * 5 + [FREE] * 5), torch.full((10,), 9.0)
    found = sample(model, dictionary, "mlp_act", start=torch.tensor([1, 2]), feature=feature, value=value, draws=draws)
    assert (found[:5] == 7).float().mean() > 0.9 > 0.5 > (found[5:] == 7).float().mean()


@pytest.mark.parametrize("block", [10**9, 2 * D_VOCAB])
def test_pinning_the_last_position_is_pinning_every_position(model, dictionary, block, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK", block)
    start, (feature, value) = torch.tensor([3, 1, 4]), rows(2, FREE, 5, 2, 0)
    draws = torch.rand(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    text = start.expand(5, -1)
    for place in range(12):
        x = model.read(text, "mlp_act")
        pinned = torch.stack([pin(dictionary, x[:, pos], feature, value) for pos in range(text.shape[1])], dim=1)
        logits = model.logits(model.splice(text, "mlp_act", pinned))[:, -1]
        text = torch.cat([text, drawn(logits, draws[:, place])[:, None]], dim=1)
    found = sample(model, dictionary, "mlp_act", start=start, feature=feature, value=value, draws=draws)
    assert torch.equal(found, text[:, 3:])
    assert len(found.unique()) > 5
