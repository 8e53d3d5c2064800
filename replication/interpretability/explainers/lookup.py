"""Token lookup: a token's mean activation over the evidence, and zero for a token that is not in it.

The least that an explanation can know, and blind to context. Source: the tables that OpenAI published for neurons (Bills et
al. 2023), over the evidence alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers.wording import WEAK, Clause, quoted
from replication.interpretability.protocol import Windows


@dataclass(frozen=True)
class Lookup:
    """Tokens of the evidence in order, how often each is there, and the sum of its activations."""

    tokens: NDArray[np.int32]
    count: NDArray[np.int64]
    total: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean activation of each token."""
        return self.total / self.count

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """The mean activation of each of the tokens."""
        place = np.minimum(np.searchsorted(self.tokens, tokens), len(self.tokens) - 1)
        return np.where(self.tokens[place] == tokens, self.mean[place], 0.0)

    def clauses(self, strings: list[str]) -> list[Clause]:
        """One for each token that fires."""
        return [Clause(quoted(strings[self.tokens[k]]), float(self.mean[k]), float(self.total[k])) for k in np.flatnonzero(self.mean >= WEAK)]


def fitter(strings: list[str]) -> Callable[[Windows], Lookup]:
    """How a table is made of windows."""
    return fit


def fit(windows: Windows) -> Lookup:
    """The table of the tokens in windows."""
    inside = windows.tokens != NO_TOKEN
    tokens, place, count = np.unique(windows.tokens[inside], return_inverse=True, return_counts=True)
    total: NDArray[np.float64] = np.bincount(place, weights=windows.activations[inside]).astype(np.float64)
    return Lookup(tokens, count, total)
