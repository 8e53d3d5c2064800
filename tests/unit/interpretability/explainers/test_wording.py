"""Rules in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.interpretability.explainers.wording import CASE_WORDS, PROMOTED_WORDS, WORDS, Clause, quoted, sentence


@pytest.mark.parametrize(("string", "expected"), [
    (" the", "` the`"), ("of the", "`of the`"), (" ", "`␣`"), ("    x", "`␣␣␣ x`"), ("x ", "`x␣`"), ("\n\n", r"`\n\n`"), ("`", r"`\x60`"),
    ("\u202e", r"`\u202e`"), (r"\xd8", r"`\xd8`"), ("<b>", "`<b>`"), ("", "``"), ("שלום", "`שלום`"), ("-" * 40, f"`{'-' * 24}…`"),
])
def test_quoted(string, expected):
    assert quoted(string) == expected


def test_contexts_are_cut_where_they_are_far():
    assert quoted("far " * 9 + "near", from_the_end=True) == "`…far far far far far near`"


@given(st.text())
def test_quoted_is_one_visible_line(string):
    shown = quoted(string)
    assert shown.isprintable()
    assert shown.count("`") == 2
    assert len(shown) <= 27


def test_strongest_first_and_weak_ones_apart():
    clauses = [Clause("`c`", 2, 4), Clause("`a`", 6, 10), Clause("`b`", 9, 90), Clause("`d`", 0.6, 100)]
    assert sentence(clauses, [" x", "y"]) == "fires on `b`, `a`; weakly on `d`, `c`; makes likelier ` x`, `y`"


def test_only_weak_or_nothing():
    assert sentence([Clause("`c`", 2, 4)], []) == "fires weakly on `c`"
    assert sentence([], ["y"]) == "fires on nothing in the evidence; makes likelier `y`"


def test_alternatives_before_a_token_come_together():
    clauses = [Clause("`a`", 9, 18, "`x`"), Clause("`b`", 9, 20), Clause("`a`", 8, 8, "`y`"), Clause("`a`", 1, 1, "`z`")]
    assert sentence(clauses, []) == "fires on `a` after `x` or `y`, `b`; weakly on `a` after `z`"


def test_a_token_that_fires_anyway_needs_no_context():
    assert sentence([Clause("`a`", 9, 18, "`x`"), Clause("`a`", 9, 9)], []) == "fires on `a`"


@given(st.lists(st.builds(Clause, phrase=st.text("ab", min_size=1, max_size=3), level=st.floats(0, 9), total=st.floats(0, 99),
                          after=st.sampled_from(["", "x", "y z", "a b c"])), max_size=60))
def test_few_words(clauses):
    assert len(sentence(clauses, ["word"] * 30).split()) <= WORDS + PROMOTED_WORDS
    assert CASE_WORDS < WORDS
