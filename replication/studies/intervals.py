"""What can vary, and the 95 % interval of a number or of a difference.

Two things vary: the evaluation sample (texts or features) and the training (replicates, which differ in the seed).
With value x_r on replicate r = 1..n of an arm and bootstrap draws of its mean,

    value = mean(x_plus) - mean(x_minus)
    low, high = value -+ sqrt(t(n_plus - 1)^2 s_plus^2 / n_plus + t(n_minus - 1)^2 s_minus^2 / n_minus + 1.96^2 var(draws of the value))

where s^2 is the variance over replicates and t the 97.5 % quantile of Student's t: half widths add up in squares (Zou and
Donner 2008), so that few replicates widen an interval only as far as training varies. The replicates share their
evaluation sample, so that its noise does not show in s and has to be added. An arm without replicates gives no s: then
low and high are the 2.5 % and 97.5 % quantiles of the draws, and `replicates` is 1, which tells the ledger that training
was not varied. A quantity without a sample (the last row of a log) and one of all features of a dictionary (how many are
dead) have no noise but that of training: their interval is the spread over replicates alone.

Replicates see the same vectors in the same order, which follows from the run's seed; what differs is where they start and
what resampling draws. So s leaves out how much the order of the data changes. Source: ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from replication.config import Settings
from replication.randomness import generator

COVERAGE = 0.95
Array = np.ndarray
BLOCK = 64  # resamples whose weights exist at one time


@dataclass(frozen=True)
class Arm:
    """One quantity of one dictionary: `values` [replicate], and its bootstrap `draws` [replicate, resample], if any.

    `untrained` marks what no training of a dictionary touches, such as neurons: it has no replicates and needs none.
    """

    values: Array
    draws: Array
    untrained: bool = False


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and its spread over replicates; None where there is nothing to tell them from."""

    value: float
    sd: float | None
    low: float | None
    high: float | None
    replicates: int

    def times(self, factor: float) -> "Estimate":
        """The same in another unit, or the other way round."""
        low, high = (self.low, self.high) if factor >= 0 else (self.high, self.low)
        sd, low, high = (None if x is None else x * by + 0.0 for x, by in ((self.sd, abs(factor)), (low, factor), (high, factor)))
        return Estimate(self.value * factor + 0.0, sd, low, high, self.replicates)  # + 0.0: no -0.0

    def shifted(self, by: float) -> "Estimate":
        """The same from another origin."""
        low, high = (None if x is None else x + by for x in (self.low, self.high))
        return Estimate(self.value + by, self.sd, low, high, self.replicates)


def estimate(plus: Arm, minus: Arm | None = None) -> Estimate:
    """The mean of an arm, or the difference of two, by the formula above.

    `sd` of a difference is that of one replicate of each arm: sqrt(s_plus^2 + s_minus^2).
    """
    arms = [plus] if minus is None else [plus, minus]
    value = float(plus.values.mean() - (0.0 if minus is None else minus.values.mean()))
    draws = plus.draws.mean(0) - (0.0 if minus is None else minus.draws.mean(0))
    trained = [arm.values for arm in arms if not arm.untrained]
    replicates = min((len(values) for values in trained), default=1)
    if replicates < 2:
        low, high = quantiles(draws) if draws.size else (None, None)
        return Estimate(value, None, low, high, 1)
    variances = [values.var(ddof=1) for values in trained]
    at = (1 + COVERAGE) / 2
    training = sum(stats.t.ppf(at, len(values) - 1) ** 2 * variance / len(values) for variance, values in zip(variances, trained, strict=True))
    reach = float(np.sqrt(training + stats.norm.ppf(at) ** 2 * (draws.var(ddof=1) if draws.size else 0.0)))
    return Estimate(value, float(np.sqrt(sum(variances))), value - reach, value + reach, replicates)


def quantiles(draws: Array) -> tuple[float, float]:
    """The ends of the middle 95 % of draws."""
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def smallest(estimates: list[Estimate]) -> Estimate:
    """The smallest of several differences, for a claim that all are positive.

    `low` is the smallest lower end, so that it is above zero only when every difference is shown to be positive
    (intersection-union test); `high` is the smallest upper end.
    """
    least = min(estimates, key=lambda item: item.value)
    low, high = (min(getattr(item, end) for item in estimates) for end in ("low", "high"))
    return Estimate(least.value, least.sd, low, high, min(item.replicates for item in estimates))


def random(settings: Settings, what: str, *index: int) -> np.random.Generator:
    """The generator of one bootstrap: the same `what` and index give the same resamples, hence pairing."""
    return generator(settings.seed, f"studies.bootstrap.{what}", *index)


def resampled_sums(columns: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Sums [resample, column] of `columns` [row, column] over rows (texts, features) drawn with replacement.

    Columns of several dictionaries, resampled together, stay paired row by row.
    """
    rows = len(columns)
    parts = []
    for start in range(0, resamples, BLOCK):
        weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=min(BLOCK, resamples - start))
        parts.append(weights.astype(np.float64) @ columns)
    return np.concatenate(parts)


def by_text(columns: Array, sources: Array) -> Array:
    """Sums [text, column] of `columns` [context, column] over the contexts of each text, `sources` [context].

    Contexts of one text are alike, so that texts, of which a corpus has few long ones, are what can be drawn with replacement.
    """
    _, text = np.unique(sources, return_inverse=True)
    sums = np.zeros((int(text.max(initial=-1)) + 1, columns.shape[1]))
    np.add.at(sums, text, columns)
    return sums


def resampled(statistic: Callable[[Array], Array | float], sample: Array, resamples: int, rng: np.random.Generator) -> Array:
    """The statistic [resample, ...] of rows of `sample` drawn with replacement."""
    n = len(sample)
    return np.array([statistic(sample[rng.integers(n, size=n)]) for _ in range(resamples)])


def arm_of(statistic: Callable[[Array], float], samples: list[Array], settings: Settings, what: str) -> Arm:
    """The arm of a statistic over features: one sample of features per replicate.

    Where each fit brings features of its own the spread over replicates holds their noise already, and the draws add it once
    more: intervals are then too wide, by a tenth with three fits that differ in nothing else. `arm_of_all` leaves the draws out.
    """
    assert settings.studies
    resamples = settings.studies.bootstrap
    draws = [resampled(statistic, sample, resamples, random(settings, what, index)) for index, sample in enumerate(samples)]
    return Arm(np.array([float(statistic(sample)) for sample in samples]), np.array(draws))


def exact(values: Sequence[float]) -> Arm:
    """The arm of a quantity that is known without a sample, one value per replicate."""
    return Arm(np.array(values, dtype=np.float64), np.empty((len(values), 0)))


def arm_of_all(statistic: Callable[[Array], float], samples: Sequence[Array], settings: Settings, what: str) -> Arm:
    """The arm of a statistic over all features of a dictionary, which are no sample of anything but its training.

    Every fit has features of its own, so that the spread over replicates holds all that varies; a lone fit is resampled.
    """
    return _of_fits([statistic(sample) for sample in samples], settings) if len(samples) > 1 else arm_of(statistic, list(samples), settings, what)


def counts(samples: Sequence[Array], settings: Settings, what: str) -> Arm:
    """How many features of a dictionary are of a kind, from one boolean per feature of each replicate: `arm_of_all` of a sum.

    The bootstrap of a lone fit's count is a binomial distribution.
    """
    assert settings.studies
    values = [float(sample.sum()) for sample in samples]
    if len(samples) > 1:
        return _of_fits(values, settings)
    size = len(samples[0])
    return Arm(np.array(values), random(settings, what).binomial(size, values[0] / size, (1, settings.studies.bootstrap)).astype(float))


def _of_fits(values: Sequence[float], settings: Settings) -> Arm:
    """The arm of what varies over fits alone: draws that are all alike, so that a difference with another arm has draws."""
    assert settings.studies
    return Arm(np.array(values, dtype=np.float64), np.tile(np.array(values, dtype=np.float64)[:, None], settings.studies.bootstrap))
