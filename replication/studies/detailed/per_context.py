"""Sums per evaluation context, and statistics of sums per text with a bootstrap over texts.

Tokens of one text are alike, so that what is resampled is texts, all contexts of one together (`intervals.by_text`): a statistic
is a function of sums (a share is a ratio of two, a correlation of six), and each resample gives new sums. Source: ours.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replication.config import Settings
from replication.studies.intervals import Estimate, quantiles, random, resampled_sums

Floats = NDArray[np.float64]


def summed(n_ctx: int, *columns: ArrayLike) -> Floats:
    """Sums [context, column] of values [token] of whole contexts in a row."""
    return np.stack([np.asarray(column, np.float64).reshape(-1, n_ctx).sum(1) for column in columns], axis=1)


def grouped(n_ctx: int, group: NDArray[np.int64], groups: int, counted: NDArray[np.bool_]) -> Floats:
    """How many of the tokens that are `counted` [token] fall into each group [context, group]."""
    key = np.repeat(np.arange(len(group) // n_ctx), n_ctx) * groups + group
    return np.bincount(key[counted], minlength=len(group) // n_ctx * groups).reshape(-1, groups).astype(np.float64)


def moments(n_ctx: int, x: NDArray[np.float32], y: ArrayLike) -> Floats:
    """What a correlation needs, per context [context, 6]: tokens, and sums of x, y, x^2, y^2, xy."""
    left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return summed(n_ctx, np.ones_like(left), left, right, left * left, right * right, left * right)


def pearson(sums: Floats) -> Floats:
    """Pearson correlation [...] from sums [..., 6] in the order of `moments`; NaN where one side never changes."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    spread = np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0)
    return ratio(xy - x * y / n, np.sqrt(spread))


def ratio(part: Floats, whole: Floats) -> Floats:
    """The quotient, NaN where there is nothing to divide by."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0))


def estimates(statistics: Callable[[Floats], Floats], columns: Floats, settings: Settings, what: str) -> list[Estimate]:
    """Each statistic with its 95 % interval: the middle of its values on texts, of which `columns` [text, column] are the sums, drawn with replacement.

    `statistics` maps sums [..., column] to values [..., statistic]; resamples on which a value is undefined (a text
    that holds all of a rare context was not drawn) are left out of its interval.
    """
    assert settings.studies
    values = statistics(columns.sum(0))
    draws = statistics(resampled_sums(columns, settings.studies.bootstrap, random(settings, what)))
    return [_estimate(float(value), draw[np.isfinite(draw)]) for value, draw in zip(values, draws.T, strict=True)]


def _estimate(value: float, draws: Floats) -> Estimate:
    low, high = quantiles(draws) if len(draws) else (None, None)
    return Estimate(value, None, low, high, 1)
