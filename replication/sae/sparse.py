"""Gradients from the fired pairs alone, on a CPU: one screen of the encoder, and little else.

A silent feature has no gradient, so what follows the encoder is done pair by pair: reconstruction and gradient of f while a
vector's few rows of `W_dec` are in the cache, then both weight gradients feature by feature. Where ranks hold a slice of the
features each, the first of these is two passes over the pairs, with the sum over ranks between them. Source: ours.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.sae import kernels
from replication.sae.dictionary import Dictionary
from replication.sae.ranks import ALONE, Ranks
from replication.sae.screen import Screen
from replication.sae.step import Step, parts, share_of_b_dec
from replication.sae.threads import Threads

Block = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]  # of each pair: feature, activation, gradient of the activation


class Sparse:
    """The step of `step.dense`, from fired pairs. Its buffers are used again: a `Step` is valid until the next one."""

    def __init__(self, batch: int, d_in: int, d_sae: int, *, threads: int = 1, bfloat16: bool | None = None, ranks: Ranks = ALONE) -> None:
        """`bfloat16`: the format of the screen, which changes the speed and no result; by default what this CPU is fast at."""
        self.shape, self.threads, self.ranks = (batch, d_in, d_sae), Threads(threads), ranks
        self.screen = Screen(d_in, d_sae, threads=self.threads, bfloat16=bfloat16)
        self.xbar, self.residual = np.empty((batch, d_in), np.float32), np.empty((batch, d_in), np.float32)
        self.W_enc, self.b_enc, self.W_dec = np.empty((d_sae, d_in), np.float32), np.empty(d_sae, np.float32), np.empty((d_sae, d_in), np.float32)
        self.squares, self.counts, self.starts = np.empty(batch, np.float32), np.empty(batch, np.int64), np.empty(d_sae + 1, np.int64)

    def __call__(self, dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float, *, most: float = 1.0) -> Step | None:
        """Loss parts and gradients of a batch; None when more than the share `most` of the first block's pairs fired."""
        batch, d_in, d_sae = self.shape
        self.screen.take(dictionary)

        def some(thread: int, low: int, high: int) -> list[Block]:
            return [self._block(thread, dictionary, x, l1, number) for number in range(low, high)]

        first = some(0, 0, 1)
        if len(first[0][0]) > most * min(batch, self.screen.rows) * d_sae:
            return None
        rest = self.threads.spread(some, [1 + edge for edge in self.threads.edges(-(-batch // self.screen.rows) - 1)])
        blocks = [*first, *itertools.chain(*rest)]
        if self.ranks.count > 1:
            self._complete(dictionary, l1, blocks)
        feature, f, d_f = (np.concatenate(kind) for kind in zip(*blocks, strict=True))
        self._weigh(feature, f, d_f)
        b_enc, residual = torch.from_numpy(self.b_enc), torch.from_numpy(self.residual)
        return Step(
            mse=torch.from_numpy(self.squares).mean() / d_in, l1=torch.from_numpy(f).sum() / batch, l0=torch.tensor(len(f) / batch),
            W_enc=torch.from_numpy(self.W_enc).T, b_enc=b_enc, W_dec=torch.from_numpy(self.W_dec),
            b_dec=share_of_b_dec(dictionary, residual, b_enc, self.ranks), fired=torch.from_numpy(np.diff(self.starts)))

    def _block(self, thread: int, dictionary: Dictionary, x: Tensor, l1: float, number: int) -> Block:
        """Fired pairs of a block of vectors; its residuals and squared errors go into their buffers. Of several ranks: what `_complete` begins with."""
        block = self._rows(number)
        xbar, counts = self.xbar[block], self.counts[block]
        np.subtract(x[block].numpy(), dictionary.b_dec.numpy(), out=xbar)
        pairs = self.screen.fire(thread, xbar, counts)
        d_f = np.empty_like(pairs.f)
        W_dec, residual = dictionary.W_dec.numpy(), self.residual[block]
        if self.ranks.count == 1:
            kernels.reconstruct(xbar, W_dec, pairs.feature, pairs.f, counts, *self._factors(l1), residual, d_f, self.squares[block])
        else:
            np.multiply(xbar, np.float32(-self.ranks.first), out=residual)  # one rank takes the vectors off
            kernels.decode(W_dec, pairs.feature, pairs.f, counts, residual)
        return pairs.feature.copy(), pairs.f.copy(), d_f

    def _complete(self, dictionary: Dictionary, l1: float, blocks: Sequence[Block]) -> None:
        """Residuals of all ranks' features, and from them squared errors and the gradient of f."""
        for part in parts(torch.from_numpy(self.residual), len(dictionary.b_enc)):
            self.ranks.add(part)

        def some(_: int, low: int, high: int) -> None:
            for number, (feature, _f, d_f) in enumerate(blocks[low:high], low):
                block = self._rows(number)
                kernels.weigh_errors(
                    dictionary.W_dec.numpy(), feature, self.counts[block], *self._factors(l1), self.residual[block], d_f, self.squares[block])

        self.threads.spread(some, self.threads.edges(len(blocks)))

    def _rows(self, number: int) -> slice:
        return slice(number * self.screen.rows, min(self.shape[0], (number + 1) * self.screen.rows))

    def _factors(self, l1: float) -> tuple[np.float32, np.float32]:
        """Of the residual in the gradient of xhat, and what L1 adds to the gradient of f."""
        batch, d_in, _ = self.shape
        return np.float32(2 / (batch * d_in)), np.float32(l1 / batch)

    def _weigh(self, feature: NDArray[np.int32], f: NDArray[np.float32], d_f: NDArray[np.float32]) -> None:
        """Gradients of weights and encoder biases, into their buffers."""
        order, vector = np.empty(len(f), np.int32), np.empty(len(f), np.int32)
        kernels.regroup(feature, self.counts, self.starts, order, vector)
        even = [len(f) * k // self.threads.count for k in range(1, self.threads.count)]  # as many pairs for each thread
        edges = [0, *np.searchsorted(self.starts, even).tolist(), len(self.b_enc)]
        self.threads.spread(lambda _, low, high: kernels.weigh(
            low, high, self.starts, order, vector, f, d_f, self.xbar, self.residual, self.W_enc, self.b_enc, self.W_dec), edges)
