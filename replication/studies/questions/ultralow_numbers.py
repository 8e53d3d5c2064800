"""The numbers of the study on the low-density cluster, each with its interval over features and over replicates (ours).

Of two sets of features of the same fits, each is drawn by itself; of one set measured twice (a direction against two biases), together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from replication.config import Settings
from replication.studies.appendices.ultralow_cluster import auc
from replication.studies.directions import unit
from replication.studies.intervals import COVERAGE, Arm, Estimate, arm_of, estimate, quantiles, random, resampled_sums
from replication.studies.questions import trajectories
from replication.studies.questions.lower_cluster import Encoders
from replication.studies.questions.starts import PAPER, TRANSPOSE, WARMUP
from replication.studies.questions.trajectories import EARLY, HALF, RARE, Trajectories
from replication.studies.tables import Number, number

FEWEST = 10  # features of a set; with fewer a mean over them says nothing
LOWER, UPPER, RARE_ONES, OTHERS = "features of the lower cluster", "features of the upper cluster", "features that are rare", "features that are not rare"
SHARE, DECADES = "share of features", "log10 share of vectors"
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Of one dictionary: its encoders; `density` and `start_cosine` [feature] on the evaluation tokens; which of the lower cluster fire on its
    busiest input, and the `chance` of that; on how many of so many `vectors` each feature fires as it is, without the tied bias through
    weak neurons, and without that through as many at random (`freed` [2 + set, feature]); its trajectories, where it is watched.
    """

    encoders: Encoders
    density: Floats
    start_cosine: Floats
    together: Bools
    chance: float
    freed: NDArray[np.int64]
    vectors: int
    watched: Trajectories | None

    @property
    def replaceable(self) -> Bools:
        """Features that resampling may touch: all but those that are left alone."""
        return np.ones(len(self.density), bool) if self.watched is None else ~self.watched.left


def mean(sample: Floats) -> float:
    """The mean."""
    return float(sample.mean())


def arm(samples: Sequence[NDArray[np.generic]], settings: Settings, what: str, statistic: Callable[[Floats], float] = mean) -> Arm:
    """The arm of a statistic over features, one sample per replicate."""
    return arm_of(statistic, [sample.astype(np.float64) for sample in samples], settings, f"ultralow_dynamics.{what}")


def minus(one: Arm, other: Arm) -> Arm:
    """The arm of a difference within the same fits."""
    return Arm(one.values - other.values, one.draws - other.draws)


def fewest(samples: Sequence[NDArray[np.generic]]) -> int:
    """The smallest sample."""
    return min(map(len, samples))


# ---- what weights and evaluation tokens tell


def of_clusters(found: Sequence[Found], settings: Settings) -> dict[str, Number]:
    """Of the replicates of one start."""
    replaceable = [rare[item.replaceable] for item, rare in zip(found, rare_now(found), strict=True)]
    numbers = {"rare_share": number(estimate(arm(replaceable, settings, "rare")), unit=SHARE, n=fewest(replaceable), over="features")}
    if min(min(item.encoders.lower.sum(), item.encoders.upper.sum()) for item in found) < FEWEST:
        return numbers
    together = [item.together for item in found]
    n = fewest(together)
    numbers |= {
        "fires_on_one_input": number(estimate(arm(together, settings, "together")), unit=SHARE, n=n, over=LOWER),
        "one_input_chance": Number(float(np.mean([item.chance for item in found])), SHARE, n, LOWER)}
    tied, per_norm = [item.encoders.tied for item in found], [item.encoders.tied / item.encoders.norm for item in found]
    numbers |= contrast("weak_share", "weak_neuron_weight", [item.encoders.weak_share for item in found], found, settings, "share of squared norm")
    numbers |= contrast("tied_bias", "tied_bias_extra_negative", tied, found, settings, "pre-activation", -1)
    numbers |= contrast("tied_bias_per_norm", "tied_bias_extra_per_norm", per_norm, found, settings, "pre-activation of an encoder of norm 1", -1)
    numbers |= contrast("start_cosine", "unmoved", [item.start_cosine for item in found], found, settings, "cosine")
    shares = [item.encoders.weak_share[item.encoders.lower] for item in found]
    above = estimate(arm(shares, settings, "means")).shifted(-float(found[0].encoders.weak.mean()))
    numbers["weak_share_above_even"] = number(above, unit="share of squared norm", n=n, over=LOWER)
    return numbers | of_direction(found, settings) | of_release(found, settings)


def rare_now(found: Sequence[Found]) -> list[Bools]:
    """Which features fire on fewer than one evaluation token in 10,000, dead ones included."""
    return [item.density < RARE for item in found]


def contrast(key: str, renamed: str, values: Sequence[Floats], found: Sequence[Found], settings: Settings, unit_: str, sign: int = 1) -> dict[str, Number]:
    """Means of both clusters, and `renamed`: the lower's minus the upper's, times `sign`."""
    lower = [value[item.encoders.lower] for value, item in zip(values, found, strict=True)]
    upper = [value[item.encoders.upper] for value, item in zip(values, found, strict=True)]
    arms = arm(lower, settings, "means"), arm(upper, settings, "means.upper")
    return {f"{key}_lower": number(estimate(arms[0]), unit=unit_, n=fewest(lower), over=LOWER),
            f"{key}_upper": number(estimate(arms[1]), unit=unit_, n=fewest(upper), over=UPPER),
            renamed: number(estimate(minus(*arms)).times(sign), unit=unit_, n=fewest(lower), over=LOWER)}


def of_direction(found: Sequence[Found], settings: Settings) -> dict[str, Number]:
    """The cluster's mean direction: between fits, and on weak neurons against `b_dec` of its own fit and of others."""
    assert settings.studies
    n, weak = fewest([item.together for item in found]), found[0].encoders.weak
    drawn = [np.concatenate([item.encoders.directions.sum(0)[None], resampled_sums(
        item.encoders.directions, settings.studies.bootstrap, random(settings, "ultralow_dynamics.shared", index))]) for index, item in enumerate(found)]
    biases = [unit(item.encoders.b_dec[None, weak])[0] for item in found]
    against = np.array([[unit(directions[:, weak]) @ bias for bias in biases] for directions in drawn])  # [fit, fit of the bias, 1 + resample]
    own = against[np.arange(len(found)), np.arange(len(found))]
    numbers = {"bias_alignment": number(estimate(Arm(own[:, 0], own[:, 1:])), unit="cosine", n=n, over=LOWER)}
    if len(found) < 2:
        return numbers
    pairs = list(combinations(range(len(found)), 2))
    across = np.array([(unit(drawn[one]) * unit(drawn[other])).sum(1) for one, other in pairs])
    others = (against.sum(1) - own) / (len(found) - 1)
    return numbers | {
        "direction_cosine_across_seeds": number(over_pairs(across, pairs, len(found)), unit="cosine", n=n, over=LOWER),
        "bias_alignment_others": number(estimate(Arm(others[:, 0], others[:, 1:])), unit="cosine", n=n, over=LOWER),
        "bias_alignment_own": number(estimate(Arm((own - others)[:, 0], (own - others)[:, 1:])), unit="cosine", n=n, over=LOWER)}


def over_pairs(values: Floats, pairs: Sequence[tuple[int, int]], fits: int) -> Estimate:
    """The mean over pairs of fits; `values` [pair, 1 + resample]. A fit stands in several pairs, so its part of the error is by the jackknife over fits."""
    value, draws = float(values[:, 0].mean()), values.mean(0)[1:]
    if fits < 3:
        return Estimate(value, None, *quantiles(draws), fits)
    without = np.array([np.mean([value for value, pair in zip(values[:, 0], pairs, strict=True) if fit not in pair]) for fit in range(fits)])
    error = np.sqrt((fits - 1) / fits * np.square(without - without.mean()).sum() + draws.var(ddof=1))
    reach = float(stats.t.ppf((1 + COVERAGE) / 2, fits - 1) * error)
    return Estimate(value, float(values[:, 0].std(ddof=1)), value - reach, value + reach, fits)


def of_release(found: Sequence[Found], settings: Settings) -> dict[str, Number]:
    """How often the clusters fire without the tied bias through weak neurons, and through as many others; the first over the second in decades."""
    if not all(item.vectors for item in found):
        return {}
    numbers, unit_ = {}, "share of vectors"
    for which, over in (("lower", LOWER), ("upper", UPPER)):
        counts = [released(item, getattr(item.encoders, which)) for item in found]
        for column, key in enumerate(("as_it_is", "without_weak", "without_random")):
            value = estimate(arm([sample[:, column] for sample in counts], settings, f"freed.{which}"))
            numbers[f"{key}_{which}"] = number(value, unit=unit_, n=fewest(counts), over=over)
    shares = [released(item, item.encoders.lower) for item in found]
    more = arm(shares, settings, "freed.lower", lambda sample: float(np.log10(sample[:, 1].sum() / sample[:, 2].sum()) if sample[:, 2].any() else np.nan))
    return numbers | {"released_by_weak": number(estimate(more), unit=DECADES, n=fewest(shares), over=LOWER)}


def released(item: Found, which: Bools) -> Floats:
    """Shares of vectors [feature, 3] on which features fire: as they are, without the tied bias through weak neurons, and through others (mean of the sets)."""
    return np.asarray(np.stack([item.freed[0, which], item.freed[1, which], item.freed[2:, which].mean(0)], axis=1) / item.vectors)


# ---- what watching tells


def of_training(found: Sequence[Found], settings: Settings) -> dict[str, Number]:
    """Of the replicates of one start that are watched."""
    watched = [item.watched for item in found if item.watched is not None]
    if not watched:
        return {}
    return of_slopes(watched, settings) | of_flows(watched, settings) | of_beginning(watched, settings) | of_leaving(watched, settings)


def of_slopes(watched: Sequence[Trajectories], settings: Settings) -> dict[str, Number]:
    """log10 density against log10 step over the last half, of features that are rare and not rare at the middle.

    A rare feature's count is cut at `COMMON`, so that a few that are born do not stand for all.
    """
    assert settings.studies
    arms, numbers = {}, {}
    for key, over in (("rare", RARE_ONES), ("common", OTHERS)):
        values, draws, sizes = [], [], []
        for index, item in enumerate(watched):
            rare = item.rare[item.at(HALF)]
            log_step, counts = trajectories.later_counts(item, rare if key == "rare" else ~rare)
            if key == "rare":
                counts = np.minimum(counts, trajectories.COMMON * item.vectors)
            sizes.append(len(counts))
            if len(counts) < FEWEST or len(log_step) < 3:
                return {}
            sums = resampled_sums(counts, settings.studies.bootstrap, random(settings, f"ultralow_dynamics.slope.{key}", index))
            values.append(float(trajectories.slope(log_step, counts.sum(0))))
            draws.append(trajectories.slope(log_step, sums))
        arms[key] = Arm(np.array(values), np.array(draws))
        numbers[f"slope_{key}"] = number(estimate(arms[key]), unit="decades a decade of steps", n=min(sizes), over=f"{over} at the middle")
    fall = estimate(minus(arms["common"], arms["rare"]))
    return numbers | {"rare_keeps_falling": number(fall, unit="decades a decade of steps", n=numbers["slope_rare"].n, over=f"{RARE_ONES} at the middle")}


def of_flows(watched: Sequence[Trajectories], settings: Settings) -> dict[str, Number]:
    """Births and deaths over the last half: rates in 1,000 steps, the net of the two, and the share of rare features at which they would balance."""
    samples = [trajectories.later_flows(item) for item in watched]
    n, over = fewest(samples), "features"

    def rate(column: int, time: int) -> Callable[[Floats], float]:
        return lambda sample: 1000 * float(sample[:, column].sum() / max(sample[:, time].sum(), 1.0))

    def net(sample: Floats) -> float:
        return 1000 * float((sample[:, 3] - sample[:, 2]).sum() / sample[:, :2].sum())

    def balance(sample: Floats) -> float:
        births, deaths = rate(2, 0)(sample), rate(3, 1)(sample)
        return deaths / (births + deaths) if births + deaths else float("nan")

    wanted = {"births": (rate(2, 0), "of rare features in 1,000 steps"), "deaths": (rate(3, 1), "of other features in 1,000 steps"),
              "deaths_minus_births": (net, "of features in 1,000 steps"), "balance": (balance, SHARE)}
    numbers = {key: number(estimate(arm(samples, settings, "flows", statistic)), unit=unit_, n=n, over=over) for key, (statistic, unit_) in wanted.items()}
    return numbers | {"rare_at_end": number(estimate(arm([item.rare[-1] for item in watched], settings, "flows")), unit=SHARE, n=n, over=over)}


def of_beginning(watched: Sequence[Trajectories], settings: Settings) -> dict[str, Number]:
    """Of features that are followed and were never resampled, rare and not rare at the end.

    How many were rare early, how much of their turning was done early, and how well density tells the two apart early.
    """
    sets = {which: [(item.rare[-1] if which == "rare" else ~item.rare[-1]) & item.stays(0) for item in watched] for which in ("rare", "common")}
    if min(chosen.sum() for samples in sets.values() for chosen in samples) < FEWEST:
        return {}
    numbers, arms = {}, {}
    for which, over in (("rare", f"{RARE_ONES} at the end"), ("common", f"{OTHERS} at the end")):
        n = min(int(chosen.sum()) for chosen in sets[which])
        early = [item.rare[item.at(EARLY), chosen] for item, chosen in zip(watched, sets[which], strict=True)]
        turned = [1 - item.cosine[[item.at(EARLY), -1]][:, chosen].T for item, chosen in zip(watched, sets[which], strict=True)]
        arms[which] = arm(early, settings, f"early.{which}")
        numbers[f"early_{which}"] = number(estimate(arms[which]), unit=SHARE, n=n, over=over)
        share = arm(turned, settings, f"turned.{which}", lambda sample: float(sample[:, 0].sum() / sample[:, 1].sum()) if sample[:, 1].any() else float("nan"))
        numbers[f"turned_early_{which}"] = number(estimate(share), unit="share of 1 - cosine", n=n, over=over)
    n = numbers["early_rare"].n
    more = estimate(minus(arms["rare"], arms["common"]))
    told = [np.stack([common, item.density[item.at(EARLY)]], axis=1)[rare | common] for item, rare, common in zip(watched, *sets.values(), strict=True)]
    area = estimate(arm(told, settings, "told", lambda sample: auc(sample[:, 0], sample[:, 1])))
    return numbers | {"early_excess": number(more, unit=SHARE, n=n, over=f"{RARE_ONES} at the end"),
                      "early_auc": number(area, unit="AUC", n=n, over="features"),
                      "decided_early": number(area.shifted(-0.5), unit="AUC above chance", n=n, over="features")}


def of_leaving(watched: Sequence[Trajectories], settings: Settings) -> dict[str, Number]:
    """Of features that were silent when dead ones were resampled: the share that is rare at the end, of those left alone and of those resampled."""
    silent = [trajectories.silenced(item) for item in watched]
    if min(len(part) for both in silent for part in both) < FEWEST:
        return {}
    left, resampled = ([item.rare[-1, both[side]] for item, both in zip(watched, silent, strict=True)] for side in (0, 1))
    arms = arm(left, settings, "left"), arm(resampled, settings, "resampled")
    over = "features silent at a resampling"
    return {"left_rare": number(estimate(arms[0]), unit=SHARE, n=fewest(left), over=over),
            "resampled_rare": number(estimate(arms[1]), unit=SHARE, n=fewest(resampled), over=over),
            "left_minus_resampled": number(estimate(minus(*arms)), unit=SHARE, n=min(fewest(left), fewest(resampled)), over=over)}


def between(found: Mapping[str, Sequence[Found]], settings: Settings) -> dict[str, Number]:
    """How much larger the share of rare features is with the paper's start than with each of the others."""
    numbers = {}
    for start in (WARMUP, TRANSPOSE):
        if PAPER in found and start in found:
            arms = [arm([rare[item.replaceable] for item, rare in zip(found[which], rare_now(found[which]), strict=True)], settings, f"rare.{which}")
                    for which in (PAPER, start)]
            n = min(int(item.replaceable.sum()) for which in (PAPER, start) for item in found[which])
            numbers[f"rare_minus_{start}"] = number(estimate(*arms), unit=SHARE, n=n, over="features")
    return numbers
