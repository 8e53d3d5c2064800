"""Rating files, `paper/ratings/<run>/<rater>.csv`: a row for each interval that a rater scored.

    unit            A/1/2357, A/neurons/32, random/1/7
    interval        0 (strongest) to 10
    confidence ... specificity, total       the rubric's scores and their sum, see `rating.rubric`
    explanation     what the rater wrote about the unit, the same for all of its intervals
    shown           twelve hex digits of what the rater saw (`rating.cards`); it tells ratings of features that were trained anew since
    seed            of the draw of units
    rated_at        when, UTC

`read` gives the rows of all raters of a run with three more columns: rater, table (`A/1`) and feature (2357).
"""

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import artifacts
from replication.config import UserError
from replication.features.examples import INTERVALS
from replication.provenance import written
from replication.rating import rubric

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(written("paper", "ratings"))
COLUMNS = ("unit", "interval", *rubric.KEYS, "total", "explanation", "shown", "seed", "rated_at")
NUMBERS = ("interval", *rubric.KEYS, "total", "seed")
UNIT = re.compile(r"(?P<table>[A-Za-z][A-Za-z0-9_-]*/[a-z0-9_-]+)/(?P<feature>\d+)")
SHOWN = re.compile(r"[0-9a-f]{12}")
RATER = re.compile(r"[a-z0-9_-]+")
REMEDY = "correct the file, or delete the row and rate again"
Row = dict[str, Any]


class RatingError(UserError):
    """A rating that cannot be one."""


def path_of(run: str, rater: str, root: Path | None = None) -> Path:
    """The file of a rater. Raises RatingError when the name cannot be a file's."""
    if not RATER.fullmatch(rater):
        raise RatingError(f"a rater is called {rater!r}; use small letters, digits, - and _, such as rater-1")
    return (root or ROOT) / run / f"{rater}.csv"


def files(run: str, root: Path | None = None) -> list[Path]:
    """The rating files of a run."""
    return sorted(((root or ROOT) / run).glob("*.csv"))


def read(run: str, root: Path | None = None) -> "pd.DataFrame":
    """All ratings of a run, whatever they were made of: rater, table, feature, then `COLUMNS`; empty without files. Raises RatingError."""
    import pandas as pd

    rows = []
    for path in files(run, root):
        for row in rows_of(path):
            name = UNIT.fullmatch(row["unit"])
            assert name
            rows.append({"rater": path.stem, "table": name["table"], "feature": int(name["feature"]), **row})
    return pd.DataFrame(rows, columns=["rater", "table", "feature", *COLUMNS])


def rows_of(path: Path) -> list[Row]:
    """The rows of one file, checked; none where it does not exist. Raises RatingError: the file, the row, what is wrong, the remedy."""
    rows = lines(path, COLUMNS) if path.exists() else []
    seen: set[tuple[str, int]] = set()
    for line, row in enumerate(rows, start=2):
        wrong = fault(row) or (f"{row['unit']}, interval {row['interval']}, is rated a second time" if (row["unit"], row["interval"]) in seen else "")
        if wrong:
            raise RatingError(f"{path}, row {line}: {wrong}; {REMEDY}")
        seen.add((row["unit"], row["interval"]))
    return rows


def lines(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Rows of a csv with numbers as such where they are whole. Raises RatingError when it is no csv with these columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", strict=True)
            found = list(reader)
            header = reader.fieldnames or []
    except FileNotFoundError:
        raise RatingError(f"{path} does not exist; name the file that the page exported") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RatingError(f"{path} is not a csv in UTF-8 ({error}); export it again") from None
    lacking = [column for column in columns if column not in header]
    if lacking == ["unit"]:
        raise RatingError(f"{path} is the export of a page, which does not know the units; "
                          f"`python -m replication rate <run> --import {path}` takes it in")
    if lacking:
        raise RatingError(f"{path} lacks the column {lacking[0]}; a rating file has {', '.join(columns)}")
    for line, row in enumerate(found, start=2):
        if "" in row or None in row.values():
            raise RatingError(f"{path}, row {line}: it has not as many cells as the header; {REMEDY}")
    return [{column: _whole(row[column]) if column in NUMBERS else row[column] for column in columns} for row in found]


def fault(row: Mapping[str, Any]) -> str:
    """What is wrong with a row, in a few words; empty where nothing is."""
    if not isinstance(row["unit"], str) or not UNIT.fullmatch(row["unit"]):
        return f"unit {row['unit']!r} is no name such as A/1/2357"
    return fault_of_answer(row) or (f"shown is {row['shown']!r}, not twelve hex digits" if not SHOWN.fullmatch(row["shown"]) else "")


def fault_of_answer(row: Mapping[str, Any]) -> str:
    """What is wrong with what a rater said, whatever the unit; empty where nothing is."""
    if type(row["interval"]) is not int or not 0 <= row["interval"] < INTERVALS:
        return f"interval is {row['interval']!r}, not a whole number from 0 to {INTERVALS - 1}"
    if wrong := rubric.fault(row):
        return wrong
    if row["total"] != rubric.total(row):
        return f"total is {row['total']!r}, but the scores add up to {rubric.total(row)}"
    if not isinstance(row["explanation"], str):
        return "explanation is no text"
    if type(row["seed"]) is not int or row["seed"] < 0:
        return f"seed is {row['seed']!r}, not a whole number"
    try:
        datetime.fromisoformat(row["rated_at"])
    except (TypeError, ValueError):
        return f"rated_at is {row['rated_at']!r}, not a time such as 2026-03-01T12:30:00+00:00"
    return ""


def merge(path: Path, new: Iterable[Row]) -> list[Row]:
    """Write rows into a rater's file, each in the place of an earlier one of the same unit and interval; returns all rows."""
    rows = {(row["unit"], row["interval"]): row for row in [*rows_of(path), *new]}
    if rows:
        artifacts.write_rows(path, [{column: row[column] for column in COLUMNS} for row in rows.values()])
    return list(rows.values())


def _whole(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
