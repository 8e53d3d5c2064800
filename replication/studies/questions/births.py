"""When features form: the point of training from which on a feature is there, and which features are early.

A birth is measured in doublings: log2 of the share of training after which the model first has the feature and keeps it at every
later point. A feature that is there at the first point may be older, and counts as born then. Source: ours.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy.stats import rankdata

from replication.config import Settings
from replication.studies.intervals import arm_of, estimate
from replication.studies.questions.facts import Array, Facts, Flags
from replication.studies.questions.recurrence import strata
from replication.studies.tables import Number, number

SAMPLE = ("birth", "single", "tenth", "at_first", "birth_rank", "settled_rank", "density_rank", "peak_rank")  # columns of a sample
TENTHS = 10  # of the features by density, within which births are compared
DOUBLINGS = "doublings of training"


def born(there: Flags, shares: Sequence[float]) -> Array:
    """log2 of the share of training at birth [feature], from whether each feature is there at each point [feature, point], the end included.

    NaN for a feature that is not there at the end.
    """
    since = np.logical_and.accumulate(there[:, ::-1], axis=1).sum(1)  # points up to the end without a gap
    return np.where(since > 0, np.log2(np.array(shares))[np.minimum(len(shares) - since, len(shares) - 1)], np.nan)


def later(birth: Array, mark: Array) -> float:
    """How much later the features without a mark are born than those with one; NaN where one kind is missing."""
    marked = mark > 0
    return float(birth[~marked].mean() - birth[marked].mean()) if marked.any() and not marked.all() else float("nan")


def later_within(birth: Array, mark: Array, stratum: Array) -> float:
    """The same between features of one stratum, averaged over strata as a regression with a level for each would weigh them."""
    gaps, weights = [], []
    for each in np.unique(stratum):
        inside = stratum == each
        marked = mark[inside].sum()
        weight = marked * (inside.sum() - marked) / inside.sum()
        if weight:
            gaps.append(later(birth[inside], mark[inside]))
            weights.append(weight)
    return float(np.average(gaps, weights=weights)) if gaps else float("nan")


def correlation(one: Array, other: Array) -> float:
    """Pearson's correlation; of ranks Spearman's. NaN where one of the two is constant."""
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) and np.ptp(other) else float("nan")


STATISTICS: Mapping[str, tuple[Callable[..., float], tuple[str, ...], str]] = {  # a statistic, of which columns of a sample, and its unit
    "birth": (lambda birth: float(2 ** np.median(birth)), ("birth",), "share of the training"),
    "born_at_first": (lambda at_first: float(at_first.mean()), ("at_first",), "share of features"),
    "token_first": (later, ("birth", "single"), DOUBLINGS),
    "token_first_at_equal_density": (later_within, ("birth", "single", "tenth"), DOUBLINGS),
    "birth_settled_correlation": (correlation, ("birth_rank", "settled_rank"), "rank correlation"),
    "birth_density_correlation": (correlation, ("birth_rank", "density_rank"), "rank correlation"),
    "birth_peak_correlation": (correlation, ("birth_rank", "peak_rank"), "rank correlation")}


def sample(births: Array, facts: Facts, first: float) -> Array:
    """The features that have a birth, of the births of the learned ones: columns of SAMPLE. `first` is the share of training at the first point."""
    dated = np.isfinite(births)
    single, settled, density, peak = (part[facts.learned][dated].astype(np.float64) for part in (facts.single, facts.settled, facts.log_density, facts.peak))
    birth = births[dated]
    return np.column_stack([birth, single, strata(density, TENTHS), birth <= np.log2(first), *map(rankdata, (birth, settled, density, peak))])


def early(samples: Sequence[Array], settings: Settings) -> dict[str, Number]:
    """When features are born and which are first; one sample for each replicate."""
    n = min(map(len, samples))
    if not n:
        return {}
    made = {}
    for key, (_, _, unit) in STATISTICS.items():
        arm = arm_of(partial(measured, key), list(samples), settings, "feature_growth.births")
        made[key] = number(estimate(arm), unit=unit, n=n, over="features that are there at the end")
    return made


def measured(key: str, rows: Array) -> float:
    """One of STATISTICS of a sample."""
    statistic, columns, _ = STATISTICS[key]
    return statistic(*rows[:, [SAMPLE.index(column) for column in columns]].T)
