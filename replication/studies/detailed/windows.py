"""Random windows of text around tokens of a kind, and whether a window lies in a context."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENOUGH = 5000  # places to look for distinct windows in
Tokens = NDArray[np.int32]


def drawn(places: NDArray[np.int64], count: int, tokens: Tokens, side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many of `places` (flat token numbers) at random, in random order: no text twice before every text came once, no window twice.

    `tokens` [context, n_ctx] tells windows apart.
    """
    shuffled = rng.permutation(places)[:ENOUGH]
    owner = shuffled // tokens.shape[1]
    turn = np.empty(len(shuffled), np.int64)
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(owner[order]) > 0))) if len(order) else order
    turn[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    found: dict[bytes, int] = {}
    for place in shuffled[np.argsort(turn, kind="stable")]:
        low, high = edges(int(place), tokens.shape[1], side)
        found.setdefault(tokens.reshape(-1)[low:high].tobytes(), int(place))
        if len(found) == count:
            break
    return np.array(list(found.values()), np.int64)


def edges(place: int, n_ctx: int, side: int) -> tuple[int, int]:
    """First and one past the last token of the window around a token, inside its text."""
    start = place - place % n_ctx
    return max(start, place - side), min(start + n_ctx, place + side + 1)


def row(
    place: int, tokens: Tokens, strings: Sequence[str], values: Mapping[str, NDArray[np.float32]], side: int,
) -> dict[str, Any]:
    """Columns of a table for one window: `tokens` and each of `values` as JSON lists, and the place of its `centre`."""
    low, high = edges(place, tokens.shape[1], side)
    said = {name: json.dumps([float(f"{value:.4g}") for value in given[low:high]]) for name, given in values.items()}
    text = json.dumps([strings[token] for token in tokens.reshape(-1)[low:high]], ensure_ascii=False)
    return {"tokens": text, "centre": place - low, **said}


def near(on: NDArray[np.bool_], n_ctx: int, side: int) -> NDArray[np.bool_]:
    """Whether the window around each token [token] holds a token of the context."""
    before: NDArray[np.int64] = np.pad(np.cumsum(on.reshape(-1, n_ctx), axis=1, dtype=np.int64), ((0, 0), (1, 0)))
    place = np.arange(n_ctx)
    held = before[:, np.minimum(place + side + 1, n_ctx)] != before[:, np.maximum(place - side, 0)]
    return np.asarray(held.reshape(-1))
