"""Whether a feature is found again in another dictionary.

A match is the feature of the other dictionary with the most correlated activations on half 0 of the evaluation tokens, and what is
reported is their correlation on half 1. It counts as the same feature from SAME on. Source: ours; the measure of a match is the
paper's ("Are features universal?").
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.config import Settings
from replication.features.correlation import Moments
from replication.features.matrix import CHOOSING, HALVES, REPORTING, EvaluationMatrix, Shard
from replication.studies.intervals import Arm, random
from replication.studies.tables import Reader

SAME = 0.7  # correlation of activations from which two features count as one: about the paper's median between two models
Array = NDArray[np.float64]


class Elsewhere(EvaluationMatrix):
    """A matrix whose contexts are two places off in each shard: features fire as often, in texts as real, and say nothing about the true one.

    Two places, so that every context stays in its half. What is matched with this is matched by chance.
    """

    def shard(self, k: int, features: slice = slice(None)) -> Shard:
        """Shard `k` with its first two contexts at its end."""
        shard, cut = super().shard(k, features), len(HALVES) * self.n_ctx
        return np.concatenate([shard[cut:], shard[:cut]]) if isinstance(shard, np.ndarray) else sparse.csr_array(sparse.vstack([shard[cut:], shard[:cut]]))


class Matches:
    """Best matches between dictionaries of a run; each one's moments are measured once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.moments: dict[str, Moments] = {}

    def both(self, left: str, right: str) -> tuple[Array, Array]:
        """Correlation with the best match of each feature of `left` in `right`, and of each of `right` in `left`.

        0 where a feature is silent on the half on which matches are chosen, or one of the two is on the other half.
        """
        return both(self.reader.matrix(left), self.reader.matrix(right), (self._moments(left), self._moments(right)))

    def by_chance(self, name: str) -> Array:
        """Correlation with the best match of each feature of a dictionary in itself on other texts."""
        matrix = self.reader.matrix(name)
        return both(matrix, other := Elsewhere(matrix.path), (self._moments(name), Moments.of(other)))[0]

    def _moments(self, name: str) -> Moments:
        if name not in self.moments:
            self.moments[name] = Moments.of(self.reader.matrix(name))
        return self.moments[name]


def both(left: EvaluationMatrix, right: EvaluationMatrix, of: tuple[Moments, Moments]) -> tuple[Array, Array]:
    """`Matches.both` of two matrices with their moments: all pairs on the half on which is chosen, on the other those that were chosen."""
    products = np.zeros((left.n_features, right.n_features))
    for x, y in _of_half(CHOOSING, left, right):
        products += (x.T @ y).toarray()
    correlation = np.nan_to_num(_correlation(products, CHOOSING, of, (np.s_[:, None], np.s_[None, :])), nan=-np.inf)
    best, back = correlation.argmax(1), correlation.argmax(0)
    ours, theirs = np.concatenate([np.arange(len(best)), back]), np.concatenate([best, np.arange(len(back))])
    found = np.zeros(len(ours))
    for x, y in _of_half(REPORTING, left, right):
        found += (x.tocsc()[:, ours] * y.tocsc()[:, theirs]).sum(0)
    found = np.nan_to_num(_correlation(found, REPORTING, of, (ours, theirs)))
    forward, backward = np.split(np.where(np.isfinite(correlation[ours, theirs]), found, 0), [len(best)])
    return forward, backward


def _of_half(half: int, *matrices: EvaluationMatrix) -> Iterator[list[sparse.csr_array]]:
    """The tokens of one half of each shard of some matrices."""
    for k in range(matrices[0].shards):
        yield [sparse.csr_array(matrix.shard(k)[matrix.half(k) == half], dtype=np.float64) for matrix in matrices]


def _correlation(products: Array, half: int, of: tuple[Moments, Moments], pairs: tuple[Any, Any]) -> Array:
    """Correlations from sums of products and the moments of either side's features at `pairs`; NaN where one of the two does not change."""
    (total, spread), (their_total, their_spread) = ((each.total[half][at], each.sum_of_squares[half][at]) for each, at in zip(of, pairs, strict=True))
    scale = np.sqrt(spread * their_spread)
    return np.asarray(np.divide(products - total * their_total / of[0].count[half], scale, out=np.full(products.shape, np.nan), where=scale > 0))


def counted(samples: Sequence[NDArray[np.generic]], settings: Settings, what: str) -> Arm:
    """The arm of a mean of things that take few values (yes and no, or their difference), one sample for each replicate.

    As `arm_of`, but without drawing every feature: how often each value is drawn in a resample follows a multinomial distribution.
    NaN where a sample is empty.
    """
    assert settings.studies
    if not all(map(len, samples)):
        return Arm(np.full(len(samples), np.nan), np.full((len(samples), settings.studies.bootstrap), np.nan))
    values, draws = [], []
    for index, sample in enumerate(samples):
        kinds, counts = np.unique(sample.astype(np.float64), return_counts=True)
        drawn = random(settings, f"feature_growth.{what}", index).multinomial(len(sample), counts / len(sample), size=settings.studies.bootstrap)
        values.append(float(sample.astype(np.float64).mean()))
        draws.append(drawn @ kinds / len(sample))
    return Arm(np.array(values), np.array(draws))
