"""What kind of feature a feature is: how often it fires, whether it is about one token, how sharp its logit weights are. Source: ours."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.features.examples import TOP
from replication.features.matrix import EvaluationMatrix
from replication.studies.tables import Reader

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Facts:
    """By feature: whether it is neither dead nor ultralow and fires often enough to have all its top examples (`learned`), whether these agree on
    one token (`single`), log10 of its density, `settled`, and how far its largest logit weight stands out (`peak`, in standard deviations of them).
    """

    learned: Flags
    single: Flags
    log_density: Array
    settled: Array
    peak: Array

    @staticmethod
    def of(reader: Reader, name: str, tokens: NDArray[np.int32]) -> "Facts":
        """Read and measured."""
        table = reader.features(name, "fired", "part", "single_token", "top_weights", "logit_counts", "logit_edges")
        fired = table["fired"].to_numpy()
        largest = np.array([weights[0] for weights in table["top_weights"]], dtype=np.float64)
        return Facts((table["part"] == "other").to_numpy(bool) & (fired >= TOP), table["single_token"].to_numpy(bool),
                     np.log10(np.maximum(fired, 0.5) / tokens.size), settled(reader.matrix(name), tokens), largest / spread(table))


def spread(table: pd.DataFrame) -> Array:
    """Standard deviation of each feature's logit weights, from their histogram [feature]."""
    counts, edges = (np.stack(table[column].to_list()).astype(np.float64) for column in ("logit_counts", "logit_edges"))
    centres = (edges[:, 1:] + edges[:, :-1]) / 2
    share = counts / counts.sum(1, keepdims=True)
    mean = (share * centres).sum(1, keepdims=True)
    return np.asarray(np.sqrt((share * np.square(centres - mean)).sum(1)))


def settled(matrix: EvaluationMatrix, tokens: NDArray[np.int32]) -> Array:
    """Share of the variance of each feature's activation that lies between tokens [feature]; NaN for a feature that never fires.

    As `token_share` of `random_transformer`: the variance within a token is estimated with its count less one, from tokens that occur at
    least twice, so that rare tokens do not count as settled. `tokens` [context, n_ctx] are the evaluation tokens.
    """
    flat = tokens.ravel()
    names, which, counts = np.unique(flat, return_inverse=True, return_counts=True)
    sums, squares, done = sparse.csr_array((len(names), matrix.n_features), dtype=np.float64), np.zeros(matrix.n_features), 0
    for shard in matrix:
        x = sparse.csr_array(shard, dtype=np.float64)
        rows = x.shape[0]
        sums = sums + sparse.csr_array((np.ones(rows), (which[done : done + rows], np.arange(rows))), shape=(len(names), rows)) @ x
        squares += (x * x).sum(0)
        done += rows
    within = (squares - (1 / counts) @ (sums * sums)) / max(1, (counts[counts > 1] - 1).sum())
    total = (squares - np.square(sums.sum(0)) / len(flat)) / (len(flat) - 1)
    return np.asarray(1 - np.divide(within, total, out=np.full(matrix.n_features, np.nan), where=total > 0))
