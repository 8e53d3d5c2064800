"""The ledger for people: a Markdown table for a repository, and a page that shows the rows of one verdict at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from replication.claims.numerals import quantity
from replication.claims.page import render
from replication.claims.verdict import WORDS

COLUMNS = ("statement", "source", "published", "this run", "reference", "unit", "verdict", "why")


def markdown(rows: Sequence[Mapping[str, str]], run: str, counts: Mapping[str, int]) -> str:
    """Counts, then a table for each exhibit in the order of the statements."""
    lines = [f"# Ledger of run {run}", "", ", ".join(f"{count} {word}" for word, count in counts.items())]
    for section in dict.fromkeys(row["section"] for row in rows):
        here = [row for row in rows if row["section"] == section]
        lines += ["", f"## {section}"]
        for exhibit in dict.fromkeys(row["exhibit"] for row in here):
            lines += ["", f"### {exhibit}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
            lines += [_line(_cells(row)) for row in here if row["exhibit"] == exhibit]
    return "\n".join(lines) + "\n"


def page(rows: Sequence[Mapping[str, str]], run: str, counts: Mapping[str, int], template: Path) -> str:
    """The page, from its template."""
    return render(template, {"run": run, "rows": rows, "counts": counts, "words": WORDS})


def _cells(row: Mapping[str, str]) -> list[str]:
    quantities = [quantity(row, part) for part in ("published", "here", "reference")]
    return [row["statement"], f"{row['source']}: {row['place']}", *quantities, row["unit"], row["verdict"], row["reason"]]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
