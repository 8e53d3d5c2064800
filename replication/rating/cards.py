"""What a rater sees of a unit: positive logits and five windows of each activation interval, in one form for features and neurons.

Nothing on a card tells what its unit is: activations are levels from 0 to 9 of the unit's own maximum, logit weights percent of
the largest one, and a card is called by a digest of what it shows. The digest also tells later whether a rating was given to the
same examples: a dictionary that was trained anew has other cards.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from replication.config import canonical_json
from replication.features.examples import INTERVALS, PER_INTERVAL, TOP
from replication.interpretability.activations import quantised

SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
FEATURE_COLUMNS = ("feature", "fired", "part", "max", "top_tokens", "top_weights")
EXAMPLE_COLUMNS = ("feature", "group", "interval", "rank", "window_tokens", "window_activations", "centre")


@dataclass(frozen=True)
class Window:
    """Token ids, their activations from 0 to 9, and the place of the token that the window is about."""

    tokens: tuple[int, ...]
    levels: tuple[int, ...]
    centre: int


@dataclass(frozen=True)
class Card:
    """Positive logits (token, percent of the largest weight), and windows [interval][example], the strongest interval first."""

    logits: tuple[tuple[str, int], ...]
    intervals: tuple[tuple[Window, ...], ...]

    @property
    def id(self) -> str:
        """Twelve hex digits of the content."""
        return hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()[:12]


def can_be_rated(features: pd.DataFrame) -> pd.Series:
    """Which features or neurons have examples in every interval and are neither dead nor ultralow."""
    return (features["fired"] >= TOP) & (features["part"] == "other")


def of_table(features: pd.DataFrame, examples: pd.DataFrame, wanted: Iterable[int]) -> dict[int, Card]:
    """Cards by feature, for those wanted that can be rated; columns FEATURE_COLUMNS of the one table and EXAMPLE_COLUMNS of the other."""
    some = features[can_be_rated(features) & features["feature"].isin(list(wanted))].set_index("feature")
    shown = examples[(examples["group"] == "interval") & examples["feature"].isin(some.index)].sort_values(["feature", "interval", "rank"])
    return {int(feature): _card(some.loc[feature], rows) for feature, rows in shown.groupby("feature")}


def _card(unit: "pd.Series[Any]", rows: pd.DataFrame) -> Card:
    weights = np.maximum(np.asarray(unit["top_weights"], np.float64), 0)
    percent = np.rint(100 * weights / max(weights.max(), 1e-12)).astype(int)
    windows = [Window(tuple(map(int, tokens)), tuple(map(int, quantised(np.asarray(values, np.float32), np.float32(unit["max"])))), int(centre))
               for tokens, values, centre in zip(rows["window_tokens"], rows["window_activations"], rows["centre"], strict=True)]
    assert len(windows) == INTERVALS * PER_INTERVAL
    return Card(logits=tuple(zip(map(str, unit["top_tokens"]), map(int, percent), strict=True)),
                intervals=tuple(tuple(windows[k * PER_INTERVAL:(k + 1) * PER_INTERVAL]) for k in range(INTERVALS)))


def as_shown(card: Card, strings: Sequence[str]) -> dict[str, Any]:
    """A card as the page gets it: texts in the place of token ids. `strings` are the texts of all tokens."""
    return {"id": card.id, "logits": [[visible(text).replace(" ", "␣"), percent] for text, percent in card.logits],
            "intervals": [[{"tokens": [visible(strings[token]) for token in window.tokens], "levels": window.levels, "centre": window.centre}
                           for window in windows] for windows in card.intervals]}


def visible(text: str) -> str:
    r"""Token text with signs for line ends and tabs and `\xNN` for what cannot be seen; bytes that are no whole character come as `\xd8` already."""
    return "".join(SIGNS.get(character) or (_code(character) if unicodedata.category(character) in HIDDEN else character) for character in text)


def _code(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
