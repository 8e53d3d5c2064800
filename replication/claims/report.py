"""The report: one self-contained page in the paper's order, with each figure, what was published, and what this run found."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import replication
from replication import artifacts, provenance
from replication.claims import departures as departing
from replication.claims import ledger
from replication.claims import reference as frozen
from replication.claims.numerals import numeral, quantity
from replication.config import Settings, UserError
from replication.progress import duration
from replication.provenance import Stopwatch

STAGES = ("corpus", "model", "activations", "sae", "features", "studies", "exhibits", "claims")
ELSEWHERE = "Other exhibits"


@dataclass(frozen=True)
class Drawn:
    """An exhibit as the registry describes it, with the file that was drawn for it."""

    id: str
    title: str
    section: str
    file: Path


@dataclass
class Part:
    """What the page shows for one exhibit: its figure or table, if drawn, and the statements that it answers."""

    id: str
    title: str
    figure: str = ""
    table: "Table | None" = None
    caption: str = ""
    rows: list[Mapping[str, str]] = field(default_factory=list)


@dataclass
class Section:
    """A section of the paper: its exhibits, and the statements that no study answers yet."""

    title: str
    parts: list[Part]
    waiting: list[Mapping[str, str]]


@dataclass(frozen=True)
class Table:
    """A Markdown table: header, rows, and the text around it."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def make(*, settings: Settings, claims: Path, drawn: Sequence[Drawn], captions: Sequence[Path], template: Path, departures: Path,
         corpus: Path, reference: Path | None, run: Path, out: Path) -> None:
    """Write the report of a run, with metadata beside it. Raises UserError when a part of it is missing or the template is broken."""
    stopwatch = Stopwatch()
    rows = ledger.read(claims)
    about = artifacts.read_json(corpus)
    known = frozen.read(reference) if reference else None
    corpus_hash = str(about["manifest_sha256"])
    page = render(template, {
        "settings": settings, "config_hash": settings.hash(), "corpus": about, "corpus_hash": corpus_hash[:12],
        "counts": ledger.counts(rows),
        "sections": sections(rows, drawn, captions), "rows": rows, "departures": departing.table(departures, settings),
        "reference": known.provenance if known else None, "same_corpus": known is not None and known.corpus_hash == corpus_hash,
        "times": times(run), "versions": provenance.versions(), "machine": provenance.machine(), "version": replication.__version__,
    })
    with artifacts.atomic(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    inputs = {"ledger": claims, "corpus": corpus, **{exhibit.id: exhibit.file for exhibit in drawn}}
    artifacts.write_meta(out.parent, stage="claims", settings=settings, files={"report": out}, inputs=inputs, stopwatch=stopwatch,
                         name=artifacts.REPORT_META)


def sections(rows: Sequence[Mapping[str, str]], drawn: Sequence[Drawn], captions: Sequence[Path]) -> list[Section]:
    """The page's sections in the order of the statements, which is the paper's; exhibits without a statement come last in theirs."""
    found: dict[str, dict[str, Part]] = {}
    waiting: dict[str, list[Mapping[str, str]]] = {}
    files = {exhibit.id: exhibit for exhibit in drawn}
    for row in rows:
        parts = found.setdefault(row["section"], {})
        if row["verdict"] == "not run":
            waiting.setdefault(row["section"], []).append(row)
        if row["verdict"] != "not run" or row["exhibit"] in files:
            part = parts.setdefault(row["exhibit"], Part(row["exhibit"], row["exhibit"].replace("_", " ")))
            part.rows += [] if row["verdict"] == "not run" else [row]
    placed = {name for parts in found.values() for name in parts}
    for exhibit in drawn:
        if exhibit.id not in placed:
            found.setdefault(exhibit.section if exhibit.section in found else ELSEWHERE, {})[exhibit.id] = Part(exhibit.id, exhibit.title)
    for parts in found.values():
        for part in parts.values():
            if part.id in files:
                _draw(part, files[part.id], {path.stem: path for path in captions}.get(part.id))
    return [Section(title, list(parts.values()), waiting.get(title, [])) for title, parts in found.items() if parts or title in waiting]


def render(template: Path, content: Mapping[str, Any]) -> str:
    """The page. Every value is escaped by the template engine. Raises UserError when the template cannot be filled."""
    from jinja2 import Environment, StrictUndefined, TemplateError

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"numeral": numeral, "quantity": quantity, "duration": duration}
    try:
        return environment.from_string(template.read_text(encoding="utf-8")).render(content)
    except FileNotFoundError:
        raise UserError(f"{template} is missing; it comes with the project") from None
    except TemplateError as error:
        raise UserError(f"{template} cannot be filled: {error}") from None


def times(run: Path) -> dict[str, float]:
    """Seconds spent per stage, summed over its jobs' metadata; stages run side by side, so the sum may exceed the time passed."""
    spent: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for path in run.rglob("*meta.json"):
        if "state" in path.relative_to(run).parts:
            continue
        meta = artifacts.read_json(path)
        spent[meta["stage"]] = spent.get(meta["stage"], 0.0) + meta["wall_seconds"]
    return {stage: seconds for stage, seconds in spent.items() if seconds}


def markdown_table(text: str) -> Table:
    """The first pipe table of a Markdown text; lines outside it are notes. A cell's escaped pipe is a plain one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cells = [_cells(line) for line in lines if line.startswith("|")]
    body = [row for row in cells if not all(cell and set(cell) <= set(":-") for cell in row)]
    return Table(body[0] if body else [], body[1:], [line for line in lines if not line.startswith("|")])


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _draw(part: Part, exhibit: Drawn, caption: Path | None) -> None:
    part.title = exhibit.title
    if exhibit.file.suffix == ".png":
        part.figure = "data:image/png;base64," + base64.b64encode(exhibit.file.read_bytes()).decode()
    else:
        part.table = markdown_table(exhibit.file.read_text(encoding="utf-8"))
    if caption:
        part.caption = caption.read_text(encoding="utf-8").strip()
