import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.contexts import BUILT_IN, Context
from replication.features.contexts import correlations, random_directions, ranked
from replication.features.proxies import Pieces, Proxy

LETTERS = Context("a and b", "characters", alphabet="ab")


def pieces(*strings, counts=None):
    return Pieces([string if isinstance(string, bytes) else string.encode() for string in strings], np.array(counts or [10] * len(strings)))


def ids(*tokens):
    return np.array([tokens], dtype=np.int32)


def slow(context, vocabulary, row):
    """The definition: every string that ends at a token, its probability in the context over its own."""
    probability = (vocabulary.counts + 1) / (vocabulary.counts.sum() + len(vocabulary.counts))
    scores = []
    for end in range(len(row)):
        found = []
        for start in range(end - context.at_least + 2):
            text = b"".join(vocabulary.bytes[token] for token in row[start:end + 1]).decode("latin1")
            inside = sum(np.log(1 / 2 if character in "ab" else 1e-10) for character in text)
            found.append(inside - sum(np.log(probability[token]) for token in row[start:end + 1]))
        scores.append(max(found, default=-np.inf) - context.threshold)
    return np.array(scores)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(1, 3), st.sampled_from([0.0, 2.5]))
def test_the_running_maximum_is_the_best_of_all_strings_that_end_at_a_token(row, at_least, threshold):
    vocabulary = pieces("a", "b", "ab", "x", "aab x", counts=[50, 3, 20, 30, 1])
    context = Context("", "characters", alphabet="ab", at_least=at_least, threshold=threshold)
    found = Proxy.of(context, vocabulary, ids(*row))(ids(*row))[0]
    expected = slow(context, vocabulary, row)
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-5, atol=1e-4)
    assert (found[~finite] < -1000).all()


def test_no_string_goes_across_the_end_of_a_text_or_of_a_row():
    vocabulary = pieces("a", "", counts=[1, 100])
    proxy = Proxy.of(LETTERS, vocabulary, ids(0))
    alone = proxy(ids(0))[0, 0]
    np.testing.assert_allclose(proxy(ids(0, 1, 0))[0], [alone, proxy(ids(1))[0, 0] + alone, alone], rtol=1e-4)
    assert proxy(np.array([[0, 0], [0, 0]], np.int32))[1, 0] == alone


def test_a_script_is_told_by_whole_characters_and_a_split_one_by_its_share():
    alef = "א".encode()  # two bytes
    vocabulary = pieces("א", "ב", " ", "a", alef[:1], alef[1:])
    first, second = 4, 5
    sample = np.array([[0, 1, first, second], [2, 3, first, 3], [3, 3, 3, 3]], np.int32)  # one of the two split letters is broken
    proxy = Proxy.of(BUILT_IN["hebrew"], vocabulary, sample)
    on = proxy(sample) > 0
    assert on.tolist() == [[True, True, True, True], [False, False, True, False], [False] * 4]
    assert proxy.share == pytest.approx(3 / 12)  # tokens that end a string of whole Hebrew characters
    assert proxy.member[[0, 1, 2, 3]].tolist() == [True, True, False, False]
    assert np.exp(proxy.lone[first]) * proxy.share == pytest.approx(0.5)  # half of its occurrences lie in Hebrew


def test_a_space_counts_with_the_letter_that_follows_it_in_one_token():
    vocabulary = pieces(" א", " ", "א ", "א", " a")
    rows = np.array([[0, 1, 3, 2, 4]], np.int32)
    proxy = Proxy.of(BUILT_IN["hebrew"], vocabulary, rows)
    assert (proxy(rows) > 0)[0].tolist() == [True, False, True, False, False]
    assert proxy.member.tolist() == [True, False, False, True, False]


def test_a_character_that_the_row_cuts_is_broken_and_so_in_no_script():
    letter = "א".encode()
    vocabulary = pieces(letter[:1], letter[1:], "א")
    rows = np.array([[2, 0], [1, 2]], np.int32)
    proxy = Proxy.of(BUILT_IN["hebrew"], vocabulary, rows)
    assert (proxy(rows) > 0).tolist() == [[True, False], [False, True]]


def test_a_pattern_marks_the_tokens_of_its_matches():
    vocabulary = pieces("<p", ">", "hi", "</p>", " < 3")
    row = ids(0, 1, 2, 3, 4, 2)
    proxy = Proxy.of(BUILT_IN["html"], vocabulary, row)
    assert (proxy(row) > 0)[0].tolist() == [True, True, False, True, False, False]
    assert proxy.share == pytest.approx(3 / 6)


@pytest.mark.parametrize(("name", "inside", "outside"), [
    ("constants", "x = MAX_SIZE + 1", "Max_size"), ("licence", "WITHOUT WARRANTY OF ANY KIND", "we warrant nothing here"),
    ("latex", r"as \frac{1}{2} \alpha_i", r"print('a\nb')"), ("html", '<a href="x">', "a < b > c")])
def test_the_patterns_tell_their_contexts(name, inside, outside):
    vocabulary = pieces(inside, outside)
    assert (Proxy.of(BUILT_IN[name], vocabulary, np.array([[0], [1]], np.int32)).pieces.bytes[0]) == inside.encode()
    from replication.features.proxies import _inside

    touched = [_inside(BUILT_IN[name], Pieces([text.encode()[k:k + 1] for k in range(len(text))], np.ones(len(text))),
                       np.arange(len(text), dtype=np.int32)[None]).whole.any() for text in (inside, outside)]
    assert touched == [True, False]


def test_correlations_are_those_of_numpy(write, tmp_path):
    rng = np.random.default_rng(0)
    dense = np.maximum(rng.normal(size=(24, 5)) - 0.3, 0).astype(np.float32)
    dense[:, 4] = 0
    labels = rng.random((24, 2)) < 0.5
    for as_dense in (False, True):
        matrix = write(tmp_path / "m.safetensors", dense, shard_contexts=3, as_dense=as_dense)
        found = correlations(matrix, labels)
        half = np.arange(24) // 3 % 2
        values = matrix.shard(0) if matrix.shards == 1 else np.concatenate([np.asarray(part if as_dense else part.toarray()) for part in matrix])
        for which in range(2):
            for feature in range(4):
                for label in range(2):
                    at = half == which
                    assert found[which, feature, label] == pytest.approx(np.corrcoef(values[at, feature], labels[at, label])[0, 1], abs=1e-6)
        assert np.isnan(found[:, 4]).all()
    table = ranked("A/1", correlations(matrix, labels), ["first", "second"])
    best = int(np.nanargmax(correlations(matrix, labels)[0, :, 1]))
    row = table[(table["context"] == "second") & (table["rank"] == 0)].iloc[0]
    assert row["feature"] == best  # ranked on half 0
    assert row["correlation"] == pytest.approx(correlations(matrix, labels)[1, best, 1])
    assert 4 not in set(table["feature"])


def test_random_directions_are_projected_as_if_one_by_one(write, tmp_path):
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(60, 3)).astype(np.float16).astype(np.float32)
    labels = np.stack([dense[:, 0] > 0.5, np.zeros(60, bool)], axis=1)
    matrix = write(tmp_path / "m.safetensors", dense, shard_contexts=4, as_dense=True)
    found = random_directions(matrix, labels, 50, np.random.default_rng(7))
    directions, half = np.random.default_rng(7).normal(size=(50, 3)), np.arange(60) // 3 % 2
    each = np.array([[np.corrcoef(dense[half == which] @ u, labels[half == which, 0])[0, 1] for u in directions] for which in range(2)])
    best = np.abs(each[0]).argmax()
    np.testing.assert_allclose(found[:, 0], each[:, best] * np.sign(each[0, best]), atol=1e-5)
    assert not np.isfinite(found[0, 1])  # a label that never varies
