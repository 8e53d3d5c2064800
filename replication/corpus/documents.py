"""Documents: texts without duplicates, cut where very long, sampled by content hash, with a held-out split."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus.sources import Text, fingerprint, source
from replication.corpus.table import Document, write
from replication.progress import Progress
from replication.provenance import Stopwatch

# A longer text becomes several documents, cut at line ends: documents are what is sampled and shuffled, so one
# book or table must not fill thousands of neighbouring contexts. Larger values only make the order coarser.
PIECE_BYTES = 200_000


class Sample:
    """The documents with the smallest ids that fit into `max_bytes`: a uniform random sample, whatever the order they come in.

    Memory is bounded by `max_bytes`: a document that does not fit bars itself and all with larger ids. Source: ours.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.bytes = max_bytes, 0
        self.bar: int | None = None
        self._heap: list[tuple[int, Document]] = []

    def offer(self, document: Document) -> None:
        """Take the document in, and drop those with the largest ids while there is too much."""
        order = int(document.id, 16)
        if self.bar is not None and order >= self.bar:
            return
        heapq.heappush(self._heap, (-order, document))
        self.bytes += document.bytes
        while self.bytes > self.max_bytes:
            dropped, last = heapq.heappop(self._heap)
            self.bytes -= last.bytes
            self.bar = -dropped

    def documents(self) -> list[Document]:
        """What was kept, by id."""
        return [document for _, document in sorted(self._heap, reverse=True)]


def collect(*, settings: Settings, out: Path, progress: Progress) -> None:
    """Write `documents.parquet` and `corpus.json` into `out`.

    Raises UserError when the source cannot be read, is empty, or holds no document as small as `corpus.max_bytes`.
    """
    assert settings.corpus is not None
    corpus, stopwatch, skipped = settings.corpus, Stopwatch(), Counter[str]()
    origin, sample, sizes = source(corpus), Sample(corpus.max_bytes), dict[str, int]()
    for document in available(origin.texts(corpus, skipped, progress), corpus.holdout, skipped):
        sizes[document.id] = document.bytes
        sample.offer(document)
    documents = sample.documents()
    if not sizes:
        name = corpus.name or ", ".join(corpus.paths) or "the list of installed packages"
        raise UserError(f"the corpus is empty: {name} gave no text; see `corpus` in the config")
    if not documents:
        raise UserError(f"corpus.max_bytes is {corpus.max_bytes}, less than the first document; raise it to at least {PIECE_BYTES}")
    path, summary = out / artifacts.DOCUMENTS, out / artifacts.CORPUS
    write(path, documents)
    held_out = [document for document in documents if document.held_out]
    artifacts.write_json(summary, {
        "source": corpus.source, "documents": len(documents), "bytes": sample.bytes, "available_documents": len(sizes), "available_bytes": sum(sizes.values()),
        "held_out_documents": len(held_out), "held_out_bytes": sum(document.bytes for document in held_out),
        "duplicates": skipped.pop("duplicates", 0), "skipped": dict(sorted(skipped.items())),
        "manifest_sha256": manifest(sizes), **origin.compare(manifest(sizes), progress),
    })
    artifacts.write_meta(out, stage="corpus documents", settings=settings, files={"documents": path, "corpus": summary}, inputs={},
                         stopwatch=stopwatch, fingerprint=fingerprint(corpus))


def available(texts: Iterable[Text], holdout: float, skipped: Counter[str] | None = None) -> Iterator[Document]:
    """Texts as documents, each content once; counts duplicates in `skipped`. Raises UserError for half a surrogate pair."""
    seen: set[str] = set()
    for place, text in texts:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{place} holds half of a surrogate pair, which is not UTF-8; repair or remove that text") from None
        # Pieces of one text go to the same side of the split.
        held_out = in_holdout(hashlib.sha256(data).hexdigest(), holdout)
        for number, piece in enumerate(pieces(data, PIECE_BYTES)):
            digest = hashlib.sha256(piece).hexdigest()[:16]
            if digest in seen:
                if skipped is not None:
                    skipped["duplicates"] += 1
                continue
            seen.add(digest)
            yield Document(digest, f"{place}#{number}" if number else place, held_out, len(piece), piece.decode())


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
