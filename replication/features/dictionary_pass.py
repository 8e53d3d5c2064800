"""The one pass over the evaluation tokens: forward, site vectors, encode, decode, and the loss with the reconstruction.

Nothing dense of size tokens x d_sae is kept: a small batch is encoded, its fired pairs go to the evaluation matrix, and
sums per context are all that remains of the rest. Source: paper, "How much of the model does our interpretation
explain?" for the measures; the pass is ours.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from replication.features.fired import Pairs, encoder
from replication.features.losses import batches, context_losses
from replication.features.matrix import MatrixWriter
from replication.model.transformer import Transformer
from replication.sae.dictionary import Dictionary


def decode(dictionary: Dictionary, pairs: Pairs) -> Float[Tensor, "token d_in"]:
    """The reconstruction from fired pairs: exact, and as cheap as they are few."""
    counts, features, values = pairs
    starts = torch.cumsum(counts, dim=0) - counts
    return F.embedding_bag(features, dictionary.W_dec, starts, mode="sum", per_sample_weights=values) + dictionary.b_dec


@torch.no_grad()
def measure(
    model: Transformer, dictionary: Dictionary, tokens: Int[Tensor, "context n_ctx"], *,
    site: str, mean: Float[Tensor, " d_in"], matrix: MatrixWriter, shard_contexts: int, progress: Callable[[float, float, str], None],
) -> pd.DataFrame:
    """Fill the evaluation matrix and return sums per context.

    Columns: loss_reconstructed (nats, over predicted tokens); over all tokens l0 (fired features), l1 (summed activation),
    squared_error and variance (mean over the d_in elements of the squared distance to the reconstruction, and to `mean`,
    the mean site vector over the evaluation tokens).
    """
    rows: list[NDArray[np.float64]] = []
    shard: list[Pairs] = []
    done = 0
    fired = encoder(dictionary)
    for shard_ends, batch in batches(tokens, model, shard_contexts=shard_contexts):
        mid = model.before(batch, site)
        vectors = model.read_from(mid, site)
        x = vectors.flatten(0, 1)
        pairs = fired(x)
        reconstruction = decode(dictionary, pairs)
        loss = context_losses(model, batch, model.splice_into(mid, site, reconstruction.view_as(vectors)))
        counts, _, values = pairs
        owner = torch.repeat_interleave(torch.arange(len(batch), device=x.device), counts.view(len(batch), -1).sum(dim=1))
        l1 = torch.zeros(len(batch), dtype=torch.float64, device=x.device).index_add_(0, owner, values.double())
        sums = (counts.double(), (x - reconstruction).square().mean(dim=1).double(), (x - mean).square().mean(dim=1).double())
        l0, error, variance = (per_token.view(len(batch), -1).sum(dim=1).cpu() for per_token in sums)
        rows.append(torch.stack((loss, l0, l1.cpu(), error, variance), dim=1).numpy())
        shard.append(pairs)
        if shard_ends:
            matrix.append(_csr(shard, dictionary.W_enc.shape[1]))
            shard = []
        done += len(batch)
        progress(done, len(tokens), f"L0 {np.concatenate(rows)[:, 1].sum() / (done * tokens.shape[1]):.2f}")
    return pd.DataFrame(np.concatenate(rows), columns=["loss_reconstructed", "l0", "l1", "squared_error", "variance"])


def _csr(parts: list[Pairs], d_sae: int) -> sparse.csr_array:
    counts, features, values = (torch.cat(kind).cpu().numpy() for kind in zip(*parts, strict=True))
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return sparse.csr_array((values, features.astype(np.int32), indptr), shape=(len(counts), d_sae))
