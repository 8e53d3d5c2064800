"""Where text comes from: what the modules `installed`, `hub` and `local` have in common, and a fingerprint of a source."""

import hashlib
import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from replication.config import Corpus, canonical_json
from replication.progress import Progress

# Enough to notice an edited file without reading a whole corpus each time Snakemake plans.
GLANCE_BYTES = 65_536
NO_REFERENCE: dict[str, Any] = {"reference_sha256": None, "matches_reference": None, "packages": {}}


class Text(NamedTuple):
    """A text and the place it comes from: path in site-packages, file:line, or dataset:row."""

    source: str
    text: str


@dataclass
class Position:
    """Where in its source a job is: in which part, from which state it starts (None: the beginning), and how to read the state it is in.

    Only a source that can go on in the middle sets `read`; the state holds JSON values and is that after the last text that
    came. `revision` is the file that says at which commit a dataset of the Hub is read; other sources have none.
    """

    part: int = 0
    state: dict[str, Any] | None = None
    revision: Path | None = None
    read: Callable[[], dict[str, Any] | None] = lambda: None


class Source(Protocol):
    """What a source's module has."""

    def texts(self, corpus: Corpus, position: Position, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
        """All texts of a part from a position on, in a fixed order; counts what it leaves out, by reason, in `skipped`.

        Raises UserError for what cannot be read.
        """
        ...

    def marks(self, corpus: Corpus) -> list[str]:
        """What changes when the text may have changed, found quickly. Raises nothing: a missing file is the job's to report."""
        ...

    def compare(self, manifest: str, progress: Progress) -> dict[str, Any]:
        """`reference_sha256`, `matches_reference` and `packages` of corpus.json."""
        ...


def source(corpus: Corpus) -> Source:
    """The module of the source that the config names.

    It is imported by name, so that a rule depends on the code of the source that it uses and of no other.
    """
    return cast(Source, importlib.import_module(f"replication.corpus.{corpus.source}"))


def fingerprint(corpus: Corpus) -> str:
    """Twelve hex digits that a rule takes as a parameter, so that it reruns when packages or local files of text changed.

    Local files are not inputs of the rule, because a folder of text may hold very many, and because a missing one is to
    be named in one sentence by the job itself. Each counts by name, size, head and tail: not by time, which a copy
    changes. A dataset of the Hub counts by its settings alone.
    """
    return hashlib.sha256(canonical_json(source(corpus).marks(corpus)).encode()).hexdigest()[:12]


def tokenizer_file(corpus: Corpus) -> str:
    """The same of the tokenizer.json that the config names, for the rule that reads it; empty for a tokenizer that is trained or of the Hub."""
    return glance(Path(corpus.tokenizer)) if corpus.tokenizer.endswith(".json") else ""


def glance(path: Path) -> str:
    """Name, size and a hash of both ends of a file; says so when there is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(GLANCE_BYTES)
            stream.seek(max(0, size - GLANCE_BYTES))
            return f"{path} {size} {hashlib.sha256(head + stream.read()).hexdigest()}"
    except OSError:
        return f"{path} cannot be read"
