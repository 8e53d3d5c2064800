"""A context's feature and its best match in the other model: whether they fire alike, and whether they say alike.

The match is chosen by the correlation of activations on one half of the evaluation tokens; everything here is measured on the
other. Source: paper, "Detailed investigations", universality.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.matches import NONE
from replication.features.matrix import REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.cases import Case, cases, columns, write
from replication.studies.detailed.per_context import estimates, moments, pearson, ratio, summed
from replication.studies.intervals import Arm, arm_of, by_text, estimate, random, resampled_sums
from replication.studies.readout import logit_weights
from replication.studies.tables import Number, Reader, number

KEYS = ["activation_correlation", "logit_correlation", "activation_minus_logits", "twin_more_specific", "neuron_correlation"]
LOWEST = 1 / 9  # of the maximum: the paper's "between 0 and 1" for a feature whose maximum in its published file is 9.0
POINTS = {"activation": 500, "logits": 500}
FEWEST = 20  # tokens in the lowest part of the range
Floats = NDArray[np.float64]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Per context a sample of tokens on which either fires (rows `activation`) and of the vocabulary (rows `logits`)."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    main, twin = settings.studies.main, settings.studies.twin
    matches = reader.matches()
    matched = {case.context: match for case in found if (match := best(matches, main, twin, case.feature)) is not None}
    pairs = [case for case in found if case.context in matched]
    features = [case.feature for case in pairs], list(matched.values())
    (kept, ours), (_, theirs) = (logit_weights(reader, settings, name, some) for name, some in zip((main, twin), features, strict=True))
    here_on, there_on = (columns(reader, name, some) for name, some in zip((main, twin), features, strict=True))
    here_neurons, there_neurons = (f"{model_of(name)}/{NEURONS}" for name in (main, twin))
    sources = reader.sources()[REPORTING::2]
    rows, numbers, missing = {}, {}, {}
    for place, case in progress.over(list(enumerate(pairs)), len(pairs)):
        match = matched[case.context]
        here = case.half == REPORTING
        x, y = here_on[here, place], there_on[here, place]
        weights = np.stack([ours[place], theirs[place]], axis=1).astype(np.float64)
        numbers[case.context] = headline(case, x, y, weights, sources, settings) | neuron(matches, here_neurons, there_neurons, case.neuron)
        rng = random(settings, f"universality.points.{case.context}")
        rows[case.context] = pd.concat([
            points("activation", x, y, case.on[here], np.flatnonzero((x > 0) | (y > 0)), rng),
            points("logits", weights[:, 0], weights[:, 1], case.vocabulary[kept], np.arange(len(kept)), rng)], ignore_index=True).assign(
                feature=f"{main}/{case.feature}", match=f"{twin}/{match}")
        missing[case.context] = {"twin_more_specific": f"one of the two has fewer than {FEWEST} tokens in the lowest ninth of its range",
                                 "neuron_correlation": "the neuron has no match"}
    unmatched = {case.context: f"feature {main}/{case.feature} has no match in {twin}" for case in found if case.context not in matched}
    write(out=out, study="universality", rows=rows, numbers=numbers, keys=KEYS, absent=absent | unmatched, missing=missing,
          settings=settings, reader=reader, stopwatch=stopwatch)


def best(matches: pd.DataFrame, dictionary: str, other: str, feature: int) -> int | None:
    """The match of a feature in another table, if it has one that fires on both halves."""
    row = matches[(matches["dictionary"] == dictionary) & (matches["other"] == other) & (matches["feature"] == feature)]
    row = row[row["correlation"].notna() & (row["match"] != NONE)]
    return int(row["match"].iloc[0]) if len(row) else None


def neuron(matches: pd.DataFrame, here: str, there: str, feature: int) -> dict[str, Number]:
    """The same correlation for the neuron that follows the context best."""
    row = matches[(matches["dictionary"] == here) & (matches["other"] == there) & (matches["feature"] == feature)]["correlation"].dropna()
    return {"neuron_correlation": Number(float(row.iloc[0]), "correlation", 1, "neurons")} if len(row) else {}


def headline(
    case: Case, x: NDArray[np.float32], y: NDArray[np.float32], weights: Floats, sources: NDArray[np.int64], settings: Settings,
) -> dict[str, Number]:
    """Correlations of activations (bootstrap over texts) and of logit weights (over tokens), their difference, and which is the more specific."""
    assert settings.studies
    what, here = f"universality.{case.context}", case.half == REPORTING
    n_ctx = len(x) // len(sources)
    columns = by_text(moments(n_ctx, x, y), sources)
    (activation,) = estimates(lambda sums: pearson(sums)[..., None], columns, settings, what)
    logits = arm_of(correlation, [weights], settings, f"{what}.logits")
    draws = pearson(resampled_sums(columns, settings.studies.bootstrap, random(settings, what))) - logits.draws[0]
    gap = Arm(np.array([activation.value - logits.values[0]]), draws[None, np.isfinite(draws)])
    either = int(((x > 0) | (y > 0)).sum())
    numbers = {
        "activation_correlation": number(activation, unit="correlation", n=either, over="tokens on which either fires"),
        "logit_correlation": number(estimate(logits), unit="correlation", n=len(weights), over="tokens of the vocabulary"),
        "activation_minus_logits": number(estimate(gap), unit="correlation", n=either, over="tokens on which either fires")}
    low = [(values > 0) & (values <= LOWEST * values.max()) for values in (x, y)]
    counted = by_text(summed(n_ctx, *(part for some in low for part in (some & case.on[here], some))), sources)
    if min(map(np.sum, low)) >= FEWEST:
        (specific,) = estimates(lambda sums: (ratio(sums[..., 2], sums[..., 3]) - ratio(sums[..., 0], sums[..., 1]))[..., None],
                                counted, settings, f"{what}.specific")
        numbers["twin_more_specific"] = number(specific, unit="share of tokens", n=int(min(map(np.sum, low))), over="tokens of the smaller group")
    return numbers


def correlation(sample: Floats) -> float:
    """Pearson correlation of two columns."""
    x, y = (sample - sample.mean(0)).T
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def points(kind: str, x: NDArray[np.floating], y: NDArray[np.floating], on: NDArray[np.bool_], among: NDArray[np.int64],
           rng: np.random.Generator) -> pd.DataFrame:
    """A sample of points for a scatter; of tokens of the context and of others as many as there are, up to half of the room each."""
    room = POINTS[kind]
    parts = []
    for side in (among[on[among]], among[~on[among]]):
        parts.append(np.sort(rng.choice(side, min(len(side), max(room // 2, room - (len(among) - len(side)))), replace=False)))
    chosen = np.concatenate(parts)
    rounded = {name: [float(f"{value:.5g}") for value in values[chosen]] for name, values in (("x", x), ("y", y))}
    return pd.DataFrame({"kind": kind, **rounded, "on": on[chosen], "drawn_from": len(among)})
