"""What the report says, before it is a page: exhibits in the paper's order, each with the statements that it answers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replication import artifacts
from replication.claims.bibliography import Work
from replication.claims.departures import Departure
from replication.claims.statements import ClaimsError, read_rows
from replication.claims.verdict import WORDS
from replication.exhibits.caption import fill

Row = Mapping[str, str]
FINDINGS = ("exhibit", "published")
LOOKED_AT = "; looked at: "


@dataclass(frozen=True)
class Drawn:
    """An exhibit as the registry describes it, with the file that was drawn for it.

    One of a family has the family's title, the label of its `context`, and, where the text lacks that context, why it is `absent`.
    """

    id: str
    title: str
    section: str
    file: Path
    family: str = ""
    context: str = ""
    absent: str = ""


@dataclass(frozen=True)
class Table:
    """A Markdown table: header, rows, and the text around it."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]


@dataclass
class Part:
    """One exhibit: what was published, its figure or table, its caption, paragraphs about it, and the rows of the ledger that it answers."""

    id: str
    title: str
    context: str = ""
    published: str = ""
    figure: Path | None = None
    table: Table | None = None
    caption: str = ""
    discussion: Sequence[str] = ()
    absent: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Verdicts of its rows, those that occur."""
        return counts(self.rows)


@dataclass
class Entry:
    """An exhibit, or a family of them: one exhibit for each context, under one title."""

    id: str
    title: str
    published: str
    parts: list[Part]
    family: bool

    @property
    def first(self) -> Part:
        """The first one that has something to show."""
        return next((part for part in self.parts if not part.absent), self.parts[0])

    @property
    def counts(self) -> dict[str, int]:
        """Verdicts of all its rows."""
        return counts(row for part in self.parts for row in part.rows)


@dataclass
class Section:
    """A section of the paper: what this run drew, and what it did not."""

    title: str
    entries: list[Entry]
    waiting: list[Part]

    @property
    def counts(self) -> dict[str, int]:
        """Verdicts of all its rows, those of exhibits that were not drawn included."""
        drawn = [part for entry in self.entries for part in entry.parts]
        return counts(row for part in (*drawn, *self.waiting) for row in part.rows)


@dataclass(frozen=True)
class Report:
    """All that the report says: what the run was (`facts`), how to read it, its verdicts, and where each thing comes from."""

    run: str
    facts: Sequence[tuple[str, str]]
    reading: Sequence[str]
    terms: Sequence[tuple[str, str]]
    counts: Mapping[str, int]
    sections: Sequence[Section]
    rows: Sequence[Row]
    departures: Sequence[Departure]
    works: Sequence[Work]
    versions: Mapping[str, str]


def sections(rows: Sequence[Row], drawn: Sequence[Drawn], captions: Iterable[Path], published: Mapping[str, str],
             discussed: Mapping[str, Sequence[str]]) -> list[Section]:
    """Sections in the order of the statements, which is the paper's, with the registry's exhibits that have none in their places.

    `published` is what the paper found by exhibit or family (`findings`), `discussed` paragraphs by exhibit (`discussions`).
    """
    said, known = {path.stem: path for path in captions}, {exhibit.id for exhibit in drawn}
    parts = {exhibit.id: _part(exhibit, said.get(exhibit.id), published, discussed) for exhibit in drawn}
    homes: dict[str, list[str]] = {}
    for row in rows:
        name = row["exhibit"]
        parts.setdefault(name, Part(name, name.replace("_", " "), published=published.get(name, published.get(_family(row), ""))))
        parts[name].rows.append(row)
        homes.setdefault(row["section"], []).append(name)
    order = merged(list(homes), [exhibit.section for exhibit in drawn])
    made = []
    for title in order:
        here = [exhibit for exhibit in drawn if exhibit.section == title]
        names = merged(homes.get(title, []), [exhibit.id for exhibit in here])
        waiting = [parts[name] for name in names if name not in known]
        made.append(Section(title, _entries(names, {exhibit.id: exhibit for exhibit in here}, parts, published), waiting))
    return made


def findings(path: Path) -> dict[str, str]:
    """What the paper found, in our words, by exhibit or family. Raises ClaimsError when an exhibit has two."""
    found: dict[str, str] = {}
    for row in read_rows(path, FINDINGS):
        if row["exhibit"] in found:
            raise ClaimsError(f"{path} has two rows for {row['exhibit']!r}; one says what the paper found")
        found[row["exhibit"]] = row["published"]
    return found


def discussions(folder: Path, numbers: Iterable[Path]) -> dict[str, list[str]]:
    """Paragraphs by exhibit, one file of the folder each, with the numbers of the study of that name, whose `numbers.json` is among `numbers`."""
    found = {path.parent.name: artifacts.read_json(path)["numbers"] for path in numbers}
    return {path.stem: [said for block in path.read_text(encoding="utf-8").split("\n\n") if (said := fill(block, found.get(path.stem, {})))]
            for path in sorted(folder.glob("*.md"))}


def merged(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """The names of both, each once: the first order, with each name that only the second has after its neighbour there."""
    order = list(dict.fromkeys(first))
    before = ""
    for name in second:
        if name not in order:
            order.insert(order.index(before) + 1 if before else len(order), name)
        before = name
    return order


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each verdict, in the fixed order, verdicts without rows left out."""
    words = [row["verdict"] for row in rows]
    return {word: words.count(word) for word in WORDS if word in words}


def reason(row: Row, before: Row | None = None) -> tuple[str, str]:
    """The reason of a verdict, `as above` where the row before has the same, and apart from it what was looked at where it differs."""
    if before and before["reason"] == row["reason"]:
        return "as above", ""
    why, _, looked_at = row["reason"].partition(LOOKED_AT)
    return why, looked_at


def _entries(names: Sequence[str], here: Mapping[str, Drawn], parts: Mapping[str, Part], published: Mapping[str, str]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for name in names:
        if name not in here:
            continue
        family = here[name].family
        if not family:
            entries[name] = Entry(name, parts[name].title, parts[name].published, [parts[name]], family=False)
            continue
        entries.setdefault(family, Entry(family, here[name].title, published.get(family, ""), [], family=True))
        entries[family].parts.append(parts[name])
    return list(entries.values())


def _part(exhibit: Drawn, caption: Path | None, published: Mapping[str, str], discussed: Mapping[str, Sequence[str]]) -> Part:
    title = f"{exhibit.title}: {exhibit.context}" if exhibit.context else exhibit.title
    part = Part(exhibit.id, title, exhibit.context, published.get(exhibit.id, ""), discussion=discussed.get(exhibit.id, ()), absent=bool(exhibit.absent))
    if caption:
        part.caption = caption.read_text(encoding="utf-8").strip()
    if exhibit.file.suffix == ".md":
        part.table = markdown_table(exhibit.file.read_text(encoding="utf-8"))
    elif not part.absent:  # its picture says what its caption says
        part.figure = exhibit.file
    return part


def markdown_table(text: str) -> Table:
    """The first pipe table of a Markdown text; lines outside it are notes. A cell's escaped pipe is a plain one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cells = [_cells(line) for line in lines if line.startswith("|")]
    body = [row for row in cells if not all(cell and set(cell) <= set(":-") for cell in row)]
    return Table(body[0] if body else [], body[1:], [line for line in lines if not line.startswith("|")])


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _family(row: Row) -> str:
    """The family of an exhibit that may not be drawn: the study that answers, where the exhibit's name goes on with a context."""
    study = row["number"].partition(".")[0]
    return study if row["exhibit"].startswith(f"{study}_") else ""
