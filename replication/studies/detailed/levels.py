"""Activation levels and proxy levels, and the share of a context at each.

Levels are of equal width between 0 and the largest activation, as in the paper's histograms. A proxy is off, weakly or
strongly on; the border between the two is the median of its positive scores on the half of the tokens that is for choosing (ours).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVELS = 12  # activation levels; an even number, so that they have an upper half
STRENGTHS = ("off", "weak", "strong")
COVERAGE = 0.95


def level_of(activation: NDArray[np.float32], maximum: float, levels: int = LEVELS) -> NDArray[np.int64]:
    """The level [token] of each activation: k for (k, k + 1] / levels of the maximum, -1 where it is not positive."""
    scaled = np.ceil(activation.astype(np.float64) * (levels / maximum)) - 1 if maximum > 0 else np.full(len(activation), -1.0)
    return np.where(activation > 0, np.clip(scaled, 0, levels - 1), -1).astype(np.int64)


def strong_from(proxy: NDArray[np.float32]) -> float:
    """The score from which a proxy is strongly on: the median of its positive scores; infinite without any."""
    on = proxy[proxy > 0]
    return float(np.median(on)) if len(on) else float("inf")


def strength_of(proxy: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """The place in STRENGTHS [token] of each score."""
    return (proxy > 0).astype(np.int64) + ((proxy > 0) & (proxy >= threshold))


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; NaN without trials."""
    if not trials:
        return float("nan"), float("nan")
    interval = stats.binomtest(round(successes), round(trials)).proportion_ci(COVERAGE, method="wilson")
    return float(interval.low), float(interval.high)
