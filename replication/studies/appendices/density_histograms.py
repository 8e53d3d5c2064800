"""How often features fire: histograms of log10 density for every dictionary (paper, appendix on feature density).

Density is the share of evaluation tokens on which a feature is above zero. Bins are quarter decades on the grid of the
published half decades, which begin at -8.25. Features that came as files of the published viewer are one more dictionary.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import PUBLISHED
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import Arm, arm_of_all, estimate
from replication.studies.replicates import base, groups, lacking, ladder
from replication.studies.tables import Number, Reader, number, write

EDGES = -8.25 + 0.25 * np.arange(34)
QUANTILES = {"median_density": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per dictionary, part and bin (silent features in a row without a bin); quantiles of the main one."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    rows, tables = [], {}
    for name, sae in progress.over(settings.dictionaries.items(), len(settings.dictionaries)):
        tables[name] = table = reader.features(name, "density", "part")
        about = {"dictionary": name, "group": base(name, settings.dictionaries), "d_sae": sae.d_sae, "l1": sae.l1,
                 "tokens": reader.evaluation(name)["tokens"]}
        rows += [{**about, **row} for row in histogram(table)]
    if settings.studies.published:  # of how many tokens, and at which l1, their files do not say
        theirs = reader.features(PUBLISHED, "density", "part")
        rows += [{"dictionary": PUBLISHED, "group": PUBLISHED, "d_sae": len(theirs), **row} for row in histogram(theirs)]
    write(out=out, study="density_histograms", data=pd.DataFrame(rows), numbers=headline(tables, settings), settings=settings,
          reader=reader, stopwatch=stopwatch, missing=lacking(settings.studies.main, settings.dictionaries, "q05_fall"))


def histogram(table: pd.DataFrame) -> list[dict[str, object]]:
    """Features per part and bin of log10 density, empty bins left out; silent ones without a bin."""
    rows: list[dict[str, object]] = []
    for part, features in table.groupby("part", sort=True):
        fired = features["density"].to_numpy(float)
        fired = fired[fired > 0]
        if len(fired) < len(features):
            rows.append({"part": part, "low": None, "high": None, "features": len(features) - len(fired)})
        counts, _ = np.histogram(np.log10(fired), EDGES)
        rows += [{"part": part, "low": low, "high": high, "features": int(count)}
                 for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False) if count]
    return rows


def headline(tables: dict[str, pd.DataFrame], settings: Settings) -> dict[str, Number]:
    """Quantiles over the features that fired (as in the published viewer) and their fall with size over the live ones."""
    assert settings.dictionaries and settings.studies
    members, main = groups(settings.dictionaries), settings.studies.main
    fired = [densities(tables[name]) for name in members[main]]
    if not all(map(len, fired)):
        return {}

    def of_fired(statistic: Callable[[np.ndarray], float], unit: str) -> Number:
        found = estimate(arm_of_all(statistic, fired, settings, "density_histograms"))
        return number(found, unit=unit, n=min(map(len, fired)), over="features that fired")

    numbers = {key: of_fired(partial(np.quantile, q=q), "share of tokens") for key, q in QUANTILES.items()}
    numbers["share_above_1_percent"] = of_fired(lambda sample: float((sample > 0.01).mean()), "share of features")
    for step, (low, high) in ladder(main).items():
        if low not in members or high not in members:
            continue
        live = {name: [densities(tables[member], "other") for member in members[name]] for name in (low, high)}
        if all(len(sample) for samples in live.values() for sample in samples):
            numbers[f"q05_fall_{step}"] = number(
                estimate(low_end(live[low], settings, low), low_end(live[high], settings, high)),
                unit="log10 share of tokens", n=min(map(len, live[low] + live[high])), over="features neither dead nor ultralow")
    return numbers


def densities(table: pd.DataFrame, part: str = "") -> np.ndarray:
    """Densities above zero, of one part or of all features."""
    chosen = table[table["part"] == part] if part else table
    values = chosen["density"].to_numpy(float)
    return np.asarray(values[values > 0])


def low_end(samples: list[np.ndarray], settings: Settings, name: str) -> Arm:
    """The 5 % quantile of log10 density."""
    return arm_of_all(lambda sample: float(np.quantile(np.log10(sample), 0.05)), samples, settings, f"density_histograms.{name}")
