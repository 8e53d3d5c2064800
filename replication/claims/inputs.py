"""Which files the rules of this stage read: of the run, and of what people wrote in the project."""

import os
from collections.abc import Sequence
from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.claims.content import Drawn
from replication.claims.reference import NUMBERS, PROVENANCE
from replication.exhibits import FAMILIES, of
from replication.provenance import PACKAGE
from replication.studies import STUDIES

PROJECT = PACKAGE.parent
DRAWN = {"figure": ".png", "table": ".md"}
WRITTEN = ("report.html.j2", "base.html.j2", "ledger.html.j2", "reading.md", "findings.csv", "departures.csv", "references.bib")  # of the report
QUESTIONS = "questions"  # folder of half a page on each question of readers
TEMPLATES = ("base.html.j2", "ledger.html.j2")  # what the ledger's page extends and imports


def reference(run: str) -> list[str]:
    """Frozen numbers of a run with their provenance, or nothing where none are frozen."""
    folder = PROJECT / "results" / "reference" / run
    return [os.path.relpath(folder / name) for name in (NUMBERS, PROVENANCE)] if (folder / NUMBERS).is_file() else []


def written() -> list[str]:
    """What people wrote for the report, the first of them in the folder of all."""
    folder = PROJECT / "paper" / "report"
    return [os.path.relpath(path) for path in (*(folder / name for name in WRITTEN), *sorted((folder / QUESTIONS).glob("*.md")))]


def numbers(layout: Layout) -> list[Path]:
    """Headline numbers of every study."""
    return [layout.study(name) / artifacts.NUMBERS for name in STUDIES]


def exhibits(layout: Layout, contexts: Sequence[str]) -> list[Path]:
    """The picture of every figure and the text of every table of a run that examines these contexts."""
    return [layout.exhibits() / f"{name}{DRAWN[exhibit.kind]}" for name, exhibit in of(contexts).items()]


def captions(layout: Layout, contexts: Sequence[str]) -> list[Path]:
    """The caption of every exhibit, with its numbers filled in."""
    return [layout.exhibits() / f"{name}.txt" for name in of(contexts)]


def headings(contexts: Sequence[str]) -> list[str]:
    """Id, section and title of every exhibit, in the registry's order: a parameter of the report, because the registry is no input."""
    return [f"{exhibit.id}: {exhibit.section}: {exhibit.title}" for exhibit in of(contexts).values()]


def drawn(files: Sequence[Path], contexts: Sequence[str], numbers: Sequence[Path]) -> list[Drawn]:
    """The exhibits of these files, in the registry's order; of a family with the label of its context, and why it is absent where it is."""
    found = {path.stem: path for path in files}
    kept = {path.parent.name: artifacts.read_json(path).get("contexts", {}) for path in numbers}
    described = []
    for exhibit in of(contexts).values():
        if exhibit.id not in found:
            continue
        context = kept.get(exhibit.study, {}).get(exhibit.context, {"label": exhibit.context})
        title = FAMILIES[exhibit.study].title if exhibit.context else exhibit.title
        described.append(Drawn(exhibit.id, title, exhibit.section, found[exhibit.id], family=exhibit.study if exhibit.context else "",
                               context=context["label"], absent=context.get("absent", "")))
    return described
