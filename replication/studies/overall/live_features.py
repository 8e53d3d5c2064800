"""Dead, ultralow and live features of every dictionary (paper: how many features are there; feature density).

A feature's part is dead (silent on the evaluation tokens), ultralow, or other, which is what the ledger calls live. Where
the evaluation is too short to measure "below one in a million", ultralow is the lower cluster.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import Arm, counts, estimate
from replication.studies.replicates import base, groups, lacking, ladder
from replication.studies.tables import Number, Reader, number, write

PARTS = ("dead", "ultralow", "other")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per dictionary; numbers of the main one and of the growth from size to size."""
    assert settings.dictionaries and settings.models and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    parts: dict[str, np.ndarray] = {}
    rows = []
    for name, sae in progress.over(settings.dictionaries.items(), len(settings.dictionaries)):
        evaluation = reader.evaluation(name)
        parts[name] = reader.features(name, "part")["part"].to_numpy(str)
        rows.append({
            "dictionary": name, "group": base(name, settings.dictionaries), "d_sae": sae.d_sae, "l1": sae.l1,
            "tokens": evaluation["tokens"], **{part: int((parts[name] == part).sum()) for part in PARTS},
            "ultralow_rule": "below 1e-6" if evaluation["ultralow_measurable"] else "lower cluster"})
    write(out=out, study="live_features", data=pd.DataFrame(rows), numbers=headline(parts, settings), settings=settings,
          reader=reader, stopwatch=stopwatch, missing=lacking(settings.studies.main, settings.dictionaries, "growth"))


def headline(parts: dict[str, np.ndarray], settings: Settings) -> dict[str, Number]:
    """The numbers, from the part of every feature of every dictionary."""
    assert settings.dictionaries and settings.models and settings.studies
    members, main = groups(settings.dictionaries), settings.studies.main

    def arm(name: str, part: str) -> Arm:
        return counts([parts[member] == part for member in members[name]], settings, f"live_features.{name}")

    size = settings.dictionaries[main].d_sae
    numbers = {part: number(estimate(arm(main, part)), unit="features", n=size, over="features") for part in PARTS}
    for step, (low, high) in ladder(main).items():
        if low in members and high in members:
            growth = estimate(arm(high, "other"), arm(low, "other"))
            numbers[f"growth_{step}"] = number(
                growth, unit="features", n=settings.dictionaries[low].d_sae, over="features of the smaller dictionary")
    neurons = settings.models[model_of(main)].d_mlp
    numbers["features_per_neuron"] = number(
        estimate(arm(main, "other")).times(1 / neurons), unit="features per neuron", n=neurons, over="neurons")
    return numbers
