"""The evaluation matrix by columns: all tokens on which a feature fires, for as many features at a time as memory allows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, Shard

BUDGET = 2**24  # entries of a block: about 130 MB, and a few times that while a block is put together


@dataclass(frozen=True)
class Columns:
    """The positive entries of features `start` to `stop`; entries of a column in the order of its tokens.

    Column `j` (feature `start + j`) has the entries `indptr[j]` to `indptr[j + 1]` of `tokens` (numbers in the whole
    evaluation set) and `values`.
    """

    start: int
    n_tokens: int
    indptr: NDArray[np.int64]
    tokens: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """One past the last feature."""
        return self.start + len(self.indptr) - 1

    @property
    def fired(self) -> NDArray[np.int64]:
        """Tokens on which each feature fires."""
        return np.diff(self.indptr)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The column of each entry."""
        return np.repeat(np.arange(len(self.fired)), self.fired)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.owner * self.n_tokens + self.tokens

    def at(self, column: NDArray[np.int64], token: NDArray[np.int64]) -> NDArray[np.float32]:
        """Activation of each column on each token (arrays that broadcast), 0 where it is silent."""
        wanted = column * self.n_tokens + token
        if not len(self._keys):
            return np.zeros(wanted.shape, dtype=np.float32)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[place] == wanted, self.values[place], np.float32(0))


def fired_counts(matrix: EvaluationMatrix) -> NDArray[np.int64]:
    """Tokens with a positive activation, per feature."""
    counts = np.zeros(matrix.n_features, dtype=np.int64)
    for shard in matrix:
        if isinstance(shard, np.ndarray):
            counts += np.count_nonzero(shard > 0, axis=0)
        else:
            counts += np.bincount(shard.indices, minlength=matrix.n_features)
    return counts


def column_blocks(matrix: EvaluationMatrix, fired: NDArray[np.int64], *, budget: int = BUDGET) -> Iterator[Columns]:
    """All features in order, in blocks with at most `budget` entries each (a feature with more has its own block)."""
    start = 0
    while start < matrix.n_features:
        stop = start + max(1, int(np.searchsorted(np.cumsum(fired[start:]), budget, side="right")))
        shards = (_positive(matrix.shard(k, slice(start, stop))) for k in range(matrix.shards))
        stacked = sparse.vstack(list(shards), format="csr").tocsc()
        yield Columns(start=start, n_tokens=matrix.tokens, indptr=stacked.indptr.astype(np.int64), tokens=stacked.indices.astype(np.int64),
                      values=stacked.data)
        start = stop


def _positive(shard: Shard) -> sparse.csr_array:
    return sparse.csr_array(np.maximum(shard, 0)) if isinstance(shard, np.ndarray) else shard
