"""Which features carry a coordinate of the activations where it is strongly on: a neuron, or a random direction as its control.

On a token x the dictionary says of coordinate u: u . (xhat - b_dec) = sum over features of f_i(x) (u . W_dec[i]). Summed over the tokens on
which x . u is strongly on, each term is a feature's contribution. What is strong, and which features contribute most, is found on the
choosing half of the evaluation tokens; how many it takes to carry half of the sum is told on the reporting half. Source: ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import CHOOSING, HALVES, REPORTING, EvaluationMatrix

STRONG = 0.01  # share of the tokens on which a coordinate counts as strongly on
SAMPLED = 32_768  # tokens of the choosing half from which that threshold is read
LOOKED_AT = 16  # tokens of a coordinate that are looked at one by one, on the reporting half
HALF = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Strong:
    """For every shard of the evaluation tokens: where each of the `coordinates` [d_mlp, coordinate] is strongly on [token, coordinate]."""

    coordinates: Floats
    shards: list[sparse.csc_array]

    @staticmethod
    def of(neurons: EvaluationMatrix, directions: Floats) -> "Strong":
        """Of every neuron, and then of `directions` [d_mlp, direction]. Reads the activations twice: for thresholds, and for the tokens above them."""
        weights = directions.astype(np.float32)
        each = max(1, SAMPLED // neurons.shards)
        parts = []
        for k in range(neurons.shards):
            rows = np.flatnonzero(neurons.half(k) == CHOOSING)
            x = neurons.shard(k)[rows[np.linspace(0, len(rows) - 1, min(each, len(rows))).astype(int)]]
            parts.append(np.concatenate([x, x @ weights], axis=1))
        limit = np.quantile(np.concatenate(parts), 1 - STRONG, axis=0).astype(np.float32)
        split = neurons.n_features
        shards = []
        for x in neurons:
            above = [sparse.csc_array(x > limit[:split]), sparse.csc_array(x @ weights > limit[split:])]
            shards.append(sparse.csc_array(sparse.hstack(above, format="csc")))
        return Strong(np.concatenate([np.eye(split), directions], axis=1), shards)


@dataclass(frozen=True)
class Contributions:
    """Mean contributions [half, feature, coordinate] to a coordinate where it is strongly on, and counts [coordinate, token] on single tokens."""

    means: Floats
    on_tokens: list[NDArray[np.int64]]

    def order(self) -> NDArray[np.int64]:
        """Features [rank, coordinate] by their contribution on the choosing half, the largest first."""
        return np.argsort(-self.means[CHOOSING], axis=0, kind="stable")

    def curve(self) -> Floats:
        """Share [rank, coordinate] of the reporting half's sum that the first features of the order carry; NaN where the sum is not positive."""
        ordered = np.cumsum(np.take_along_axis(self.means[REPORTING], self.order(), axis=0), axis=0)
        whole = ordered[-1]
        return np.asarray(np.divide(ordered, whole, out=np.full(ordered.shape, np.nan), where=whole > 0))

    def needed(self) -> Floats:
        """How few features, in the order of the choosing half, carry half of the sum [coordinate]; NaN where the sum is not positive."""
        curve = self.curve()
        return np.where(np.isnan(curve[0]), np.nan, 1 + (np.nan_to_num(curve) >= HALF).argmax(0))

    def per_token(self) -> Floats:
        """Mean over single tokens of how few of the active features carry half [coordinate]; NaN where no token was told."""
        return np.array([counts.mean() if len(counts) else np.nan for counts in self.on_tokens])


def contributions(matrix: EvaluationMatrix, decoder: NDArray[np.float32], strong: Strong, rng: np.random.Generator) -> Contributions:
    """Of one dictionary with decoder rows [feature, d_mlp]."""
    written = decoder.astype(np.float64) @ strong.coordinates
    n = written.shape[1]
    sums, tokens = np.zeros((len(HALVES), *written.shape)), np.zeros((len(HALVES), n))
    on_tokens: list[list[int]] = [[] for _ in range(n)]
    each = -(-LOOKED_AT // matrix.shards)
    for k, on in enumerate(strong.shards):
        shard, half = sparse.csr_array(matrix.shard(k)), matrix.half(k)
        for which in HALVES:
            here = sparse.csr_array(on)[half == which].astype(np.float64)
            sums[which] += (shard[half == which].astype(np.float64).T @ here).toarray()
            tokens[which] += np.asarray(here.sum(0)).ravel()
        for coordinate, token in looked_at(on, half, each, rng):
            entries = slice(shard.indptr[token], shard.indptr[token + 1])
            count = fewest(shard.data[entries] * written[shard.indices[entries], coordinate])
            on_tokens[coordinate] += [count] if count else []
    return Contributions(sums * written / np.maximum(tokens, 1)[:, None], [np.array(counts, dtype=np.int64) for counts in on_tokens])


def looked_at(on: sparse.csc_array, half: NDArray[np.int64], each: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Pairs of a coordinate and a token of the reporting half on which it is strongly on, at most `each` of a coordinate."""
    for coordinate in range(on.shape[1]):
        rows = on.indices[on.indptr[coordinate]:on.indptr[coordinate + 1]]
        rows = np.sort(rows[half[rows] == REPORTING])
        for token in np.sort(rng.choice(rows, min(each, len(rows)), replace=False)):
            yield coordinate, int(token)


def fewest(parts: NDArray[np.floating]) -> int:
    """How few parts, the largest first, carry half of their sum; 0 where the sum is not positive."""
    whole = float(parts.sum())
    return 1 + int((np.cumsum(np.sort(parts)[::-1]) >= HALF * whole).argmax()) if whole > 0 else 0
