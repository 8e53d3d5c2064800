"""Which files the rules of this stage read: of the run, and of what people wrote in the project."""

import os
from collections.abc import Sequence
from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.claims.reference import NUMBERS, PROVENANCE
from replication.exhibits import of
from replication.provenance import PACKAGE
from replication.studies import STUDIES

PROJECT = PACKAGE.parent
DRAWN = {"figure": ".png", "table": ".md"}


def reference(run: str) -> list[str]:
    """Frozen numbers of a run with their provenance, or nothing where none are frozen."""
    folder = PROJECT / "results" / "reference" / run
    return [os.path.relpath(folder / name) for name in (NUMBERS, PROVENANCE)] if (folder / NUMBERS).is_file() else []


def numbers(layout: Layout) -> list[Path]:
    """Headline numbers of every study."""
    return [layout.study(name) / artifacts.NUMBERS for name in STUDIES]


def exhibits(layout: Layout, contexts: Sequence[str]) -> list[Path]:
    """The picture of every figure and the text of every table of a run that examines these contexts."""
    return [layout.exhibits() / f"{name}{DRAWN[exhibit.kind]}" for name, exhibit in of(contexts).items()]


def captions(layout: Layout, contexts: Sequence[str]) -> list[Path]:
    """The caption of every exhibit, with its numbers filled in."""
    return [layout.exhibits() / f"{name}.txt" for name in of(contexts)]
