"""The source `local`: files and folders of jsonl, jsonl.xz, text, Markdown and parquet.

Lines are read here and not through `datasets`, because its readers name neither file nor line of a mistake and copy
everything into a cache first.
"""

import json
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from replication.config import Corpus, UserError
from replication.corpus.sources import NO_REFERENCE, Position, Text, glance
from replication.progress import Progress

SUFFIXES = (".jsonl", ".jsonl.xz", ".txt", ".md", ".parquet")


def candidates(path: Path) -> list[Path]:
    """The file itself, or all files of a folder, at any depth, that have a known suffix, by name. Hidden ones are left out."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file()
                  and not any(part.startswith(".") for part in file.relative_to(path).parts))


def texts(corpus: Corpus, position: Position, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
    """Texts of all files, named `file:line` (jsonl), `file:row` (parquet) or `file`, relative to the folder that was named.

    Raises UserError for a path that does not exist, an unknown suffix, a folder without text, text that is not UTF-8, a
    line that is not JSON, a missing text field, and a truncated file.
    """
    files: list[tuple[str, Path]] = []
    for path in map(Path, corpus.paths):
        if not path.exists():
            raise UserError(f"{path} does not exist; corpus.paths takes files and folders, relative to the folder where snakemake runs")
        found = candidates(path)
        if not found:
            raise UserError(f"{path} holds no file that ends with {', '.join(SUFFIXES)}; see corpus.paths")
        files += [(file.relative_to(path).as_posix() if path.is_dir() else file.name, file) for file in found]
    for name, file in progress.over(files, len(files)):
        for place, text in _texts(file, corpus.text_field):
            if text.strip():
                yield Text(name + place, text)
            else:
                skipped["empty"] += 1


def marks(corpus: Corpus) -> list[str]:
    """A glance at each file."""
    return [glance(file) for path in corpus.paths for file in candidates(Path(path))]


def compare(manifest: str, progress: Progress) -> dict[str, Any]:
    """There is no reference for other people's files."""
    return NO_REFERENCE


def _texts(file: Path, field: str) -> Iterator[tuple[str, str]]:
    try:
        if file.name.endswith(".parquet"):
            yield from _rows(file, field)
        elif file.name.endswith(".jsonl"):
            with file.open("rb") as stream:
                yield from _lines(file, stream, field)
        elif file.name.endswith(".jsonl.xz"):
            with lzma.open(file) as stream:
                yield from _lines(file, stream, field)
        elif file.name.endswith((".txt", ".md")):
            yield "", _decode(file.read_bytes(), str(file))
        else:
            raise UserError(f"{file} has an unknown suffix; corpus.paths takes {', '.join(SUFFIXES)}")
    except (lzma.LZMAError, EOFError):
        raise UserError(f"{file} is truncated or not xz; fetch it again or take it out of corpus.paths") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or type(error).__name__}); repair it or take it out of corpus.paths") from None


def _lines(file: Path, stream: Iterable[bytes], field: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(stream, start=1):
        where = f"{file}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(_decode(line, where))
        except json.JSONDecodeError as error:
            raise UserError(f"{where} is not JSON ({error.msg}); every line of a .jsonl file is one JSON object") from None
        yield f":{number}", _text(row, field, where)


def _rows(file: Path, field: str) -> Iterator[tuple[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        if field not in table.schema_arrow.names:
            raise UserError(f"{file} has no column {field!r}; set corpus.text_field to one of {', '.join(table.schema_arrow.names)}")
        number = 0
        for batch in table.iter_batches(columns=[field]):
            for text in batch.column(0).to_pylist():
                yield f":{number}", _text({field: text}, field, f"{file}:{number}")
                number += 1
    except (pa.ArrowInvalid, UnicodeDecodeError):
        raise UserError(f"{file} is truncated, not parquet, or not UTF-8; fetch it again or take it out of corpus.paths") from None


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 (byte {error.start}); convert it or take it out of corpus.paths") from None


def _text(row: Any, field: str, where: str) -> str:
    if not isinstance(row, dict) or field not in row:
        keys = f"one of {', '.join(row)}" if isinstance(row, dict) and row else "a key that it has"
        raise UserError(f"{where} has no {field!r}; set corpus.text_field to {keys}")
    if not isinstance(row[field], str):
        raise UserError(f"{where} has a {type(row[field]).__name__} in {field!r}, but must have a text; set corpus.text_field to another key or repair the row")
    text: str = row[field]
    return text
