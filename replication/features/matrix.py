"""The evaluation matrix: activations of all features (or neurons) on all evaluation tokens, in shards of contexts.

A dictionary's shard is sparse (CSR, tokens x features, float32); a model's neurons stay dense (float16). Rounding
never changes which entries are zero. Contexts are whole and in order, so token `t` of a shard that starts at context
`c` is position `t % n_ctx` of context `c + t // n_ctx`. Source: ours.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from scipy import sparse

from replication.artifacts import ArtifactError, atomic

Shard: TypeAlias = "sparse.csr_array | NDArray[np.float32]"
DTYPES = {"int64": "I64", "int32": "I32", "float32": "F32", "float16": "F16"}
# Contexts in turn: what is picked as best on the one half (even contexts) is reported on the other.
CHOOSING, REPORTING = HALVES = (0, 1)
ENTRY_BYTES = 192  # room in the file's header for one tensor's name, type, shape and place


def to_half(x: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16, where a nonzero number never becomes zero and a large one never infinite."""
    limits = np.finfo(np.float16)
    rounded = np.clip(x, limits.min, limits.max).astype(np.float16)
    lost = (rounded == 0) & (x != 0)
    rounded[lost] = np.copysign(limits.smallest_subnormal, x[lost])
    return rounded


def entries(shard: Shard, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """The entries at some places; scipy gives an array, but for no places an empty sparse one."""
    found = shard[rows, columns]
    return found if isinstance(found, np.ndarray) else found.toarray()


class MatrixWriter:
    """Writes shard after shard, so that the matrix is never in memory whole; the file appears when the block ends well."""

    def __init__(self, path: Path, *, n_features: int, contexts: int, n_ctx: int, shard_contexts: int, dense: bool) -> None:
        self.shards = -(-contexts // shard_contexts)
        shape = {"n_features": n_features, "contexts": contexts, "n_ctx": n_ctx, "shard_contexts": shard_contexts, "dense": int(dense)}
        self.header: dict[str, Any] = {"__metadata__": {key: str(value) for key, value in shape.items()}}
        self.reserved = (1 + (1 if dense else 3) * self.shards) * ENTRY_BYTES
        self.offset = self.done = 0
        self.context = atomic(path)

    def __enter__(self) -> Self:
        self.stream: IO[bytes] = self.context.__enter__().open("wb")
        self.stream.seek(8 + self.reserved)
        return self

    def append(self, shard: Shard) -> None:
        """Add the next shard, of the kind that the matrix holds."""
        name = f"{self.done:03d}"
        if isinstance(shard, np.ndarray):
            self._put(f"{name}/dense", to_half(shard))
        else:
            self._put(f"{name}/indptr", shard.indptr.astype(np.int64))
            self._put(f"{name}/indices", shard.indices.astype(np.int32))
            self._put(f"{name}/values", shard.data.astype(np.float32))
        self.done += 1

    def _put(self, name: str, array: NDArray[Any]) -> None:
        self.stream.write(np.ascontiguousarray(array).data)
        end = self.offset + array.nbytes
        self.header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [self.offset, end]}
        self.offset = end

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            # the safetensors format: length of the header, the header as JSON padded with spaces, the tensors
            header = json.dumps(self.header, separators=(",", ":")).encode().ljust(self.reserved)
            self.stream.seek(0)
            self.stream.write(struct.pack("<Q", self.reserved) + header)
        self.stream.close()
        self.context.__exit__(kind, error, trace)


class EvaluationMatrix:
    """A matrix on disk, read shard by shard. Raises ArtifactError when the file is missing or broken.

    `n_features`, `contexts`, `n_ctx`, `shard_contexts` (contexts of a shard) and `dense` say what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = {key: int(value) for key, value in file.metadata().items()}
            self.n_features, self.contexts, self.n_ctx = (metadata[key] for key in ("n_features", "contexts", "n_ctx"))
            self.shard_contexts, self.dense = metadata["shard_contexts"], bool(metadata["dense"])
        except FileNotFoundError:
            raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it") from None
        except (SafetensorError, AttributeError, KeyError, ValueError):
            raise ArtifactError(f"{path} is truncated or no evaluation matrix; delete it and run `snakemake --cores all`") from None

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.contexts // self.shard_contexts)

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.contexts * self.n_ctx

    def shard(self, k: int, features: slice = slice(None)) -> Shard:
        """Shard `k` as float32 [token, feature], or some features of it: a `scipy.sparse.csr_array`, or a dense array for neurons."""
        with safe_open(self.path, framework="numpy") as file:
            if self.dense:
                dense: NDArray[np.float16] = file.get_slice(f"{k:03d}/dense")[:, features]
                return dense.astype(np.float32)
            indptr, indices, values = (file.get_tensor(f"{k:03d}/{part}") for part in ("indptr", "indices", "values"))
        whole = sparse.csr_array((values, indices, indptr), shape=(len(indptr) - 1, self.n_features))
        return whole if features.indices(self.n_features) == (0, self.n_features, 1) else whole[:, features]

    def __iter__(self) -> Iterator[Shard]:
        """All shards in order."""
        return (self.shard(k) for k in range(self.shards))

    def contexts_of(self, k: int) -> range:
        """The contexts of shard `k`."""
        return range(k * self.shard_contexts, min((k + 1) * self.shard_contexts, self.contexts))

    def half(self, k: int) -> NDArray[np.int64]:
        """The half of each token of shard `k`, of `HALVES`."""
        return np.repeat(np.array(self.contexts_of(k)) % len(HALVES), self.n_ctx)
