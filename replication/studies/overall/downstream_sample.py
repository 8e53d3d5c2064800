"""Do three views of what a feature does to the output agree? For a random sample of live features of the main dictionary.

A feature's logit weights are compared, over tokens, with the mean harm of its ablation to the tokens that follow it, and with how much
more frequent tokens become in samples when it is pinned at its maximum (Spearman). Chance is what the logit weights of the other
features of the sample give. Ablation is measured on the half of the evaluation tokens that is for reporting. Source: paper, "Global
analysis", which says that they agree; the measure is ours.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.logit_weights import written
from replication.features.matrix import HALVES, REPORTING
from replication.features.sampling import FREE
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies.ablated import Fired, ablated
from replication.studies.detailed.activations import Activations
from replication.studies.intervals import arm_of, estimate
from replication.studies.pinning import continuations
from replication.studies.readout import logit_weights
from replication.studies.tables import Number, Reader, number, write

FEATURES, SAMPLES = 40, 8
MOST = 400  # tokens of a feature that it is ablated on
FEWEST = 10  # different tokens behind a rank correlation
EXAMPLES, LISTED = 6, 6
BINS = 40
ABLATION, PINNED, LOGITS = "ablation", "pinned", "logits"
Floats = NDArray[np.float64]
View = tuple[NDArray[np.int64], Floats]  # tokens of the vocabulary, and what a view says of each


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows `pair` (the agreement of each feature's view with each feature's logit weights), `example`, `largest` and `smallest`."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    table = reader.features(main, "feature", "part", "max", "top_weights", "bottom_weights").set_index("feature", drop=False)
    rng = generator(settings.seed, "studies.downstream_sample")
    live = table.loc[table["part"] == "other", "feature"].to_numpy()
    chosen = np.sort(rng.choice(live, min(FEATURES, len(live)), replace=False))
    kept, weights = logit_weights(reader, settings, main, chosen)
    progress(1, 3, f"{len(chosen)} features")
    views = {ABLATION: harmed(reader, settings, chosen, rng)}
    progress(2, 3)
    views[PINNED] = raised(reader, settings, chosen, table["max"].to_numpy(np.float32)[chosen], rng)
    views = {name: [among(view, kept) for view in found] for name, found in views.items()}
    pairs = pd.concat([agreement(found, weights).assign(measure=name) for name, found in views.items()], ignore_index=True)
    strings = reader.vocabulary().strings
    shown = examples(pairs, views | {LOGITS: [(np.arange(len(kept)), row.astype(float)) for row in weights]}, [strings[token] for token in kept])
    alive = table["part"] != "dead"
    extremes = {name: np.array([row[0] for row in table.loc[alive, column]]) for name, column in (("largest", "top_weights"), ("smallest", "bottom_weights"))}
    numbers = headline(pairs, extremes, settings)
    for rows, key in ((pairs, "feature"), (pairs, "other"), (shown, "feature")):
        rows[key] = chosen[rows[key].to_numpy(int)]
    histograms = [histogram(values).assign(kind=name) for name, values in extremes.items()]
    data = pd.concat([pairs.assign(kind="pair"), shown.assign(kind="example", dictionary=main), *histograms], ignore_index=True)
    missing = {"agreement_above_chance": f"no two features of the sample had {FEWEST} tokens in a view"}
    write(out=out, study="downstream_sample", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)
    progress(3, 3)


def harmed(reader: Reader, settings: Settings, chosen: NDArray[np.int64], rng: np.random.Generator) -> list[View]:
    """For each feature the tokens that follow it, and how much log-likelihood ablating it takes from each on average."""
    assert settings.studies
    main, tokens = settings.studies.main, reader.tokens()
    reported, n_ctx = tokens[REPORTING::len(HALVES)], tokens.shape[1]
    activations = Activations.of(reader.matrix(main), chosen)
    fired: list[Fired] = []
    for feature in chosen:
        activation = activations[int(feature)].reshape(tokens.shape)[REPORTING::len(HALVES)].ravel()
        at = np.flatnonzero((activation > 0) & (np.arange(len(activation)) % n_ctx < n_ctx - 1))
        at = np.sort(rng.choice(at, min(len(at), MOST), replace=False))
        fired.append((at, activation[at]))
    model = reader.model(model_of(main))
    directions = written(model, settings.site(main), torch.from_numpy(reader.weights(main)["W_dec"][chosen]))
    pairs = ablated(model, directions, reported, fired)
    pairs["next"] = reported.ravel()[pairs["token"].to_numpy() + 1]
    mean = -pairs.groupby(["feature", "next"])["effect"].mean()
    return [_view(mean.loc[[place]].droplevel(0) if place in mean.index.levels[0] else mean.iloc[:0].droplevel(0)) for place in range(len(chosen))]


def raised(reader: Reader, settings: Settings, chosen: NDArray[np.int64], maxima: NDArray[np.float32], rng: np.random.Generator) -> list[View]:
    """For each feature the tokens of its pinned samples and of free ones, and how much more frequent each is in the pinned ones."""
    feature = np.concatenate(([FREE], chosen))[:, None].repeat(SAMPLES, axis=1)
    value = np.concatenate(([0], maxima))[:, None].repeat(SAMPLES, axis=1)
    sampled = continuations(reader, settings, feature, value, rng)
    counts = [pd.Series(some.ravel()).value_counts(normalize=True) for some in sampled]
    return [_view(some.sub(counts[0], fill_value=0).sort_index()) for some in counts[1:]]


def _view(values: pd.Series) -> View:
    return values.index.to_numpy(np.int64), values.to_numpy(float)


def among(view: View, kept: NDArray[np.int64]) -> View:
    """A view of the kept tokens only, which are named by their place in `kept`."""
    tokens, values = view
    inside = np.isin(tokens, kept)
    return np.searchsorted(kept, tokens[inside]), values[inside]


def agreement(views: list[View], weights: NDArray[np.float32]) -> pd.DataFrame:
    """Rank correlation of each feature's view with each feature's logit weights [feature, kept]: feature, other, correlation, tokens."""
    rows = []
    for feature, (tokens, values) in enumerate(views):
        if len(tokens) < FEWEST or np.ptp(values) == 0:
            continue
        found = spearman(weights[:, tokens].astype(float), values)
        rows.append(pd.DataFrame({"feature": feature, "other": np.arange(len(weights)), "correlation": found, "tokens": len(tokens)}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["feature", "other", "correlation", "tokens"], dtype=float)


def spearman(rows: Floats, values: Floats) -> Floats:
    """Spearman correlation of each row with the values; 0 for a row that does not vary."""
    x, y = rankdata(rows, axis=1), rankdata(values)
    x, y = x - x.mean(1, keepdims=True), y - y.mean()
    scale = np.linalg.norm(x, axis=1) * np.linalg.norm(y)
    found: Floats = np.divide(x @ y, scale, out=np.zeros(len(rows)), where=scale > 0)
    return found


def headline(pairs: pd.DataFrame, extremes: Mapping[str, Floats], settings: Settings) -> dict[str, Number]:
    """Agreement of each view and of both above chance, with a bootstrap over features; medians of the extreme logit weights."""
    numbers = {f"{name}_logit_weight_median": number(estimate(arm_of(median, [values.astype(float)], settings, f"downstream_sample.{name}")),
                                                     unit="logits", n=len(values), over="features that fired") for name, values in extremes.items()}
    own = pairs["feature"] == pairs["other"]
    matched, chance = (pairs[side].groupby(["measure", "feature"])["correlation"].mean() for side in (own, ~own))
    gain = (matched - chance).dropna()
    if gain.empty:
        return numbers
    samples = {"agreement_above_chance": gain.groupby("feature").mean()} | {
        f"{name}_agreement": matched[name] for name in matched.index.unique("measure")} | {
        f"{name}_above_chance": gain[name] for name in gain.index.unique("measure")}
    return numbers | {key: number(estimate(arm_of(mean, [sample.to_numpy(float)], settings, f"downstream_sample.{key}")), unit="rank correlation",
                                  n=len(sample), over="features") for key, sample in samples.items()}


def examples(pairs: pd.DataFrame, views: Mapping[str, list[View]], strings: list[str]) -> pd.DataFrame:
    """Strongest tokens by each view for a few features, evenly spaced from the most to the least agreement."""
    own = pairs[pairs["feature"] == pairs["other"]].groupby("feature")["correlation"].mean().sort_values(ascending=False)
    places = sorted({round(place) for place in np.linspace(0, len(own) - 1, EXAMPLES)}) if len(own) else []
    rows = []
    for place in places:
        feature = int(own.index[place])
        for view, found in views.items():
            tokens, values = found[feature]
            for rank, at in enumerate(np.argsort(-values, kind="stable")[:LISTED]):
                rows.append({"feature": feature, "view": view, "rank": rank, "token": strings[tokens[at]], "value": values[at],
                             "agreement": own.iloc[place]})
    return pd.DataFrame(rows, columns=["feature", "view", "rank", "token", "value", "agreement"])


def histogram(values: Floats) -> pd.DataFrame:
    """Rows of a histogram: low, high, count."""
    counts, edges = np.histogram(values, BINS)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})


def mean(sample: Floats) -> float:
    """The mean."""
    return float(sample.mean())


def median(sample: Floats) -> float:
    """The median."""
    return float(np.median(sample))
