"""n-grams: the mean activation of the three tokens that end here, backing off to two and to one; zero for an unseen token.

A shorter n-gram is asked only where the longer one was not seen. So it expects the mean over the different longer ones it was
seen in, each counting once (the idea of Kneser-Ney smoothing): a token that fires in one frequent context and nowhere else is
not expected to fire in a new one. Source: ours; back-off as in language models.
"""

from collections.abc import Callable
from statistics import fmean

from replication.interpretability.explainers.endings import Endings
from replication.interpretability.protocol import Windows

ORDER = 3


def fitter(strings: list[str]) -> Callable[[Windows], Endings]:
    """How n-grams are counted in windows."""
    return fit


def fit(windows: Windows) -> Endings:
    """The n-grams that end in a firing token."""
    return Endings.of(windows, longest=ORDER, divide=lambda node: True, pool=fmean)
