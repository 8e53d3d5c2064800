"""The source `hub`: a dataset of the Hugging Face Hub, streamed in parts until there is enough text.

Its files are dealt in turn to the parts. Three layers meet a fault of the network: the Hub's client asks again, for the
rest of the file; `datasets` reads again, 20 times; and when both have given up, the stream is opened anew here and goes
on after the last row that came. The state of a stream is that of `datasets`: file and row, at the commit that all parts have.
To go on in the middle of a file, the file is read again from its start up to there: no row of it is lost or comes twice.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from replication.artifacts import ArtifactError
from replication.config import Corpus, UserError
from replication.corpus import revision
from replication.corpus.network import Patience, offline, reason, remote
from replication.corpus.sources import NO_REFERENCE, Position, Text
from replication.progress import Progress

if TYPE_CHECKING:
    from datasets import IterableDataset


def texts(corpus: Corpus, position: Position, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
    """Rows of a part in its order, until the part's share of `corpus.max_bytes` bytes came.

    With HF_HUB_OFFLINE=1 a dataset that was downloaded whole before is read from the cache under HF_HOME, and its rows are
    dealt in ranges. Raises UserError when the dataset cannot be reached or read, has fewer files than parts, a row has no such
    text, or the other parts are read in the other way.
    """
    share = corpus.max_bytes // corpus.shards
    stream = Stream(corpus, position)
    position.read = stream.state
    if stream.taken >= share:
        return
    for row in stream.rows(progress):
        number, text = stream.number, row.get(corpus.text_field)
        stream.number += 1
        if corpus.text_field not in row:
            raise UserError(f"row {number} of the dataset {corpus.name} has no text in {corpus.text_field!r}; set corpus.text_field to one of {', '.join(row)}")
        if not isinstance(text, str):
            found = "null" if text is None else f"{text!r:.100}"
            raise UserError(f"row {number} of the dataset {corpus.name} has {found} in {corpus.text_field!r}, which is no text; "
                            "set corpus.text_field to a column of texts, or take a dataset without such rows")
        if not text.strip():
            skipped["empty"] += 1
            continue
        stream.taken += len(text.encode(errors="replace"))
        yield Text(f"{corpus.name}:{position.part}:{number}", text)
        progress(min(stream.taken, share), share)
        if stream.taken >= share:
            return


class Stream:
    """Rows of one part of a dataset, across faults. `number` and `taken` are the rows and the bytes of text before here."""

    def __init__(self, corpus: Corpus, position: Position) -> None:
        found = position.state or {}
        self.corpus, self.part, self.revision = corpus, position.part, _revision(corpus, position)
        self.number: int = found.get("number", 0)
        self.taken: int = found.get("taken", 0)
        self._place: dict[str, Any] | None = found.get("place")
        self._rows: IterableDataset | None = None

    def state(self) -> dict[str, Any]:
        """What a new stream needs to go on after the last row that came."""
        return {"revision": self.revision, "place": self._rows.state_dict() if self._rows else self._place, "number": self.number, "taken": self.taken}

    def rows(self, progress: Progress) -> Iterator[dict[str, Any]]:
        """All rows from the state on. Raises UserError for a fault of the data, and for one of the network that does not pass, or not soon."""
        patience = Patience(self.corpus.name, progress)
        while True:
            try:
                self._rows = self._open()
                for row in self._rows:
                    yield row
                    patience.faults = 0
                return
            except UserError:
                raise
            except Exception as error:  # a missing network, name or split comes as one of a dozen types, from four libraries
                if self._rows is not None:
                    self._place, self._rows = self._rows.state_dict(), None
                if not remote(error):
                    raise UserError(f"the dataset {self.corpus.name}, part {self.part}, cannot be read after {self.number} rows ({reason(error)}); "
                                    "set corpus.revision to one in which that is repaired") from error
                patience.wait(error)

    def _open(self) -> "IterableDataset":
        import datasets

        corpus, streaming = self.corpus, self.revision is not None
        at = self.revision or corpus.revision or None
        rows = datasets.load_dataset(corpus.name, corpus.subset or None, split=corpus.split, streaming=streaming, revision=at)
        if not streaming:
            rows = rows.to_iterable_dataset(num_shards=corpus.shards)
        if rows.num_shards < corpus.shards:
            raise UserError(f"corpus.shards is {corpus.shards}, but the dataset {corpus.name} has only {rows.num_shards} files to deal to them; lower it")
        rows = rows.shard(corpus.shards, self.part, contiguous=False)
        if self._place is not None:
            rows.load_state_dict(self._place)
        return rows


def _revision(corpus: Corpus, position: Position) -> str | None:
    """The commit at which all parts are read, None offline. Raises UserError when this part would be read in another way, or was before."""
    if position.revision is None:
        raise UserError("a dataset of the Hub is read with --revision, the file that `corpus revision` writes")
    pinned = revision.read(position.revision)
    if (pinned is None) != offline():
        was, now, remedy = ("offline", "online", "set HF_HUB_OFFLINE=1") if pinned is None else ("online", "offline", "unset HF_HUB_OFFLINE")
        raise UserError(f"{position.revision} was written {was}, but part {position.part} of the dataset {corpus.name} would be read {now}, with other rows; "
                        f"{remedy}, or delete that file to collect all parts anew")
    if position.state is not None and position.state["revision"] != pinned:
        raise ArtifactError(f"what is kept of part {position.part} of the dataset {corpus.name} is of revision {position.state['revision']}, but "
                            f"{position.revision} says {pinned}; delete the part's folder in state/corpus to collect it from the start")
    return pinned


def marks(corpus: Corpus) -> list[str]:
    """Nothing: a dataset is known by its settings alone."""
    return []


def compare(manifest: str, progress: Progress) -> dict[str, Any]:
    """There is no reference for datasets."""
    return NO_REFERENCE
