"""Each rule by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers import lookup, ngram, tree, trie
from replication.interpretability.protocol import Windows

STRINGS = ["A", "B", "C", "D", "E", "F", " the", "12", "7", "word", "("]
A, B, C, D, E, F = range(6)


def windows(rows, activations):
    tokens = np.array(rows, dtype=np.int32)
    return Windows(tokens, np.array(activations, dtype=np.int8), np.zeros(len(tokens), dtype=np.int8))


def at_the_end(rule, *tokens):
    """What a rule expects of the last token."""
    return rule(np.array([tokens], dtype=np.int32))[0, -1]


def said(rule):
    return sorted((clause.phrase, clause.after, round(clause.level, 3)) for clause in rule.clauses(STRINGS))


some = st.integers(1, 12).flatmap(lambda n: st.tuples(arrays(np.int32, (n, 5), elements=st.integers(NO_TOKEN, 8)),
                                                      arrays(np.int8, (n, 5), elements=st.integers(0, 9))))


@given(some)
def test_lookup_is_the_mean_by_token(drawn):
    tokens, activations = drawn
    activations = np.where(tokens == NO_TOKEN, 0, activations).astype(np.int8)
    inside = tokens != NO_TOKEN
    if inside.any():
        means = pd.Series(activations[inside]).groupby(tokens[inside]).mean()
        asked = np.arange(12, dtype=np.int32)[None]
        np.testing.assert_allclose(lookup.fit(windows(tokens, activations))(asked)[0], means.reindex(asked[0], fill_value=0.0))


def test_lookup_in_words():
    assert said(lookup.fit(windows([[A, B, A, C]], [[9, 4, 6, 0]]))) == [("`A`", "", 7.5), ("`B`", "", 4.0)]


def test_ngram_backs_off():
    rule = ngram.fit(windows([[A, B, C], [A, B, C], [D, B, C], [E, F, C]], [[0, 0, 9], [0, 0, 7], [0, 0, 2], [0, 0, 0]]))
    assert at_the_end(rule, A, B, C) == 8  # seen twice
    assert at_the_end(rule, D, B, C) == 2
    assert at_the_end(rule, F, B, C) == 5  # the mean of A B C and D B C, each once
    assert at_the_end(rule, B, C) == 5
    assert at_the_end(rule, A, C) == 2.5  # the mean of B C and F C
    assert at_the_end(rule, C) == 2.5
    assert at_the_end(rule, A, B) == 0


def test_ngram_at_the_edge_of_a_window():
    rule = ngram.fit(windows([[C, C, D]], [[6, 2, 0]]))
    assert at_the_end(rule, A, C) == 4  # once with nothing before, once after C


def test_the_last_token_is_not_before_the_first():
    rule = ngram.fit(windows([[A, C], [B, C]], [[0, 8], [0, 0]]))
    np.testing.assert_array_equal(rule(np.array([[C, D, A]], dtype=np.int32)), [[4, 0, 0]])


def test_ngram_looks_no_further_than_three():
    rule = ngram.fit(windows([[A, B, C, D], [E, B, C, D]], [[0, 0, 0, 8], [0, 0, 0, 2]]))
    assert at_the_end(rule, A, B, C, D) == at_the_end(rule, E, B, C, D) == 5


def test_trie_keeps_the_shortest_contexts_that_separate():
    rule = trie.fit(windows([[A, B, C], [D, B, C], [A, E, C], [D, E, C], [A, F, D]], [[0, 0, 9], [0, 0, 9], [0, 0, 0], [0, 0, 0], [0, 0, 3]]))
    root = rule.roots[C]
    assert set(root.longer) == {B, E}
    assert not root.longer[B].longer and not root.longer[E].longer
    assert not rule.roots[D].mixed or rule.roots[D].longer
    assert said(rule)[0] == ("`C`", "`B`", 9)
    assert at_the_end(rule, F, B, C) == 9
    assert at_the_end(rule, B, E, C) == 0


def test_trie_grows_as_far_as_it_must():
    rule = trie.fit(windows([[A, B, B, C], [D, B, B, C]], [[0, 0, 0, 9], [0, 0, 0, 0]]))
    assert at_the_end(rule, A, B, B, C) == 9
    assert at_the_end(rule, D, B, B, C) == 0
    assert said(rule) == [("`C`", "`ABB`", 9)]


def test_trie_expects_what_most_contexts_do():
    rule = trie.fit(windows([[A, C], [A, C], [A, C], [B, C], [D, C]], [[0, 9], [0, 9], [0, 9], [0, 0], [0, 0]]))
    assert at_the_end(rule, E, C) == 0
    assert at_the_end(rule, A, C) == 9


def test_words_pass_over_few_exceptions():
    rule = trie.fit(windows([[A, C], [B, C], [D, C], [E, C]], [[0, 9], [0, 9], [0, 8], [0, 0]]))
    assert said(rule) == [("`C`", "", 8.5)]


def fit_tree(rows, activations):
    return tree.fitter(STRINGS)(windows(rows, activations))


def test_tree_speaks_of_characters():
    rule = fit_tree([[A, 7, B, 9], [C, 8, 6, D]] * 3, [[0, 6, 0, 0], [0, 6, 0, 0]] * 3)
    assert said(rule) in ([("a token of digits", "", 6)], [("a token with a digit", "", 6)])


def test_tree_says_what_a_token_is_not():
    rule = fit_tree([[A, 7, 10, 8]] * 3, [[6, 0, 6, 0]] * 3)
    assert said(rule) in ([("a token not of digits", "", 6)], [("a token not with a digit", "", 6)])


def test_tree_tells_two_places_before():
    rows = [[x, y, C] for x in (A, B, D) for y in (A, B, D, E)]
    rule = fit_tree(rows, [[0, 0, 9 * (x == A)] for x, _, _ in rows])
    assert at_the_end(rule, A, F, C) == 9
    assert at_the_end(rule, B, F, C) == 0
    assert ("`C`", "any token after `A`", 9) in said(rule) or ("any other token", "any token after `A`", 9) in said(rule)


@pytest.mark.parametrize(("distance", "shifted"), [(0, [[1, 2, 3]]), (1, [[NO_TOKEN, 1, 2]]), (2, [[NO_TOKEN, NO_TOKEN, 1]])])
def test_tokens_before(distance, shifted):
    np.testing.assert_array_equal(tree.before(np.array([[1, 2, 3]], dtype=np.int32), distance), shifted)


def test_questions():
    table = np.zeros((len(STRINGS) + 1, len(tree.NAMES)), dtype=np.float32)
    table[B, 3] = 1
    questions = tree.Questions.of(np.array([[A, B, NO_TOKEN]], dtype=np.int32), table)
    answers = questions(np.array([[B, A]], dtype=np.int32))
    told = [[questions.told(k) for k in np.flatnonzero(row)] for row in answers]
    assert told == [[(0, B, 0), (0, NO_TOKEN, 3)], [(0, A, 0), (1, NO_TOKEN, 3)]]  # B was seen at distance 0 alone
