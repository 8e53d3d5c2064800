"""Masked cosine: how alike two features' activations are on the tokens where one of them fires.

    c_x(i, j) = sum x_i y_j / (|x_i| sqrt(sum of y_j^2 where x_i > 0))        over the tokens where i fires
    c_y(i, j) = sum x_i y_j / (|y_j| sqrt(sum of x_i^2 where y_j > 0))        over the tokens where j fires

The larger of the two is high where one feature's tokens lie within the other's, which is what a split looks like. Source:
paper, "Feature splitting"; a graph has an edge where it is above about 0.4. Sums go shard by shard and block by block.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import HALVES, EvaluationMatrix

EDGE = 0.4
BLOCK = 2**20  # pairs of features whose sums exist at one time: 50 MB

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
    width = max(1, BLOCK // max(1, len(pair.columns)))
    for start in range(0, len(pair.rows), width):
        for half, cosine in enumerate(_block(pair, pair.rows[start:start + width], permuted=permuted)):
            found[half].append(sparse.csr_array(np.where(cosine > above, cosine, 0.0)))
    return stacked(found[0], len(pair.columns)), stacked(found[1], len(pair.columns))


def stacked(blocks: list[Matches], columns: int) -> sparse.csr_array:
    """Blocks of rows as one matrix; no rows where there are none."""
    return sparse.csr_array(sparse.vstack(blocks)) if blocks else sparse.csr_array((0, columns))


def _block(pair: Pair, rows: NDArray[np.int64], *, permuted: bool) -> NDArray[np.float64]:
    """Masked cosines [half, row, column] of some features of the left matrix."""
    shape = (len(HALVES), len(rows), len(pair.columns))
    dot, right_where_left, left_where_right = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    left, right = np.zeros(shape[:2]), np.zeros((len(HALVES), shape[2]))
    for k in range(pair.left.shards):
        halves = pair.left.half(k)
        x_all, y_all = sparse.csr_array(pair.left.shard(k))[:, rows], sparse.csr_array(pair.right.shard(k))[:, pair.columns]
        for half in HALVES:
            of_half = np.flatnonzero(halves == half)
            x, y = x_all[of_half].astype(np.float64), y_all[np.roll(of_half, pair.left.n_ctx) if permuted else of_half].astype(np.float64)
            across = sparse.csr_array(x.T)
            dot[half] += (across @ y).toarray()
            right_where_left[half] += (on(across) @ squared(y)).toarray()
            left_where_right[half] += (squared(across) @ on(y)).toarray()
            left[half] += squared(x).sum(axis=0)
            right[half] += squared(y).sum(axis=0)
    scale = np.sqrt(np.minimum(left[:, :, None] * right_where_left, left_where_right * right[:, None, :]))
    return np.divide(dot, scale, out=np.zeros(shape), where=scale > 0)


def on(x: sparse.csr_array) -> sparse.csr_array:
    """1 where a feature fires."""
    return sparse.csr_array((np.ones_like(x.data), x.indices, x.indptr), shape=x.shape)


def squared(x: sparse.csr_array) -> sparse.csr_array:
    """Squares of the activations."""
    return sparse.csr_array((x.data**2, x.indices, x.indptr), shape=x.shape)
