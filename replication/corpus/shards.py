"""Token shards: reading and writing contexts of tokens. Needs torch and safetensors only, for bare GPU images."""

from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from replication import artifacts
from replication.artifacts import ArtifactError

TOKENS, COUNTS = "tokens", "counts"


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


def _tensor(path: Path, name: str) -> Tensor:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it")
    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor
    except SafetensorError as error:
        raise ArtifactError(f"{path} is truncated or holds no {name} ({error}); delete it and run `snakemake --cores all`") from None
