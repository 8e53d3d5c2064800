"""Documents: texts without duplicates, cut where very long, sampled by content hash, with a held-out split."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from replication import artifacts
from replication.config import Corpus, Settings, UserError
from replication.corpus.runs import Runs
from replication.corpus.sources import Position, Text, fingerprint, source
from replication.corpus.table import Document, write
from replication.progress import Progress
from replication.provenance import Stopwatch

# A longer text becomes several documents, cut at line ends: documents are what is sampled and shuffled, so one
# book or table must not fill thousands of neighbouring contexts. Larger values only make the order coarser.
PIECE_BYTES = 200_000


class Sample:
    """The documents with the smallest ids that fit into `max_bytes`, a uniform random sample, and counts of all that there are.

    A document that does not fit bars itself and all with larger ids. Source: ours.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.documents = self.bytes = self.held_out_documents = self.held_out_bytes = self.available_documents = self.available_bytes = 0
        self._manifest = hashlib.sha256()

    def of(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Those of `documents`, which come by id, that are in the sample; counts them all."""
        barred = False
        for document in documents:
            self._manifest.update(("\n" + document.id if self.available_documents else document.id).encode())
            self.available_documents += 1
            self.available_bytes += document.bytes
            barred = barred or self.bytes + document.bytes > self.max_bytes
            if not barred:
                self.documents += 1
                self.bytes += document.bytes
                self.held_out_documents += document.held_out
                self.held_out_bytes += document.held_out * document.bytes
                yield document

    def manifest(self) -> str:
        """As `manifest` of the ids of all documents that came."""
        return self._manifest.hexdigest()


def collect(*, part: int = 0, settings: Settings, state: Path, revision: Path | None = None, out: Path, progress: Progress) -> None:
    """Write `documents.parquet` and `corpus.json` of a part into `out`, by way of sorted runs in `state`; `revision` as in Position.

    Raises UserError when the source cannot be read, is empty, or holds no document as small as the part's share of
    `corpus.max_bytes`. A source that can go on from where it was does so after a kill, with the same result.
    """
    assert settings.corpus is not None
    corpus, stopwatch = settings.corpus, Stopwatch()
    origin, sample = source(corpus), Sample(corpus.max_bytes // corpus.shards)
    runs = Runs(state, f"{settings.hash()} {part}", sample.max_bytes)
    position = Position(part, runs.state, revision)
    for text in origin.texts(corpus, position, runs.skipped, progress):
        for document in documents_of(text, corpus.holdout):
            runs.add(document)
        if runs.full:
            runs.spill(position.read())
    chosen = sample.of(runs.merged())
    first = next(chosen, None)
    if first is None:
        runs.clear()
        raise UserError(_nothing(corpus, sample))
    path, summary = out / artifacts.DOCUMENTS, out / artifacts.CORPUS
    write(path, itertools.chain([first], chosen))
    commit = (position.read() or {}).get("revision")
    artifacts.write_json(summary, {
        "source": corpus.source, "documents": sample.documents, "bytes": sample.bytes,
        "available_documents": sample.available_documents, "available_bytes": sample.available_bytes,
        "held_out_documents": sample.held_out_documents, "held_out_bytes": sample.held_out_bytes,
        "duplicates": runs.added - sample.available_documents, "skipped": dict(sorted(runs.skipped.items())),
        "manifest_sha256": sample.manifest(), **({"revision": commit} if commit else {}),
    })
    artifacts.write_meta(out, stage="corpus documents", settings=settings, files={"documents": path, "corpus": summary},
                         inputs={"revision": revision} if revision else {}, stopwatch=stopwatch, part=part, fingerprint=fingerprint(corpus))
    runs.clear()


def _nothing(corpus: Corpus, sample: Sample) -> str:
    if not sample.available_documents:
        name = corpus.name or ", ".join(corpus.paths) or "the list of installed packages"
        return f"the corpus is empty: {name} gave no text; see `corpus` in the config"
    share = "" if corpus.shards == 1 else f", of which each of {corpus.shards} parts has {sample.max_bytes}"
    return f"corpus.max_bytes is {corpus.max_bytes}{share}, less than the first document; raise it to at least {PIECE_BYTES * corpus.shards}"


def documents_of(text: Text, holdout: float) -> Iterator[Document]:
    """A text as one document or several. Raises UserError for half a surrogate pair."""
    try:
        data = text.text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{text.source} holds half of a surrogate pair, which is not UTF-8; repair or remove that text") from None
    # Pieces of one text go to the same side of the split.
    held_out = in_holdout(hashlib.sha256(data).hexdigest(), holdout)
    for number, piece in enumerate(pieces(data, PIECE_BYTES)):
        digest = hashlib.sha256(piece).hexdigest()[:16]
        yield Document(digest, f"{text.source}#{number}" if number else text.source, held_out, len(piece), piece.decode())


def in_holdout(digest: str, share: float) -> bool:
    """Whether a text is held out: by the last 32 bits of its hash, because the first ones decide which texts are used at all."""
    return int(digest[-8:], 16) < share * 2**32


def pieces(data: bytes, limit: int) -> Iterator[bytes]:
    """UTF-8 in pieces of at most `limit` bytes, cut after a line end or, in a longer line, between two characters."""
    start = 0
    while len(data) - start > limit:
        end = data.rfind(b"\n", start, start + limit) + 1
        if not end:
            end = start + limit
            while data[end] & 0xC0 == 0x80:
                end -= 1
        yield data[start:end]
        start = end
    if start < len(data) or not data:
        yield data[start:]


def manifest(ids: Iterable[str]) -> str:
    """SHA-256 over the sorted ids of documents: equal for equal text, whatever its order and place."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
