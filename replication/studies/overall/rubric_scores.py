"""Scores by people who do not know what they rate (paper, "Global analysis": manual interpretability; appendix on the rubric).

Several raters of an interval are averaged. Medians and shares are over intervals, as the published ones; their 95 % intervals, and
those of differences of means, are bootstrapped over units, because intervals of a unit share an explanation. Features are compared
with neurons over the units of all replicates together, and with the shuffled model's features by replicate. Nothing is said of a
role with fewer than FEWEST rated units. Modes of the shuffled model's scores: `studies.modes`, one point wide.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.rating import cards
from replication.rating.rubric import INTERPRETABLE, KEYS
from replication.rating.sample import FEATURES, KINDS, RANDOM
from replication.studies import rated
from replication.studies.agreement import alpha
from replication.studies.intervals import Arm, arm_of, estimate
from replication.studies.modes import modes
from replication.studies.tables import Number, Reader, number, write

FEWEST = 5  # rated units of a role
WIDTH = 1.0  # points
LEDGER = ("feature_median", "neuron_median", "intervals", "rated", "feature_share_above_8", "features_minus_neurons", "features_minus_random",
          "random_zero_cluster")
NAMES = {FEATURES: "feature", NEURONS: "neuron", RANDOM: "random"}
SAID = {FEATURES: "features", NEURONS: "neurons", RANDOM: "features of the shuffled model"}
ALONE = "no two raters rated the same intervals"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): a role (its units that can be rated and those that were), a rated interval (mean over raters)."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, stale = rated.read(reader, settings)
    by = ["role", "table", "feature", "interval"]
    intervals = found.groupby(by, as_index=False).agg(raters=("rater", "nunique"), **{key: (key, "mean") for key in (*KEYS, "total")})
    tables = rated.tables(settings)
    offered = {table: int(cards.can_be_rated(reader.features(table, "fired", "part")).sum()) for names in tables.values() for table in names}
    roles = pd.DataFrame([{"role": role, "offered": sum(offered[table] for table in tables[role]), "intervals": len(rows),
                           "units": len(rows[["table", "feature"]].drop_duplicates())}
                          for role in KINDS for rows in [intervals[intervals["role"] == role]]])
    progress(1, 1)
    data = pd.concat([roles.assign(table="role"), intervals.rename(columns={"table": "dictionary"}).assign(table="interval")], ignore_index=True)
    if len(found):
        numbers, missing = measured(intervals, settings)
        agreed, why = agreement(found)
        numbers |= agreed | {"raters": Number(found["rater"].nunique(), "raters", len(found), "ratings"),
                             "left_out": Number(stale, "ratings", len(found) + stale, "ratings")}
        write(out=out, study="rubric_scores", data=data, numbers=numbers, missing=missing | why, settings=settings, reader=reader,
              stopwatch=stopwatch)
        return
    why_none = waiting(settings.run, stale)
    write(out=out, study="rubric_scores", data=data, numbers={}, missing=dict.fromkeys((*LEDGER, "alpha"), why_none), settings=settings,
          reader=reader, stopwatch=stopwatch, absent=why_none)


def waiting(run: str, stale: int) -> str:
    """Why there is nothing to count yet, and what to do."""
    lack = f"the ratings in paper/ratings/{run} are of other examples than this run's" if stale else f"no ratings in paper/ratings/{run}"
    return f"{lack}; `python -m replication rate results/{run}` makes them"


def measured(intervals: pd.DataFrame, settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """The numbers of rated intervals, and why others are missing."""
    units = {role: scores_of(intervals[intervals["role"] == role]) for role in KINDS}
    counted = intervals[intervals["role"] != RANDOM]
    of_model = sum(len(scores) for role in (FEATURES, NEURONS) for scores in units[role].values())
    numbers = {"intervals": Number(len(counted), "intervals", of_model, "features and neurons"),
               "rated": Number(of_model, "features and neurons", len(counted), "intervals")}
    missing: dict[str, str] = {}
    enough = {role: sum(map(len, of.values())) >= FEWEST for role, of in units.items()}
    why = {role: f"fewer than {FEWEST} {SAID[role]} were rated" for role in KINDS}
    for role, short in NAMES.items():
        if not enough[role]:
            missing |= dict.fromkeys((f"{short}_median", f"{short}_mean", f"{short}_share_above_8"), why[role])
            continue
        n = int((intervals["role"] == role).sum())
        for key, statistic, unit in (("median", median, "points"), ("mean", mean, "points"), ("share_above_8", share_above, "share of intervals")):
            found = arm_of(statistic, [together(units[role])], settings, f"rubric_scores.{key}.{role}")
            numbers[f"{short}_{key}"] = number(estimate(found), unit=unit, n=n, over="intervals")
    for minus in (NEURONS, RANDOM):
        key, lacking = f"features_minus_{minus}", [role for role in (FEATURES, minus) if not enough[role]]
        if lacking:
            missing[key] = why[lacking[0]]
            continue
        arms = [arm(units[role], settings, role, by_replicate=minus == RANDOM) for role in (FEATURES, minus)]
        smaller = min(sum(map(len, units[role].values())) for role in (FEATURES, minus))
        numbers[key] = number(estimate(*arms), unit="points", n=smaller, over="units of the smaller sample")
    if enough[RANDOM]:
        scores = intervals.loc[intervals["role"] == RANDOM, "total"].to_numpy(float)
        numbers["random_zero_cluster"] = Number(len(modes(scores, WIDTH)), "modes", len(scores), "intervals")
        numbers["random_zero_share"] = Number(float((scores == 0).mean()), "share of intervals", len(scores), "intervals")
    else:
        missing |= dict.fromkeys(("random_zero_cluster", "random_zero_share"), why[RANDOM])
    return numbers, missing


def agreement(found: pd.DataFrame) -> tuple[dict[str, Number], dict[str, str]]:
    """Krippendorff's alpha of the totals, over intervals that several raters scored."""
    wide = found.pivot(index=["unit", "interval"], columns="rater", values="total")
    shared = int((wide.notna().sum(axis=1) >= 2).sum())
    value = alpha(wide.to_numpy(float))
    return ({"alpha": Number(value, "alpha", shared, "intervals rated by two or more")}, {}) if np.isfinite(value) else ({}, {"alpha": ALONE})


def scores_of(intervals: pd.DataFrame) -> dict[str, list[np.ndarray]]:
    """Scores of each unit's intervals, by dictionary."""
    return {str(name): [rows["total"].to_numpy(float) for _, rows in of.groupby("feature")] for name, of in intervals.groupby("table")}


def together(units: Mapping[str, list[np.ndarray]]) -> np.ndarray:
    """Units of all dictionaries as one sample that can be drawn from."""
    every = [scores for of in units.values() for scores in of]
    sample = np.empty(len(every), dtype=object)
    sample[:] = every
    return sample


def arm(units: Mapping[str, list[np.ndarray]], settings: Settings, role: str, *, by_replicate: bool) -> Arm:
    """The mean score, of each replicate or of all together."""
    samples = [together({name: of}) for name, of in units.items()] if by_replicate else [together(units)]
    return arm_of(mean, samples, settings, f"rubric_scores.difference.{role}")


def median(units: np.ndarray) -> float:
    """The median over all intervals of units."""
    return float(np.median(np.concatenate(list(units))))


def mean(units: np.ndarray) -> float:
    """The mean over all intervals of units."""
    return float(np.concatenate(list(units)).mean())


def share_above(units: np.ndarray) -> float:
    """Share of intervals that score above 8."""
    return float((np.concatenate(list(units)) > INTERPRETABLE).mean())
