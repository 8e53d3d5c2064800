"""Examples of a feature, by the rule of the paper's published viewer.

20 top examples; 11 intervals k = 0..10 of five examples each, nearest to (10 - k) / 11 of the maximum activation; 20
bottom = the smallest positive ones. A feature that fires on fewer than 20 tokens has the top group only. Ties go to
the earlier token. Groups are chosen apart, so a token may stand in two of them. Source: the published viewer's files
(the text also says that an interval's examples are drawn from it uniformly).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.features.columns import Columns

TOP, PER_INTERVAL, INTERVALS = 20, 5, 11
GROUPS = np.array(["top", "interval", "bottom"])
NO_INTERVAL, NO_TOKEN = -1, -1


@dataclass(frozen=True)
class Windows:
    """Examples as arrays: one row each, windows padded to full width with token -1 and activation 0."""

    feature: NDArray[np.int64]
    group: NDArray[np.int64]
    interval: NDArray[np.int64]
    rank: NDArray[np.int64]
    token: NDArray[np.int64]
    tokens: NDArray[np.int64]
    activations: NDArray[np.float32]


def choose(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The examples of one feature: rows of (entry, group, interval, rank), for its positive activations in token order."""
    ordered = np.sort(values)  # a sort of values alone is many times faster than one that keeps the entries
    rows = [_rows(_first(values, ordered[-TOP:], np.inf, TOP), 0, NO_INTERVAL)]
    if len(values) >= TOP:
        rows += [_rows(entries, 1, k) for k, entries in enumerate(_intervals(values, ordered))]
        rows.append(_rows(_first(values, ordered[:TOP], 0.0, TOP), 2, NO_INTERVAL))
    return np.concatenate(rows)


def _rows(entries: NDArray[np.int64], group: int, interval: int) -> NDArray[np.int64]:
    rows = np.empty((len(entries), 4), dtype=np.int64)
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = entries, group, interval, np.arange(len(entries))
    return rows


def _intervals(values: NDArray[np.float32], ordered: NDArray[np.float32]) -> Iterator[NDArray[np.int64]]:
    """For each interval the five entries nearest to its target."""
    for target in np.float64(ordered[-1]) * (np.arange(INTERVALS)[::-1] / INTERVALS):
        place = int(np.searchsorted(ordered, target))
        near = ordered[max(0, place - PER_INTERVAL) : place + PER_INTERVAL]
        distance = np.abs(near - target)
        yield _first(values, near[distance <= np.partition(distance, PER_INTERVAL - 1)[PER_INTERVAL - 1]], target, PER_INTERVAL)


def _first(values: NDArray[np.float32], near: NDArray[np.float32], target: float, count: int) -> NDArray[np.int64]:
    """The `count` entries nearest to `target`, equally near ones in token order; `near` holds the values of the nearest."""
    entries = np.flatnonzero((values >= near.min(initial=np.inf)) & (values <= near.max(initial=-np.inf)))
    distance = -values[entries] if np.isinf(target) else np.abs(values[entries] - target)
    return entries[np.argsort(distance, kind="stable")[:count]]


def windows(columns: Columns, tokens: NDArray[np.int32], *, side: int) -> Windows:
    """The examples of all features of a block, with `side` tokens on each side inside the context.

    `tokens` [contexts, n_ctx] are the evaluation tokens.
    """
    chosen = [choose(columns.values[a:b]) for a, b in zip(columns.indptr[:-1], columns.indptr[1:], strict=True)]
    column = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])
    rows = np.concatenate(chosen) if chosen else np.empty((0, 4), dtype=np.int64)
    token = columns.tokens[columns.indptr[column] + rows[:, 0]]
    offsets = np.arange(-side, side + 1)
    position = token[:, None] % tokens.shape[1] + offsets
    inside = (position >= 0) & (position < tokens.shape[1])
    around = np.where(inside, token[:, None] + offsets, token[:, None])
    return Windows(feature=columns.start + column, group=rows[:, 1], interval=rows[:, 2], rank=rows[:, 3], token=token,
                   tokens=np.where(inside, tokens.reshape(-1)[around], NO_TOKEN),
                   activations=np.where(inside, columns.at(column[:, None], around), np.float32(0)))


def single_token(examples: Windows, n_features: int) -> NDArray[np.bool_]:
    """Whether the strongest token of all 20 top examples is the same, per feature; False with fewer examples.

    Source: paper, "Are features just single tokens?" (automated interpretability).
    """
    top = examples.group == 0
    strongest = np.take_along_axis(examples.tokens[top], examples.activations[top].argmax(axis=1)[:, None], axis=1)[:, 0]
    owner = examples.feature[top]
    low, high = np.full(n_features, np.iinfo(np.int64).max), np.full(n_features, -1)
    np.minimum.at(low, owner, strongest)
    np.maximum.at(high, owner, strongest)
    same: NDArray[np.bool_] = (low == high) & (np.bincount(owner, minlength=n_features) == TOP)
    return same


def table(examples: Windows, *, n_ctx: int) -> pd.DataFrame:
    """Examples as rows: feature, group, interval, rank, context, pos, activation, repeated, window_tokens, window_activations, centre.

    `repeated` marks a window whose tokens and centre an earlier example of the same feature has; `centre` is the place of
    the example's own token in its window.
    """
    inside = examples.tokens != NO_TOKEN
    side = inside.shape[1] // 2
    ends = inside.sum(axis=1).cumsum()
    flat_tokens, flat_activations = examples.tokens[inside].astype(np.int32), examples.activations[inside]
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    return pd.DataFrame({
        "feature": examples.feature.astype(np.int32),
        "group": GROUPS[examples.group],
        "interval": examples.interval.astype(np.int8),
        "rank": examples.rank.astype(np.int8),
        "context": (examples.token // n_ctx).astype(np.int32),
        "pos": (examples.token % n_ctx).astype(np.int32),
        "activation": examples.activations[:, side],
        "repeated": pd.DataFrame(np.column_stack((examples.feature, examples.tokens))).duplicated().to_numpy(),
        "window_tokens": [flat_tokens[a:b] for a, b in zip(starts, ends, strict=True)],
        "window_activations": [flat_activations[a:b] for a, b in zip(starts, ends, strict=True)],
        "centre": inside[:, :side].sum(axis=1).astype(np.int8),
    })
