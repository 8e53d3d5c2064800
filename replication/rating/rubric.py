"""The rubric: five questions about one activation interval, 14 points in all.

Whether agreeing and disagreeing logits separate is asked only where not all agree, so the most is 3 + 5 + 3 + 0 + 3 or
3 + 5 + 2 + 1 + 3. Source: paper, appendix on the rubric; the wording is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Item:
    """One question with the words for its scores, from 0 up."""

    key: str
    short: str
    question: str
    answers: tuple[str, ...]

    @property
    def most(self) -> int:
        """The highest score."""
        return len(self.answers) - 1


RUBRIC = (
    Item("confidence", "confidence", "How sure are you of your explanation?", ("not at all", "a little", "fairly", "very")),
    Item("strong_tokens", "strong tokens", "How many of this interval's strong tokens agree with it?",
         ("none", "few", "under half", "over half", "nearly all", "all")),
    Item("logits", "positive logits", "How many of the positive logits agree with it?", ("none", "some", "most", "all")),
    Item("separation", "separation", "Not all logits agree: are those that do the larger ones?", ("no", "yes")),
    Item("specificity", "specificity", "How specific is your explanation?", ("says nothing", "broad", "narrow", "one precise thing")),
)
KEYS = tuple(item.key for item in RUBRIC)
MOST = 14
INTERPRETABLE = 8  # a score above reads as interpretable (paper)


def total(scores: Mapping[str, int]) -> int:
    """The sum of the five scores, 0 to 14."""
    return sum(scores[key] for key in KEYS)


def fault(scores: Mapping[str, Any]) -> str:
    """What is wrong with the five scores, in a few words; empty where nothing is."""
    for item in RUBRIC:
        value = scores.get(item.key)
        if type(value) is not int or not 0 <= value <= item.most:
            return f"{item.key} is {value!r}, not a whole number from 0 to {item.most}"
    logits = RUBRIC[KEYS.index("logits")]
    if scores["logits"] == logits.most and scores["separation"]:
        return f"separation is {scores['separation']} though all logits agree (logits is {logits.most}), where it does not count"
    return ""
