"""Which contexts are examined: those that enough texts hold on both halves."""

import numpy as np
import pandas as pd
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.cases import FEWEST, FEWEST_TEXTS, cases
from tests.planted import raw

N_CTX = 20


class Stub:
    """Evaluation contexts each of a text of its own; the context is on for so many tokens at the start of each [context]."""

    def __init__(self, on, sources=None):
        self._on, self._sources = np.array(on), np.arange(len(on)) if sources is None else np.array(sources)

    def proxies(self):
        return {"dna": (np.arange(N_CTX) < self._on[:, None]).astype(np.float32).ravel()}

    def members(self):
        return {"dna": np.zeros(4, bool)}

    def context_features(self):
        return pd.DataFrame({"dictionary": ["A/1", "A/neurons"], "context": "dna", "feature": [3, 5], "rank": 0})

    def tokens(self):
        return np.zeros((len(self._on), N_CTX), np.int32)

    def sources(self):
        return self._sources


@pytest.fixture
def settings():
    given = raw()
    given["studies"]["contexts"] = ["dna"]
    return STUDIES["pinned"].settings(resolve(given))


def test_a_context_of_enough_texts_on_both_halves_is_examined(settings):
    present, absent = cases(Stub([N_CTX] * 2 * FEWEST_TEXTS), settings)
    assert [(case.context, case.feature, case.neuron, int(case.on.sum())) for case in present] == [("dna", 3, 5, 2 * FEWEST)]
    assert not absent


@pytest.mark.parametrize(("on", "sources", "seen"), [
    ([N_CTX, N_CTX - 1] + [N_CTX] * 8, None, "100 tokens of 5 texts and 99 tokens of 5 texts"),  # even contexts are half 0
    ([N_CTX] * 12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 10, 1], "120 tokens of 6 texts and 120 tokens of 4 texts"),
])
def test_too_few_tokens_or_texts_on_a_half_are_told(settings, on, sources, seen):
    present, absent = cases(Stub(on, sources), settings)
    assert not present
    assert absent == {"dna": f"the text holds too little DNA: {seen} on the halves of {N_CTX * len(on)} evaluation tokens"}
