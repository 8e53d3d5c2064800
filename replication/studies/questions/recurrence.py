"""How near the directions of one dictionary come to those of another, and how near they would come by chance.

The maximum cosine similarity of a feature i of L in another dictionary R is max_j cos(L_i, R_j) over decoder rows; its mean over i,
averaged over both directions, is the symmetric MMCS. A maximum over many directions is above 0 by chance, so that two controls stand
beside it: as many directions without any preference, and as many drawn from a Gaussian with the mean and covariance of R's own rows,
which keeps how the rows crowd and loses what each of them is. Source: the measure, Sharkey, Braun and Millidge (2022); controls ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix
from replication.studies.directions import unit
from replication.studies.phenomenology.similarity_scatter import correlation, moments

SAME = 0.7  # cosine from which a feature counts as found again, as in later work on dictionaries of several seeds
BLOCK = 2**23  # cosines that exist at one time: 32 MB
NEIGHBOURS = 40  # features of a group of nearly equal density
Array = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Live:
    """The features of a dictionary that fired on the evaluation tokens: their table, and unit decoder rows [feature, d_in]."""

    table: pd.DataFrame
    rows: Array

    @staticmethod
    def of(table: pd.DataFrame, W_dec: NDArray[np.float32]) -> "Live":
        """From the feature table (feature, density, part, moved) and the decoder of a dictionary."""
        fired = table[table["density"] > 0].reset_index(drop=True)
        return Live(fired, unit(W_dec[fired["feature"].to_numpy(np.int64)]))

    @property
    def feature(self) -> Ids:
        """Numbers in the dictionary."""
        return np.asarray(self.table["feature"], dtype=np.int64)

    @property
    def log_density(self) -> Array:
        """log10 share of the evaluation tokens on which each fires."""
        return np.asarray(np.log10(self.table["density"].to_numpy(float)))

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Features that are not ultralow."""
        return np.asarray(self.table["part"] == "other")

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Features whose direction is not the one in which they started."""
        return np.asarray(self.table["moved"], dtype=bool)


@dataclass(frozen=True)
class Anchor:
    """A dictionary looked for in others [other, feature]: `cosine` with the nearest and its number `match`; the correlation of their
    activations, and `shuffled`, of a feature with the match of another of nearly the same density.
    """

    live: Live
    cosine: Array
    match: Ids
    activation: Array
    shuffled: Array

    @property
    def recurs(self) -> NDArray[np.bool_]:
        """Whether a feature is found again [feature, other]."""
        return np.asarray(self.cosine.T >= SAME)

    @property
    def mean(self) -> Array:
        """Mean of the maximum cosines over the others [feature]."""
        return np.asarray(self.cosine.mean(0))


def look(live: Mapping[str, Live], name: str, others: Sequence[str], matrices: Mapping[str, EvaluationMatrix]) -> Anchor:
    """One dictionary's features looked for in others on the same model."""
    found = live[name]
    order = np.argsort(found.log_density, kind="stable")
    neighbour = np.empty_like(order)
    neighbour[order] = np.roll(order, 1)
    parts = []
    for other in others:
        cosine, place = nearest(found.rows, live[other].rows)
        theirs = live[other].feature[place]
        parts.append((cosine, theirs, *activations(matrices[name], matrices[other], [(found.feature, theirs), (found.feature, theirs[neighbour])])))
    cosines, matches, agree, shuffled = (np.array(part) for part in zip(*parts, strict=True))
    return Anchor(found, cosines, matches, agree, shuffled)


def nearest(rows: Array, others: Array) -> tuple[Array, Ids]:
    """Of each unit row the largest cosine with one of `others` [other, d_in], and which other that is."""
    cosine, place = np.empty(len(rows)), np.empty(len(rows), np.int64)
    theirs, step = others.astype(np.float32).T, max(1, BLOCK // max(1, len(others)))
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        found = rows[some].astype(np.float32) @ theirs
        place[some] = found.argmax(1)
        cosine[some] = found.max(1)
    return np.minimum(cosine, 1.0), place


def anywhere(rows: Array, rng: np.random.Generator) -> Array:
    """As many unit rows in directions without any preference."""
    return unit(rng.normal(size=rows.shape))


def crowded(rows: Array, rng: np.random.Generator) -> Array:
    """As many unit rows from a Gaussian with the mean and covariance of `rows`."""
    centre = rows.mean(0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False).reshape(len(centre), -1))
    vectors *= np.where(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0) < 0, -1.0, 1.0)  # a solver may return either sign
    return unit(centre + (rng.normal(size=rows.shape) * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def activations(left: EvaluationMatrix, right: EvaluationMatrix, pairs: Sequence[tuple[Ids, Ids]]) -> list[Array]:
    """Correlation of activations over all evaluation tokens, for lists of pairs (features of left, features of right); NaN where one never changes.

    No half is held back, because pairs are chosen by weights and not on these tokens.
    """
    sums = [np.zeros((5, len(ours))) for ours, _ in pairs]
    for x, y in zip(left, right, strict=True):
        columns, others = (sparse.csc_array(shard, dtype=np.float64) for shard in (x, y))
        for place, (ours, theirs) in enumerate(pairs):
            sums[place] += moments(columns[:, ours], others[:, theirs])
    return [correlation(found, left.tokens) for found in sums]


def strata(values: Array, count: int) -> Ids:
    """Which of `count` equal parts of its sample each value lies in, 0 the lowest; ties in order."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(order * count // len(values))


def level(live: Live) -> Ids:
    """Groups of about NEIGHBOURS features of nearly equal density, ultralow ones apart: a group over the gap between them would mix two kinds."""
    groups = np.zeros(len(live.table), np.int64)
    for inside in (~live.learned, live.learned):
        if inside.any():
            groups[inside] = 1 + groups.max() + strata(live.log_density[inside], max(1, int(inside.sum()) // NEIGHBOURS))
    return groups


def within(values: Array, stratum: Ids) -> Array:
    """Values less the mean of their stratum."""
    return np.asarray(values - (np.bincount(stratum, values) / np.maximum(np.bincount(stratum), 1))[stratum])


def independent(recurs: NDArray[np.bool_], stratum: Ids) -> Array:
    """The chance of each feature to recur in all others [feature, other] if what recurs in one said nothing about another at equal density.

    The product of the shares of its stratum.
    """
    of = np.maximum(np.bincount(stratum), 1)
    shares = np.stack([np.bincount(stratum, column) / of for column in recurs.T.astype(float)], axis=1)
    return np.asarray(shares.prod(1)[stratum])
