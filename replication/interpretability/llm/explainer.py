"""A language model as an explainer: three questions about a unit, each answered from what the protocol lets it see."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replication.config import Settings
from replication.features.examples import NO_TOKEN
from replication.interpretability import LLM
from replication.interpretability.llm import client, prompts, replies
from replication.interpretability.llm.cache import Cache
from replication.interpretability.protocol import GROUPS, Evidence

if TYPE_CHECKING:
    from replication.features.vocabulary import Vocabulary

LONGEST = 60  # words; a longer explanation kept its reasoning


@dataclass(frozen=True)
class Description:
    """An explanation in words. `overlong`: it kept its reasoning; it is scored all the same, as in the paper."""

    text: str

    @property
    def overlong(self) -> bool:
        """Whether it has more than LONGEST words."""
        return len(self.text.split()) > LONGEST


class LanguageModel:
    """Explains a unit, predicts and judges by asking a language model. `concurrency` units may be asked about at one time."""

    name = LLM

    def __init__(self, asked: client.Client, strings: list[str], *, concurrency: int) -> None:
        self.client, self.strings, self.concurrency = asked, strings, concurrency

    def explain(self, evidence: Evidence) -> Description:
        """From windows with their groups and activations, and the strongest logits of both signs."""
        windows = evidence.windows
        shown = [prompts.Example(group=GROUPS[group], tokens=self._strings(tokens[tokens != NO_TOKEN]), activations=levels[tokens != NO_TOKEN].tolist())
                 for group, tokens, levels in zip(windows.group, windows.tokens, windows.activations, strict=True)]
        asked = prompts.explain(self._strings(evidence.positive), self._strings(evidence.negative), shown)
        return Description(replies.explanation(self.client.ask(asked)))

    def predict(self, explanation: Description, tokens: NDArray[np.int32]) -> NDArray[np.int8]:
        """All windows [window, width] in one request; 0 where the token is NO_TOKEN."""
        inside = tokens != NO_TOKEN
        asked = prompts.predict(explanation.text, [self._strings(window[real]) for window, real in zip(tokens, inside, strict=True)])
        predicted = np.zeros(tokens.shape, dtype=np.int8)
        predicted[inside] = np.concatenate(replies.levels(self.client.ask(asked), inside.sum(axis=1).tolist()))
        return predicted

    def judge_logits(self, explanation: Description, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Yes or no for each token."""
        asked = prompts.judge(explanation.text, self._strings(tokens))
        return np.array(replies.choices(self.client.ask(asked), len(tokens)), dtype=bool)

    def usage(self) -> dict[str, Any]:
        """What was used so far, as `client.Client.usage` says."""
        return self.client.usage()

    def _strings(self, tokens: NDArray[np.int32]) -> list[str]:
        return [self.strings[token] for token in tokens]


def make(settings: Settings, vocabulary: "Vocabulary", *, state: Path) -> LanguageModel:
    """The explainer that the environment describes, with its replies in the folder `state`.

    Raises UserError when neither an endpoint nor the replies kept can answer.
    """
    assert settings.interpretability
    asked = client.from_environment(settings, Cache(state))
    return LanguageModel(asked, vocabulary.strings, concurrency=settings.interpretability.concurrency)
