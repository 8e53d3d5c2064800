"""The update, compiled and plain, against `torch.optim.Adam` with the recipe's projection and norm around it."""

import pytest
import torch

from replication.sae.adam import Adam
from replication.sae.dictionary import Dictionary, unit
from replication.sae.step import Step

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")


def made(d_in=7, d_sae=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw)
    return Dictionary(W_enc=normal(d_sae, d_in).T, b_enc=normal(d_sae), W_dec=unit(normal(d_sae, d_in)), b_dec=normal(d_in)), normal


def step_of(gradients):
    nothing = torch.tensor(0.0)
    return Step(mse=nothing, l1=nothing, l0=nothing, fired=torch.tensor(0), W_enc=gradients["W_enc"].T.contiguous().T, **{name: gradients[name].clone() for name in PARAMETERS[1:]})


def drawn(normal, silent):
    """Gradients of one step; the features `silent` have none."""
    found = {"W_enc": normal(40, 7).T, "b_enc": normal(40), "W_dec": normal(40, 7), "b_dec": normal(7)}
    for tensor in (found["W_enc"].T, found["b_enc"], found["W_dec"]):
        tensor[silent] = 0
    return found


@pytest.mark.parametrize("compiled", [True, False])
def test_every_row_follows_the_recipe(compiled, monkeypatch):
    monkeypatch.setattr("replication.sae.adam.compiled", lambda: compiled)
    dictionary, normal = made()
    adam = Adam(dictionary, lr=0.01, betas=(0.9, 0.999))
    reference = {name: tensor.double().clone().requires_grad_() for name, tensor in dictionary.tensors().items()}
    theirs = torch.optim.Adam(reference.values(), lr=0.01, betas=(0.9, 0.999))
    for step in range(60):
        gradients = drawn(normal, slice(0, 10) if step > 5 else slice(0, 0))
        for name, leaf in reference.items():
            leaf.grad = gradients[name].double()
        rows = reference["W_dec"].detach()
        reference["W_dec"].grad -= (reference["W_dec"].grad * rows).sum(1, keepdim=True) * rows
        theirs.step()
        with torch.no_grad():
            reference["W_dec"].copy_(unit(reference["W_dec"]))
        adam.update(step_of(gradients))
    for name, leaf in reference.items():
        torch.testing.assert_close(dictionary.tensors()[name].double(), leaf.detach(), rtol=1e-4, atol=1e-5)
        first, second = adam.moments[name]
        state = theirs.state[leaf]
        flip = (lambda tensor: tensor.T) if name == "W_enc" else (lambda tensor: tensor)
        torch.testing.assert_close(flip(first).double(), state["exp_avg"], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(flip(second).double(), state["exp_avg_sq"], rtol=1e-3, atol=1e-5)


def test_a_feature_silent_for_thousands_of_steps_moves_as_in_float64_and_its_moment_ends_at_zero():
    dictionary, normal = made()
    adam = Adam(dictionary, lr=0.01, betas=(0.9, 0.999))
    weight = dictionary.b_enc[0].double()
    first = second = torch.tensor(0.0, dtype=torch.float64)
    for step in range(1, 4001):
        gradients = drawn(normal, slice(0, 1) if step > 1 else slice(0, 0))
        slope = gradients["b_enc"][0].double()
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        weight = weight - 0.01 * first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        adam.update(step_of(gradients))
        if step == 400:
            torch.testing.assert_close(dictionary.b_enc[0].double(), weight, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(dictionary.b_enc[0].double(), weight, rtol=1e-5, atol=1e-7)
    assert float(adam.moments["b_enc"][0][0]) == 0 and not adam.moments["W_dec"][0][0].any()
    assert adam.moments["W_dec"][0][1:].all()


def test_threads_change_no_bit():
    ends = []
    for threads in (1, 3):
        dictionary, normal = made()
        adam = Adam(dictionary, lr=0.01, betas=(0.9, 0.999), threads=threads)
        for _ in range(5):
            adam.update(step_of(drawn(normal, slice(0, 3))))
        ends.append(dictionary)
    for name in PARAMETERS:
        assert torch.equal(getattr(ends[0], name), getattr(ends[1], name))


def test_a_row_of_zeros_stays():
    dictionary, normal = made()
    dictionary.W_dec[3] = 0
    gradients = drawn(normal, slice(3, 4))
    Adam(dictionary, lr=0.01, betas=(0.9, 0.999)).update(step_of(gradients))
    assert not dictionary.W_dec[3].any() and bool(dictionary.W_dec.isfinite().all())


def test_an_encoder_that_lies_the_other_way_is_refused():
    dictionary, _ = made()
    turned = Dictionary(**dictionary.tensors() | {"W_enc": dictionary.W_enc.contiguous()})
    with pytest.raises(ValueError, match=r"W_enc is not the transpose of a contiguous \[d_sae, d_in\] tensor"):
        Adam(turned, lr=0.01, betas=(0.9, 0.999))
