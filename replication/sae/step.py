"""One step of the loss: from parameters and a batch to loss parts and gradients.

    xbar = x - b_dec ; f = relu(W_enc' xbar + b_enc) ; xhat = W_dec' f + b_dec
    loss = mean over batch and elements of (x - xhat)^2  +  l1 * mean over batch of sum_j f_j

(appendix of the paper; the squared error is a mean over vector elements, the L1 a sum). A feature that is silent on a
vector has a gradient of exactly zero there, so everything after the encoder needs the fired pairs only. Both ways below
give the same gradients to rounding; `gradients` takes the cheaper one.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from replication.sae.dictionary import Dictionary

DENSE_FROM = 0.15  # share of fired pairs from which the dense products are cheaper (measured on one CPU thread)


@dataclass(frozen=True)
class Step:
    """Loss parts (scalars), gradients, and how many vectors of the batch each feature fired on."""

    mse: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    l0: Float[Tensor, ""]
    W_enc: Float[Tensor, "d_in d_sae"]
    b_enc: Float[Tensor, "d_sae"]
    W_dec: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, "d_in"]
    fired: Int[Tensor, "d_sae"]


def gradients(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float, how: Literal["auto", "dense", "sparse"] = "auto") -> Step:
    """Loss parts and gradients of one batch. `how` never changes the result beyond rounding."""
    product, bias = torch.mm(x, dictionary.W_enc), dictionary.folded_bias()
    if how == "dense" or (how == "auto" and x.is_cuda):
        return _dense(dictionary, x, product.add_(bias), l1)
    # a comparison with minus the bias saves one pass over batch x d_sae
    pairs = (product > -bias).view(-1).nonzero().squeeze(1)
    if how == "auto" and len(pairs) > DENSE_FROM * product.numel():
        return _dense(dictionary, x, product.add_(bias), l1)
    feature = pairs % len(bias)
    return _sparse(dictionary, x, product.view(-1)[pairs] + bias[feature], torch.div(pairs, len(bias), rounding_mode="floor"), feature, l1)


def losses(dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float) -> Float[Tensor, "batch"]:
    """The loss of each vector, L1 term included."""
    f = dictionary.encode(x)
    return (dictionary.decode(f) - x).square().mean(1) + l1 * f.sum(1)


def _dense(dictionary: Dictionary, x: Tensor, pre: Tensor, l1: float) -> Step:
    batch, d_in = x.shape
    f = pre.relu_()
    residual = dictionary.decode(f).sub_(x)
    mse = residual.square().mean()
    d_xhat = residual.mul_(2 / (batch * d_in))
    on = f > 0
    d_pre = torch.mm(d_xhat, dictionary.W_dec.T).add_(l1 / batch).mul_(on)
    b_enc = d_pre.sum(0)
    return Step(
        mse=mse, l1=f.sum() / batch, l0=on.sum() / batch, W_enc=torch.mm(d_pre.T, x - dictionary.b_dec).T, b_enc=b_enc,
        W_dec=torch.mm(f.T, d_xhat), b_dec=d_xhat.sum(0) - dictionary.W_enc @ b_enc, fired=on.sum(0))


def _sparse(dictionary: Dictionary, x: Tensor, f: Float[Tensor, "pair"], vector: Int[Tensor, "pair"], feature: Int[Tensor, "pair"], l1: float) -> Step:
    """Products over fired pairs, each an `embedding_bag`: a bag's weighted sum of table rows is a sparse row times a dense matrix.

    Pair p is the activation f[p] > 0 of feature[p] on the vector vector[p], in the order of vectors.
    """
    batch, d_in = x.shape
    fired = torch.bincount(feature, minlength=len(dictionary.b_enc))

    by_vector = _bags(torch.bincount(vector, minlength=batch))
    residual = F.embedding_bag(feature, dictionary.W_dec, by_vector, mode="sum", per_sample_weights=f).add_(dictionary.b_dec).sub_(x)
    mse = residual.square().mean()
    d_xhat = residual.mul_(2 / (batch * d_in))
    d_f = _pair_products(d_xhat, dictionary.W_dec, feature, by_vector).add_(l1 / batch)

    order = torch.argsort(feature, stable=True)
    by_feature, vector = _bags(fired), vector[order]

    def per_feature(weights: Tensor, rows: Tensor) -> Tensor:
        return F.embedding_bag(vector, rows, by_feature, mode="sum", per_sample_weights=weights[order])

    b_enc = torch.zeros_like(dictionary.b_enc).index_add_(0, feature, d_f)
    return Step(
        mse=mse, l1=f.sum() / batch, l0=x.new_tensor(len(f) / batch), W_enc=per_feature(d_f, x - dictionary.b_dec).T, b_enc=b_enc,
        W_dec=per_feature(f, d_xhat), b_dec=d_xhat.sum(0) - dictionary.W_enc @ b_enc, fired=fired)


def _bags(counts: Int[Tensor, "bag"]) -> Int[Tensor, "bag"]:
    """Where each bag begins."""
    return counts.cumsum(0).sub_(counts)


def _pair_products(left: Float[Tensor, "bag d"], right: Float[Tensor, "row d"], rows: Int[Tensor, "pair"], bags: Int[Tensor, "bag"]) -> Float[Tensor, "pair"]:
    """``left[bag] . right[row]`` of each pair: what autograd hands to the weights of a bag."""
    weights = torch.ones(len(rows), dtype=right.dtype, device=right.device, requires_grad=True)
    with torch.enable_grad():
        total = F.embedding_bag(rows, right, bags, mode="sum", per_sample_weights=weights)
    return torch.autograd.grad(total, weights, left)[0]
