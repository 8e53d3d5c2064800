"""Tokens: documents one after another, each closed by the end-of-text token, cut into contexts.

With `corpus.bos` every context begins with that token, which models of others may expect: without it their first tokens stand in for it. It is a
token like any other from then on: it is predicted from, sampled, and counted.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus import shards
from replication.corpus.table import read
from replication.corpus.tokenizer import end_of_text, load
from replication.progress import Progress
from replication.provenance import Stopwatch

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = {"train": artifacts.TRAIN_TOKENS, "held_out": artifacts.HELD_OUT_TOKENS}
# Encoded at a time, so that memory stays small: the library keeps some 100 bytes for each token of a batch.
BATCH_CHARACTERS = 2_000_000


def encode(*, documents: Path, tokenizer: Path, n_ctx: int, settings: Settings, out: Path, progress: Progress) -> None:
    """Write both splits of a part as shards of contexts, and the unigram counts of its training split, into `out`.

    Raises UserError when the training text does not fill one context, or the tokenizer lacks `corpus.bos`.
    """
    stopwatch = Stopwatch()
    assert settings.corpus
    artifacts.check(tokenizer.parent, tokenizer.name, name=artifacts.TOKENIZER_META)
    encoder = load(tokenizer)
    bos = encoder.token_to_id(settings.corpus.bos) if settings.corpus.bos else None
    if settings.corpus.bos and bos is None:
        raise UserError(f"corpus.bos is {settings.corpus.bos!r}, which is no token of corpus.tokenizer; name one, or leave it empty")
    total = artifacts.read_json(documents.parent / artifacts.CORPUS)["bytes"]
    files = {split: out / name for split, name in SPLITS.items()} | {"unigrams": out / artifacts.UNIGRAMS}
    counts = np.zeros(encoder.get_vocab_size(), np.int64)
    seen = done = 0
    for split in SPLITS:
        with shards.writing(files[split], n_ctx, bos) as shard:
            for tokens, size in encoded(read(documents, held_out=split == "held_out"), encoder):
                full = shard.append(tokens)
                if split == "train":
                    counts += np.bincount(full, minlength=len(counts))
                    seen += len(tokens)
                done += size
                progress(done, total)
            if split == "train" and not shard.contexts:
                raise UserError(f"the training text is {seen} tokens, less than one context of {n_ctx}; "
                                "give more text (corpus.max_bytes, corpus.paths) or lower n_ctx")
    artifacts.write_tensors(files["unigrams"], {shards.COUNTS: torch.from_numpy(counts)})
    artifacts.write_meta(out, stage="corpus tokens", settings=settings, files=files, inputs={"documents": documents, "tokenizer": tokenizer},
                         stopwatch=stopwatch, name=artifacts.TOKENS_META, n_ctx=n_ctx)


def encoded(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[tuple[Int[np.ndarray, " token"], int]]:
    """Batches of documents as int32 tokens, each document followed by the end-of-text token; with their bytes of text."""
    end = end_of_text(tokenizer)
    for batch in batches(texts, BATCH_CHARACTERS):
        ids: list[int] = []
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            ids += encoding.ids
            ids.append(end)
        yield np.array(ids, dtype=np.int32), sum(len(text.encode()) for text in batch)


def batches(texts: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Texts in lists that hold at least `characters` characters, but for the last."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def as_dataset(folder: Path, split: str) -> "Dataset":
    """A split, `train` or `held_out`, of a corpus folder as a `datasets.Dataset` with the column `tokens`, without a copy.

    This is what SAELens takes as a dataset of tokens. Raises UserError for another split, ArtifactError for a broken file.
    """
    import datasets
    import pyarrow as pa

    if split not in SPLITS:
        raise UserError(f"split is {split!r}, but must be one of {', '.join(SPLITS)}")
    artifacts.check(folder, SPLITS[split], name=artifacts.TOKENS_META)
    tokens = shards.read_tokens(folder / SPLITS[split])
    column = pa.FixedSizeListArray.from_arrays(pa.array(tokens.flatten().numpy()), tokens.shape[1])
    return datasets.Dataset(pa.table({"tokens": column}))
