"""One table of a run, such as A/1 or A/neurons, as the browser shows it: its index, and its cards one after another."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.browser import examples, relations
from replication.browser.examples import Examples
from replication.browser.relations import Relations
from replication.browser.schema import LABEL, NONE, PARTS, Card, Columns, Explanation, Firing, Histogram, Prediction, Table
from replication.browser.source import Source, scores
from replication.config import Settings
from replication.features import NEURONS, STRONGEST
from replication.studies.scores import explainers, headline

BACK = 10  # fixed texts that a card names


@dataclass(frozen=True)
class Offered:
    """What a table has beyond what every table has: kinds of explainers (`offline`, `llm`) that explained its units, a place on the map."""

    kinds: Sequence[str] = ()
    mapped: bool = False


@dataclass(frozen=True)
class Parts:
    """What cards are made of. `features` is the table of features; the mappings are by feature."""

    features: pd.DataFrame
    examples: Examples
    relations: Relations
    explanations: Mapping[int, list[Explanation]]
    contexts: Mapping[int, list[tuple[str, float]]]
    texts: Mapping[int, list[tuple[str, float]]]
    ids: Mapping[str, int]

    def cards(self) -> Iterator[Card]:
        """Every feature's card, in order."""
        names = ("activation_counts", "activation_edges", "logit_counts", "logit_edges", "top_tokens", "top_weights", "bottom_tokens", "bottom_weights")
        for feature, (counts, edges, logit_counts, logit_edges, up, raised, down, lowered) in enumerate(
                zip(*(self.features[name] for name in names), strict=True)):
            yield Card(
                feature, activations=_histogram(counts, edges), logits=_histogram(logit_counts, logit_edges), up=self._weighted(up, raised),
                down=self._weighted(down, lowered), examples=self.examples.of(feature), relations=self.relations.of(feature),
                explanations=self.explanations.get(feature, ()), contexts=self.contexts.get(feature, ()), texts=self.texts.get(feature, ()))

    def _weighted(self, tokens: Sequence[str], weights: NDArray[np.float32]) -> list[tuple[int, float]]:
        return [(self.ids[token], weight) for token, weight in zip(tokens, weights.tolist(), strict=True)]


def read(source: Source, settings: Settings, name: str, shown: Sequence[str], offered: Offered) -> Table:
    """A table of a run. `shown` are all tables that have cards: relations lead to these. Raises ArtifactError when a file is missing or changed."""
    assert settings.features and settings.contexts
    features = source.table(name)
    fired = features["fired"].to_numpy(np.int64)
    gathered = examples.gather(source.examples(name, *examples.COLUMNS), source.effects(name), source.matrix(name), fired, source.tokens(),
                               side=settings.features.window)
    matches, edges = source.matches(), source.relations()
    of_neurons = all(sae.site == "mlp_act" for sae in (settings.dictionaries or {}).values())
    near = relations.gather(name, shown, features=features, matches=matches, edges=edges, neurons=of_neurons)
    units = scores(source, name, offered.kinds, explainers(settings)) if offered.kinds else pd.DataFrame()
    texts = source.texts(name)
    kind: Literal["features", "neurons"] = "neurons" if name.endswith(f"/{NEURONS}") else "features"
    labels = {context: about.label for context, about in settings.contexts.items()}
    ids: dict[str, int] = {}
    for token, text in enumerate(source.strings):
        ids.setdefault(text, token)
    parts = Parts(features, gathered, near, explained(units), followed(name, source.context_features(), labels), back(texts), ids)
    chosen = units[units["explainer"] == headline(settings)] if len(units) else units
    return Table(
        name, kind,
        columns(features, gathered.strongest(len(features), LABEL, NONE), ids, universal=relations.universality(name, matches, len(features)), headline=chosen,
                places=source.map(name) if offered.mapped else None),
        parts.cards(), predicted(source, name, offered.kinds), firings(texts, source.text_tokens()["text"].unique()),
        strongest=STRONGEST if kind == "neurons" else None)


def columns(features: pd.DataFrame, fires: NDArray[np.int32], ids: Mapping[str, int], *, universal: NDArray[np.float32], headline: pd.DataFrame,
            places: pd.DataFrame | None) -> Columns:
    """The index. `fires` are tokens on which each feature fires [feature, LABEL], `headline` the scores of the explainer that stands for all,
    `places` those on the map.
    """
    count = len(features)

    def of(table: pd.DataFrame | None, column: str) -> NDArray[np.float32]:
        found = np.full(count, np.nan, dtype=np.float32)
        if table is not None and len(table):
            found[table["feature"].to_numpy(np.int64)] = table[column]
        return found

    up = np.full((count, LABEL), NONE, dtype=np.int32)
    for feature, tokens in enumerate(features["top_tokens"]):
        some = [ids[token] for token in tokens[:LABEL]]
        up[feature, : len(some)] = some
    return Columns(
        density=features["density"].to_numpy(np.float32), max=features["max"].fillna(0).to_numpy(np.float32),
        bias=of(features if "bias" in features else None, "bias"),
        spearman=of(headline, "spearman"), logit_score=of(headline, "logits"), universality=universal, x=of(places, "x"), y=of(places, "y"),
        cluster=np.nan_to_num(of(places, "cluster"), nan=NONE).astype(np.int16), part=features["part"].map(PARTS.index).to_numpy(np.uint8),
        single_token=features["single_token"].to_numpy(np.uint8), fires=fires, up=up)


def explained(units: pd.DataFrame) -> dict[int, list[Explanation]]:
    """What explainers said of each unit; scores that could not be measured are None."""
    found: dict[int, list[Explanation]] = defaultdict(list)
    for row in units.itertuples(index=False):
        found[row.feature].append(Explanation(
            row.explainer, row.explanation, _known(row.spearman), _known(row.pearson), _known(row.logits), _known(row.control_spearman),
            [_known(score) for score in row.intervals], row.error))
    return found


def predicted(source: Source, name: str, kinds: Sequence[str]) -> Iterator[tuple[int, list[Prediction]]]:
    """The windows on which explanations were scored, unit by unit, with what each explanation predicts of them."""
    if not kinds:
        return
    windows = source.windows(name, "feature", "role", "group", "centre", "tokens", "activations")
    windows = windows[windows["role"] == "predict"]
    levels: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(dict)
    for row in pd.concat([source.predictions(name, kind) for kind in kinds], ignore_index=True).itertuples(index=False):
        levels[row.feature, row.window][row.explainer] = row.predicted.tolist()
    for feature, own in windows.groupby("feature"):
        yield int(feature), [Prediction(row.group, -row.centre, row.tokens.tolist(), row.activations.tolist(), levels.get((feature, number), {}))
                             for number, row in enumerate(own.itertuples(index=False))]


def followed(name: str, found: pd.DataFrame, labels: Mapping[str, str]) -> dict[int, list[tuple[str, float]]]:
    """The contexts that a feature follows better than all others of its table, with the correlation on the half that did not choose it."""
    best = found[(found["dictionary"] == name) & (found["rank"] == 0) & (found["feature"] >= 0) & found["correlation"].notna()]
    contexts: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for row in best.itertuples(index=False):
        contexts[row.feature].append((labels[row.context], row.correlation))
    return contexts


def back(texts: pd.DataFrame) -> dict[int, list[tuple[str, float]]]:
    """The fixed texts on which each feature is strongest, with its largest activation there."""
    largest = texts.groupby(["feature", "text"], sort=False)["activation"].max().reset_index()
    largest = largest.sort_values(["feature", "activation", "text"], ascending=[True, False, True])
    found: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for feature, text, activation in largest.groupby("feature").head(BACK).itertuples(index=False):
        found[feature].append((text, activation))
    return found


def firings(texts: pd.DataFrame, order: Sequence[str]) -> dict[str, list[Firing]]:
    """A table's firings on the fixed texts, text by text in their order."""
    found = {}
    for text in order:
        own = texts[texts["text"] == text]
        if len(own):
            found[text] = [Firing(pos, feature, activation, _known(effect)) for pos, feature, activation, effect in
                           zip(*(own[name].tolist() for name in ("pos", "feature", "activation", "effect")), strict=True)]
    return found


def _histogram(counts: NDArray[np.int64] | None, edges: NDArray[np.float64] | None) -> Histogram | None:
    """A histogram, or None of a feature that never fires."""
    return None if counts is None or edges is None or not counts.sum() else Histogram(counts.tolist(), edges.tolist())


def _known(value: float) -> float | None:
    return None if value != value else value
