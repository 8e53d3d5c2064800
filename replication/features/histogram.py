"""Histograms of many features at once."""

import numpy as np
from numpy.typing import NDArray

BINS = 40  # as in the paper's published viewer


def histograms(
    values: NDArray[np.floating], owner: NDArray[np.int64], low: NDArray[np.floating], high: NDArray[np.floating], *, bins: int = BINS,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts [feature, bins] of each feature's values in equal bins from its `low` to its `high`, and the edges [feature, bins + 1].

    `owner` is the feature of each value. The last bin holds its upper edge; where low equals high all values fall into the first.
    """
    low, span = low.astype(np.float64), (high.astype(np.float64) - low)
    scale = np.divide(bins, span, out=np.zeros_like(span), where=span > 0)
    place = np.clip(((values - low[owner]) * scale[owner]).astype(np.int64), 0, bins - 1)
    counts = np.bincount(owner * bins + place, minlength=len(low) * bins).reshape(len(low), bins)
    return counts, low[:, None] + span[:, None] * (np.arange(bins + 1) / bins)
