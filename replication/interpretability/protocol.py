"""What is shown to an explainer, what it must answer, and how examples are grouped.

    49 windows to explain:  10 top, 2 of each of 12 other groups, 5 random, 10 of top tokens in other contexts
    60 windows to predict:   6 top, 2 of each of 12 other groups, 10 random, 20 of top tokens out of context

A window has nine tokens. Activations are quantised: 9 is the unit's maximum over the evaluation tokens. Source: paper,
appendix "Automated interpretability".
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from replication.features.examples import INTERVALS

LEVELS = 9
GROUPS = ("top", *(f"interval {k}" for k in range(INTERVALS)), "bottom", "random", "out of context")
TOP, BOTTOM, RANDOM, OUT_OF_CONTEXT = 0, INTERVALS + 1, INTERVALS + 2, INTERVALS + 3
FIRING = range(TOP, BOTTOM + 1)  # the groups of windows that were chosen because the unit fires on them
TO_EXPLAIN = {TOP: 10, **{group: 2 for group in FIRING if group != TOP}, RANDOM: 5, OUT_OF_CONTEXT: 10}
TO_PREDICT = {TOP: 6, **{group: 2 for group in FIRING if group != TOP}, RANDOM: 10, OUT_OF_CONTEXT: 20}
FEWEST = 20  # distinct examples, below which a unit is left out and counted
SHOWN_LOGITS, TESTED_LOGITS, RANDOM_LOGITS = 10, 50, 50  # strongest ones in the evidence; the next ones and random ones in the test


@dataclass(frozen=True)
class Windows:
    """Windows of text: `tokens` [window, width] with NO_TOKEN outside of the context, `activations` [window, width] from 0 to
    LEVELS (0 outside), `group` [window] as an index into GROUPS.
    """

    tokens: NDArray[np.int32]
    activations: NDArray[np.int8]
    group: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Evidence:
    """All that an explainer sees of a unit: windows to explain, and the tokens with the strongest logit weights, strongest first."""

    windows: Windows
    positive: NDArray[np.int32]
    negative: NDArray[np.int32]


class Explanation(Protocol):
    """What an explainer says about a unit, as a person can read it."""

    @property
    def text(self) -> str:
        """One or a few sentences."""


class ExplainerError(Exception):
    """An answer that is late, malformed, empty or refused; becomes an error row, never a score."""


E = TypeVar("E", bound=Explanation)


class Explainer(Protocol[E]):
    """Explains a unit and answers from the explanation alone. Raises ExplainerError where it has no answer.

    `name` is what tables call it; `concurrency` is how many units it may be asked about at one time.
    """

    name: str
    concurrency: int

    def explain(self, evidence: Evidence) -> E:
        """From the evidence, which never holds a window that is predicted."""

    def predict(self, explanation: E, tokens: NDArray[np.int32]) -> NDArray[np.int8]:
        """Activations from 0 to LEVELS of each token of windows [window, width]; 0 where the token is NO_TOKEN."""

    def judge_logits(self, explanation: E, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the tokens [token] the unit makes likelier, judged by their strings."""
