"""What an exhibit is drawn from: its study's table and numbers, and the published values beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from replication import artifacts


@dataclass(frozen=True)
class Study:
    """A study's results. `published` are the paper's values of its numbers; `distributions` is published data to lay under it.

    Of a family of contexts it is cut to one: its rows, its numbers without the prefix, and its `label`. `absent` says why there is
    nothing to draw, if so: the text lacks the context, or people have to rate first.
    """

    data: pd.DataFrame
    numbers: dict[str, dict[str, Any]]
    provenance: dict[str, Any]
    published: dict[str, float]
    distributions: pd.DataFrame
    context: str = ""
    label: str = ""
    absent: str = ""

    @property
    def main(self) -> str:
        """The dictionary that stands for the paper's A/1."""
        return str(self.data.loc[self.data["main"], "group"].iloc[0])

    def get(self, key: str, field: str = "value") -> float | None:
        """A field of a number, or None where it was not measured."""
        value = self.numbers.get(key, {}).get(field)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Table:
    """A table of texts: its header, its rows, the sample size for the small print, and facts for the caption."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Drawing:
    """A figure, the sample size for the small print, and facts for the caption beside the study's numbers."""

    figure: Figure
    note: str
    facts: dict[str, str]


def read(folder: Path, name: str, *, distributions: Path, claims: Path, context: str = "") -> Study:
    """A study's folder, checked against its checksums; cut to one context, if named. Raises ArtifactError."""
    artifacts.check(folder, artifacts.DATA, artifacts.NUMBERS)
    found, data = artifacts.read_json(folder / artifacts.NUMBERS), artifacts.read_table(folder / artifacts.DATA)
    whole = Study(data, found["numbers"], found["provenance"], published(claims, name), artifacts.read_table(distributions),
                  absent=found.get("absent", ""))
    if not context:
        return whole
    if context not in found.get("contexts", {}):
        raise artifacts.ArtifactError(f"{folder} holds no context {context!r}; add it to studies.contexts and run `snakemake --cores all`")
    return replace(whole, data=data[data["context"] == context].dropna(axis=1, how="all").reset_index(drop=True), context=context,
                   numbers=_of(context, whole.numbers), published=_of(context, whole.published), **found["contexts"][context])


def _of(context: str, values: dict[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(f"{context}_"): value for key, value in values.items() if key.startswith(f"{context}_")}


def published(claims: Path, study: str) -> dict[str, float]:
    """The first published value of each of a study's numbers, bounds left out."""
    table = artifacts.read_table(claims)
    table = table.assign(published=pd.to_numeric(table["published"], errors="coerce")).dropna(subset=["published", "number"])
    table = table[table["number"].str.startswith(f"{study}.")].drop_duplicates("number")
    return {number.partition(".")[2]: float(value) for number, value in zip(table["number"], table["published"], strict=True)}
