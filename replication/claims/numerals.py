"""How a number stands in a table: few digits, thousands apart, its spread beside it."""

from collections.abc import Mapping


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
    value, sd, n = (row["value"], row["sd"], row["n"]) if column == "here" else (row["reference"], row["reference_sd"], row["reference_n"])
    if value == "":
        return ""
    if column == "here" and row["low"] and row["high"]:
        return f"{numeral(value)} ({numeral(row['low'])} to {numeral(row['high'])})"
    return numeral(value) + (f" ± {numeral(sd)}" if sd else "") + (f", n = {numeral(n)}" if column == "reference" and n else "")
