"""A context's feature is no neuron in disguise (paper, "the feature is not a neuron").

The largest coefficients of its direction; the neuron that is most correlated with it, chosen on half 0 of the evaluation
tokens and measured on half 1, with its activations and logit weights by proxy; and how many neurons have the context among
their top 20 examples, where a window that holds a token of the context counts.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.matrix import REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.cases import cases, columns, write
from replication.studies.detailed.per_context import Floats, estimates, moments, pearson
from replication.studies.detailed.windows import near
from replication.studies.intervals import by_text, random
from replication.studies.readout import logit_weights
from replication.studies.tables import Number, Reader, number

LARGE = 0.1  # a coefficient that the paper counts
COEFFICIENTS, LARGEST = 30, 3
HALF = 0.5  # the best neuron's correlation must lie below it
BINS = 24
POINTS = 300  # of each kind at most
OF_DIRECTION = frozenset({"dna"})  # here the paper looks at the examples of the neuron with the largest coefficient
PARTNER = {"arabic": "hebrew"}
KEYS = ("margin_below_half", "best_neuron_correlation", "coefficients_above_0_1", "largest_three_negative", "neuron_top_examples",
        "neurons_with_context", "hebrew_same_neuron")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of five kinds (`kind`), coefficient, spectrum, logit, point and neuron, and the numbers of every context."""
    assert settings.studies and settings.features
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    neurons = f"{model_of(main)}/{NEURONS}"
    found, absent = cases(reader, settings)
    n_ctx, basis = reader.tokens().shape[1], settings.site(settings.studies.main) == "mlp_act"
    matches = reader.matches()
    matches = matches[(matches["dictionary"] == main) & (matches["other"] == neurons)].set_index("feature")["match"]
    best = {case.context: int(matches.loc[case.feature]) for case in found}
    features, others = columns(reader, main, [case.feature for case in found]), columns(reader, neurons, list(best.values()))
    W_dec, sources = reader.weights(main)["W_dec"], reader.sources()[REPORTING::2]
    kept, weights = logit_weights(reader, settings, neurons, list(best.values()))
    examples = reader.examples(neurons, "feature", "group", "context", "pos").query("group == 'top'")
    rows: dict[str, pd.DataFrame] = {}
    numbers: dict[str, dict[str, Number]] = {}
    missing: dict[str, dict[str, str]] = {}
    for place, case in progress.over(list(enumerate(found)), len(found)):
        name, report, neuron, direction = case.context, case.half == REPORTING, best[case.context], W_dec[case.feature]
        x, y, on = features[report, place], others[report, place], case.on[report]
        held = with_context(examples, near(case.on, n_ctx, settings.features.window), n_ctx)
        numbers[name] = {**correlated(x, y, sources, settings), **exemplified(held, examples, neuron)}
        if basis:
            numbers[name] |= coefficients(direction)
        if name in OF_DIRECTION:
            numbers[name] = {key: value for key, value in numbers[name].items() if key != "neuron_top_examples"}
            numbers[name] |= exemplified(held, examples, int(np.abs(direction).argmax())) if basis else {}
        if PARTNER.get(name) in best:
            numbers[name]["hebrew_same_neuron"] = Number(float(best[PARTNER[name]] == neuron), "yes = 1", 1, "pair of contexts")
        missing[name] = unmeasured(name, absent, settings.site(settings.studies.main))
        rows[name] = pd.concat([
            largest(direction) if basis else pd.DataFrame(), spectrum(y, on), logit_histogram(weights[place], case.vocabulary[kept]),
            points(x, y, on, random(settings, "not_a_neuron.points", place))], ignore_index=True).assign(
                feature=f"{main}/{case.feature}", neuron=f"{neurons}/{neuron}")
    write(out=out, study="not_a_neuron", rows=rows, numbers=numbers, keys=KEYS, absent=absent, missing=missing, settings=settings,
          reader=reader, stopwatch=stopwatch)


def correlated(x: NDArray[np.float32], y: NDArray[np.float32], sources: NDArray[np.int64], settings: Settings) -> dict[str, Number]:
    """Correlation of a feature's and a neuron's activations [token], and how far it is below one half."""
    def statistics(sums: Floats) -> Floats:
        return np.stack([pearson(sums), HALF - pearson(sums)], axis=-1)

    found, margin = estimates(statistics, by_text(moments(len(x) // len(sources), x, y), sources), settings, "not_a_neuron")
    return {key: number(estimate, unit="correlation", n=len(x), over="tokens")
            for key, estimate in (("best_neuron_correlation", found), ("margin_below_half", margin))}


def coefficients(direction: NDArray[np.float32]) -> dict[str, Number]:
    """How many coefficients of a unit direction [d_mlp] are large, and how many of the three largest in size are negative."""
    size, first = np.abs(direction), np.argsort(-np.abs(direction), kind="stable")[:LARGEST]
    return {"coefficients_above_0_1": Number(int((size >= LARGE).sum()), "neurons", len(direction), "neurons"),
            "largest_three_negative": Number(int((direction[first] < 0).sum()), "neurons", LARGEST, "neurons")}


def largest(direction: NDArray[np.float32]) -> pd.DataFrame:
    """The largest coefficients in size with their signs, and the neurons they stand for."""
    first = np.argsort(-np.abs(direction), kind="stable")[:COEFFICIENTS]
    return pd.DataFrame({"kind": "coefficient", "rank": np.arange(len(first)), "unit": first, "coefficient": direction[first]})


def with_context(examples: pd.DataFrame, held: NDArray[np.bool_], n_ctx: int) -> pd.Series:
    """How many top examples of each neuron hold the context, by neuron; `held` [token] says of each token's window whether it does."""
    place = examples["context"].to_numpy(np.int64) * n_ctx + examples["pos"].to_numpy()
    return examples.assign(held=held[place]).groupby("feature")["held"].sum()


def exemplified(held: pd.Series, examples: pd.DataFrame, neuron: int) -> dict[str, Number]:
    """Examples with the context among a neuron's top ones, and neurons that have any."""
    shown = int((examples["feature"] == neuron).sum())
    return {"neuron_top_examples": Number(int(held.get(neuron, 0)), "examples", shown, "top examples"),
            "neurons_with_context": Number(int((held > 0).sum()), "neurons", len(held), "neurons")}


def unmeasured(context: str, absent: Mapping[str, str], site: str) -> dict[str, str]:
    """Why a number is lacking."""
    silent, elsewhere = "the feature or its neuron is silent on the reporting half", f"the dictionary's site is {site}, not neurons"
    partner = PARTNER.get(context, "")
    return {**dict.fromkeys(("best_neuron_correlation", "margin_below_half"), silent),
            **dict.fromkeys(("coefficients_above_0_1", "largest_three_negative", "neuron_top_examples"), elsewhere),
            **({"hebrew_same_neuron": absent.get(partner, f"the run does not examine {partner}")} if partner else {})}


def spectrum(activation: NDArray[np.float32], on: NDArray[np.bool_]) -> pd.DataFrame:
    """Histogram of a neuron's positive activations by proxy."""
    return _histogram("spectrum", activation[activation > 0], on[activation > 0], 0.0)


def logit_histogram(weights: NDArray[np.float32], own: NDArray[np.bool_]) -> pd.DataFrame:
    """Histogram of logit weights by whether a token is the context's own."""
    return _histogram("logit", weights, own, float(weights.min(initial=0.0)))


def _histogram(kind: str, values: NDArray[np.float32], on: NDArray[np.bool_], low: float) -> pd.DataFrame:
    edges = np.linspace(low, max(float(values.max(initial=low)), low + 1e-6), BINS + 1)
    return pd.DataFrame({"kind": kind, "low": edges[:-1], "high": edges[1:], "context_count": np.histogram(values[on], edges)[0],
                         "rest_count": np.histogram(values[~on], edges)[0]})


def points(x: NDArray[np.float32], y: NDArray[np.float32], on: NDArray[np.bool_], rng: np.random.Generator) -> pd.DataFrame:
    """A random sample of tokens of three kinds, so many of each: proxy on, only the feature on, neither."""
    kinds = {"proxy on": on, "only the feature on": ~on & (x > 0), "neither on": ~on & (x <= 0)}
    parts = []
    for name, chosen in kinds.items():
        places = np.flatnonzero(chosen)
        some = np.sort(rng.choice(places, min(POINTS, len(places)), replace=False))
        parts.append(pd.DataFrame({"kind": "point", "group": name, "x": x[some].round(4), "y": y[some].round(4), "of": len(places)}))
    return pd.concat(parts, ignore_index=True)
