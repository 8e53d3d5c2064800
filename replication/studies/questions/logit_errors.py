"""What a dictionary's reconstruction gets wrong, token by token: at its own site, in the logits as linearised, and in the logits themselves.

With u the MLP's true update and v the one that a spliced reconstruction writes, z(u) is its logit update (`model.metric`), so that

    linear = mean over d_model of (z(u) - z(v))^2 = mean over the vocabulary of the squared error of centred, linearised logits
    exact  = the same with the layer norm as it is, from explicit logits

Source: ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.model.transformer import Transformer
from replication.sae.dictionary import Dictionary

AT_ONCE = 16  # contexts
LOGITS = 2**22  # that exist at one time


@dataclass(frozen=True)
class Errors:
    """Per token [token], in double precision: squared errors as means over elements, the squared distances from the mean that they are shares of, and L0."""

    site: np.ndarray
    site_spread: np.ndarray
    linear: np.ndarray
    linear_spread: np.ndarray
    l0: np.ndarray


@torch.no_grad()
def errors(model: Transformer, dictionary: Dictionary, site: str, tokens: Int[Tensor, "context pos"]) -> Errors:
    """Of every token of some texts."""
    before = [model.before(batch, site) for batch in tokens.long().split(AT_ONCE)]
    x = torch.cat([model.read_from(mid, site).flatten(0, 1) for mid in before])
    z = torch.cat([_z(model, mid, model.splice_into(mid, site, model.read_from(mid, site))).flatten(0, 1) for mid in before])
    f = [dictionary.encode(part) for part in x.split(AT_ONCE * tokens.shape[1])]
    l0 = torch.cat([(part > 0).sum(dim=1) for part in f])
    y = torch.cat([dictionary.decode(part) for part in f])
    spliced = [model.splice_into(mid, site, part.view(*mid.shape[:2], -1)) for mid, part in zip(before, y.split(AT_ONCE * tokens.shape[1]), strict=True)]
    w = torch.cat([_z(model, mid, stream).flatten(0, 1) for mid, stream in zip(before, spliced, strict=True)])
    columns = ((x - y), (x - x.mean(dim=0)), (z - w), (z - z.mean(dim=0)))
    squares = [part.double().square().mean(dim=1).numpy() for part in columns]
    return Errors(squares[0], squares[1], squares[2], squares[3], l0.numpy().astype(np.float64))


@torch.no_grad()
def exact(model: Transformer, dictionary: Dictionary, site: str, tokens: Int[Tensor, "context pos"]) -> Float[Tensor, " token"]:
    """Mean squared error of the centred logits themselves, with the last layer norm as it is."""
    return torch.cat([squared(model, *_streams(model, dictionary, site, batch), linear=False) for batch in tokens.long().split(AT_ONCE)])


@torch.no_grad()
def explicit(model: Transformer, dictionary: Dictionary, site: str, tokens: Int[Tensor, "context pos"]) -> Float[Tensor, " token"]:
    """The linearised error from explicit logits, in double precision: what the metric gives without them."""
    return torch.cat([squared(model, *_streams(model, dictionary, site, batch), linear=True) for batch in tokens.long().split(AT_ONCE)])


def _z(model: Transformer, mid: Float[Tensor, "batch pos d_model"], stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
    """The logit update of a stream after the MLP, at the true stream's scale."""
    true = mid + model.mlp_out(model.mlp_act(mid))
    return model.metric.read(stream - mid, model.sigma(true))


def _streams(model: Transformer, dictionary: Dictionary, site: str, batch: Tensor) -> tuple[Tensor, Tensor]:
    mid = model.before(batch, site)
    x = model.read_from(mid, site)
    y = dictionary.decode(dictionary.encode(x.flatten(0, 1))).view_as(x)
    return model.splice_into(mid, site, x).flatten(0, 1), model.splice_into(mid, site, y).flatten(0, 1)


def squared(model: Transformer, true: Float[Tensor, "token d_model"], spliced: Float[Tensor, "token d_model"], *, linear: bool) -> Float[Tensor, " token"]:
    """Mean squared difference of the centred logits of two streams, both at the true one's scale (`linear`) or each at its own, in double precision."""
    W_U, w = model.unembed["W_U"].double(), model.ln_final.w.double()
    found = []
    for one, other in zip(true.double().split(LOGITS // W_U.shape[1]), spliced.double().split(LOGITS // W_U.shape[1]), strict=True):
        scales = [model.sigma(stream) for stream in ((one, one) if linear else (one, other))]
        seen = [(stream - stream.mean(dim=1, keepdim=True)) / scale * w for stream, scale in zip((one, other), scales, strict=True)]
        change = (seen[0] - seen[1]) @ W_U
        found.append((change - change.mean(dim=1, keepdim=True)).square().mean(dim=1))
    return torch.cat(found)
