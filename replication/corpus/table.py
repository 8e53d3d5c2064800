"""The table of documents: what `documents.parquet` holds, how it is written and read, always a group of rows at a time."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from replication import artifacts

ROW_GROUP = 1024


class Document(NamedTuple):
    """A text, or a piece of a long one, and where it comes from; `id` is the first 16 hex digits of its SHA-256.

    The pieces of a text have its source: `source`, `source#1`, `source#2`...
    """

    id: str
    source: str
    held_out: bool
    bytes: int
    text: str


def write(path: Path, documents: Iterable[Document], group_bytes: int | None = None) -> None:
    """Documents as parquet, in the order given; a group of rows has ROW_GROUP documents, or fewer once it holds `group_bytes` of text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("document", pa.string()), ("source", pa.string()), ("held_out", pa.bool_()), ("bytes", pa.int64()), ("text", pa.string())])
    with artifacts.atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(documents, group_bytes):
            columns = zip(*group, strict=True)
            writer.write_table(pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema))


def rows(path: Path) -> Iterator[Document]:
    """Documents of a table as they lie in it."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        for number in range(table.num_row_groups):
            yield from map(Document, *(column.to_pylist() for column in table.read_row_group(number, use_threads=False).columns))


def read(path: Path, *, held_out: bool) -> Iterator[str]:
    """Texts of one side of the split, by document id, after the file was compared with its checksum. Raises ArtifactError."""
    import pyarrow.parquet as pq

    artifacts.check(path.parent, path.name)
    for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP, columns=["held_out", "text"]):
        yield from (text for side, text in zip(*(column.to_pylist() for column in batch.columns), strict=True) if side == held_out)


def text_numbers(path: Path, *, held_out: bool) -> Iterator[int]:
    """Of each document of one side of the split, in the order of `read`, a number of its text, alike for all pieces: 63 bits of a hash."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP, columns=["held_out", "source"]):
        for side, source in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if side == held_out:
                yield int.from_bytes(hashlib.sha256(re.sub(r"#\d+$", "", source).encode()).digest()[:8]) >> 1


def _groups(documents: Iterable[Document], group_bytes: int | None) -> Iterator[list[Document]]:
    group: list[Document] = []
    size = 0
    for document in documents:
        group.append(document)
        size += len(document.text)
        if len(group) == ROW_GROUP or (group_bytes is not None and size >= group_bytes):
            yield group
            group, size = [], 0
    if group:
        yield group
