"""What units do in windows, and how their activations are spread, read from the evaluation matrix shard by shard."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.columns import Columns
from replication.features.examples import INTERVALS
from replication.features.matrix import EvaluationMatrix, Shard
from replication.interpretability.protocol import LEVELS
from replication.progress import Progress


def read(matrix: EvaluationMatrix, features: NDArray[np.int64], maxima: NDArray[np.float32], unit: NDArray[np.int64],
         places: NDArray[np.int64], progress: Progress) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Activations of units at places, and the shares of their firing tokens that belong to each interval.

    `features` [unit] in rising order with their `maxima`. `unit` [window] and `places` [window, width] say what to read: a row
    of places is in one context. Returns [window, width] and [unit, INTERVALS].
    """
    values = np.zeros(places.shape, dtype=np.float32)
    counts = np.zeros((len(features), INTERVALS))
    for k in progress.over(range(matrix.shards), matrix.shards):
        contexts = matrix.contexts_of(k)
        columns = _columns(matrix.shard(k), features)
        start, stop = contexts.start * matrix.n_ctx, contexts.stop * matrix.n_ctx
        here = (places[:, 0] >= start) & (places[:, 0] < stop)
        values[here] = columns.at(unit[here, None], places[here] - start)
        kinds = columns.owner * INTERVALS + interval_of(columns.values, maxima[columns.owner])
        counts += np.bincount(kinds, minlength=counts.size).reshape(counts.shape)
    return values, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def interval_of(values: NDArray[np.float32], maximum: NDArray[np.float32]) -> NDArray[np.int64]:
    """The interval to whose target, (10 - k) / 11 of the maximum, a positive activation is nearest; what is above them all is in the first."""
    share = values.astype(np.float64) / maximum
    return np.clip(np.rint(INTERVALS - 1 - INTERVALS * share), 0, INTERVALS - 1).astype(np.int64)


def quantised(values: NDArray[np.float32], maximum: NDArray[np.float32] | np.float32) -> NDArray[np.int8]:
    """Activations as levels from 0 to LEVELS, which is the maximum."""
    return np.clip(np.rint(LEVELS * values.astype(np.float64) / maximum), 0, LEVELS).astype(np.int8)


def _columns(shard: Shard, features: NDArray[np.int64]) -> Columns:
    chosen = shard[:, features]
    positive = sparse.csr_array(np.maximum(chosen, 0)) if isinstance(chosen, np.ndarray) else chosen
    by_column = positive.tocsc()
    return Columns(start=0, n_tokens=by_column.shape[0], indptr=by_column.indptr.astype(np.int64), tokens=by_column.indices.astype(np.int64),
                   values=by_column.data)
