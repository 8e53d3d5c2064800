"""Fired features of vectors, and nothing dense that outlives a block of them.

On a CPU by the screen of training (`replication.sae.screen`), where numba is there; else by the dense product. Source: ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.sae.dictionary import Dictionary
from replication.sae.gradients import compiled

DENSE = {"cpu": 2**22, "cuda": 2**27}  # activations that exist at one time: 16 MB stay near a CPU's cache
Pairs = tuple[Int[Tensor, " token"], Int[Tensor, " pair"], Float[Tensor, " pair"]]


def encoder(dictionary: Dictionary) -> Callable[[Float[Tensor, "token d_in"]], Pairs]:
    """Vectors to fired features of each token as CSR: how many per token, which (ascending), and their activations."""
    return Screened(dictionary, threads=torch.get_num_threads()) if compiled() and not dictionary.W_enc.is_cuda else Dense(dictionary)


@dataclass(frozen=True)
class Dense:
    """By the dense product, some tokens at a time."""

    dictionary: Dictionary

    def __call__(self, x: Float[Tensor, "token d_in"]) -> Pairs:
        """Fired pairs of vectors."""
        counts, features, values = [], [], []
        d_sae = self.dictionary.W_enc.shape[1]
        for part in x.split(max(1, DENSE[x.device.type] // d_sae)):
            f = self.dictionary.encode(part)
            place = f.view(-1).nonzero().squeeze(1)
            counts.append(torch.bincount(place // d_sae, minlength=len(part)))
            features.append(place % d_sae)
            values.append(f.view(-1)[place])
        return torch.cat(counts), torch.cat(features), torch.cat(values)


class Screened:
    """By the screen."""

    def __init__(self, dictionary: Dictionary, *, threads: int) -> None:
        from replication.sae.screen import Screen
        from replication.sae.threads import Threads

        d_in, d_sae = dictionary.W_enc.shape
        self.b_dec, self.threads = dictionary.b_dec.numpy(), Threads(threads)
        self.screen = Screen(d_in, d_sae, threads=self.threads)
        self.screen.take(Dictionary(**dictionary.tensors() | {"W_enc": dictionary.W_enc.T.contiguous().T}))

    def __call__(self, x: Float[Tensor, "token d_in"]) -> Pairs:
        """Fired pairs of vectors."""
        parts = x.split(self.screen.rows)
        spread = self.threads.spread(lambda thread, low, high: [self._block(thread, part) for part in parts[low:high]], self.threads.edges(len(parts)))
        counts, features, values = (np.concatenate(kind) for kind in zip(*(pairs for some in spread for pairs in some), strict=True))
        return torch.from_numpy(counts), torch.from_numpy(features.astype(np.int64)), torch.from_numpy(values)

    def _block(self, thread: int, x: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        counts = np.empty(len(x), np.int64)
        pairs = self.screen.fire(thread, x.numpy() - self.b_dec, counts)
        return counts, pairs.feature.copy(), pairs.f.copy()
