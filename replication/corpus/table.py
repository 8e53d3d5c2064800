"""The table of documents: what `documents.parquet` holds, how it is written and read."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from replication import artifacts

ROW_GROUP = 1024


class Document(NamedTuple):
    """A text and where it comes from; `id` is the first 16 hex digits of its SHA-256."""

    id: str
    source: str
    held_out: bool
    bytes: int
    text: str


def write(path: Path, documents: list[Document]) -> None:
    """Documents as parquet, in the order given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("document", pa.string()), ("source", pa.string()), ("held_out", pa.bool_()), ("bytes", pa.int64()), ("text", pa.string())])
    with artifacts.atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1) as writer:
        for start in range(0, len(documents), ROW_GROUP):
            columns = zip(*documents[start : start + ROW_GROUP], strict=True)
            writer.write_table(pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema))


def read(path: Path, *, held_out: bool) -> Iterator[str]:
    """Texts of one side of the split, by document id, after the file was compared with its checksum. Raises ArtifactError."""
    import pyarrow.parquet as pq

    artifacts.check(path.parent, path.name)
    for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP, columns=["held_out", "text"]):
        yield from (text for side, text in zip(*(column.to_pylist() for column in batch.columns), strict=True) if side == held_out)
