"""How a number stands in a table: few digits, thousands apart, its spread beside it."""

import math
from collections.abc import Mapping
from typing import Any

MOST_DECIMALS = 6  # beyond them a number is written with a power of ten


def numeral(text: str | float | None) -> str:
    """Four significant digits; nothing for nothing, and a text that is no number as it is."""
    if text is None or text == "":
        return ""
    try:
        value = float(text)
    except ValueError:
        return str(text)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.3g}"


def published(row: Mapping[str, str]) -> str:
    """What a ledger row holds the run against: a value with tolerance, a bound, or the direction of an ordering."""
    if row["kind"] == "ordering":
        return "above 0"
    value = row["published"].lstrip("<>=")
    bound = "≥ " if row["published"].startswith(">=") else "≤ " if row["published"].startswith("<=") else ""
    return f"{bound}{numeral(value)}" + (f" ± {numeral(row['tolerance'])}" if float(row["tolerance"]) else "")


def quantity(row: Mapping[str, str], column: str) -> str:
    """A cell of a ledger row: `published`, `here` (value, 95 % interval or sd, n) or `reference` (mean, sd, n)."""
    if column == "published":
        return published(row)
    prefix = "" if column == "here" else "reference_"
    number = {"value": row["value" if column == "here" else "reference"], "sd": row[f"{prefix}sd"]}
    number |= {"low": row["low"], "high": row["high"]} if column == "here" else {}
    number = {key: text for key, text in number.items() if text != ""}
    if "value" not in number:
        return ""
    if "low" in number and "high" in number:
        return f"{supported(number)} ({supported(number, 'low')} to {supported(number, 'high')})"
    counted = f", n = {numeral(row['reference_n'])}" if column == "reference" and row["reference_n"] else ""
    return supported(number) + (f" ± {supported(number, 'sd')}" if "sd" in number else "") + counted


def decimals(uncertainty: float) -> int:
    """Decimals that an uncertainty supports: as far as two of its own digits, none for counts.

    Source: at most two digits (JCGM 100:2008, Guide to the expression of uncertainty in measurement, 7.2.6).
    """
    return max(0, 1 - math.floor(math.log10(uncertainty)))


def supported(number: Mapping[str, Any], part: str = "value") -> str:
    """A part of a study's number (`value`, `low`, `high`, `sd`) with the digits that its 95 % interval, or else its sd, supports.

    Four significant digits where neither is known, all of them for a count.
    """
    low, high = number.get("low"), number.get("high")
    uncertainty = (float(high) - float(low)) / 2 if low is not None and high is not None else float(number.get("sd") or 0)
    value = float(number[part])
    if not uncertainty > 0:
        return numeral(value)
    places = decimals(uncertainty)
    if places > MOST_DECIMALS:
        return f"{value:.{max(0, places + math.floor(math.log10(abs(value))))}e}" if value else "0"
    return f"{value:z,.{places}f}"
