"""The source `hub`: a dataset of the Hugging Face Hub, streamed in parts until there is enough text.

Its files are dealt in turn to the parts. Three layers meet a fault of the network: the Hub's client asks again, for the
rest of the file; `datasets` reads again, 20 times; and when both have given up, the stream is opened anew here and goes
on after the last row that came. The state of a stream is that of `datasets`: file and row, at one commit of the dataset.
To go on in the middle of a file, the file is read again from its start up to there: no row of it is lost or comes twice.
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from replication.config import Corpus, UserError
from replication.corpus.sources import NO_REFERENCE, Position, Text
from replication.progress import Progress

if TYPE_CHECKING:
    from datasets import IterableDataset

# Fresh starts after faults without a row in between, with pauses of 5, 10, ... 160 seconds: five minutes, on top of the
# quarter of an hour over which the layers below try. A longer outage is for people to look at, and nothing is lost by it.
RETRIES, PAUSE = 6, 5.0
# Classes of faults that may pass, by name, because which HTTP client lies under `datasets` changes with its version:
# httpx, requests, aiohttp, and what the Hub's client says when it can neither reach the Hub nor find a file in its cache.
PASSING = frozenset(("TransportError", "RequestException", "ClientError", "LocalEntryNotFoundError"))
TIMEOUT, TOO_MANY, SERVER_FAULT = 408, 429, 500


def texts(corpus: Corpus, position: Position, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
    """Rows of a part in its order, until the part's share of `corpus.max_bytes` bytes came.

    With HF_HUB_OFFLINE=1 a dataset that was downloaded whole before is read from the cache under HF_HOME. Raises
    UserError when the dataset cannot be reached or read, has fewer files than parts, or a row has no such text.
    """
    share = corpus.max_bytes // corpus.shards
    stream = Stream(corpus, position)
    position.read = stream.state
    if stream.taken >= share:
        return
    for row in stream.rows(progress):
        number, text = stream.number, row.get(corpus.text_field)
        stream.number += 1
        if not isinstance(text, str):
            raise UserError(f"row {number} of the dataset {corpus.name} has no text in {corpus.text_field!r}; set corpus.text_field to one of {', '.join(row)}")
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
        self.corpus, self.part = corpus, position.part
        self.number: int = found.get("number", 0)
        self.taken: int = found.get("taken", 0)
        self.revision: str | None = found.get("revision")
        self._place: dict[str, Any] | None = found.get("place")
        self._rows: IterableDataset | None = None

    def state(self) -> dict[str, Any]:
        """What a new stream needs to go on after the last row that came."""
        return {"revision": self.revision, "place": self._rows.state_dict() if self._rows else self._place, "number": self.number, "taken": self.taken}

    def rows(self, progress: Progress) -> Iterator[dict[str, Any]]:
        """All rows from the state on. Raises UserError for a fault that does not pass, or not within RETRIES new starts."""
        faults = 0
        while True:
            try:
                self._rows = self._open()
                for row in self._rows:
                    yield row
                    faults = 0
                return
            except UserError:
                raise
            except Exception as error:  # a missing network, name or split comes as one of a dozen types, from four libraries
                if self._rows is not None:
                    self._place, self._rows = self._rows.state_dict(), None
                reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
                if not passes(error):
                    raise UserError(
                        f"the dataset {self.corpus.name} cannot be read from the Hugging Face Hub ({reason}); without a network set corpus.source "
                        "to installed or local, or copy a filled HF_HOME here and set HF_HUB_OFFLINE=1") from error
                if faults == RETRIES:
                    raise UserError(
                        f"the network failed {faults + 1} times in a row while the dataset {self.corpus.name} was read ({reason}); what came up to the last "
                        "checkpoint is kept, and the same command goes on from there") from error
            pause = PAUSE * 2**faults
            faults += 1
            progress.say(f"the network failed ({reason}); once more in {pause:.0f} s, {faults} of {RETRIES}")
            time.sleep(pause)

    def _open(self) -> "IterableDataset":
        import datasets
        from huggingface_hub import HfApi

        corpus, offline = self.corpus, datasets.config.HF_HUB_OFFLINE
        if not offline and self.revision is None:
            self.revision = HfApi().dataset_info(corpus.name, revision=corpus.revision or None).sha
        revision = self.revision or corpus.revision or None
        rows = datasets.load_dataset(corpus.name, corpus.subset or None, split=corpus.split, streaming=not offline, revision=revision)
        if offline:
            rows = rows.to_iterable_dataset(num_shards=corpus.shards)
        if rows.num_shards < corpus.shards:
            raise UserError(f"corpus.shards is {corpus.shards}, but the dataset {corpus.name} has only {rows.num_shards} files to deal to them; lower it")
        rows = rows.shard(corpus.shards, self.part, contiguous=False)
        if self._place is not None:
            rows.load_state_dict(self._place)
        return rows


def passes(error: BaseException) -> bool:
    """Whether a fault may be gone at the next try: a lost or refused connection, a timeout, 408, 429 or 5xx; not offline mode."""
    import datasets

    if datasets.config.HF_HUB_OFFLINE:
        return False
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        status = getattr(getattr(link, "response", None), "status_code", None)
        if status is not None:
            return status in (TIMEOUT, TOO_MANY) or status >= SERVER_FAULT
        if isinstance(link, (ConnectionError, TimeoutError)) or PASSING & {kind.__name__ for kind in type(link).__mro__}:
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def marks(corpus: Corpus) -> list[str]:
    """Nothing: a dataset is known by its settings alone."""
    return []


def compare(manifest: str, progress: Progress) -> dict[str, Any]:
    """There is no reference for datasets."""
    return NO_REFERENCE
