"""What the page should find and show, computed in Python from the values that its files were made of."""

import re
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np

from replication.browser.schema import NONE, Card, Columns, Example, Shared

PARTS = "duo"


def visible(text: str) -> str:
    """A token's text as the page shows it."""
    def sign(one: str) -> str:
        code = ord(one)
        if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            return one
        return {"\n": "⏎", "\t": "⇥", "\r": "␍"}.get(one, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")

    return "".join(map(sign, text)) or "∅"


def windows(card: Card, shared: Shared) -> list[str]:
    """The distinct windows of a card as text."""
    return ["".join(shared.vocabulary[token] for token in tokens) for tokens in dict.fromkeys(tuple(example.tokens) for example in card.examples)]


def text_hits(cards: Iterable[Card], shared: Shared, matches: Callable[[str], bool]) -> dict[int, int]:
    """Windows of each feature that match."""
    found = {card.feature: sum(map(matches, windows(card, shared))) for card in cards}
    return {feature: count for feature, count in found.items() if count}


def fires_on(cards: Iterable[Card], token: int) -> set[int]:
    """Features that fire on a token inside the windows of their examples."""
    return {card.feature for card in cards for example in card.examples for place, _ in example.fired if token_at(example, place) == token}


def token_at(example: Example, place: int) -> int:
    """The token of a window at a place, NONE outside of it."""
    at = place - example.start
    return example.tokens[at] if 0 <= at < len(example.tokens) else NONE


def plain(query: str, case: bool = False) -> Callable[[str], bool]:
    """Whether a text holds a query."""
    return (lambda text: query in text) if case else (lambda text: query.lower() in text.lower())


def regex(query: str, case: bool = False) -> Callable[[str], bool]:
    """Whether a text matches an expression that Python and the page read alike."""
    pattern = re.compile(query, 0 if case else re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


def ordered(values: np.ndarray, kept: np.ndarray, *, descending: bool = True) -> list[int]:
    """The kept features by value; equal ones by number, unknown ones last."""
    keys = np.where(np.isnan(values), np.inf, -values if descending else values)
    return [int(k) for k in np.lexsort((np.arange(len(values)), keys)) if kept[k]]


def kept(columns: Columns, parts: str = "uo") -> np.ndarray:
    """Features of certain parts."""
    return np.isin(columns.part, [PARTS.index(letter) for letter in parts])


def number(text: str) -> float:
    """The number that a text begins with, as the page writes numbers."""
    found = re.match(r"[+−-]?[\d,.]+(e−?\d+)?", text.strip())
    assert found, text
    return float(found[0].replace("−", "-").replace(",", ""))
