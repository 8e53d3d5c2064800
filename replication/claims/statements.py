"""The published statements: one row of `paper/published/claims.csv` as a checked value."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replication.config import UserError

COLUMNS = ("id", "section", "exhibit", "statement", "source", "place", "kind", "published", "unit", "tolerance",
           "tolerance_why", "number", "needs", "replicates")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NUMBER = re.compile(r"[a-z0-9_]+\.[A-Za-z0-9_]+")
CONDITION = re.compile(r"([a-z0-9_]+)\s*(>=|<=|=)\s*(\S+)")
TERMS = ("vectors", "tokens", "evaluation_tokens", "corpus", "d_mlp", "d_sae", "act_fn", "l1", "raters", "explainer")
Relation = Literal["=", ">=", "<="]
Kind = Literal["number", "ordering"]


class ClaimsError(UserError):
    """A row of the published statements that cannot be judged."""


@dataclass(frozen=True)
class Condition:
    """One thing that a run must have before a published value can be compared with its own."""

    term: str
    relation: Relation
    value: float | str


@dataclass(frozen=True)
class Claim:
    """One checkable statement with the rule of its verdict. An ordering has neither `published` nor `tolerance`."""

    id: str
    kind: Kind
    relation: Relation
    published: float
    unit: str
    tolerance: float
    number: str
    needs: tuple[Condition, ...]
    replicates: int
    row: Mapping[str, str]

    @property
    def study(self) -> str:
        """The study that answers."""
        return self.number.partition(".")[0]

    @property
    def key(self) -> str:
        """The study's name of the number."""
        return self.number.partition(".")[2]


def read(path: Path) -> list[Claim]:
    """All statements, in the order of the file. Raises ClaimsError that names the row."""
    claims = [parse(row) for row in read_rows(path, COLUMNS)]
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ClaimsError(f"two rows of {path} have the id {claim.id!r}; ids are unique")
        seen.add(claim.id)
    return claims


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a csv that people edit, as texts. Raises ClaimsError when its columns are not the expected ones."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = list(reader)
    except FileNotFoundError:
        raise ClaimsError(f"{path} is missing; it comes with the project") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClaimsError(f"{path} is not a csv in UTF-8 ({error}); restore it from the project") from None
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise ClaimsError(f"{path} has the columns {', '.join(reader.fieldnames or ())}, but needs {', '.join(columns)}")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ClaimsError(f"{path}, row {line}: needs {len(columns)} cells; put cells that hold a comma in double quotes")
    return rows


def parse(row: Mapping[str, str]) -> Claim:
    """One row. Raises ClaimsError."""
    name = row["id"]
    if not SLUG.fullmatch(name):
        raise ClaimsError(f"claim {name!r}: an id is made of a-z, 0-9 and single hyphens")
    for column in ("section", "exhibit", "statement", "source", "place", "unit", "tolerance_why"):
        if not row[column].strip():
            raise ClaimsError(f"claim {name}: {column} is empty")
    if not NUMBER.fullmatch(row["number"]):
        raise ClaimsError(f"claim {name}: number is {row['number']!r}, but must be study.key")
    if row["replicates"] not in ("1", "3"):
        raise ClaimsError(f"claim {name}: replicates is {row['replicates']!r}, but must be 3 where training varies and 1 elsewhere")
    needs = tuple(condition(part, name) for part in row["needs"].split(";") if part.strip())
    kind, relation, published, tolerance = _rule(row)
    return Claim(name, kind, relation, published, row["unit"], tolerance, row["number"], needs, int(row["replicates"]), dict(row))


def _rule(row: Mapping[str, str]) -> tuple[Kind, Relation, float, float]:
    name, published = row["id"], row["published"]
    if row["kind"] == "ordering":
        if published or row["tolerance"]:
            raise ClaimsError(f"claim {name}: an ordering has no published value and no tolerance; it is judged by an interval")
        return "ordering", "=", math.nan, math.nan
    if row["kind"] != "number":
        raise ClaimsError(f"claim {name}: kind is {row['kind']!r}, but must be number or ordering")
    relation: Relation = ">=" if published.startswith(">=") else "<=" if published.startswith("<=") else "="
    tolerance = _float(row["tolerance"], name, "tolerance")
    if tolerance < 0:
        raise ClaimsError(f"claim {name}: tolerance is {row['tolerance']}, but must not be negative")
    return "number", relation, _float(published.lstrip("<>="), name, "published"), tolerance


def condition(text: str, name: str) -> Condition:
    """One part of `needs`, such as `vectors>=8e9`. Raises ClaimsError."""
    found = CONDITION.fullmatch(text.strip())
    if not found or found[1] not in TERMS:
        raise ClaimsError(f"claim {name}: needs holds {text.strip()!r}, but must be like vectors>=8e9, with one of {', '.join(TERMS)}")
    term, relation, value = found.groups()
    if term in ("corpus", "act_fn", "raters", "explainer"):
        return Condition(term, "=", value)
    return Condition(term, relation, _float(value, name, f"needs, {term}"))  # type: ignore[arg-type]


def _float(text: str, name: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ClaimsError(f"claim {name}: {column} is {text!r}, but must be a number")
    return value
