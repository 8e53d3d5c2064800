"""Which features fire where a context's own feature does not.

A *gap* is a token on which the proxy is on and the context's feature is off. A feature's *rise* is the share of gaps on
which it fires minus the share of all other tokens on which it does. Source: ours, for the paper's "activation sensitivity".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import HALVES, EvaluationMatrix


@dataclass(frozen=True)
class Firing:
    """Per half: `gaps` tokens that are gaps and `others` that are not [half]; on how many of each a feature fires [half, feature]."""

    gaps: NDArray[np.int64]
    others: NDArray[np.int64]
    in_gaps: NDArray[np.int64]
    elsewhere: NDArray[np.int64]

    @property
    def rise(self) -> NDArray[np.float64]:
        """Share in gaps minus share elsewhere [half, feature]; 0 in a half without gaps."""
        inside, outside = self.in_gaps / np.maximum(self.gaps, 1)[:, None], self.elsewhere / np.maximum(self.others, 1)[:, None]
        return np.where(self.gaps[:, None] > 0, inside - outside, 0.0)


def firing(matrix: EvaluationMatrix, gaps: NDArray[np.bool_]) -> list[Firing]:
    """For each kind of gap (`gaps` [token, kind]), which features fire there; one pass over the matrix."""
    kinds = gaps.shape[1]
    inside = np.zeros((len(HALVES), kinds, matrix.n_features), np.int64)
    everywhere = np.zeros((len(HALVES), matrix.n_features), np.int64)
    sizes, tokens = np.zeros((len(HALVES), kinds), np.int64), np.zeros(len(HALVES), np.int64)
    start = 0
    for k, shard in enumerate(matrix):
        half, some = matrix.half(k), gaps[start: start + shard.shape[0]]
        start += shard.shape[0]
        on = sparse.csr_array(shard)
        on = sparse.csr_array(((on.data > 0).astype(np.int64), on.indices, on.indptr), shape=on.shape)
        for which in HALVES:
            at = np.flatnonzero(half == which)
            part = on[at]
            inside[which] += (sparse.csr_array(some[at].T.astype(np.int64)) @ part).toarray()
            everywhere[which] += np.bincount(part.indices, weights=part.data, minlength=matrix.n_features).astype(np.int64)
            sizes[which] += some[at].sum(0)
            tokens[which] += len(at)
    return [Firing(sizes[:, kind], tokens - sizes[:, kind], inside[:, kind], everywhere - inside[:, kind]) for kind in range(kinds)]
