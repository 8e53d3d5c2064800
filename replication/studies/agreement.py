"""How far raters agree: Krippendorff's alpha for scores whose distances mean something (level `interval`).

With n scores of units that two raters or more scored, m_u of them on unit u, and S the sum of squares about a mean,

    alpha = 1 - [sum_u m_u / (m_u - 1) S_u / n] / [S / (n - 1)]

which is 1 for perfect agreement and 0 for chance. Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).
"""

import numpy as np


def alpha(scores: np.ndarray) -> float:
    """Alpha of scores [unit, rater], NaN where a rater did not score a unit; NaN where no two raters share a unit or no score differs."""
    shared = scores[np.isfinite(scores).sum(1) >= 2]
    if not len(shared):
        return np.nan
    of_unit = np.isfinite(shared).sum(1)
    within = np.nansum((shared - np.nanmean(shared, axis=1, keepdims=True)) ** 2, axis=1)
    n, overall = of_unit.sum(), np.nansum((shared - np.nanmean(shared)) ** 2)
    return float(1 - (of_unit / (of_unit - 1) * within).sum() / n / (overall / (n - 1))) if overall > 0 else np.nan
