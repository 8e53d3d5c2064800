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
from torch import Tensor

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus import shards
from replication.corpus.table import read, text_numbers
from replication.corpus.tokenizer import end_of_text, load
from replication.progress import Progress
from replication.provenance import Stopwatch

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = {"train": artifacts.TRAIN_TOKENS, "held_out": artifacts.HELD_OUT_TOKENS}
# Encoded at a time, so that memory stays small: the library keeps some 100 bytes for each token of a batch.
BATCH_CHARACTERS = 2_000_000
BLOCK = 2**16  # contexts that are searched for ends of documents at a time


def encode(*, documents: Path, tokenizer: Path, n_ctx: int, settings: Settings, out: Path, progress: Progress) -> None:
    """Write both splits of a part as shards of contexts, the texts of the held-out ones, and the unigram counts of the training split, into `out`.

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
    files = {split: out / name for split, name in SPLITS.items()} | {"sources": out / artifacts.HELD_OUT_SOURCES, "unigrams": out / artifacts.UNIGRAMS}
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
    place = documents_of(shards.read_tokens(files["held_out"]), end_of_text(encoder), bos=bos is not None)
    shards.write_sources(files["sources"], torch.tensor(list(text_numbers(documents, held_out=True)), dtype=torch.int64)[place])
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


def documents_of(contexts: Int[Tensor, "context n_ctx"], end: int, *, bos: bool) -> Int[Tensor, " context"]:
    """In which document of a split, counted from 0, the middle token of each context lies; `end` closes every document and is nowhere else."""
    before, found = 0, [torch.zeros(0, dtype=torch.int64)]
    for block in contexts.split(BLOCK):
        closed = block[:, int(bos):] == end  # a BOS may be the same token
        ends = closed.sum(1)
        found.append(before + ends.cumsum(0) - ends + closed[:, : closed.shape[1] // 2].sum(1))
        before += int(ends.sum())
    return torch.cat(found)


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
