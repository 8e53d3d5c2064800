import pytest
import torch

from replication.config import UserError
from replication.features.logit_weights import Readout, written
from replication.model.transformer import Architecture, Transformer


@pytest.fixture
def model():
    made = Transformer(Architecture(d_model=2, d_mlp=3, n_heads=1, n_ctx=4, act_fn="relu", d_vocab=5)).initialise(0)
    with torch.no_grad():
        made.block.mlp.W_out.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]))
        made.ln_final.w.copy_(torch.tensor([2.0, 1.0]))
        made.unembed["W_U"].copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0, 100.0], [0.0, 0.0, 0.0, 4.0, 100.0]]))
    return made.requires_grad_(False)


def test_by_hand(model):
    readout = Readout.of(model, torch.tensor([5, 9, 9, 9, 4]), rare_token=5)
    assert readout.kept.tolist() == [0, 1, 2, 3]
    directions = written(model, "mlp_act", torch.eye(3))
    # neuron 0 writes (1, 0), centred (1/2, -1/2), scaled (1, -1/2): logits 1, 2, 3, 2, whose median is 2
    # neuron 1 writes the opposite after centring: logits -1, -2, -3, -2; neuron 2 writes the mean direction, which is removed
    assert torch.allclose(readout(directions), torch.tensor([[-1.0, 0.0, 1.0, 0.0], [1.0, 0.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]), atol=1e-6)


def test_lower_median_of_an_even_number_of_tokens_is_zero(model):
    weights = Readout.of(model, torch.full((5,), 9), rare_token=0)(torch.randn(40, 2, generator=torch.Generator().manual_seed(0)))
    assert (weights == 0).any(dim=1).all() and ((weights < 0).sum(dim=1) <= 2).all() and ((weights > 0).sum(dim=1) <= 2).all()


def test_other_sites_write_to_the_stream_themselves(model):
    directions = torch.randn(4, 2)
    assert torch.equal(written(model, "mlp_out", directions), directions)


def test_no_token_left_is_refused(model):
    with pytest.raises(UserError, match=r"features\.rare_token is 10, .* occurs 9 times"):
        Readout.of(model, torch.tensor([5, 9, 9, 9, 4]), rare_token=10)
