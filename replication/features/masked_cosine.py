"""Masked cosine: how alike two features' activations are on the tokens where one of them fires.

    c_x(i, j) = sum x_i y_j / (|x_i| sqrt(sum of y_j^2 where x_i > 0))        over the tokens where i fires
    c_y(i, j) = sum x_i y_j / (|y_j| sqrt(sum of x_i^2 where y_j > 0))        over the tokens where j fires

The larger of the two is high where one feature's tokens lie within the other's, which is what a split looks like. Source:
paper, "Feature splitting"; a graph has an edge where it is above about 0.4. Sums go shard by shard and block by block, over the
pairs that fire together at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import HALVES, EvaluationMatrix

EDGE = 0.4
FEWEST = 20  # firing tokens on each half with which a feature is compared (ours): one that fires once lies within any other there
BLOCK = 2**25  # pairs of features of a block; of these some in a hundred fire together and are held

Matches: TypeAlias = sparse.csr_array


@dataclass(frozen=True)
class Pair:
    """Two evaluation matrices of the same tokens, and the features of each that are compared."""

    left: EvaluationMatrix
    right: EvaluationMatrix
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def masked_cosine(pair: Pair, *, above: float = EDGE, permuted: bool = False) -> tuple[Matches, Matches]:
    """Pairs with a masked cosine above `above`: one sparse matrix [row, column] for each half of the tokens.

    With `permuted` the contexts of `right` are moved on by one within each half of a shard, so that its features keep their
    activations and lose the text: the null.
    """
    found: tuple[list[Matches], list[Matches]] = ([], [])
    for halves in blocks(pair, permuted=permuted):
        for half, cosine in enumerate(halves):
            found[half].append(sparse.csr_array(cosine * (cosine > above)))
    return stacked(found[0], len(pair.columns)), stacked(found[1], len(pair.columns))


def blocks(pair: Pair, *, permuted: bool = False) -> Iterator[tuple[Matches, Matches]]:
    """Masked cosines [row, column] on each half of the tokens, of some of the rows at a time, in order; see `masked_cosine`."""
    width = max(1, BLOCK // max(1, len(pair.columns)))
    for start in range(0, len(pair.rows), width):
        yield _block(pair, pair.rows[start : start + width], permuted=permuted)


def stacked(found: list[Matches], columns: int) -> Matches:
    """Blocks of rows as one matrix; no rows where there are none."""
    return sparse.csr_array(sparse.vstack(found)) if found else sparse.csr_array((0, columns))


def _block(pair: Pair, rows: NDArray[np.int64], *, permuted: bool) -> tuple[Matches, Matches]:
    shape = (len(rows), len(pair.columns))
    sums = [[sparse.csr_array(shape) for _ in range(3)] for _ in HALVES]
    left, right = np.zeros((len(HALVES), shape[0])), np.zeros((len(HALVES), shape[1]))
    for k in range(pair.left.shards):
        halves = pair.left.half(k)
        x_all, y_all = sparse.csr_array(pair.left.shard(k))[:, rows], sparse.csr_array(pair.right.shard(k))[:, pair.columns]
        for half in HALVES:
            of_half = np.flatnonzero(halves == half)
            x, y = x_all[of_half].astype(np.float64), y_all[np.roll(of_half, pair.left.n_ctx) if permuted else of_half].astype(np.float64)
            across = sparse.csr_array(x.T)
            for place, product in enumerate((across @ y, on(across) @ squared(y), squared(across) @ on(y))):
                sums[half][place] = sums[half][place] + product
            left[half] += squared(x).sum(axis=0)
            right[half] += squared(y).sum(axis=0)
    first, second = (_cosine(sums[half], left[half], right[half]) for half in HALVES)
    return first, second


def _cosine(sums: list[Matches], left: NDArray[np.float64], right: NDArray[np.float64]) -> Matches:
    for part in sums:
        part.sum_duplicates()  # in order of the columns: all three have entries where both features fire, so in the same places
    dot, right_where_left, left_where_right = sums
    row = np.repeat(np.arange(dot.shape[0]), np.diff(dot.indptr))
    scale = np.sqrt(np.minimum(left[row] * right_where_left.data, left_where_right.data * right[dot.indices]))
    return sparse.csr_array((dot.data / scale, dot.indices, dot.indptr), shape=dot.shape)


def on(x: sparse.csr_array) -> sparse.csr_array:
    """1 where a feature fires."""
    return sparse.csr_array((np.ones_like(x.data), x.indices, x.indptr), shape=x.shape)


def squared(x: sparse.csr_array) -> sparse.csr_array:
    """Squares of the activations."""
    return sparse.csr_array((x.data**2, x.indices, x.indptr), shape=x.shape)
