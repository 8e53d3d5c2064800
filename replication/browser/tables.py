"""A table's shards: index, cards, windows to search, postings of tokens, explanations, predictions, fixed texts."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replication.browser import shards
from replication.browser.schema import NONE, Card, Example, Explanation, Firing, Histogram, Prediction, Table

BASE64 = 4 / 3  # bytes of base64 for each byte
POSTING, HEADING = 8 * BASE64, 8 * BASE64  # bytes of a posting, and of a token that has some
MOST = 10_000  # features that a token's postings hold, the strongest
FIRINGS = 9_000  # of a fixed text that fit into its shard, at 33 bytes each


@dataclass
class Entry:
    """What the run index says of a table, see `TableEntry` in types.d.ts."""

    name: str
    kind: str
    features: int
    cards: list[int] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    fires: list[int] = field(default_factory=list)
    promotes: list[int] = field(default_factory=list)
    explanations: int = 0
    predictions: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    strongest: int | None = None
    scored: bool = False
    universal: bool = False
    mapped: bool = False


def write(table: Table, vocabulary: int, folder: Path) -> Entry:
    """Write the shards of a table below `folder`, and return its entry. `vocabulary` is the number of tokens.

    Cards are taken one after another and never held all at once. Raises UserError when one is too large for a shard.
    """
    columns = table.columns
    most = strongest(table)
    entry = Entry(table.name, table.kind, len(columns.density), texts=list(table.texts), strongest=most, scored=bool(np.isfinite(columns.spearman).any()),
                  universal=bool(np.isfinite(columns.universality).any()), mapped=bool(np.isfinite(columns.x).any()))
    shards.write(folder, f"{table.name}/index", index(table, vocabulary), budget=np.inf)
    for text, firings in table.texts.items():
        shards.write(folder, f"{table.name}/texts/{text}", as_firings(firings, most))
    search = Search(vocabulary)
    cards, explanations, predictions = (shards.Series(folder, f"{table.name}/{name}", shards.together) for name in ("cards", "explanations", "predictions"))
    windows = shards.Series(folder, f"{table.name}/windows", as_windows)
    for card in table.cards:
        text = shards.encoded(as_card(card))
        cards.add(card.feature, text, len(text))
        window = search.windows(card)
        windows.add(card.feature, (card.feature, window), int(window.nbytes * BASE64))
        search.post(card)
        for said in card.explanations:
            if said.text:
                row = shards.encoded([card.feature, said.explainer, said.text])
                explanations.add(card.feature, row, len(row))
    for feature, tested in table.predictions:
        row = shards.encoded({"feature": feature, "windows": [as_prediction(one) for one in tested]})
        predictions.add(feature, row, len(row))
    entry.cards, entry.windows, entry.explanations, entry.predictions = cards.close(), windows.close(), len(explanations.close()), predictions.close()
    entry.fires = postings(folder, f"{table.name}/fires", search.fires)
    entry.promotes = postings(folder, f"{table.name}/promotes", search.promotes)
    return entry


def index(table: Table, vocabulary: int) -> dict[str, str]:
    """The columns of a table as packed arrays."""
    ids = shards.token_type(vocabulary)
    columns = vars(table.columns)
    tokens = {name: np.where(columns[name] == NONE, np.iinfo(ids).max, columns[name]).astype(ids) for name in ("fires", "up")}
    return {name: shards.packed(tokens.get(name, column)) for name, column in columns.items()}


def as_card(card: Card) -> dict[str, Any]:
    """A card as JSON."""
    return {
        "feature": card.feature, "activations": as_histogram(card.activations), "logits": as_histogram(card.logits),
        "up": _pairs(card.up), "down": _pairs(card.down), "examples": [as_example(example) for example in card.examples],
        "relations": [[one.kind, one.table, one.feature, *shards.rounded((one.value, one.second))] for one in card.relations],
        "explanations": [as_explanation(one) for one in card.explanations], "contexts": _pairs(card.contexts), "texts": _pairs(card.texts),
    }


def as_example(example: Example) -> list[Any]:
    """An example as JSON, places and values in turn."""
    return [example.group, example.context, example.pos, int(example.repeated), example.start, list(example.tokens),
            _flat(example.fired), _flat(example.effects)]


def as_histogram(histogram: Histogram | None) -> dict[str, Any] | None:
    """A histogram as JSON."""
    return None if histogram is None else {"counts": list(histogram.counts), "edges": shards.rounded(histogram.edges)}


def as_explanation(said: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    spearman, pearson, logits, control = shards.rounded((said.spearman, said.pearson, said.logits, said.control))
    return {"explainer": said.explainer, "text": said.text, "error": said.error, "spearman": spearman, "pearson": pearson, "logits": logits,
            "control": control, "intervals": shards.rounded(said.intervals)}


def as_prediction(window: Prediction) -> list[Any]:
    """A predicted window as JSON."""
    return [window.group, window.start, list(window.tokens), list(window.levels), {name: list(levels) for name, levels in window.predicted.items()}]


def as_windows(some: list[tuple[int, NDArray[Any]]]) -> str:
    """The windows of some features as JSON."""
    return shards.encoded({"first": some[0][0], "tokens": shards.packed(np.concatenate([tokens for _, tokens in some]))})


def strongest(table: Table) -> int | None:
    """How many features of each token of the fixed texts are kept: as many as fit into their shards, or None if all that fire are."""
    counts = [np.bincount([one.pos for one in firings]) for firings in table.texts.values() if firings]
    if all(count.sum() <= FIRINGS for count in counts):
        return table.strongest
    return next(most for most in range(FIRINGS, -1, -1) if all(np.minimum(count, most).sum() <= FIRINGS for count in counts))


def as_firings(firings: Sequence[Firing], most: int | None = None) -> list[float | None]:
    """Firings on a fixed text as JSON, four numbers each, by token; of a token the `most` strongest, strong ones first."""
    held: dict[int, int] = {}
    found: list[float | None] = []
    for one in sorted(firings, key=lambda one: (one.pos, -one.activation, one.feature)):
        held[one.pos] = held.get(one.pos, 0) + 1
        if most is None or held[one.pos] <= most:
            found += (one.pos, one.feature, *shards.rounded((one.activation, one.effect)))
    return found


def _flat(pairs: Sequence[tuple[int, float]]) -> list[float | None]:
    found: list[float | None] = []
    for (place, _), value in zip(pairs, shards.rounded(value for _, value in pairs), strict=True):
        found += (place, value)
    return found


def _pairs(pairs: Sequence[tuple[Any, float]]) -> list[list[Any]]:
    return [[key, value] for (key, _), value in zip(pairs, shards.rounded(value for _, value in pairs), strict=True)]


class Posted:
    """Entries (token, feature, strength) that grow, in twelve bytes each."""

    def __init__(self) -> None:
        self.tokens, self.features, self.strengths = array("I"), array("I"), array("f")

    def add(self, token: int, feature: int, strength: float) -> None:
        """One entry."""
        self.tokens.append(token)
        self.features.append(feature)
        self.strengths.append(strength)

    def sorted(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]:
        """Entries by token, strong ones first."""
        tokens, features = np.array(self.tokens, dtype=np.uint32), np.array(self.features, dtype=np.uint32)
        strengths = np.array(self.strengths, dtype=np.float32)
        order = np.lexsort((features, -np.abs(strengths), tokens))
        return tokens[order], features[order], strengths[order]


class Search:
    """What search needs of a card: its windows as tokens, and an entry for each token that it fires on, raises or lowers."""

    def __init__(self, vocabulary: int) -> None:
        self.ids = shards.token_type(vocabulary)
        self.end_of_window, self.end_of_feature = vocabulary, vocabulary + 1
        self.fires, self.promotes = Posted(), Posted()

    def windows(self, card: Card) -> NDArray[Any]:
        """The distinct windows of a card as token ids, one after another."""
        stream: list[int] = []
        for tokens in dict.fromkeys(tuple(example.tokens) for example in card.examples):
            stream += tokens
            stream.append(self.end_of_window)
        stream.append(self.end_of_feature)
        return np.array(stream, dtype=self.ids)

    def post(self, card: Card) -> None:
        """Note the tokens of a card."""
        strength: dict[int, float] = {}
        for example in card.examples:
            tokens, start = example.tokens, example.start
            for place, activation in example.fired:
                at = place - start
                if 0 <= at < len(tokens) and activation > strength.get(tokens[at], 0.0):
                    strength[tokens[at]] = activation
        largest = max(strength.values(), default=0.0)
        for token, activation in strength.items():
            self.fires.add(token, card.feature, activation / largest)
        for token, weight in (*card.up, *card.down):
            self.promotes.add(token, card.feature, weight)


def postings(folder: Path, path: str, posted: Posted) -> list[int]:
    """Write entries by token as shards of whole tokens, and return the first token of each; of a token at most `MOST` features."""
    tokens, features, strengths = posted.sorted()
    present, starts, counts = np.unique(tokens, return_index=True, return_counts=True)
    counts = np.minimum(counts, MOST)

    def encode(some: list[int]) -> str:
        kept = np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in some])
        offsets = np.concatenate(([0], np.cumsum(counts[some]))).astype(np.uint32)
        return shards.encoded({"tokens": shards.packed(present[some]), "offsets": shards.packed(offsets),
                               "features": shards.packed(features[kept]), "strengths": shards.packed(strengths[kept])})

    series = shards.Series(folder, path, encode)
    for i, token in enumerate(present.tolist()):
        series.add(token, i, int(counts[i] * POSTING + HEADING))
    return series.close()
