"""The examples of a table as arrays: their windows, every firing up to WIDE tokens away, the effects of ablation.

Arrays, because a table of 131,072 features has twelve million examples: they take about a hundred bytes each, and become
cards one after another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.browser.schema import WIDE, Example
from replication.features.columns import column_blocks
from replication.features.examples import INTERVALS
from replication.features.matrix import EvaluationMatrix

ENTRIES = 2**23  # of the matrix that are held at a time
COLUMNS = ("feature", "group", "interval", "context", "pos", "repeated", "centre")


@dataclass(frozen=True)
class Spans:
    """Several (place, value) for each row: those of row `i` are `offsets[i]` to `offsets[i + 1]` of `places` and `values`."""

    offsets: NDArray[np.int64]
    places: NDArray[np.int8]
    values: NDArray[np.float32]

    def pairs(self, first: int, last: int) -> list[list[tuple[int, float]]]:
        """The pairs of the rows from `first` up to `last`, a list for each."""
        offsets = self.offsets[first : last + 1].tolist()
        low, high = offsets[0], offsets[-1]
        both = list(zip(self.places[low:high].tolist(), self.values[low:high].tolist(), strict=True))
        return [both[a - low : b - low] for a, b in pairwise(offsets)]


@dataclass(frozen=True)
class Examples:
    """Examples of all features, those of feature `f` are the rows `rows[f]` to `rows[f + 1]`; `group` as in `schema.Example`.

    The window of a row are the `length` tokens from place `start` on, counted from the example's own token.
    """

    rows: NDArray[np.int64]
    feature: NDArray[np.int64]
    group: NDArray[np.int8]
    context: NDArray[np.int64]
    pos: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    fired: Spans
    effects: Spans
    tokens: NDArray[np.int32]

    def of(self, feature: int) -> list[Example]:
        """The examples of one feature, group by group."""
        a, b = int(self.rows[feature]), int(self.rows[feature + 1])
        own = slice(a, b)
        found = []
        for group, context, pos, repeated, start, length, fired, effects in zip(
                self.group[own].tolist(), self.context[own].tolist(), self.pos[own].tolist(), self.repeated[own].tolist(),
                self.start[own].tolist(), self.length[own].tolist(), self.fired.pairs(a, b), self.effects.pairs(a, b), strict=True):
            window = self.tokens[context, pos + start : pos + start + length].tolist()
            found.append(Example(group, context, pos, repeated, start, window, fired, effects))
        return found

    def strongest(self, features: int, count: int, missing: int) -> NDArray[np.int32]:
        """The tokens with the largest summed activation in a feature's windows [feature, count], `missing` where there are fewer."""
        row = np.repeat(np.arange(len(self.feature)), np.diff(self.fired.offsets))
        inside = (self.fired.places >= self.start[row]) & (self.fired.places < (self.start + self.length)[row])
        row = row[inside]
        token = self.tokens[self.context[row], self.pos[row] + self.fired.places[inside]].astype(np.int64)
        vocabulary = int(self.tokens.max(initial=0)) + 1
        keys, place = np.unique(self.feature[row] * vocabulary + token, return_inverse=True)
        sums = np.bincount(place, weights=self.fired.values[inside], minlength=len(keys))
        owner, token = keys // vocabulary, keys % vocabulary
        order = np.lexsort((token, -sums, owner))
        owner, token = owner[order], token[order]
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        found = np.full((features, count), missing, dtype=np.int32)
        kept = rank < count
        found[owner[kept], rank[kept]] = token[kept]
        return found


def gather(examples: pd.DataFrame, effects: pd.DataFrame, matrix: EvaluationMatrix, fired: NDArray[np.int64], tokens: NDArray[np.int32],
           *, side: int) -> Examples:
    """The examples of a table, with `side` tokens on each side inside the context.

    `examples` has `COLUMNS`, `effects` feature, context, pos and effect; `fired` is how many tokens each feature fires on, `tokens`
    [context, n_ctx] the evaluation tokens.
    """
    examples = examples.sort_values("feature", kind="stable")
    feature, context, pos = (examples[name].to_numpy(np.int64) for name in ("feature", "context", "pos"))
    group = np.select([examples["group"] == "top", examples["group"] == "bottom"], [0, 1 + INTERVALS], 1 + examples["interval"]).astype(np.int8)
    start = -examples["centre"].to_numpy(np.int64)
    length = np.minimum(tokens.shape[1], pos + side + 1) - (pos + start)
    at = context * tokens.shape[1] + pos
    return Examples(
        rows=np.searchsorted(feature, np.arange(matrix.n_features + 1)), feature=feature, group=group, context=context, pos=pos,
        repeated=examples["repeated"].to_numpy(bool), start=start, length=length, fired=_fired(matrix, fired, feature, at),
        effects=_effects(effects, tokens, feature, at, start, length), tokens=tokens)


def _fired(matrix: EvaluationMatrix, fired: NDArray[np.int64], feature: NDArray[np.int64], at: NDArray[np.int64]) -> Spans:
    """Firings up to WIDE tokens away from the tokens `at`, inside their contexts."""
    pos = at % matrix.n_ctx
    low, high = at - np.minimum(pos, WIDE), at + np.minimum(matrix.n_ctx - 1 - pos, WIDE)

    def blocks() -> Iterator[Spans]:
        for block in column_blocks(matrix, fired, budget=ENTRIES):
            own = slice(*np.searchsorted(feature, [block.start, block.stop]))
            keys, base = block.owner * block.n_tokens + block.tokens, (feature[own] - block.start) * block.n_tokens
            yield _spans(keys, block.tokens, block.values, base + low[own], base + high[own], at[own])

    return _joined(list(blocks()))


def _effects(effects: pd.DataFrame, tokens: NDArray[np.int32], feature: NDArray[np.int64], at: NDArray[np.int64],
             start: NDArray[np.int64], length: NDArray[np.int64]) -> Spans:
    """Effects on the tokens of each window and on the one that follows it."""
    n_ctx = tokens.shape[1]
    where = effects["context"].to_numpy(np.int64) * n_ctx + effects["pos"].to_numpy(np.int64)
    keys = effects["feature"].to_numpy(np.int64) * tokens.size + where
    order = np.argsort(keys, kind="stable")
    base, first = feature * tokens.size, at + start
    before = first - (first % n_ctx > 0)  # the token before the window acts on the window's first
    return _spans(keys[order], where[order] + 1, effects["effect"].to_numpy(np.float32)[order], base + before, base + first + length - 1, at)


def _spans(keys: NDArray[np.int64], where: NDArray[np.int64], values: NDArray[np.float32], low: NDArray[np.int64], high: NDArray[np.int64],
           at: NDArray[np.int64]) -> Spans:
    """For each row the entries whose key (ascending) lies between its `low` and `high`; places are `where` less the row's `at`."""
    first, last = np.searchsorted(keys, low), np.searchsorted(keys, high, side="right")
    count = last - first
    offsets = np.concatenate(([0], np.cumsum(count)))
    entry = np.repeat(first - offsets[:-1], count) + np.arange(offsets[-1])
    return Spans(offsets, (where[entry] - np.repeat(at, count)).astype(np.int8), values[entry])


def _joined(parts: list[Spans]) -> Spans:
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    return Spans(np.concatenate(([0], np.cumsum(counts))), np.concatenate([np.empty(0, np.int8), *(part.places for part in parts)]),
                 np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)]))
