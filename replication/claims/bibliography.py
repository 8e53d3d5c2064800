"""The works that the ledger cites: read from the BibTeX file that people write, and given out with the run's own entry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from replication.claims.statements import ClaimsError

ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},$")
ACCENTS = {'{\\"o}': "ö", '{\\"e}': "ë", "{\\'E}": "É", "{\\ss}": "ß", "--": "–", "\\&": "&"}
MOST_AUTHORS = 3


@dataclass(frozen=True)
class Work:
    """One entry: its kind, its key, and its fields as BibTeX."""

    kind: str
    key: str
    fields: Mapping[str, str]

    @property
    def cited_as(self) -> str:
        """The word by which the ledger names it as a source, or the tool that it describes."""
        return self.fields.get("ledger", self.fields.get("tool", ""))

    @property
    def line(self) -> str:
        """Authors, title, place and year in one line of plain text."""
        names = [_plain(name) for name in self.fields["author"].split(" and ")]
        names = [" ".join(reversed(name.split(", "))) for name in names]
        authors = ", ".join(names) if len(names) <= MOST_AUTHORS else f"{names[0]} and others"
        place = next((_plain(self.fields[key]) for key in ("journal", "booktitle", "howpublished") if key in self.fields), "")
        return f"{authors}: {_plain(self.fields['title'])}. {f'{place}, ' if place else ''}{self.fields['year']}."


def read(path: Path) -> list[Work]:
    """The works of a BibTeX file with one field a line. Raises ClaimsError that says what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ClaimsError(f"{path} is missing; it comes with the project") from None
    works = []
    for kind, key, body in ENTRY.findall(text):
        lines = body.splitlines()
        fields = [FIELD.fullmatch(line) for line in lines]
        bad = next((line for line, field in zip(lines, fields, strict=True) if field is None), None)
        if bad is not None:
            raise ClaimsError(f"{path}, entry {key}: cannot read {bad.strip()!r}; write one field a line, like `  year = {{2023}},`")
        work = Work(kind, key, {field[1]: field[2] for field in fields if field})
        lacking = [name for name in ("author", "title", "year") if name not in work.fields]
        if lacking:
            raise ClaimsError(f"{path}, entry {key}: lacks {', '.join(lacking)}")
        works.append(work)
    if len(works) != text.count("\n@") + text.startswith("@"):
        raise ClaimsError(f"{path} holds an entry that cannot be read; each starts with `@kind{{key,` and ends with a line `}}`")
    if len({work.key for work in works}) < len(works):
        raise ClaimsError(f"{path} has a key twice")
    return works


def own(citation: Mapping[str, Any], *, run: str, config: str, corpus: str) -> Work:
    """The entry of a run, from CITATION.cff and what the run was made of."""
    authors = " and ".join(_author(author) for author in citation["authors"])
    return Work("misc", f"replication_{re.sub(r'[^A-Za-z0-9]+', '_', run)}_{config}", {
        "author": authors, "title": f"{{{citation['title']}: run {_safe(run)}}}", "year": str(citation["date-released"])[:4],
        "version": str(citation["version"]), "howpublished": f"Software, version {citation['version']}",
        "note": f"run {_safe(run)}, configuration {config}, corpus {corpus}"})


def citation(path: Path) -> dict[str, Any]:
    """CITATION.cff. Raises ClaimsError."""
    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError) as error:
        raise ClaimsError(f"{path} cannot be read ({type(error).__name__}); restore it from the project") from None
    return found


def bibtex(works: Sequence[Work]) -> str:
    """The works as BibTeX."""
    return "\n".join(f"@{work.kind}{{{work.key},\n" + "".join(f"  {key} = {{{value}}},\n" for key, value in work.fields.items()) + "}\n"
                     for work in works)


def _author(author: Mapping[str, str]) -> str:
    return f"{author['family-names']}, {author['given-names']}" if "family-names" in author else f"{{{author['name']}}}"


def _safe(text: str) -> str:
    return text.replace("_", r"\_")


def _plain(text: str) -> str:
    for written, letter in ACCENTS.items():
        text = text.replace(written, letter)
    return text.replace("{", "").replace("}", "")
