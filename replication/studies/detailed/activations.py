"""Activations of a few features or neurons on all evaluation tokens, read in one pass over the matrix."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix


@dataclass(frozen=True)
class Activations:
    """Sparse `columns` [token, feature] of `features`, which are ids in rising order."""

    features: tuple[int, ...]
    columns: sparse.csc_array

    @staticmethod
    def of(matrix: EvaluationMatrix, features: Iterable[int]) -> "Activations":
        """The columns of some features; an id that is named twice is read once."""
        wanted = np.unique(np.fromiter(features, np.int64))
        shards = [sparse.csr_array(shard[:, wanted]) for shard in matrix]
        return Activations(tuple(wanted.tolist()), sparse.csc_array(sparse.vstack(shards, format="csc")))

    def _entries(self, feature: int) -> slice:
        place = self.features.index(feature)
        return slice(self.columns.indptr[place], self.columns.indptr[place + 1])

    def __getitem__(self, feature: int) -> NDArray[np.float32]:
        """Activation [token] of one feature."""
        some = self._entries(feature)
        activation = np.zeros(self.columns.shape[0], np.float32)
        activation[self.columns.indices[some]] = self.columns.data[some]
        return activation

    def fires(self, feature: int) -> NDArray[np.int64]:
        """The tokens on which a feature is above zero, in order."""
        some = self._entries(feature)
        where = self.columns.indices[some][self.columns.data[some] > 0]
        found: NDArray[np.int64] = np.sort(where).astype(np.int64)
        return found
