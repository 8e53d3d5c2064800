"""Context trie: for each firing token the shortest contexts to its left that separate firing from not firing.

A context grows by the token before it, as far as the window goes, while the unit fires on some of its occurrences and not on
others. In a context that was not seen, the trie expects what most contexts of the longest string that matches do (their
median). Source: the trie of Neuron2Graph (Foote et al. 2023), which prunes and varies contexts through the model; this one
sees the evidence alone.
"""

from collections.abc import Callable
from statistics import median

from replication.interpretability.explainers.endings import Endings
from replication.interpretability.protocol import Windows


def fitter(strings: list[str]) -> Callable[[Windows], Endings]:
    """How a trie is made of windows."""
    return fit


def fit(windows: Windows) -> Endings:
    """The trie of the firing tokens in windows."""
    return Endings.of(windows, longest=windows.tokens.shape[1], divide=lambda node: node.mixed, pool=median)
