"""Gradients, both ways of computing them, against autograd in float64 and against a case solved by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.sae.dictionary import Dictionary, unit
from replication.sae.gradients import Gradients
from replication.sae.step import dense, losses

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")


def random_dictionary(d_in, d_sae, bias, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw, dtype=dtype)
    return Dictionary(W_enc=normal(d_in, d_sae), b_enc=normal(d_sae) + bias, W_dec=unit(normal(d_sae, d_in)), b_dec=normal(d_in)), normal


def by_autograd(dictionary, x, l1):
    leaves = {name: getattr(dictionary, name).clone().requires_grad_() for name in PARAMETERS}
    f = torch.relu((x - leaves["b_dec"]) @ leaves["W_enc"] + leaves["b_enc"])
    xhat = f @ leaves["W_dec"] + leaves["b_dec"]
    mse, l1_norm = ((x - xhat) ** 2).mean(1).mean(), f.sum(1).mean()
    (mse + l1 * l1_norm).backward()
    return mse, l1_norm, (f > 0).sum(1).double().mean(), {name: leaf.grad for name, leaf in leaves.items()}


def in_float32(dictionary):
    held = {name: tensor.float() for name, tensor in dictionary.tensors().items()}
    return Dictionary(**held | {"W_enc": held["W_enc"].T.contiguous().T})


@pytest.mark.parametrize("how", ["dense", "sparse", "auto"])
@given(batch=st.integers(1, 150), d_in=st.integers(1, 40), d_sae=st.integers(1, 90), bias=st.sampled_from([-100.0, -5.0, -2.0, 0.0, 2.0, 100.0]), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_gradients_equal_autograd_at_every_density(how, batch, d_in, d_sae, bias, seed):
    dictionary, normal = random_dictionary(d_in, d_sae, bias, seed)
    x = normal(batch, d_in).float()
    dictionary = in_float32(dictionary)
    exact = Dictionary(**{name: tensor.double() for name, tensor in dictionary.tensors().items()})
    mse, l1_norm, l0, expected = by_autograd(exact, x.double(), 0.3)
    found = Gradients(how)(dictionary, x, 0.3)
    # activations near 100 that cancel to an error near 1 leave it two digits fewer in float32
    torch.testing.assert_close(found.mse.double(), mse.detach(), rtol=1e-5, atol=1e-6 * max(1.0, abs(bias)))
    torch.testing.assert_close(found.l1.double(), l1_norm.detach(), rtol=1e-5, atol=1e-6)
    assert float(found.l0) == pytest.approx(float(l0))
    for name in PARAMETERS:
        scale = float(expected[name].abs().max()) + 1e-3
        # float32 against float64: where reconstruction and vector nearly cancel, few digits of their difference remain
        torch.testing.assert_close(getattr(found, name).double() / scale, expected[name] / scale, rtol=1e-4, atol=5e-5)
    assert torch.equal(found.fired, (exact.encode(x.double()) > 0).sum(0))


def test_duplicated_features_share_a_gradient():
    dictionary, normal = random_dictionary(16, 40, -3.0, dtype=torch.float32)
    for tensor in (dictionary.W_enc.T, dictionary.b_enc, dictionary.W_dec):
        tensor[20:] = tensor[:20]
    dictionary, x = in_float32(dictionary), normal(128, 16)
    found = Gradients("sparse")(dictionary, x, 0.01)
    assert int(found.fired.sum()) > 100
    assert torch.equal(found.W_enc[:, 20:], found.W_enc[:, :20]) and torch.equal(found.W_dec[20:], found.W_dec[:20])
    torch.testing.assert_close(found.W_dec, dense(dictionary, x, 0.01).W_dec, rtol=1e-4, atol=1e-6)


def test_a_case_solved_by_hand():
    # one vector, two features, one of which fires: f = 2 * 3 - 1 = 5, xhat = (5, 0) + b_dec = (5, 1), residual (2, 0)
    dictionary = Dictionary(W_enc=torch.tensor([[2.0, -1.0], [0.0, 0.0]]), b_enc=torch.tensor([-1.0, 0.0]),
                            W_dec=torch.tensor([[1.0, 0.0], [0.0, 1.0]]), b_dec=torch.tensor([0.0, 1.0]))
    x = torch.tensor([[3.0, 1.0]])
    for how in ("dense", "sparse"):
        found = Gradients(how)(in_float32(dictionary), x, 0.5)
        assert float(found.mse) == 2.0 and float(found.l1) == 5.0 and float(found.l0) == 1.0
        assert found.W_dec.tolist() == [[10.0, 0.0], [0.0, 0.0]]  # f * 2 * residual / 2
        assert found.b_enc.tolist() == [2.5, 0.0]  # 2 * residual / 2 + l1
        assert found.W_enc.tolist() == [[7.5, 0.0], [0.0, 0.0]]
        assert found.b_dec.tolist() == [2.0 - 5.0, 0.0]
    assert losses(dictionary, x, 0.5).tolist() == [2.0 + 2.5]


def test_a_silent_feature_has_no_gradient():
    dictionary, normal = random_dictionary(8, 12, 0.0)
    dictionary.b_enc[3] = -1e6
    for how in ("dense", "sparse"):
        found = Gradients(how)(in_float32(dictionary), normal(64, 8).float(), 0.1)
        assert found.fired[3] == 0 and not found.W_dec[3].any() and not found.W_enc[:, 3].any() and found.b_enc[3] == 0
