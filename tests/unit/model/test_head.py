"""The chunked loss: value, gradients, memory."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from replication.model import head
from replication.model.head import mean_loss, token_losses


def problem(tokens, d_model, d_vocab, dtype=torch.float32, scale=1.0):
    draw = torch.Generator().manual_seed(tokens * 10_000 + d_model * 100 + d_vocab)
    leaves = [torch.randn(shape, generator=draw, dtype=dtype).mul_(scale) for shape in ((tokens, d_model), (d_model, d_vocab), (d_vocab,))]
    return *(leaf.requires_grad_() for leaf in leaves), torch.randint(d_vocab, (tokens,), generator=draw, dtype=torch.int32)


def test_two_tokens_by_hand():
    x, W_U, b_U = torch.ones(2, 1), torch.zeros(1, 4, requires_grad=True), torch.tensor([0.0, 0.0, 0.0, -torch.inf])  # p = 1/3, 1/3, 1/3, 0
    loss = mean_loss(x, W_U, b_U, torch.tensor([0, 2]), 8)
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor(3.0).log())
    torch.testing.assert_close(W_U.grad, torch.tensor([[1 / 3 - 1 / 2, 1 / 3, 1 / 3 - 1 / 2, 0.0]]))


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(1, 40), d_model=st.integers(1, 6), d_vocab=st.integers(1, 9), chunk=st.integers(1, 50), weight=st.sampled_from([1.0, -2.5]))
def test_value_and_gradients_equal_cross_entropy_for_any_chunk(tokens, d_model, d_vocab, chunk, weight):
    *leaves, targets = problem(tokens, d_model, d_vocab, torch.float64)
    x, W_U, b_U = leaves
    expected = F.cross_entropy(x @ W_U + b_U, targets.long())
    found = mean_loss(x, W_U, b_U, targets, chunk)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(torch.autograd.grad(weight * found, leaves), torch.autograd.grad(weight * expected, leaves), strict=True):
        torch.testing.assert_close(ours, theirs)


@settings(max_examples=30, deadline=None)
@given(tokens=st.integers(1, 40), d_vocab=st.integers(1, 9), chunk=st.integers(1, 50))
def test_token_losses_equal_log_softmax(tokens, d_vocab, chunk):
    x, W_U, b_U, targets = problem(tokens, 3, d_vocab)
    found = token_losses(x, W_U, b_U, targets, chunk)
    expected = -(x @ W_U + b_U).log_softmax(1).gather(1, targets.long()[:, None]).squeeze(1)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-5)


def test_a_target_whose_probability_underflows_keeps_its_loss():
    W_U = torch.tensor([[0.0, 500.0]])
    found = token_losses(torch.ones(1, 1), W_U, torch.zeros(2), torch.tensor([0]), 1)
    assert found.item() == 500.0


def test_not_a_number_is_not_hidden():
    found = token_losses(torch.full((1, 1), torch.nan), torch.ones(1, 3), torch.zeros(3), torch.tensor([0]), 1)
    assert found.isnan().all()


class Largest(TorchDispatchMode):
    """Remembers the most elements that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.parametrize("function", [mean_loss, token_losses])
def test_logits_exist_for_one_chunk_only(function):
    x, W_U, b_U, targets = problem(600, 2, 70)
    with Largest() as seen:
        function(x, W_U, b_U, targets, 30)
    assert seen.elements == 30 * 70


@settings(max_examples=30, deadline=None)
@given(tokens=st.integers(1, 40), d_model=st.integers(1, 6), d_vocab=st.integers(1, 9), chunk=st.integers(1, 50))
def test_the_way_of_rounded_products_is_the_same_loss(tokens, d_model, d_vocab, chunk):
    *leaves, targets = problem(tokens, d_model, d_vocab, torch.float64)
    inputs = (*(leaf.detach() for leaf in leaves), targets.long(), chunk)
    for ours, theirs in zip(head._rounded_losses_and_gradients(*inputs, torch.float64), head._losses_and_gradients(*inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_under_autocast_products_are_rounded_and_gradients_are_float32():
    *leaves, targets = problem(200, 16, 40, scale=0.5)
    exact = torch.autograd.grad(mean_loss(*leaves, targets, 64), leaves)
    with torch.autocast("cpu", torch.bfloat16):
        loss = mean_loss(*leaves, targets, 64)
    assert loss.dtype == torch.float32
    for ours, theirs in zip(torch.autograd.grad(loss, leaves), exact, strict=True):
        assert ours.dtype == torch.float32 and not torch.equal(ours, theirs)
        torch.testing.assert_close(ours, theirs, atol=0.02 * float(theirs.abs().max()), rtol=0)
