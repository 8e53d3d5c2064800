"""Token shards: reading and writing contexts of tokens. Needs torch, numpy and safetensors only, for bare GPU images."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from replication import artifacts
from replication.artifacts import ArtifactError

TOKENS, COUNTS, SOURCES = "tokens", "counts", "sources"


# Room for the header of a file whose number of contexts shows at its end: longer than any header of ours, and a multiple of 8.
HEADER_BYTES = 256
COPY_BYTES = 16 * 2**20


class Writer:
    """A shard that is written as its tokens come: memory holds less than one context of them. With `bos` every context begins with that token."""

    def __init__(self, stream: BinaryIO, n_ctx: int, bos: int | None = None) -> None:
        self.stream, self.n_ctx, self.bos, self.contexts = stream, n_ctx, bos, 0
        self.rest = np.zeros(0, np.int32)

    def append(self, tokens: Int[np.ndarray, " token"]) -> Int[np.ndarray, " token"]:
        """Write the contexts that these tokens fill, and return them, flat; what fills none waits for more, or is left out at the end."""
        tokens = np.concatenate([self.rest, tokens])
        own = self.n_ctx - (self.bos is not None)
        whole = len(tokens) // own
        full, self.rest = tokens[: whole * own], tokens[whole * own :]
        if self.bos is not None:
            full = np.insert(full.reshape(whole, own), 0, self.bos, axis=1).flatten()
        self.stream.write(full.data)
        self.contexts += whole
        return full


@contextlib.contextmanager
def writing(path: Path, n_ctx: int, bos: int | None = None) -> Iterator[Writer]:
    """A shard, int32 `[contexts, n_ctx]`, that appears when the block ends well."""
    with artifacts.atomic(path) as temporary, temporary.open("wb") as stream:
        stream.write(bytes(HEADER_BYTES))
        writer = Writer(stream, n_ctx, bos)
        yield writer
        stream.seek(0)
        stream.write(_header(writer.contexts, n_ctx, HEADER_BYTES))


def join(paths: Sequence[Path], out: Path) -> None:
    """The contexts of several shards, one shard after another, as `write_tokens` writes them, without holding them in memory.

    Raises ArtifactError as `read_tokens` does, and for shards of different n_ctx.
    """
    shapes = [tuple(read_tokens(path).shape) for path in paths]
    if len({n_ctx for _, n_ctx in shapes}) > 1:
        raise ArtifactError(f"{', '.join(map(str, paths))} have contexts of different lengths; delete them and run `snakemake --cores all`")
    with artifacts.atomic(out) as temporary, temporary.open("wb") as stream:
        stream.write(_header(sum(contexts for contexts, _ in shapes), shapes[0][1]))
        for path in paths:
            with path.open("rb") as part:
                part.seek(8 + int.from_bytes(part.read(8), "little"))
                shutil.copyfileobj(part, stream, COPY_BYTES)


def _header(contexts: int, n_ctx: int, size: int = 0) -> bytes:
    """What precedes the numbers of a safetensors file that holds only contexts: as the library writes it, or longer, `size` bytes."""
    end = contexts * n_ctx * np.dtype(np.int32).itemsize
    content = json.dumps({"__metadata__": {}, TOKENS: {"dtype": "I32", "shape": [contexts, n_ctx], "data_offsets": [0, end]}}, separators=(",", ":")).encode()
    content = content.ljust(max(size - 8, -(-len(content) // 8) * 8))
    return len(content).to_bytes(8, "little") + content


def write_tokens(path: Path, tokens: Int[Tensor, "context n_ctx"]) -> None:
    """Write a shard of contexts as int32."""
    artifacts.write_tensors(path, {TOKENS: tokens.to(torch.int32)})


def read_tokens(path: Path) -> Int[Tensor, "context n_ctx"]:
    """The contexts of a shard as int32 `[contexts, n_ctx]`, memory-mapped: only the rows that are used get read.

    Raises ArtifactError when the file is missing, truncated, or not a table of tokens.
    """
    tokens = _tensor(path, TOKENS)
    if tokens.dtype != torch.int32 or tokens.dim() != 2:
        raise ArtifactError(f"{path} holds {TOKENS} of type {tokens.dtype} and shape {tuple(tokens.shape)}, but contexts are int32 [contexts, n_ctx]; "
                            "delete it and run `snakemake --cores all`")
    return tokens


def read_counts(path: Path) -> Int[Tensor, " d_vocab"]:
    """Unigram counts of the training split, int64 `[d_vocab]`. Raises ArtifactError as `read_tokens` does."""
    return _tensor(path, COUNTS)


def write_sources(path: Path, sources: Int[Tensor, " context"]) -> None:
    """Write which text each context of a shard is of, int64."""
    artifacts.write_tensors(path, {SOURCES: sources})


def read_sources(path: Path) -> Int[Tensor, " context"]:
    """Which text each context of a shard is of, int64 `[context]`, see `table.text_numbers`. Raises ArtifactError as `read_tokens` does."""
    return _tensor(path, SOURCES)


def _tensor(path: Path, name: str) -> Tensor:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it")
    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor
    except SafetensorError as error:
        raise ArtifactError(f"{path} is truncated or holds no {name} ({error}); delete it and run `snakemake --cores all`") from None
