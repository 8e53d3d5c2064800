import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.phenomenology import token_features
from replication.studies.phenomenology.token_features import Found, clearest, ending, first_tokens, headline, positions, served, special
from replication.studies.token_sums import sums
from tests.planted import raw

CONTEXTS, N_CTX = 8, 10
STRINGS = ["x", " the", ".", "19", "COVID", "-", " P", "eter", " 1"]


@pytest.fixture
def write(tmp_path):
    def write(dense):
        with MatrixWriter(tmp_path / "m", n_features=dense.shape[1], contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=4, dense=False) as writer:
            for start in range(0, CONTEXTS * N_CTX, 4 * N_CTX):
                writer.append(sparse.csr_array(dense[start:start + 4 * N_CTX].astype(np.float32)))
        return EvaluationMatrix(tmp_path / "m")
    return write


def test_a_feature_serves_the_token_that_holds_half_of_its_activation_on_the_other_half(write):
    tokens = np.tile([1, 2, 0, 0, 0, 0, 0, 0, 0, 0], CONTEXTS)
    dense = np.zeros((CONTEXTS * N_CTX, 5))
    the, stop, even = tokens == 1, tokens == 2, np.repeat(np.arange(CONTEXTS) % 2 == 0, N_CTX)
    dense[the, 0] = 1  # the alone
    dense[the, 1], dense[stop, 1] = 3, 2  # mostly the
    dense[:, 2] = 1  # all tokens alike
    dense[the & even, 3], dense[stop & ~even, 3] = 1, 1  # the on the half for choosing, the stop on the other
    dense[stop, 4] = 1  # the stop, but ultralow
    table = pd.DataFrame({"part": ["other"] * 4 + ["ultralow"], "single_token": [True, False, False, True, True]})
    found = Found(table, sums(write(dense), tokens, len(STRINGS)))
    np.testing.assert_allclose(found.share, [1, 0.6, 0.8, 0])  # all tokens alike: eight of ten are x
    assert found.token[[0, 1, 3]].tolist() == [1, 1, 1]
    assert found.counts(len(STRINGS)).tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0]
    assert found.serves.tolist() == [True, True, True, False]


def test_nineteen_counts_after_covid_only_however_the_word_is_cut():
    strings = [*STRINGS, "CO", "VID-"]
    tokens = np.array([[4, 5, 3, 0, 9, 10, 3, 0, 0, 3], [3, 5, 3, 4, 0, 3, 0, 4, 5, 0]])
    assert np.flatnonzero(positions(tokens, strings, "19", before="COVID-")).tolist() == [2, 6]


def test_a_letter_is_a_words_first_token_when_a_letter_follows():
    tokens = np.array([[6, 7, 6, 2, 6, 8, 0, 0, 0, 6], [7, 0, 6, 0, 0, 0, 0, 0, 0, 0]])  # " Peter", " P.", " P 1", at the end; " Px"
    assert np.flatnonzero(first_tokens(tokens, STRINGS, " P")).tolist() == [0, 12]


def test_features_of_a_kind_need_half_on_both_halves_and_enough_tokens(write):
    kinds = {"common": np.tile([True] * 6 + [False] * 4, CONTEXTS), "rare": np.tile([False] * 9 + [True], CONTEXTS)}
    even = np.repeat(np.arange(CONTEXTS) % 2 == 0, N_CTX)
    dense = np.zeros((CONTEXTS * N_CTX, 3))
    dense[kinds["common"], 0] = 1
    dense[kinds["common"] & even, 1], dense[~kinds["common"] & ~even, 1] = 1, 1
    dense[kinds["rare"], 2] = 1
    assert served(write(dense), np.arange(3), kinds) == {"common": 1}  # the rare kind has four tokens on a half


def test_growth_is_over_tokens_and_replicates(monkeypatch):
    given = raw(bootstrap=200)
    given["dictionaries"] = {"A/0": {"d_sae": 10, "replicates": 3}, "A/1": {"d_sae": 40, "replicates": 3}}
    given["studies"]["twin"] = "A/1"
    settings = STUDIES["token_features"].settings(resolve(given))
    counts = {name: np.array([1, 2, 9, 0]) * (1 if name.startswith("A/0") else 3) for name in settings.dictionaries}
    item = Found.__new__(Found)
    item.features, item.share, item.strict = np.arange(7), np.array([1, 1, 1, 0.6, 0.5, 0.4, 0]), np.array([True] * 3 + [False] * 4)
    numbers = headline(counts, dict.fromkeys(settings.dictionaries, item), np.array([0, 1]), ["x", " the", ".", "q"], settings)
    assert (numbers["growth_0_1"].value, numbers["growth_0_1"].replicates, numbers["growth_0_1"].n) == (3.0, 3, 2)
    assert numbers["growth_0_1"].low > 0
    assert (numbers["the_A_1"].value, numbers["stop_A_0"].value) == (6, 9)
    assert "of_A_1" not in numbers
    assert numbers["strong_single_token_A_0"].value == 3
    assert numbers["share_serving_A_1"].value == pytest.approx(5 / 7)


def test_some_features_are_counted_over_all_sizes_and_not_over_replicates():
    given = raw()
    given["dictionaries"] = {"A/0": {"d_sae": 10}, "A/1": {"d_sae": 40, "replicates": 2}}
    given["studies"]["twin"] = "A/1"
    settings = STUDIES["token_features"].settings(resolve(given))
    item = Found.__new__(Found)
    item.features = np.arange(7)
    counted = {"A/0": {"p_first_token": 0}, "A/1": {"p_first_token": 1}, "A/1-r1": {"p_first_token": 2}}
    triples = {"A/0": pd.DataFrame({"feature": []}), "A/1": pd.DataFrame({"feature": [3, 5]})}
    numbers = special(counted, triples, dict.fromkeys(settings.dictionaries, item), settings)
    assert {key: number.value for key, number in numbers.items()} == {
        "p_first_token_A_0": 0, "p_first_token_A_1": 1.5, "p_first_token": 1,
        "trigram_features_A_0": 0, "trigram_features_A_1": 2, "trigram_features": 2}
    assert numbers["trigram_features"].n == 14


def test_the_example_is_a_word_where_a_word_has_enough_features():
    found = Found.__new__(Found)
    found.share = np.ones(9)
    found.token = np.array([1, 1, 1, 2, 2, 2, 2, 0, 0])
    assert clearest(np.arange(4), STRINGS, found) == [1, 2]
    found.token = np.array([1, 1, 0, 2, 2, 2, 2, 0, 0])
    assert clearest(np.arange(4), STRINGS, found) == [2]


def test_a_phrase_ends_inside_its_text_and_on_the_half_for_reporting():
    tokens = np.array([[4, 5, 3, 0], [4, 5, 3, 4], [5, 3, 4, 5], [3, 5, 4, 5]], np.int32)
    everywhere = np.arange(16)
    assert ending(everywhere, [5, 3], tokens).tolist() == [6]
    assert ending(everywhere, [3], tokens).tolist() == [6, 12]
    assert token_features.said(['"', "é"]) == '["\\"", "é"]'
