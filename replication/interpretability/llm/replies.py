"""What a reply says: an explanation, numbers, or yes and no. Anything else is an ExplainerError, never a guess."""

import json
import re
from collections.abc import Sequence
from typing import Any

from replication.interpretability.protocol import LEVELS, ExplainerError

MARK = re.compile(r"^[\s*#_>-]*explanation[\s*_]*:[\s*_]*", re.IGNORECASE | re.MULTILINE)
CHOICES = {"yes": True, "no": False}


def explanation(text: str) -> str:
    """What follows the last line that begins with "Explanation:", or all of a text without one. Raises ExplainerError when empty."""
    said = " ".join(MARK.split(text)[-1].split()).rstrip("*_ ")
    if not said:
        raise ExplainerError("empty explanation")
    return said


def levels(text: str, widths: Sequence[int]) -> list[list[int]]:
    """Numbers from 0 to LEVELS, as many per window as `widths` says. Raises ExplainerError for another count or content."""
    found = []
    for number, (row, width) in enumerate(zip(_numbered(text, len(widths), "windows"), widths, strict=True), start=1):
        if not isinstance(row, list) or len(row) != width:
            raise ExplainerError(f"malformed: window {number} has {len(row) if isinstance(row, list) else 'no'} numbers, not {width}")
        if any(type(value) is not int or not 0 <= value <= LEVELS for value in row):
            raise ExplainerError(f"malformed: window {number} holds what is no whole number from 0 to {LEVELS}")
        found.append(row)
    return found


def choices(text: str, count: int) -> list[bool]:
    """`count` times yes (True) or no. Raises ExplainerError for another count or content."""
    said = [value.strip().lower() if isinstance(value, str) else "" for value in _numbered(text, count, "tokens")]
    for number, value in enumerate(said, start=1):
        if value not in CHOICES:
            raise ExplainerError(f"malformed: token {number} has neither yes nor no")
    return [CHOICES[value] for value in said]


def _numbered(text: str, count: int, things: str) -> list[Any]:
    """The values of the one JSON object in a text, whose keys are the numbers from 1 to `count`."""
    try:
        found = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        raise ExplainerError("malformed: not JSON") from None
    if not isinstance(found, dict):
        raise ExplainerError("malformed: not JSON")
    wanted = [str(number) for number in range(1, count + 1)]
    if set(found) != set(wanted):
        raise ExplainerError(f"malformed: {len(found)} {things}, not those from 1 to {count}")
    return [found[number] for number in wanted]
