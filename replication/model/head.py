"""The cross-entropy of the unembedding, chunk by chunk: logits and their gradient never exist for all tokens.

At width 64 and a vocabulary of 4,096 the head is four fifths of the arithmetic, and a whole table of logits, its softmax
and its gradient would each travel to memory and back. Here a chunk of tokens passes through the loss and all three
gradients while it lies in the cache:

    p      = softmax(x W_U + b_U)
    loss   = mean over tokens of -log p[target]
    dlogit = (p - onehot(target)) / tokens
    dx     = dlogit W_U^T,  dW_U = x^T dlogit,  db_U = sum over tokens of dlogit

Source: ours.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def mean_loss(x: Float[Tensor, "token d_model"], W_U: Float[Tensor, "d_model d_vocab"], b_U: Float[Tensor, " d_vocab"],
              targets: Int[Tensor, " token"], chunk: int) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats per token, with gradients for x (the normalised stream, `Transformer.final`), W_U and b_U.

    At most `chunk` tokens have logits at a time; the value does not depend on it but for rounding. Under autocast the
    products are of its type, while softmax, loss and sums stay in the type of x.
    """
    loss: Tensor = _MeanLoss.apply(x, W_U, b_U, targets, chunk)
    return loss


@torch.no_grad()
def token_losses(x: Float[Tensor, "token d_model"], W_U: Float[Tensor, "d_model d_vocab"], b_U: Float[Tensor, " d_vocab"],
                 targets: Int[Tensor, " token"], chunk: int) -> Float[Tensor, " token"]:
    """Cross-entropy of each token in nats, without gradients. x is the normalised stream, as for `mean_loss`."""
    targets = targets.long()
    losses, logits = x.new_empty(len(x)), x.new_empty(min(chunk, len(x)), W_U.shape[1])
    for rows in _chunks(len(x), chunk):
        part = torch.addmm(b_U, x[rows], W_U, out=logits[: rows.stop - rows.start])
        losses[rows] = _softmax_in_place(part, targets[rows])
    return losses


class _MeanLoss(torch.autograd.Function):
    """The gradients are computed with the loss, because the logits are gone afterwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W_U: Tensor, b_U: Tensor, targets: Tensor, chunk: int) -> Tensor:
        kind = x.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        with torch.autocast(kind, enabled=False):
            if low == x.dtype:
                losses, *gradients = _losses_and_gradients(x, W_U, b_U, targets.long(), chunk)
            else:
                losses, *gradients = _rounded_losses_and_gradients(x, W_U, b_U, targets.long(), chunk, low)
        ctx.save_for_backward(*gradients)
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        return *(outputs[0] * gradient for gradient in ctx.saved_tensors), None, None


def _losses_and_gradients(x: Tensor, W_U: Tensor, b_U: Tensor, targets: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """Losses of the tokens, and the gradients of their mean: dx, dW_U, db_U.

    The bias is the row of one more input, which is always 1: so both it and its gradient come out of the two products.
    """
    losses, probabilities = x.new_empty(len(x)), x.new_empty(min(chunk, len(x)), W_U.shape[1])
    x_one, W_b = F.pad(x, (0, 1), value=1.0), torch.cat((W_U, b_U[None]))
    dx, dW_b, one = torch.empty_like(x), torch.zeros_like(W_b), x.new_ones(())
    for rows in _chunks(len(x), chunk):
        part = torch.mm(x_one[rows], W_b, out=probabilities[: rows.stop - rows.start])
        losses[rows] = _softmax_in_place(part, targets[rows])
        part.scatter_add_(1, targets[rows, None], -one.expand(len(part), 1))  # p - onehot(target)
        dW_b.addmm_(x_one[rows].T, part)
        torch.mm(part, W_U.T, out=dx[rows])
    dW_b.div_(len(x))
    return losses, dx.div_(len(x)), dW_b[:-1], dW_b[-1]


def _rounded_losses_and_gradients(x: Tensor, W_U: Tensor, b_U: Tensor, targets: Tensor, chunk: int, low: torch.dtype) -> tuple[Tensor, ...]:
    """As above, with products in the type `low`; what lies between them is float32.

    On a GPU the products are fast and memory is slow, so the pass between them is compiled into kernels that keep the
    float32 numbers in registers: a logit is written and read in the type `low` only.
    """
    between = _compiled_between() if x.is_cuda else _between
    losses, dW, db = x.new_empty(len(x)), torch.zeros_like(W_U), torch.zeros_like(b_U)
    x, W_U = x.to(low), W_U.to(low)
    dx, logits = torch.empty_like(x), x.new_empty(min(chunk, len(x)), W_U.shape[1])
    for rows in _chunks(len(x), chunk):
        part = torch.mm(x[rows], W_U, out=logits[: rows.stop - rows.start])
        losses[rows], db_part = between(part, b_U, targets[rows])
        db += db_part
        dW += torch.mm(x[rows].T, part)
        torch.mm(part, W_U.T, out=dx[rows])
    return losses, dx.to(losses.dtype).div_(len(x)), dW.div_(len(x)), db.div_(len(x))


def _between(logits: Tensor, b_U: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits without their bias become p - onehot(target), in place and in their type; returns the losses and its sum over tokens."""
    full = logits.to(b_U.dtype) + b_U
    logsumexp = torch.logsumexp(full, 1, keepdim=True)
    aimed = torch.arange(full.shape[1], device=full.device) == targets[:, None]
    logits.copy_((full - logsumexp).exp() - aimed.to(full.dtype))
    return (logsumexp - full.gather(1, targets[:, None])).squeeze(1), logits.sum(0, dtype=b_U.dtype)


@functools.cache
def _compiled_between() -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    compiled: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = torch.compile(_between, dynamic=False)
    return compiled


def _softmax_in_place(logits: Tensor, targets: Tensor) -> Tensor:
    """Turn logits into probabilities and return -log p[target], exact also where p[target] underflows."""
    aimed, largest = logits.gather(1, targets[:, None]).squeeze(1), logits.amax(1)
    torch.softmax(logits, 1, out=logits)
    return largest - logits.amax(1).log() - aimed  # the largest probability is exp(largest - logsumexp)


def _chunks(tokens: int, chunk: int) -> Iterator[slice]:
    for start in range(0, tokens, chunk):
        yield slice(start, min(start + chunk, tokens))
