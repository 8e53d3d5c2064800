"""Gradients from the fired pairs alone, on a CPU: one product of low precision, and little else.

The encoder's product is only a screen: it is made in bfloat16 where the CPU multiplies that faster (in float32 elsewhere),
a block of vectors at a time, so that it stays in the cache. What rounding can have changed has a bound (Cauchy, Schwarz):

    |x . w  -  x' . w'|  <=  |x - x'| |w|  +  |x'| |w - w'|  +  rounding of sums

with x' and w' the rounded vectors. Pairs that may be positive within it, a quarter more than those that are, get a float32
product of their own, which alone decides. So gradients are those of a float32 encoder, whatever the screen. Source: ours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.sae import kernels
from replication.sae.dictionary import Dictionary
from replication.sae.step import Step
from replication.sae.threads import Threads

BLOCK_ELEMENTS = 2**20  # of a block's product: 2 MiB in bfloat16, which the screen reads back from the cache
BLOCK_VECTORS = (64, 512)  # fewest and most vectors of a block: a thin product is slow, a tall one leaves the cache
SUMS = 2.0**-23  # rounding per term of a sum, for the screen's and the float32 product together


class Sparse:
    """The step of `step.dense`, from fired pairs. Its buffers are used again: a `Step` is valid until the next one."""

    def __init__(self, batch: int, d_in: int, d_sae: int, *, threads: int = 1, bfloat16: bool | None = None) -> None:
        """`bfloat16`: the format of the screen, which changes the speed and no result; by default what this CPU is fast at."""
        self.low = torch.bfloat16 if (multiplies_bfloat16() if bfloat16 is None else bfloat16) else torch.float32
        self.shape, self.threads = (batch, d_in, d_sae), Threads(threads)
        self.rows = min(batch, max(BLOCK_VECTORS[0], min(BLOCK_VECTORS[1], BLOCK_ELEMENTS // d_sae)))
        self.xbar, self.residual = np.empty((batch, d_in), np.float32), np.empty((batch, d_in), np.float32)
        self.W_enc, self.b_enc, self.W_dec = np.empty((d_sae, d_in), np.float32), np.empty(d_sae, np.float32), np.empty((d_sae, d_in), np.float32)
        self.squares, self.counts, self.starts = np.empty(batch, np.float32), np.empty(batch, np.int64), np.empty(d_sae + 1, np.int64)
        self.rounded = Rounded.of(d_sae, d_in, self.low)
        self.spaces = [Space(self.rows, d_in, d_sae, self.low) for _ in range(threads)]

    def __call__(self, dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float, *, most: float = 1.0) -> Step | None:
        """Loss parts and gradients of a batch; None when more than the share `most` of the first block's pairs fired."""
        (batch, d_in), d_sae = x.shape, len(dictionary.b_enc)
        W_enc = dictionary.W_enc.T.numpy()
        self.threads.spread(lambda _, low, high: self.rounded.take(W_enc, low, high), self.threads.edges(d_sae))

        def blocks(thread: int, low: int, high: int) -> list[Pairs]:
            return [self._block(self.spaces[thread], dictionary, x, l1, number) for number in range(low, high)]

        pairs = blocks(0, 0, 1)
        if len(pairs[0].f) > most * self.rows * d_sae:
            return None
        for more in self.threads.spread(blocks, [1 + edge for edge in self.threads.edges(-(-batch // self.rows) - 1)]):
            pairs += more
        feature, f, d_f = (np.concatenate([getattr(part, name) for part in pairs]) for name in ("feature", "f", "d_f"))
        self._weigh(feature, f, d_f)
        b_enc = torch.from_numpy(self.b_enc)
        return Step(
            mse=torch.from_numpy(self.squares).mean() / d_in, l1=torch.from_numpy(f).sum() / batch, l0=torch.tensor(len(f) / batch),
            W_enc=torch.from_numpy(self.W_enc).T, b_enc=b_enc, W_dec=torch.from_numpy(self.W_dec),
            b_dec=torch.from_numpy(self.residual).sum(0) - dictionary.W_enc @ b_enc, fired=torch.from_numpy(np.diff(self.starts)))

    def _block(self, space: "Space", dictionary: Dictionary, x: Tensor, l1: float, number: int) -> "Pairs":
        """Fired pairs of a block of vectors, its residuals and squared errors."""
        (batch, d_in), W_enc, b_enc = x.shape, dictionary.W_enc.T.numpy(), dictionary.b_enc.numpy()
        block = slice(number * self.rows, min(batch, (number + 1) * self.rows))
        xbar, counts, vectors = self.xbar[block], self.counts[block], len(self.xbar[block])
        np.subtract(x[block].numpy(), dictionary.b_dec.numpy(), out=xbar)
        space.x.take(xbar, 0, vectors)
        product = torch.mm(space.x.rows[:vectors], self.rounded.rows.T, out=space.product[:vectors])
        pairs = kernels.fire(
            _bits(product), kernels.BFLOAT16_ROUNDING if self.low == torch.bfloat16 else kernels.ZERO, space.x.slack(self.rounded, vectors, d_in),
            self.rounded.norms, b_enc, xbar, W_enc, space.candidates, space.products, space.feature, space.f, counts)
        kernels.reconstruct(
            xbar, dictionary.W_dec.numpy(), space.feature, space.f, counts, np.float32(2 / (batch * d_in)), np.float32(l1 / batch),
            self.residual[block], space.d_f, self.squares[block])
        return Pairs(space.feature[:pairs].copy(), space.f[:pairs].copy(), space.d_f[:pairs].copy())

    def _weigh(self, feature: NDArray[np.int32], f: NDArray[np.float32], d_f: NDArray[np.float32]) -> None:
        """Gradients of weights and encoder biases, into their buffers."""
        order, vector = np.empty(len(f), np.int32), np.empty(len(f), np.int32)
        kernels.regroup(feature, self.counts, self.starts, order, vector)
        even = [len(f) * k // self.threads.count for k in range(1, self.threads.count)]  # as many pairs for each thread
        edges = [0, *np.searchsorted(self.starts, even).tolist(), len(self.b_enc)]
        self.threads.spread(lambda _, low, high: kernels.weigh(
            low, high, self.starts, order, vector, f, d_f, self.xbar, self.residual, self.W_enc, self.b_enc, self.W_dec), edges)


@dataclass(frozen=True)
class Pairs:
    """The fired pairs of a block, vector by vector: feature, activation, gradient of the activation."""

    feature: NDArray[np.int32]
    f: NDArray[np.float32]
    d_f: NDArray[np.float32]


@dataclass(frozen=True)
class Rounded:
    """Rows as the screen multiplies them, their norms, and the norm of what rounding took from each."""

    rows: Tensor
    norms: NDArray[np.float32]
    errors: NDArray[np.float32]

    @staticmethod
    def of(rows: int, d_in: int, low: torch.dtype) -> "Rounded":
        """Buffers for so many rows."""
        return Rounded(torch.empty(rows, d_in, dtype=low), np.empty(rows, np.float32), np.empty(rows, np.float32))

    def take(self, exact: NDArray[np.float32], low: int, high: int) -> None:
        """Round the rows `low` to `high` of `exact` [row, d_in]."""
        kernels.quantise(exact[low:high], _bits(self.rows)[low:high], self.norms[low:high], self.errors[low:high])

    def slack(self, weights: "Rounded", vectors: int, d_in: int) -> NDArray[np.float32]:
        """Of each vector: how far the screen's product with a weight row of norm 1 can be from the float32 product."""
        norms, errors = self.norms[:vectors], self.errors[:vectors]
        share = np.max(weights.errors / np.maximum(weights.norms, np.finfo(np.float32).tiny))
        room: NDArray[np.float32] = np.float32(1.001) * (errors + np.float32(share + d_in * SUMS) * (norms + errors))
        return room


class Space:
    """Buffers of one thread for one block."""

    def __init__(self, rows: int, d_in: int, d_sae: int, low: torch.dtype) -> None:
        self.x, self.product, self.candidates = Rounded.of(rows, d_in, low), torch.empty(rows, d_sae, dtype=low), np.empty(d_sae, np.int32)
        self.products = np.empty(d_sae, np.float32)
        # room for every pair; memory that no pair reaches is never touched
        self.feature, self.f, self.d_f = np.empty(rows * d_sae + 1, np.int32), np.empty(rows * d_sae + 1, np.float32), np.empty(rows * d_sae, np.float32)


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch 2.11 does not tell
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _bits(rows: Tensor) -> NDArray[Any]:
    """The same memory for numpy, which has no bfloat16: its bits as uint16."""
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()
