"""Pearson correlation of activations between two evaluation matrices of the same tokens, shard by shard and block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.features.matrix import HALVES, EvaluationMatrix, Shard

BLOCK = 2**23  # correlations of one half that exist at one time: 64 MB


@dataclass(frozen=True)
class Moments:
    """Per half of the tokens: their number [half], and sums and sums of squares of each feature [half, feature]."""

    count: NDArray[np.int64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @staticmethod
    def of(matrix: EvaluationMatrix) -> "Moments":
        """Measured in one pass."""
        shape = (len(HALVES), matrix.n_features)
        count, total, squares = np.zeros(len(HALVES), dtype=np.int64), np.zeros(shape), np.zeros(shape)
        for half, shard in _halves(matrix):
            count[half] += shard.shape[0]
            total[half] += shard.sum(axis=0, dtype=np.float64)
            dense = isinstance(shard, np.ndarray)
            squares[half] += np.einsum("tf,tf->f", shard, shard, dtype=np.float64) if dense else (shard * shard).sum(axis=0)
        return Moments(count, total, squares)

    @property
    def sum_of_squares(self) -> NDArray[np.float64]:
        """Squared distance from the mean, summed over tokens [half, feature]; 0 for a feature that never changes."""
        spread = self.squares - self.total**2 / self.count[:, None]
        return np.where(spread > 1e-12 * self.squares, spread, 0.0)


def correlations(
    left: EvaluationMatrix, right: EvaluationMatrix, moments: tuple[Moments, Moments], *, block: int = BLOCK,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Blocks of features of `left`: the first one's number, and correlations [half, feature of the block, feature of right].

    NaN where one of the two does not change in that half. Both matrices hold the same tokens in the same shards.
    """
    of_left, of_right = moments
    width = max(1, block // right.n_features)
    for start in range(0, left.n_features, width):
        some = slice(start, min(start + width, left.n_features))
        products = np.zeros((len(HALVES), some.stop - start, right.n_features))
        for (half, x), (_, y) in zip(_halves(left), _halves(right), strict=True):
            product = x[:, some].T @ y
            products[half] += product if isinstance(product, np.ndarray) else product.toarray()
        products -= of_left.total[:, some, None] * of_right.total[:, None, :] / of_left.count[:, None, None]
        scale = np.sqrt(of_left.sum_of_squares[:, some, None] * of_right.sum_of_squares[:, None, :])
        yield start, np.divide(products, scale, out=np.full_like(products, np.nan), where=scale > 0)


def _halves(matrix: EvaluationMatrix) -> Iterator[tuple[int, Shard]]:
    """Each shard's tokens of either half; sparse ones in float64, dense ones in the float32 in which products of a shard suffice."""
    for k in range(matrix.shards):
        shard, half = matrix.shard(k), matrix.half(k)
        for which in HALVES:
            part = shard[half == which]
            yield which, part if isinstance(part, np.ndarray) else part.astype(np.float64)
