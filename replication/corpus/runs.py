"""Documents by id, however many: an external merge sort whose sorted runs are also the checkpoints of the collection.

Documents are held until they fill RUN_BYTES, then written to disk by id, each content once, as one run; a checkpoint
beside the runs says from where the source goes on. At the end runs are merged, and a content that lies in several comes
once, as it came first. So duplicates are found without a set of all that was seen, and memory does not grow with the
text. Source: ours.
"""

import heapq
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.corpus.table import Document, rows, write

# Text of one run. More costs memory, less makes more runs of the same text; a kill loses at most as much.
RUN_BYTES = 256 * 2**20
# Beside the text of a document: its tuple, id, place and numbers as Python objects, so that short ones are not underrated.
DOCUMENT_BYTES = 400
# Text of a group of rows in a run: what each run takes in memory while all are merged.
GROUP_BYTES = 2**20
# Runs that are merged at a time, each an open file with a group in memory; 16 GiB of text.
MERGED = 64
CHECKPOINT = "checkpoint.json"


class Runs:
    """What was collected so far. A document that cannot be among the first `max_bytes` by id any more is kept without its text.

    Raises ArtifactError when `folder` holds runs of other settings, or lacks one.
    """

    def __init__(self, folder: Path, identity: str, max_bytes: int) -> None:
        self.folder, self.identity, self.max_bytes = folder, identity, max_bytes
        self.state: dict[str, Any] | None = None
        self.skipped = Counter[str]()
        self.added = self.runs = 0
        self._bar: str | None = None
        self._held: list[Document] = []
        self._size = 0
        if (folder / CHECKPOINT).exists():
            self._resume(artifacts.read_json(folder / CHECKPOINT))
        else:
            self.clear()

    def add(self, document: Document) -> None:
        """Take a document in."""
        if self._bar is not None and document.id >= self._bar:
            document = document._replace(text="")
        self._held.append(document)
        self._size += len(document.text) + DOCUMENT_BYTES
        self.added += 1

    @property
    def full(self) -> bool:
        """Whether what is held should go to disk."""
        return self._size >= RUN_BYTES

    def spill(self, state: dict[str, Any] | None) -> None:
        """Write what is held as a run; with the `state` from which the source goes on, a job that is killed later resumes here."""
        write(self._run(self.runs), self._sorted(), GROUP_BYTES)
        self.runs += 1
        self._held, self._size = [], 0
        if state is not None:
            artifacts.write_json(self.folder / CHECKPOINT, {"identity": self.identity, "runs": self.runs, "added": self.added, "bar": self._bar,
                                                            "skipped": self.skipped, "state": state})

    def merged(self) -> Iterator[Document]:
        """All documents by id, each content once, as it came first."""
        paths = [self._run(number) for number in range(self.runs)]
        for level in itertools.count():
            if len(paths) <= MERGED:
                break
            paths = [self._merge(paths[start : start + MERGED], self.folder / f"merged-{level}-{start}.parquet") for start in range(0, len(paths), MERGED)]
        yield from _distinct([*map(rows, paths), self._sorted()])

    def clear(self) -> None:
        """Remove everything from the disk; the checkpoint first, because without its runs it could not be resumed."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _resume(self, found: dict[str, Any]) -> None:
        if found["identity"] != self.identity:
            raise ArtifactError(f"{self.folder} was written with other settings; delete it to collect from the start, or restore the settings to resume")
        self.state, self.runs, self.added, self._bar = found["state"], found["runs"], found["added"], found["bar"]
        self.skipped.update(found["skipped"])
        files, own = {*self.folder.iterdir()}, {*map(self._run, range(self.runs))}
        if missing := own - files:
            raise ArtifactError(f"{self.folder} lacks {min(missing).name}, which its checkpoint counts; delete the folder to collect from the start")
        for path in files - own - {self.folder / CHECKPOINT}:
            path.unlink()  # written after the checkpoint, or half

    def _sorted(self) -> list[Document]:
        first: dict[str, Document] = {}
        for document in self._held:
            first.setdefault(document.id, document)
        ordered, total = sorted(first.values(), key=attrgetter("id")), 0
        for number, document in enumerate(ordered):
            total += document.bytes
            if total > self.max_bytes:
                self._bar = min(self._bar or document.id, document.id)
                ordered[number:] = [one._replace(text="") for one in ordered[number:]]
                break
        return ordered

    def _run(self, number: int) -> Path:
        return self.folder / f"run-{number}.parquet"

    @staticmethod
    def _merge(paths: list[Path], out: Path) -> Path:
        write(out, _distinct(map(rows, paths)), GROUP_BYTES)
        return out


def _distinct(sorted_runs: Iterable[Iterable[Document]]) -> Iterator[Document]:
    """Runs merged by id; of equal ids the one of the first run, because `heapq.merge` is stable."""
    last = ""
    for document in heapq.merge(*sorted_runs, key=attrgetter("id")):
        if document.id != last:
            yield document
        last = document.id
