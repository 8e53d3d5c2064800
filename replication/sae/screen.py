"""Which features fire on a vector, and how strongly: exact, on a CPU, at half the price of the float32 product.

The product of vectors and encoder is only a screen: it is made in bfloat16 where the CPU multiplies that faster (in float32
elsewhere), a block of vectors at a time, so that it stays in the cache. What rounding can have changed has a bound
(Cauchy, Schwarz):

    |x . w  -  x' . w'|  <=  |x - x'| |w|  +  |x'| |w - w'|  +  rounding of sums

with x' and w' the rounded vectors. Pairs that may be positive within it, a quarter more than those that are, get a float32
product of their own, which alone decides. So the result depends on no screen, block or thread. Source: ours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from replication.sae import kernels
from replication.sae.dictionary import Dictionary
from replication.sae.threads import Threads

BLOCK_ELEMENTS = 2**20  # of a block's product: 2 MiB in bfloat16, which the screen reads back from the cache
BLOCK_VECTORS = (64, 512)  # fewest and most vectors of a block: a thin product is slow, a tall one leaves the cache
SUMS = 2.0**-23  # rounding per term of a sum, for the screen's and the float32 product together


@dataclass(frozen=True)
class Pairs:
    """The fired pairs of a block, vector by vector and features ascending: feature, and activation [pair]."""

    feature: NDArray[np.int32]
    f: NDArray[np.float32]


class Screen:
    """The encoder of a dictionary, for blocks of at most `rows` vectors, one block a thread."""

    def __init__(self, d_in: int, d_sae: int, *, threads: Threads, bfloat16: bool | None = None) -> None:
        """`bfloat16`: the format of the product, which changes the speed and no result; by default what this CPU is fast at."""
        low = torch.bfloat16 if (multiplies_bfloat16() if bfloat16 is None else bfloat16) else torch.float32
        self.rounding = kernels.BFLOAT16_ROUNDING if low == torch.bfloat16 else kernels.ZERO
        self.rows, self.threads = max(BLOCK_VECTORS[0], min(BLOCK_VECTORS[1], BLOCK_ELEMENTS // d_sae)), threads
        self.weights = Rounded.of(d_sae, d_in, low)
        self.spaces = [Space(self.rows, d_in, d_sae, low) for _ in range(threads.count)]

    def take(self, dictionary: Dictionary) -> None:
        """The encoder from now on; to be called again when its weights have changed."""
        self.W_enc, self.b_enc = dictionary.encoder_rows().numpy(), dictionary.b_enc.numpy()
        self.threads.spread(lambda _, low, high: self.weights.take(self.W_enc, low, high), self.threads.edges(len(self.b_enc)))
        self.lost = self.weights.lost()

    def fire(self, thread: int, xbar: NDArray[np.float32], counts: NDArray[np.int64]) -> Pairs:
        """Fired pairs of a block of centred vectors [vector, d_in]; fills `counts` of each. Views, valid until the thread's next block."""
        space, vectors = self.spaces[thread], len(xbar)
        space.x.take(xbar, 0, vectors)
        product = torch.mm(space.x.rows[:vectors], self.weights.rows.T, out=space.product[:vectors])
        pairs = kernels.fire(
            _bits(product), self.rounding, space.x.slack(self.lost, vectors, xbar.shape[1]), self.weights.norms, self.b_enc, xbar, self.W_enc,
            space.candidates, space.products, space.feature, space.f, counts)
        return Pairs(space.feature[:pairs], space.f[:pairs])


@dataclass(frozen=True)
class Rounded:
    """Rows as the screen multiplies them, their norms, and the norm of what rounding took from each."""

    rows: torch.Tensor
    norms: NDArray[np.float32]
    errors: NDArray[np.float32]

    @staticmethod
    def of(rows: int, d_in: int, low: torch.dtype) -> "Rounded":
        """Buffers for so many rows."""
        return Rounded(torch.empty(rows, d_in, dtype=low), np.empty(rows, np.float32), np.empty(rows, np.float32))

    def take(self, exact: NDArray[np.float32], low: int, high: int) -> None:
        """Round the rows `low` to `high` of `exact` [row, d_in]."""
        kernels.quantise(exact[low:high], _bits(self.rows)[low:high], self.norms[low:high], self.errors[low:high])

    def lost(self) -> np.float32:
        """The largest share of its norm that rounding took from a row."""
        share: np.float32 = np.max(self.errors / np.maximum(self.norms, np.finfo(np.float32).tiny))
        return share

    def slack(self, lost: np.float32, vectors: int, d_in: int) -> NDArray[np.float32]:
        """Of each vector: how far the screen's product with a weight row of norm 1, which lost the share `lost`, can be from the float32 product."""
        norms, errors = self.norms[:vectors], self.errors[:vectors]
        room: NDArray[np.float32] = np.float32(1.001) * (errors + np.float32(lost + d_in * SUMS) * (norms + errors))
        return room


class Space:
    """Buffers of one thread for one block."""

    def __init__(self, rows: int, d_in: int, d_sae: int, low: torch.dtype) -> None:
        self.x, self.product = Rounded.of(rows, d_in, low), torch.empty(rows, d_sae, dtype=low)
        self.candidates, self.products = np.empty(d_sae, np.int32), np.empty(d_sae, np.float32)
        # room for every pair and one more; memory that no pair reaches is never touched
        self.feature, self.f = np.empty(rows * d_sae + 1, np.int32), np.empty(rows * d_sae + 1, np.float32)


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch 2.11 does not tell
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _bits(rows: torch.Tensor) -> NDArray[Any]:
    """The same memory for numpy, which has no bfloat16: its bits as uint16."""
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()
