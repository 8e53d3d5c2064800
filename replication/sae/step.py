"""The loss of a batch, its parts and its gradients.

    xbar = x - b_dec ; f = relu(W_enc' xbar + b_enc) ; xhat = W_dec' f + b_dec
    loss = mean over batch and elements of (x - xhat)^2  +  l1 * mean over batch of sum_j f_j

(appendix of the paper; the squared error is a mean over vector elements, the L1 a sum). A feature that is silent on a
vector has a gradient of exactly zero there, so everything after the encoder needs the fired pairs only: `dense` below is
the plain way, `sparse.Sparse` that one, and `gradients.Gradients` takes the cheaper of the two.
"""

import functools
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.sae.dictionary import Dictionary

DENSE_ELEMENTS = 2**26  # of vectors x features that exist at one time: 256 MiB an array


@dataclass(frozen=True)
class Step:
    """Loss parts (scalars), gradients, and how many vectors of the batch each feature fired on."""

    mse: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    l0: Float[Tensor, ""]
    W_enc: Float[Tensor, "d_in d_sae"]
    b_enc: Float[Tensor, " d_sae"]
    W_dec: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, " d_in"]
    fired: Int[Tensor, " d_sae"]


def losses(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float) -> Float[Tensor, " batch"]:
    """The loss of each vector, L1 term included."""
    f = dictionary.encode(x)
    return (dictionary.decode(f) - x).square().mean(1) + l1 * f.sum(1)


def dense(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float) -> Step:
    """Loss parts and gradients by five products with all features, of `DENSE_ELEMENTS` vectors x features at a time."""
    parts = x.split(max(1, DENSE_ELEMENTS // len(dictionary.b_enc)))
    return functools.reduce(_add, (_share(dictionary, part, l1, len(x)) for part in parts))


def _share(dictionary: Dictionary, x: Float[Tensor, "part d_in"], l1: float, batch: int) -> Step:
    """What some vectors of a batch add to its means and gradients."""
    elements = batch * x.shape[1]
    f = dictionary.encode(x)
    residual = dictionary.decode(f).sub_(x)
    mse = residual.square().sum() / elements
    d_xhat = residual.mul_(2 / elements)
    on = f.sign()  # 1 where a feature fired, in the type of f, because mixed types are slow
    d_pre = torch.mm(d_xhat, dictionary.W_dec.T).add_(l1 / batch).mul_(on)
    b_enc, fired = d_pre.sum(0), on.sum(0)
    return Step(
        mse=mse, l1=f.sum() / batch, l0=fired.sum() / batch, W_enc=torch.mm(d_pre.T, x - dictionary.b_dec).T, b_enc=b_enc,
        W_dec=torch.mm(f.T, d_xhat), b_dec=d_xhat.sum(0) - dictionary.W_enc @ b_enc, fired=fired.int())


def _add(total: Step, more: Step) -> Step:
    for field in fields(Step):
        getattr(total, field.name).add_(getattr(more, field.name))
    return total
