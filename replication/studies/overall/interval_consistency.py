"""Scores by activation interval (paper, "Global analysis": activation interval analysis).

An interval is one of 11 equal parts of a unit's maximum, 0 the strongest. Where people rated at least FEWEST features of the
run, the numbers are of their totals by the rubric. Otherwise they are of the headline explainer: its score of an interval is
the Spearman correlation over the interval's windows together with the random ones, so that it says whether the interval is told
from silence; activations of the weakest interval round to level 0, so that its automatic score says nothing and does not count.

Rules, fixed before any run (ours):

- An interval *reads* when its score lies above 0.3 (`scores.READS`), of people's above 8 points (paper).
- The *depth* of a unit is the number of intervals, from the strongest on, down to the last that reads before one does not; an
  interval without a score is passed over. A unit is *consistent* when every interval reads, *consistent in part* when its
  depth is more than 0. Its range is its depth as a share of the 11; the partial range is the median over features that are
  consistent in part.
- The *slope* of a unit is that of a least-squares line through its scores, with its sign turned, so that it is positive where
  scores fall with the activation; averaged over units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.features.examples import INTERVALS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.rating.rubric import INTERPRETABLE
from replication.studies import rated, scores
from replication.studies.scores import FEATURES, RANDOM, ROLES, Sample, answered, difference, level, mean, median, sample
from replication.studies.tables import Number, Reader, write

FEWEST = 5  # features that people have to have rated
SCORES = [f"interval {k}" for k in range(INTERVALS)]
UNIT = "points per interval"  # of the judge: of the rubric, or of a correlation


@dataclass(frozen=True)
class Judge:
    """Who gave scores: the score above which an interval reads, and how many intervals count, from the strongest on."""

    name: str
    above: float
    counted: int


PEOPLE = Judge("people", INTERPRETABLE, INTERVALS)


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): an interval's mean score by one judge, and how many units have one depth."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    table = scores.read(reader, settings, scores.units(reader, settings), "intervals")
    table = pd.concat([table.drop(columns="intervals"), columns(table["intervals"])], axis=1)
    by = {Judge(name, scores.READS, INTERVALS - 1): answered(table[table["explainer"] == name]) for name in scores.explainers(settings)}
    chosen = next(judge for judge in by if judge.name == scores.headline(settings))
    people = of_people(reader, settings)
    if (people["role"] == FEATURES).sum() >= FEWEST:
        by, chosen = {PEOPLE: people, **by}, PEOPLE
    parts = [part.assign(explainer=judge.name, above=judge.above, counted=judge.counted)
             for judge, rows in progress.over(by.items(), len(by)) for part in (means(rows, judge, settings), depths(rows, judge))]
    numbers, missing = scores.measured(headline(by[chosen], chosen, settings))
    write(out=out, study="interval_consistency", data=pd.concat(parts, ignore_index=True).assign(headline=chosen.name), numbers=numbers,
          settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)


def columns(lists: pd.Series) -> pd.DataFrame:
    """Lists of scores as a column for each interval."""
    return pd.DataFrame(np.array(lists.tolist(), dtype=np.float64).reshape(-1, INTERVALS), columns=SCORES, index=lists.index)


def of_people(reader: Reader, settings: Settings) -> pd.DataFrame:
    """A row per rated unit: dictionary, group, role, feature, and the mean total of each interval over raters."""
    found, _ = rated.read(reader, settings)
    wide = found.pivot_table(index=["table", "role", "feature"], columns="interval", values="total", aggfunc="mean").reindex(columns=range(INTERVALS))
    wide.columns = pd.Index(SCORES)
    return wide.reset_index().rename(columns={"table": "dictionary"}).assign(group=lambda rows: rows["dictionary"])


def slope(values: np.ndarray) -> np.ndarray:
    """Fall of the score per interval downwards [unit], NaN with fewer than two scores; `values` [unit, interval], NaN without one."""
    known = np.isfinite(values)
    count = known.sum(1)
    place = np.where(known, np.arange(values.shape[1], dtype=np.float64), 0.0)
    centred = np.where(known, place - (place.sum(1) / np.maximum(count, 1))[:, None], 0.0)
    spread = np.square(centred).sum(1)
    fall = -(centred * np.where(known, values, 0.0)).sum(1)
    return np.where(count > 1, fall / np.where(count > 1, spread, 1.0), np.nan)


def depth(values: np.ndarray, above: float) -> np.ndarray:
    """The depth of units [unit] by the rule above; `values` [unit, interval], NaN where there is no score."""
    fails, places = values <= above, np.arange(values.shape[1])
    first = np.where(fails.any(1), fails.argmax(1), len(places))
    last = np.where((values > above) & (places < first[:, None]), places + 1, 0).max(1)
    return np.where(fails.any(1), last, len(places))


def means(rows: pd.DataFrame, judge: Judge, settings: Settings) -> pd.DataFrame:
    """Mean score per role and interval with its 95 % interval: role, interval, value, low, high, n."""
    found = []
    for role in ROLES:
        for interval, column in enumerate(SCORES):
            made = level(sample(rows, role, [column], mean, settings, f"interval_consistency.{judge.name}.{interval}"), unit="score")
            if isinstance(made, Number):
                found.append({"role": role, "interval": interval, "value": made.value, "low": made.low, "high": made.high, "n": made.n})
    return pd.DataFrame(found, columns=["role", "interval", "value", "low", "high", "n"]).assign(table="mean")


def depths(rows: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """Units of each dictionary by their depth: dictionary, group, role, depth, count."""
    deep = described(rows, judge).dropna(subset="depth")
    return deep.groupby(["dictionary", "group", "role", "depth"], sort=False).size().rename("count").reset_index().assign(table="depth")


def described(rows: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """Units with their slope, their depth, and their range where they are consistent in part."""
    values = rows[SCORES[:judge.counted]].to_numpy(np.float64)
    deep = np.where(np.isfinite(values).any(1), depth(values, judge.above), np.nan)
    partly = np.where((deep > 0) & (deep < judge.counted), deep / INTERVALS, np.nan)
    return rows.assign(slope=slope(values), depth=deep, partly=partly)


def headline(rows: pd.DataFrame, judge: Judge, settings: Settings) -> dict[str, Number | str]:
    """Slopes of all roles, and of features the shares that are consistent throughout and in part, by the rules above."""
    units = described(rows, judge)

    def of(role: str, column: str, statistic: Callable[[np.ndarray], float], lacking: str = "") -> Sample | str:
        return sample(units, role, [column], statistic, settings, f"interval_consistency.{column}", lacking=lacking)

    def consistent(values: np.ndarray) -> float:
        return float((values == judge.counted).mean())

    def inconsistent(values: np.ndarray) -> float:
        return float((values == 0).mean())

    partly = of(FEATURES, "partly", median, "no feature is consistent in part")
    found = {"score_slope": level(of(FEATURES, "slope", mean), unit=UNIT, over="features"),
             "consistent_share": level(of(FEATURES, "depth", consistent), unit="share of features", over="features"),
             "inconsistent_share": level(of(FEATURES, "depth", inconsistent), unit="share of features", over="features"),
             "partial_range": level(partly, unit="share of range", over="features that are consistent in part")}
    for role in (NEURONS, RANDOM):
        found[f"{role}_slope"] = level(of(role, "slope", mean), unit=UNIT)
        found[f"features_minus_{role}_consistent"] = difference(
            of(FEATURES, "depth", consistent), of(role, "depth", consistent), unit="share of units")
    return found
