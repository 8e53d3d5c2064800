"""The loss of a batch, its parts and its gradients.

    xbar = x - b_dec ; f = relu(W_enc' xbar + b_enc) ; xhat = W_dec' f + b_dec
    loss = mean over batch and elements of (x - xhat)^2  +  l1 * mean over batch of sum_j f_j

(appendix of the paper; the squared error is a mean over vector elements, the L1 a sum). A feature that is silent on a
vector has a gradient of exactly zero there, so everything after the encoder needs the fired pairs only: `dense` below is
the plain way, `sparse.Sparse` that one, and `gradients.Gradients` takes the cheaper of the two.

Where ranks hold a slice of the features each, xhat is their sum, by one sum over ranks for each of `parts`; with it in hand
all gradients are a feature's own but that of b_dec, whose share of each rank `add_up` sums with those of l1 and l0.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.sae.dictionary import Dictionary
from replication.sae.ranks import ALONE, Ranks

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


def losses(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float, ranks: Ranks = ALONE) -> Float[Tensor, " batch"]:
    """The loss of each vector, L1 term included."""
    f = dictionary.encode(x)
    return _residual(dictionary, f, x, ranks).square().mean(1) + l1 * ranks.add(f.sum(1))


def dense(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float, ranks: Ranks = ALONE) -> Step:
    """Loss parts and gradients by five products with all features. Of several ranks: this one's share, for `add_up`."""
    return functools.reduce(_add, (_share(dictionary, part, l1, len(x), ranks) for part in parts(x, len(dictionary.b_enc))))


def parts(rows: Float[Tensor, "batch d_in"], d_sae: int) -> Sequence[Float[Tensor, "part d_in"]]:
    """Vectors of a batch that are multiplied with `d_sae` features at one time: `DENSE_ELEMENTS` products.

    Whichever way a rank takes, it adds up residuals in these parts: so each may choose by itself.
    """
    found: Sequence[Tensor] = rows.split(max(1, DENSE_ELEMENTS // d_sae))
    return found


def add_up(found: Step, ranks: Ranks) -> None:
    """Put the sums over all ranks into `found`: of the gradient of b_dec, and of l1 and l0. The rest is whole, or a feature's own."""
    if ranks.count > 1:
        shares = found.b_dec, found.l1, found.l0
        total = ranks.add(torch.cat([share.reshape(-1) for share in shares]))
        for share, whole in zip(shares, total.split([share.numel() for share in shares]), strict=True):
            share.copy_(whole.view_as(share))


def share_of_b_dec(dictionary: Dictionary, d_xhat: Float[Tensor, "batch d_in"], b_enc: Float[Tensor, " d_sae"], ranks: Ranks) -> Float[Tensor, " d_in"]:
    """What a rank adds to the gradient of b_dec: through the encoder by its features, and one of them what comes through the decoder."""
    through_encoder = dictionary.W_enc @ b_enc
    return d_xhat.sum(0) - through_encoder if ranks.first else -through_encoder


def _residual(dictionary: Dictionary, f: Float[Tensor, "part d_sae"], x: Float[Tensor, "part d_in"], ranks: Ranks) -> Float[Tensor, "part d_in"]:
    """``xhat - x``, by the features of all ranks; the first one adds b_dec and takes x off."""
    return ranks.add(dictionary.decode(f).sub_(x) if ranks.first else torch.mm(f, dictionary.W_dec))


def _share(dictionary: Dictionary, x: Float[Tensor, "part d_in"], l1: float, batch: int, ranks: Ranks) -> Step:
    """What some vectors of a batch add to its means and gradients."""
    elements = batch * x.shape[1]
    f = dictionary.encode(x)
    residual = _residual(dictionary, f, x, ranks)
    mse = residual.square().sum() / elements
    d_xhat = residual.mul_(2 / elements)
    on = f.sign()  # 1 where a feature fired, in the type of f, because mixed types are slow
    d_pre = torch.mm(d_xhat, dictionary.W_dec.T).add_(l1 / batch).mul_(on)
    b_enc, fired = d_pre.sum(0), on.sum(0)
    return Step(
        mse=mse, l1=f.sum() / batch, l0=fired.sum() / batch, W_enc=torch.mm(d_pre.T, x - dictionary.b_dec).T, b_enc=b_enc,
        W_dec=torch.mm(f.T, d_xhat), b_dec=share_of_b_dec(dictionary, d_xhat, b_enc, ranks), fired=fired.int())


def _add(total: Step, more: Step) -> Step:
    for field in fields(Step):
        getattr(total, field.name).add_(getattr(more, field.name))
    return total
