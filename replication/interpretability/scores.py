"""How well predicted levels follow true ones: correlations from counts of pairs of levels.

All activations are levels from 0 to 9, so that a table of how often each pair (true, predicted) comes up holds all that a
correlation needs, for many units at once and with weights as easily as without. A rank is the middle of the ranks of all
that tie; with weights, what lies below plus half of what ties, so that a weight of two is the same as coming up twice. A
constant answer, or a constant truth, scores 0. Source: paper, appendix "Automated interpretability".
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.features.examples import INTERVALS
from replication.interpretability.protocol import FIRING, LEVELS, OUT_OF_CONTEXT, RANDOM, TOP

N = LEVELS + 1
COLUMNS = ("spearman", "pearson", "weighted", "in_context", "out_of_context", "intervals", "constant")


@dataclass(frozen=True)
class Truth:
    """What is predicted, token by token: its unit, the group of its window, its level, and its importance.

    `units` is how many units there are.
    """

    units: int
    unit: NDArray[np.int64]
    group: NDArray[np.int8]
    level: NDArray[np.int8]
    weight: NDArray[np.float64]


def importance(group: NDArray[np.int8], density: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of each window [window], from its unit's density [window] and interval shares [window, INTERVALS].

    1 for random windows; of those of an interval, the share of all tokens that lie in it: top windows are in the strongest,
    bottom ones in the weakest, and those out of context weigh as much as top ones.
    """
    interval = np.clip(group.astype(np.int64) - 1, 0, INTERVALS - 1)
    interval[group == OUT_OF_CONTEXT] = 0
    own = density * np.take_along_axis(shares, interval[:, None], axis=1)[:, 0]
    return np.where(group == RANDOM, 1.0, own)


def measure(truth: Truth, predicted: NDArray[np.int8]) -> pd.DataFrame:
    """A row per unit with `COLUMNS`, for the predicted level of each token.

    NaN where there is nothing to predict. `intervals` are scores over the windows of one interval and the random ones.
    """
    def counts(chosen: NDArray[np.bool_] | slice = slice(None), weight: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return pairs(truth.unit[chosen], truth.level[chosen], predicted[chosen], None if weight is None else weight[chosen], truth.units)

    everything, random = counts(), truth.group == RANDOM
    alone = [truth.group == TOP + 1 + k for k in range(INTERVALS)]
    of_random = counts(random)
    intervals = np.stack([np.where(own.any(axis=(1, 2)), spearman(own + of_random), np.nan) for own in map(counts, alone)], axis=1)
    return pd.DataFrame({
        "spearman": spearman(everything),
        "pearson": pearson(everything),
        "weighted": spearman(counts(weight=truth.weight)),
        "in_context": spearman(counts(np.isin(truth.group, list(FIRING)))),
        "out_of_context": spearman(counts(random | (truth.group == OUT_OF_CONTEXT))),
        "intervals": list(intervals),
        "constant": _constant(everything.sum(axis=1)),
    })


def pairs(unit: NDArray[np.int64], true: NDArray[np.int8], predicted: NDArray[np.int8], weight: NDArray[np.float64] | None,
          units: int) -> NDArray[np.float64]:
    """How often, or with what weight in all, each true level comes with each predicted one [unit, true, predicted]."""
    cell = (unit * N + true) * N + predicted
    return np.bincount(cell, weights=weight, minlength=units * N * N).reshape(units, N, N).astype(np.float64)


def spearman(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's correlation of each table of counts [unit, true, predicted]."""
    def ranks(marginal: NDArray[np.float64]) -> NDArray[np.float64]:
        return marginal.cumsum(axis=1) - marginal / 2

    return _correlation(counts, ranks(counts.sum(axis=2)), ranks(counts.sum(axis=1)))


def pearson(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of the levels of each table of counts [unit, true, predicted]."""
    levels = np.broadcast_to(np.arange(N, dtype=np.float64), counts.shape[:2])
    return _correlation(counts, levels, levels)


def _correlation(counts: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation where true level i is worth x[:, i] and predicted level j is worth y[:, j]; 0 if one is constant, NaN if nothing is there."""
    total = counts.sum(axis=(1, 2))
    share = counts / np.where(total > 0, total, 1)[:, None, None]
    true, predicted = share.sum(axis=2), share.sum(axis=1)
    x, y = x - (true * x).sum(axis=1, keepdims=True), y - (predicted * y).sum(axis=1, keepdims=True)
    spread = np.sqrt((true * x**2).sum(axis=1) * (predicted * y**2).sum(axis=1))
    flat = _constant(true) | _constant(predicted) | (spread == 0)
    both = np.einsum("uij,ui,uj->u", share, x, y)
    return np.where(total > 0, np.where(flat, 0.0, np.clip(both / np.where(flat, 1, spread), -1, 1)), np.nan)


def _constant(marginal: NDArray[np.float64]) -> NDArray[np.bool_]:
    constant: NDArray[np.bool_] = np.count_nonzero(marginal, axis=1) <= 1
    return constant
