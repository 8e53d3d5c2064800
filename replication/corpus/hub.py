"""The source `hub`: a dataset of the Hugging Face Hub, streamed until there is enough text."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from replication.config import Corpus, UserError
from replication.corpus.sources import NO_REFERENCE, Text
from replication.progress import Progress


def texts(corpus: Corpus, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
    """Rows of a dataset in its order, until `corpus.max_bytes` bytes came.

    With HF_HUB_OFFLINE=1 a dataset that was downloaded whole before is read from the cache under HF_HOME. Raises
    UserError when the dataset cannot be reached or read, or a row has no such text.
    """
    import datasets

    taken = 0
    try:
        rows = datasets.load_dataset(corpus.name, corpus.subset or None, split=corpus.split, streaming=not datasets.config.HF_HUB_OFFLINE)
        for number, row in enumerate(rows):
            text = row.get(corpus.text_field)
            if not isinstance(text, str):
                raise UserError(f"row {number} of the dataset {corpus.name} has no text in {corpus.text_field!r}; "
                                f"set corpus.text_field to one of {', '.join(row)}")
            if not text.strip():
                skipped["empty"] += 1
                continue
            yield Text(f"{corpus.name}:{number}", text)
            taken += len(text.encode(errors="replace"))
            progress(min(taken, corpus.max_bytes), corpus.max_bytes)
            if taken >= corpus.max_bytes:
                return
    except UserError:
        raise
    except Exception as error:  # a missing network, name or split comes as one of a dozen types, from four libraries
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"the dataset {corpus.name} cannot be read from the Hugging Face Hub ({type(error).__name__}: {reason[:200]}); without a network set corpus.source "
            "to installed or local, or copy a filled HF_HOME here and set HF_HUB_OFFLINE=1") from error


def marks(corpus: Corpus) -> list[str]:
    """Nothing: a dataset is known by its settings alone."""
    return []


def compare(manifest: str, progress: Progress) -> dict[str, Any]:
    """There is no reference for datasets."""
    return NO_REFERENCE
