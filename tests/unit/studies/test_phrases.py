"""A phrase that half of the texts hold, and a dictionary that recites part of it."""

import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies.attribution import Attribution
from replication.studies.phenomenology import phrases
from replication.studies.phenomenology.phrases import Phrase, Recital

PHRASE = list(range(10, 22))
VOCABULARY = 400
N_CTX = 30


@pytest.fixture
def tokens():
    """Forty texts of random tokens; three in four hold the phrase, somewhere."""
    rng = np.random.default_rng(0)
    found = rng.integers(30, VOCABULARY, size=(40, N_CTX)).astype(np.int32)
    for context in range(40):
        if context % 4 != 3:
            start = rng.integers(N_CTX - len(PHRASE))
            found[context, start : start + len(PHRASE)] = PHRASE
    return found


@pytest.fixture
def strings():
    return [" license" if token == PHRASE[3] else " word" for token in range(VOCABULARY)]


def test_the_phrase_is_found_whole_and_once(tokens, strings):
    found = phrases.search(tokens, strings, seed=6)
    assert [list(phrase.tokens) for phrase in found] == [PHRASE]
    assert found[0].contexts == 20  # even texts
    assert found[0].licence
    for start in found[0].starts:
        assert tokens.ravel()[start : start + len(PHRASE)].tolist() == PHRASE
    assert len(found[0].starts) == 30


def test_a_text_without_repeats_has_none(strings):
    tokens = np.random.default_rng(1).integers(30, VOCABULARY, size=(20, N_CTX)).astype(np.int32)
    assert phrases.search(tokens, strings, seed=6) == []
    assert phrases.search(tokens[:, :4], strings, seed=6) == []


def test_a_phrase_of_one_half_only_is_left_out(tokens, strings):
    tokens[1::2] = np.random.default_rng(2).integers(30, VOCABULARY, size=(20, N_CTX))
    assert phrases.search(tokens, strings, seed=6) == []


def test_keys_tell_strings_apart(tokens):
    keys = phrases._keys(tokens, 5)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, 5, axis=1).reshape(-1, 5)
    assert len(np.unique(keys)) == len(np.unique(windows, axis=0))


@pytest.fixture
def recital(tokens, strings, tmp_path):
    """Feature k (0 to 4) fires on token k of the phrase and raises the next one most; feature 5 on all of it, and elsewhere."""
    phrase = phrases.search(tokens, strings, seed=6)[0]
    dense = np.zeros((tokens.size, 6), np.float32)
    for k in range(5):
        dense[phrase.starts + k, k] = 3
    for k in range(len(PHRASE)):
        dense[phrase.starts + k, 5] = 1
    outside = np.flatnonzero(~dense.any(1))
    dense[outside[::2], 5] = 1
    dense[np.random.default_rng(0).choice(outside, 200, replace=False), 3] = 3  # feature 3 fires mostly elsewhere
    with MatrixWriter(tmp_path / "matrix.safetensors", n_features=6, contexts=40, n_ctx=N_CTX, shard_contexts=16, dense=False) as writer:
        for start in range(0, 40, 16):
            writer.append(sparse.csr_array(dense[start * N_CTX : (start + 16) * N_CTX]))
    weights = np.zeros((6, VOCABULARY), np.float32)
    for k in range(5):
        weights[k, PHRASE[k + 1]] = 2
    weights[5] = np.arange(VOCABULARY) / VOCABULARY / 10
    attribution = Attribution(weights, np.zeros(6, np.float32), np.eye(VOCABULARY, dtype=np.float32), np.arange(VOCABULARY))
    return phrases.recite(EvaluationMatrix(tmp_path / "matrix.safetensors"), attribution, tokens, [phrase], np.arange(6))[0]


def test_the_steps_that_have_a_feature_of_their_own_are_recited(recital):
    steps = recital.steps
    assert len(steps) == len(PHRASE) - 1
    assert steps["feature"].tolist() == [0, 1, 2, 3, 4] + [5] * (len(PHRASE) - 6)
    assert steps["attribution"][:5].tolist() == pytest.approx([6] * 5)
    assert steps["recited"].tolist() == [1] * 5 + [0] * (len(PHRASE) - 6)
    assert recital.chain("recited") == (0, 5)


def test_a_feature_that_fires_mostly_elsewhere_has_not_memorised(recital):
    assert recital.steps["memorised"].tolist()[:5] == [1, 1, 1, 0, 1]
    assert recital.steps["inside"][3] < 0.5 < recital.steps["inside"][0]
    assert recital.longest("memorised") == 3


def test_a_token_in_two_overlapping_phrases_counts_once_for_each():
    group, row = np.array([0, 0, 1]), np.array([1, 1, 1])
    assert phrases._sums(group, row, 2, 3, once=True).toarray().tolist() == [[0, 1, 0], [0, 1, 0]]
    assert phrases._sums(group, row, 2, 3).toarray().tolist() == [[0, 2, 0], [0, 1, 0]]


def test_a_chain_needs_a_feature_for_each_step():
    import pandas as pd

    def longest(features, flags):
        return Recital(Phrase((), np.empty(0, np.int64), 0), pd.DataFrame({"feature": features, "recited": flags})).chain("recited")

    assert longest([1, 2, 1, 3, 4], [1, 1, 1, 1, 1]) == (1, 5)
    assert longest([1, 2, 3, 3, 4], [1, 1, 1, 1, 1]) == (0, 3)
    assert longest([1, 2, 3], [1, 0, 1]) == (0, 1)
    assert longest([1, 2], [0, 0]) == (0, 0)
