"""Explainers that need no language model: each fits a rule to the evidence, says it in words, and predicts by it.

They are deterministic and work offline. All four answer the logit test through the same judge (`strings`), so that the test
compares units, not explainers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from replication.config import EXPLAINERS, UserError
from replication.validation import nearest

if TYPE_CHECKING:
    from replication.features.vocabulary import Vocabulary
    from replication.interpretability.protocol import Explainer


def make(name: str, vocabulary: "Vocabulary") -> "Explainer[Any]":
    """The explainer of a name: lookup, ngram, trie or tree. Raises UserError for any other."""
    if name not in EXPLAINERS:
        raise UserError(f"there is no explainer {name!r}; {nearest(name, EXPLAINERS)}")
    from replication.interpretability.explainers.offline import Offline

    module = import_module(f"replication.interpretability.explainers.{name}")  # so that only `tree` loads what it fits with
    return Offline(name, module.fitter(vocabulary.strings), vocabulary.strings)
