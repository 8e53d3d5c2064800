"""How well explanations tell which tokens a unit makes likelier (paper, "Global analysis": automated interpretability, logit weights).

Of 100 tokens, half of them with strong positive logit weights that were not shown, the share judged right; chance is one half,
and so is the share of one answer to all. The ordering compares means, as the published shares are means (ours).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import scores
from replication.studies.scores import FEATURES, RANDOM, ROLES, Sample, answered, difference, level, mean, median, sample
from replication.studies.tables import Number, Reader, write

EDGES = np.round(np.arange(-0.0125, 1.0126, 0.025), 4)
UNIT = "share right"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): a bin of a histogram, and a mean or median of one explainer's shares."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    table = scores.read(reader, settings, scores.units(reader, settings), "logits")
    by = {explainer: table[table["explainer"] == explainer] for explainer in scores.judges(settings)}
    found = {explainer: samples(of, explainer, settings) for explainer, of in progress.over(by.items(), len(by))}
    parts = [part.assign(explainer=explainer) for explainer, of in by.items() for part in (histograms(of), summaries(found[explainer]))]
    chosen = scores.headline(settings)
    data = pd.concat(parts, ignore_index=True).assign(headline=chosen)
    numbers, missing = headline(by[chosen], found[chosen])
    write(out=out, study="autointerp_logits", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)


def histograms(of: pd.DataFrame) -> pd.DataFrame:
    """Units per bin of one explainer's shares, empty bins left out: dictionary, group, role, low, high, count."""
    rows = []
    for (dictionary, group, role), values in answered(of).groupby(["dictionary", "group", "role"], sort=False)["logits"]:
        counts, _ = np.histogram(values.dropna(), EDGES)
        rows += [{"dictionary": dictionary, "group": group, "role": role, "low": low, "high": high, "count": int(count)}
                 for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False) if count]
    return pd.DataFrame(rows, columns=["dictionary", "group", "role", "low", "high", "count"]).assign(table="bin")


Samples = dict[tuple[str, str], Sample | str]


def samples(of: pd.DataFrame, explainer: str, settings: Settings) -> Samples:
    """Mean and median of each role by one explainer, and of features with another feature's explanation (`control`)."""
    return {(name, which): sample(rows, role, ["logits"], statistic, settings, f"autointerp_logits.{explainer}.{which}")
            for rows, roles in ((answered(of), {role: role for role in ROLES}), (answered(of, control=True), {"control": FEATURES}))
            for name, role in roles.items() for which, statistic in (("mean", mean), ("median", median))}


def summaries(found: Samples) -> pd.DataFrame:
    """Rows role, statistic, value, low, high, n."""
    numbers = {key: level(of, unit=UNIT) for key, of in found.items()}
    rows = [{"role": role, "statistic": which, "value": made.value, "low": made.low, "high": made.high, "n": made.n}
            for (role, which), made in numbers.items() if isinstance(made, Number)]
    return pd.DataFrame(rows, columns=["role", "statistic", "value", "low", "high", "n"]).assign(table="summary")


def headline(of: pd.DataFrame, found: Samples) -> tuple[dict[str, Number], dict[str, str]]:
    """The numbers of the headline explainer, and why others are missing."""
    short = {"feature": FEATURES, "neuron": NEURONS, "random": RANDOM, "control": "control"}
    numbers: dict[str, Number | str] = {f"{key}_{which}": level(found[role, which], unit=UNIT) for key, role in short.items()
                                        for which in ("mean", "median")}
    answers = of[~of["control"]]
    failed = answers[answers["error"] != ""]
    numbers |= {"features_minus_neurons": difference(found[FEATURES, "mean"], found[NEURONS, "mean"], unit=UNIT),
                "neurons_minus_random": difference(found[NEURONS, "median"], found[RANDOM, "median"], unit=UNIT),
                "features_minus_control": difference(found[FEATURES, "mean"], found["control", "mean"], unit=UNIT),
                "errors": Number(float(len(failed)), "units", len(answers), "units that were explained")}
    return scores.measured(numbers)
