"""What the explainers that need no language model have in common: a rule is fitted, put into words, and asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from replication.interpretability.explainers.strings import Judge, Promotion
from replication.interpretability.explainers.wording import Clause, sentence
from replication.interpretability.protocol import Evidence, Windows


class Rule(Protocol):
    """How strongly a unit fires on a token, told from the token and its neighbours."""

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """The mean activation to expect at each place of windows [window, width]; 0 where the token is NO_TOKEN."""

    def clauses(self, strings: list[str]) -> list[Clause]:
        """The parts of the rule by which a unit fires."""


@dataclass(frozen=True)
class Ruled:
    """An explanation: a rule for activations, what promoted strings look like, and both in words."""

    text: str
    rule: Rule
    promotion: Promotion


class Offline:
    """An explainer made of a way to fit a rule to windows."""

    concurrency = 1

    def __init__(self, name: str, fit: Callable[[Windows], Rule], strings: list[str]) -> None:
        self.name, self._fit, self._strings = name, fit, strings
        self._judge = Judge(strings)

    def explain(self, evidence: Evidence) -> Ruled:
        """The rule that fits the evidence."""
        rule = self._fit(evidence.windows)
        promoted = [self._strings[token] for token in evidence.positive.tolist()]
        return Ruled(sentence(rule.clauses(self._strings), promoted), rule, self._judge.hear(evidence))

    def predict(self, explanation: Ruled, tokens: NDArray[np.int32]) -> NDArray[np.int8]:
        """The rule's means, rounded to the nearest level."""
        return np.rint(explanation.rule(tokens)).astype(np.int8)

    def judge_logits(self, explanation: Ruled, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which tokens look more like promoted ones than like others."""
        return self._judge.likelier(explanation.promotion, tokens)
