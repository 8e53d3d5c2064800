"""What a unit's activation becomes when the model cannot see some of the earlier tokens.

In a one-layer transformer an earlier token j reaches the MLP at a position t by attention alone, so that removing it is leaving it out
of the softmax:

    z_h = sum over the kept j <= t of e_hj v_hj / sum over the kept j <= t of e_hj,      e_hj = exp(q_ht . k_hj / sqrt(d_head))

Everything else is computed as ever. No position moves (as when a token is deleted), and nothing is put in its place that could mean
something (as when it is replaced); the weights of the other tokens grow by one factor. The token itself is always kept. Beside it
stands replacement by tokens of other texts at the same positions: of one earlier token, of the whole text before the token, of the
token itself after its own text, and of both, which is what chance gives. Source: ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from replication.model.transformer import Transformer

WINDOW = 10  # earlier tokens that are removed one at a time and in pairs
PAIRS = tuple(combinations(range(1, WINDOW + 1), 2))  # their distances
KEPT = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)  # how many of the last earlier tokens are left when all before them are removed
REPLACED = 2  # other texts from which single tokens are replaced
ROWS = 64  # positions at one time
Read = Callable[[Float[Tensor, "row variant d_model"], Int[Tensor, " row"]], Float[Tensor, "row variant"]]
Place = Mapping[str, NDArray[np.int64]]
Found = dict[str, NDArray[np.float32]]


@cache
def masks(seen: int) -> Float64[Tensor, "variant seen"]:
    """1 where a token is kept, by distance (0 is the token itself): all; the token alone; without each; without each pair; the last ones only."""
    removed = [(), range(1, seen), *((d,) for d in range(1, WINDOW + 1)), *PAIRS, *(range(kept + 1, seen) for kept in KEPT)]
    rows = torch.ones(len(removed), seen, dtype=torch.float64)
    for row, distances in zip(rows, removed, strict=True):
        row[[d for d in distances if d < seen]] = 0
    return rows


@dataclass(frozen=True)
class Heads:
    """Embedded tokens with their positions [*place, d_model], and their queries, keys and values [*place, head, d_head] in double
    precision, so that no weight of a softmax is lost.
    """

    x: Tensor
    q: Tensor
    k: Tensor
    v: Tensor

    @staticmethod
    def of(model: Transformer, tokens: Int[Tensor, "*place"], pos: Int[Tensor, "*place"]) -> "Heads":
        """Of tokens at positions."""
        attn = model.layer(0).attn
        x = model.embed["W_E"][tokens] + model.pos_embed["W_pos"][pos]
        normal = model.layer(0).ln1(x)
        q, k, v = ((torch.einsum("...m,hmc->...hc", normal, W) + b).double() for W, b in ((attn.W_Q, attn.b_Q), (attn.W_K, attn.b_K), (attn.W_V, attn.b_V)))
        return Heads(x, q / attn.W_Q.shape[-1] ** 0.5, k, v)


@torch.no_grad()
def measure(model: Transformer, read: Read, tokens: NDArray[np.int32], place: Place, others: NDArray[np.int32]) -> Found:
    """Activations by what the model sees.

    full, alone [row], single [row, distance], pair [row, pair], kept [row, KEPT]; and with other texts in place: replaced [row, distance,
    text], token (own token, other text), context (other token, own text) and neither [row, text]. `read` gives the activation of each
    row's unit from the stream before the MLP. `place` holds context, pos and unit [row], each with at least `WINDOW` earlier tokens;
    `others` [text, n_ctx] are the other texts. The model has one layer.
    """
    theirs = Heads.of(model, torch.from_numpy(others.astype(np.int64)), torch.arange(others.shape[1]).expand(others.shape))
    stream = model.resid_mid(torch.from_numpy(others.astype(np.int64)))
    order = np.argsort(place["pos"], kind="stable")  # positions of a block see about as many tokens
    blocks = [order[start : start + ROWS] for start in range(0, len(order), ROWS)]
    found = [_block(model, read, tokens, {key: torch.from_numpy(value[rows]) for key, value in place.items()}, theirs, stream) for rows in blocks]
    back = np.argsort(order, kind="stable")
    return {key: np.concatenate([part[key].numpy() for part in found])[back] for key in found[0]} if found else {}


def _block(model: Transformer, read: Read, tokens: NDArray[np.int32], place: Mapping[str, Tensor], theirs: Heads, stream: Tensor) -> dict[str, Tensor]:
    pos, unit, block = place["pos"], place["unit"], model.layer(0)
    seen = int(pos.max()) + 1
    at = pos[:, None] - torch.arange(seen)
    never, at = at < 0, at.clamp_min(0)
    own = Heads.of(model, torch.from_numpy(tokens.astype(np.int64))[place["context"][:, None], at], at)

    def activation(x: Tensor, z: Tensor) -> Tensor:
        return read(x + torch.einsum("rvhc,hcm->rvm", z.to(x.dtype), block.attn.W_O) + block.attn.b_O, unit)

    score = torch.einsum("rhc,rshc->rsh", own.q[:, 0], own.k).masked_fill(never[..., None], -torch.inf)
    highest = score.amax(dim=1, keepdim=True)
    weight = (score - highest).exp()
    share, kept = weight[..., None] * own.v, masks(seen)
    z = torch.einsum("vs,rshc->rvhc", kept, share) / torch.einsum("vs,rsh->rvh", kept, weight)[..., None]
    masked = activation(own.x[:, :1], z).split([1, 1, WINDOW, len(PAIRS), len(KEPT)], dim=1)
    found = dict(zip(("full", "alone", "single", "pair", "kept"), (masked[0][:, 0], masked[1][:, 0], *masked[2:]), strict=True))

    near = at[:, 1 : WINDOW + 1]  # one earlier token replaced
    other = (torch.einsum("rhc,trdhc->rdth", own.q[:, 0], theirs.k[:REPLACED, near]) - highest[:, :, None]).exp()
    total = weight.sum(1)[:, None, None] - weight[:, 1 : WINDOW + 1, None] + other
    write = share.sum(1)[:, None, None] - share[:, 1 : WINDOW + 1, None] + other[..., None] * theirs.v[:REPLACED, near].permute(1, 2, 0, 3, 4)
    found["replaced"] = activation(own.x[:, :1], (write / total[..., None]).flatten(1, 2)).unflatten(1, other.shape[1:3])

    earlier = (torch.arange(seen) < pos[:, None])[:, None, :, None]  # by position, in other texts
    score_there = torch.einsum("rhc,tshc->rtsh", own.q[:, 0], theirs.k[:, :seen]).masked_fill(~earlier, -torch.inf)
    z = _mixed(score[:, 0][:, None], own.v[:, :1], score_there, lambda w: torch.einsum("rtsh,tshc->rthc", w, theirs.v[:, :seen]))
    found["token"] = activation(own.x[:, :1], z)

    x, q, k, v = (part[:, pos].transpose(0, 1) for part in (theirs.x, theirs.q, theirs.k, theirs.v))  # other tokens at these positions
    score_here = torch.einsum("rthc,rshc->rtsh", q, own.k[:, 1:]).masked_fill(never[:, None, 1:, None], -torch.inf)
    found["context"] = activation(x, _mixed((q * k).sum(-1), v, score_here, lambda w: torch.einsum("rtsh,rshc->rthc", w, own.v[:, 1:])))
    found["neither"] = read(stream[:, pos].transpose(0, 1), unit)
    return found


def _mixed(score: Tensor, v: Tensor, earlier: Tensor, written: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention [row, text, head, d_head] of a token with `score` and `v` to itself, and to earlier ones with scores [row, text, seen, head]."""
    highest = torch.maximum(score, earlier.amax(dim=2))
    itself, weight = (score - highest).exp(), (earlier - highest[:, :, None]).exp()
    return (itself[..., None] * v + written(weight)) / (itself + weight.sum(2))[..., None]
