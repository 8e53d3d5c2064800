"""The report: one self-contained page and the same as a pdf, in the paper's order, with what was published and what this run found."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import replication
from replication import artifacts, provenance
from replication.claims import bibliography, content, ledger, pdf, pictures
from replication.claims import departures as departing
from replication.claims import reference as frozen
from replication.claims.content import Drawn
from replication.claims.inputs import QUESTIONS, WRITTEN
from replication.claims.numerals import numeral
from replication.claims.page import render
from replication.claims.statements import ClaimsError
from replication.config import Settings
from replication.progress import duration
from replication.provenance import Stopwatch

STAGES = ("corpus", "model", "activations", "sae", "features", "interpretability", "studies", "exhibits", "claims")


def make(*, settings: Settings, claims: Path, drawn: Sequence[Drawn], captions: Sequence[Path], numbers: Sequence[Path], written: Path, corpus: Path,
         reference: Path | None, run: Path, html: Path, pages: Path) -> None:
    """Write the report of a run as html and pdf, with metadata beside it; `written` is the folder of what people wrote for it (`WRITTEN`, and
    `questions/<exhibit>.md`, whose numbers are those of the studies in `numbers`).

    Raises UserError when a part of it is missing, cannot be read, or the template is broken.
    """
    stopwatch = Stopwatch()
    rows = ledger.read(claims)
    known = frozen.read(reference) if reference else None
    paragraphs, terms = how_to_read(written / "reading.md", len(rows))
    said = content.Report(
        run=settings.run, facts=facts(settings, artifacts.read_json(corpus), known, run), reading=paragraphs, terms=terms, counts=ledger.counts(rows),
        sections=content.sections(rows, drawn, captions, content.findings(written / "findings.csv"),
                                  content.discussions(written / QUESTIONS, numbers)), rows=rows,
        departures=departing.table(written / "departures.csv", settings), works=bibliography.read(written / "references.bib"),
        versions=provenance.versions())
    picture = cache(pictures.read)
    artifacts.write_text(html, render(written / "report.html.j2", vars(said) | {"picture": picture}))
    with artifacts.atomic(pages) as temporary:
        pdf.write(temporary, said, picture)
    inputs = {"ledger": claims, "corpus": corpus, **{name: written / name for name in WRITTEN}, **{exhibit.id: exhibit.file for exhibit in drawn}}
    artifacts.write_meta(html.parent, stage="claims", settings=settings, files={"html": html, "pdf": pages}, inputs=inputs, stopwatch=stopwatch,
                         name=artifacts.REPORT_META)


def facts(settings: Settings, corpus: Mapping[str, Any], known: frozen.Reference | None, run: Path) -> list[tuple[str, str]]:
    """What the head of the report says of the run: text, config, reference, machine, time, version."""
    corpus_hash = str(corpus["manifest_sha256"])
    other = "; a different corpus from the one that the project's references were made on" if corpus.get("matches_reference") is False else ""
    seeds = "none is frozen for this run"
    if known:
        seeds = f"mean over runs with seeds {', '.join(map(str, known.provenance['seeds']))}"
        seeds += "" if known.corpus_hash == corpus_hash else ", on a different corpus"
    machine = provenance.machine()
    spent = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in times(run).items())
    return [
        ("corpus", f"{corpus['source']}, {numeral(corpus['documents'])} documents, {numeral(corpus['bytes'])} bytes, hash {corpus_hash[:12]}{other}"),
        ("config", f"hash {settings.hash()}, seed {settings.seed}, dictionaries {', '.join(settings.dictionaries or ())}"),
        ("reference", seeds),
        ("machine", ", ".join([f"{machine['cpu']}, {machine['cores']} cores", *([machine["gpu"]] if "gpu" in machine else [])])),
        ("time spent", f"{spent} (sum over jobs)"),
        ("version", f"replication {replication.__version__}")]


def how_to_read(path: Path, statements: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Paragraphs and terms (`- term: meaning`) of the text that says how to read the report. Raises ClaimsError when it is missing."""
    try:
        blocks = path.read_text(encoding="utf-8").replace("{statements}", str(statements)).split("\n\n")
    except FileNotFoundError:
        raise ClaimsError(f"{path} is missing; it comes with the project") from None
    paragraphs = [" ".join(block.split()) for block in blocks if not block.startswith("- ")]
    lines = [line.removeprefix("- ").partition(": ") for block in blocks if block.startswith("- ") for line in block.splitlines()]
    return paragraphs, [(term, meaning) for term, _, meaning in lines]


def times(run: Path) -> dict[str, float]:
    """Seconds spent per stage, summed over its jobs' metadata; stages run side by side, so the sum may exceed the time passed."""
    spent: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for path in run.rglob("*meta.json"):
        if "state" in path.relative_to(run).parts:
            continue
        meta = artifacts.read_json(path)
        stage = meta["stage"].partition(" ")[0]  # `corpus tokens` is a step of `corpus`
        spent[stage] = spent.get(stage, 0.0) + meta["wall_seconds"]
    return {stage: seconds for stage, seconds in spent.items() if seconds}
