"""Do two models have the same features? Best matches by correlation of activations (paper, section on universality).

A best match is chosen on one half of the evaluation tokens and its correlation measured on the other. Three comparisons:
features to the other model's features, neurons to the other model's neurons, features to their own model's neurons. Over
features that are neither dead nor ultralow, and neurons that fire.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Settings, UserError, model_of
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import Arm, arm_of, estimate
from replication.studies.replicates import NO_TWIN, groups
from replication.studies.tables import Number, Reader, number, write

EDGES = np.linspace(-0.2, 1.0, 31)
KEYS = ("feature_median", "neuron_median", "features_minus_neurons", "features_minus_own_neurons")
FEATURES, NEURONS, OWN = "features to features", "neurons to neurons", "features to own neurons"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Histograms of the three comparisons, per dictionary; medians and their differences."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main, twin = settings.studies.main, settings.studies.twin
    if model_of(main) == model_of(twin):
        write(out=out, study="universality_histogram", data=pd.DataFrame({"comparison": [FEATURES]}), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=dict.fromkeys(KEYS, NO_TWIN), absent=NO_TWIN)
        return
    matches = reader.matches()
    tables = {name: reader.features(name, "feature", "part") for name in groups(settings.dictionaries)[main]}
    live = {name: set(table.loc[table["part"] == "other", "feature"]) for name, table in tables.items()}
    found = {
        FEATURES: {name: correlations(matches, name, twin, live[name]) for name in live},
        NEURONS: {neurons(main): correlations(matches, neurons(main), neurons(twin))},
        OWN: {name: correlations(matches, name, neurons(main), live[name]) for name in live},
    }
    found = {comparison: {name: values for name, values in samples.items() if len(values)} for comparison, samples in found.items()}
    for comparison, samples in found.items():
        if not samples:
            raise UserError(f"{artifacts.MATCHES} has no {comparison} for {main}; delete it and run `snakemake --cores all`")
    progress(1, 1)
    rows = [{"comparison": comparison, "dictionary": name, **row} for comparison, samples in found.items()
            for name, values in samples.items() for row in histogram(values["correlation"].to_numpy())]
    write(out=out, study="universality_histogram", data=pd.DataFrame(rows), numbers=headline(found, settings), settings=settings,
          reader=reader, stopwatch=stopwatch)


def histogram(values: np.ndarray) -> list[dict[str, float]]:
    """Rows of a histogram of correlations, empty bins too."""
    counts, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)
    return [{"low": low, "high": high, "count": int(count)} for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False)]


def neurons(name: str) -> str:
    """The neuron table of a dictionary's model."""
    return f"{model_of(name)}/neurons"


def correlations(matches: pd.DataFrame, dictionary: str, other: str, features: set[int] | None = None) -> pd.DataFrame:
    """Correlation with the best match, by feature; features without one (constant on a half) are left out."""
    pair = matches[(matches["dictionary"] == dictionary) & (matches["other"] == other)].dropna(subset=["correlation"])
    if features is not None:
        pair = pair[pair["feature"].isin(features)]
    return pair.set_index("feature")[["correlation"]].sort_index()


def headline(found: dict[str, dict[str, pd.DataFrame]], settings: Settings) -> dict[str, Number]:
    """Medians, and how far features match features better than neurons match neurons, and than features match neurons."""
    samples = {key: [values["correlation"].to_numpy() for values in tables.values()] for key, tables in found.items()}
    arms = {key: arm_of(median, values, settings, f"universality_histogram.{key}") for key, values in samples.items()}
    arms[NEURONS] = Arm(arms[NEURONS].values, arms[NEURONS].draws, untrained=True)
    sizes = {key: min(map(len, values)) for key, values in samples.items()}
    estimates = {"feature_median": (estimate(arms[FEATURES]), sizes[FEATURES], "features"),
                 "neuron_median": (estimate(arms[NEURONS]), sizes[NEURONS], "neurons"),
                 "feature_to_own_neuron_median": (estimate(arms[OWN]), sizes[OWN], "features"),
                 "features_minus_neurons": (estimate(arms[FEATURES], arms[NEURONS]), sizes[NEURONS], "neurons")}
    own = found[OWN]
    paired = [pd.concat([table, own[name]], axis=1, join="inner").to_numpy() for name, table in found[FEATURES].items() if name in own]
    if paired and all(map(len, paired)):
        estimates["features_minus_own_neurons"] = (estimate(difference(paired, settings)), min(map(len, paired)), "features")
    return {key: number(found_, unit="correlation", n=n, over=over) for key, (found_, n, over) in estimates.items()}


def median(values: np.ndarray) -> float:
    """The median."""
    return float(np.median(values))


def difference(paired: list[np.ndarray], settings: Settings) -> Arm:
    """Difference of medians over the same features [feature, (to features, to own neurons)], resampled together."""
    def gap(sample: np.ndarray) -> float:
        return float(np.median(sample[:, 0]) - np.median(sample[:, 1]))

    return arm_of(gap, paired, settings, "universality_histogram.paired")
