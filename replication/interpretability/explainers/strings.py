"""The judge of the logit test: whether a token's string looks like the strings of tokens that a unit makes likelier.

It knows strings alone. Examples of promoted tokens are the strongest ones of the evidence, of weight 1 each, and the tokens
that follow firing tokens in the evidence's windows, in proportion to the activation there and of weight FOLLOWING in all.
Examples of other tokens are the vocabulary, and the evidence's most suppressed tokens with half its weight in all. With
the share q(f) of a property f among the others, its share among the N promoted ones is smoothed,

    p(f) = (promoted ones with f + PRIOR q(f)) / (N + PRIOR)

and a string s is held to be promoted where its log-likelihood ratio is above 0 (even odds, as in the test):

      sum over the looks f of s (`characters.looks`)                 log p(f) / q(f)
    + mean over beginnings and ends f of s, of 1 to 3 characters     max(0, log p(f) / q(f))
    + of the whole word f of s, without spaces and case              max(0, log p(f) / q(f))

The first is naive Bayes. Beginnings, ends and words are so many that most of a unit's own are not among a score of examples;
so it counts nothing not to have been seen, where naive Bayes would count it against a string. Nothing of the model's weights
enters but the order of the few tokens that the evidence lists. Source: ours; the test is the paper's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers.characters import looks
from replication.interpretability.protocol import Evidence, Windows

FOLLOWING = 2.0  # weight of all tokens that follow firing ones; a token with a strong logit weight has 1
SUPPRESSED = 0.5  # weight of the most suppressed tokens, as a share of the vocabulary's
PRIOR = 5.0  # promoted examples that smoothing is worth
ENDS = range(1, 4)  # characters


@dataclass(frozen=True)
class Promotion:
    """The log-likelihood ratio of each token of the vocabulary."""

    ratio: NDArray[np.float64]


class Judge:
    """The judge of a vocabulary's strings."""

    def __init__(self, strings: list[str]) -> None:
        self._looks = _properties(looks, strings)
        self._ends = _properties(_ends, strings)
        self._words = _properties(_word, strings)

    def hear(self, evidence: Evidence) -> Promotion:
        """The ratios, from the evidence of a unit."""
        d_vocab = self._looks.shape[0]
        promoted = following(evidence.windows, d_vocab)
        promoted[evidence.positive] += 1
        others = np.full(d_vocab, 1 / d_vocab)
        others[evidence.negative] += SUPPRESSED / max(1, len(evidence.negative))
        ratio = self._looks @ _log_ratio(self._looks, promoted, others)
        for properties in (self._ends, self._words):
            ratio += properties @ np.maximum(_log_ratio(properties, promoted, others), 0) / properties.sum(axis=1)
        return Promotion(ratio)

    @staticmethod
    def likelier(promotion: Promotion, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the tokens look promoted."""
        return promotion.ratio[tokens] > 0


def following(windows: Windows, d_vocab: int) -> NDArray[np.float64]:
    """How much activation is just before each token of the vocabulary, FOLLOWING in all (zero when nothing fires)."""
    after = windows.tokens[:, 1:]
    inside = after != NO_TOKEN
    weight = np.bincount(after[inside], weights=windows.activations[:, :-1][inside], minlength=d_vocab)
    share: NDArray[np.float64] = weight / max(weight.sum(), 1)
    return FOLLOWING * share


def _log_ratio(properties: sparse.csr_array, promoted: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much likelier each property is among promoted tokens than among others: log p / q."""
    q = others @ properties / others.sum()
    p = (promoted @ properties + PRIOR * q) / (promoted.sum() + PRIOR)
    ratio: NDArray[np.float64] = np.log(p / q)
    return ratio


def _ends(string: str) -> list[str]:
    return [*(f"^{string[:n]}" for n in ENDS), *(f"{string[-n:]}$" for n in ENDS)]


def _word(string: str) -> list[str]:
    return [string.strip(" ").lower()]


def _properties(of: Callable[[str], list[str]], strings: list[str]) -> sparse.csr_array:
    """Which string has which property, as zeros and ones [token, property]; every property is one of some string's."""
    number: dict[str, int] = {}
    columns = [[number.setdefault(each, len(number)) for each in dict.fromkeys(of(string))] for string in strings]
    indices = np.concatenate(columns)
    return sparse.csr_array((np.ones(len(indices)), indices, np.cumsum([0, *map(len, columns)])), shape=(len(strings), len(number)))
