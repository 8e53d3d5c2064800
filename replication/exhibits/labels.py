"""Tokens as short labels: spaces visible, runs of them counted, long ones cut."""

import re

from replication.exhibits import text

SPACE = "\u2423"
SMALL = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def label(token: str, longest: int = 12) -> str:
    """A token of at most `longest` characters; from three spaces on, a run is one sign and its length."""
    said = re.sub(f"{SPACE}{{3,}}", lambda run: SPACE + str(len(run[0])).translate(SMALL), text.show(token).replace(" ", SPACE))
    return said if text.cells(said) <= longest else said[:longest - 1] + "…"
