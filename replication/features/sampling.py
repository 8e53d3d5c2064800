"""Text that a model writes while one feature is pinned at a value, or free.

At every position the feature's activation f is set to the value v, and all else at the site, the dictionary's error
included, stays as it is: x + (v - f) d. In a one-layer model attention reads the stream before the MLP, so that of all
positions only the last one can change what is drawn next. Source: paper, pinned sampling; how the change enters is ours.
"""

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from replication.model.transformer import Transformer
from replication.sae.dictionary import Dictionary

FREE = -1  # in place of a feature: nothing is pinned
BLOCK = 2**22  # logits that exist at one time: 32 MB in double precision


@torch.no_grad()
def sample(
    model: Transformer, dictionary: Dictionary, site: str, *, start: Int[Tensor, " pos"], feature: Int[Tensor, " row"],
    value: Float[Tensor, " row"], draws: Float64[Tensor, "row new"],
) -> Int[Tensor, "row new"]:
    """Tokens that follow `start` in each row, whose own feature (or none, `FREE`) is pinned at its own value.

    `draws` are uniform numbers in [0, 1): a token is the first whose cumulative probability lies above the draw, at
    temperature 1. Rows with equal draws differ by what is pinned alone. The text must fit into the model's context.
    """
    rows, new = draws.shape
    text = torch.empty(rows, len(start) + new, dtype=torch.int64)
    text[:, : len(start)] = start
    for block in torch.arange(rows).split(max(1, BLOCK // model.architecture.d_vocab)):
        for place in range(len(start), text.shape[1]):
            mid = model.before(text[block, :place], site)[:, -1]
            vectors = pin(dictionary, model.read_from(mid, site), feature[block], value[block])
            logits = model.logits(model.splice_into(mid, site, vectors))
            text[block, place] = drawn(logits, draws[block, place - len(start)])
    return text[:, len(start) :]


def pin(
    dictionary: Dictionary, x: Float[Tensor, "row d_in"], feature: Int[Tensor, " row"], value: Float[Tensor, " row"],
) -> Float[Tensor, "row d_in"]:
    """Vectors of the site with each row's feature set to its value; a row that is `FREE` stays."""
    place = feature.clamp_min(0)
    f = ((x * dictionary.W_enc.T[place]).sum(dim=1) + dictionary.folded_bias()[place]).relu()
    change = torch.where(feature == FREE, torch.zeros_like(f), value - f)
    return x + change[:, None] * dictionary.W_dec[place]


def drawn(logits: Float[Tensor, "row d_vocab"], draws: Float64[Tensor, " row"]) -> Int[Tensor, " row"]:
    """The token of each row that a uniform draw picks from softmax(logits)."""
    cumulative = torch.softmax(logits.double(), dim=1).cumsum(dim=1)
    picked = torch.searchsorted(cumulative, (draws * cumulative[:, -1])[:, None], right=True)
    return picked.squeeze(1).clamp_max(logits.shape[1] - 1)
