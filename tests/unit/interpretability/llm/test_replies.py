"""What replies say, and which of them say nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.interpretability.llm import replies
from replication.interpretability.protocol import ExplainerError


@pytest.mark.parametrize("text, said", [
    ("It fires on cats.\nExplanation: Names of cats.", "Names of cats."),
    ("Names of cats.", "Names of cats."),
    ("explanation: no\n\n**Explanation:** Names\nof  cats.", "Names of cats."),
    ("## Explanation: Names of cats.**", "Names of cats."),
    ("My explanation: it is cats", "My explanation: it is cats"),
])
def test_an_explanation_is_what_follows_the_last_mark(text, said):
    assert replies.explanation(text) == said


def test_a_mark_with_nothing_behind_it_is_no_explanation():
    with pytest.raises(ExplainerError, match="empty"):
        replies.explanation("I think of cats.\nExplanation: ")


ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), min_size=1, max_size=60)


@given(ROWS, st.sampled_from(["{}", "```json\n{}\n```", "Here it is: {}"]))
def test_numbers_are_read_back_in_order(rows, around):
    text = json.dumps({str(number): row for number, row in reversed(list(enumerate(rows, start=1)))})
    assert replies.levels(around.replace("{}", text), [len(row) for row in rows]) == rows


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_choices_are_read_back_in_order(said):
    text = json.dumps({str(number): ["no", " Yes "][value] for number, value in enumerate(said, start=1)})
    assert replies.choices(text, len(said)) == said


@pytest.mark.parametrize("text, reason", [
    ("I cannot.", "not JSON"), ("", "not JSON"), ('{"1": [1,2], "2": [3', "not JSON"), ("[[1,2],[3]]", "not JSON"), ("{" * 100_000 + "}", "not JSON"),
    ('{"1": [1,2]}', "1 windows, not those from 1 to 2"),
    ('{"1": [1,2], "2": [3], "3": [4]}', "3 windows, not those from 1 to 2"),
    ('{"0": [1,2], "1": [3]}', "2 windows, not those from 1 to 2"),
    ('{"1": [1,2], "2": [3,4]}', "window 2 has 2 numbers, not 1"),
    ('{"1": 12, "2": [3]}', "window 1 has no numbers, not 2"),
    ('{"1": [1,10], "2": [3]}', "window 1 holds"), ('{"1": [1,2], "2": [-1]}', "window 2 holds"),
    ('{"1": [1,2.5], "2": [3]}', "window 1 holds"), ('{"1": [1,2], "2": [true]}', "window 2 holds"),
    ('{"1": [1,2], "2": ["3"]}', "window 2 holds"), ('{"1": [1,2], "2": [NaN]}', "window 2 holds"),
])
def test_numbers_that_are_malformed_are_an_error(text, reason):
    with pytest.raises(ExplainerError, match=reason):
        replies.levels(text, [2, 1])


@pytest.mark.parametrize("text, reason", [
    ('{"1": "yes"}', "1 tokens"), ('{"1": "yes", "2": "maybe"}', "token 2"), ('{"1": true, "2": "no"}', "token 1"), ('{"1": "", "2": "no"}', "token 1")])
def test_choices_that_are_neither_yes_nor_no_are_an_error(text, reason):
    with pytest.raises(ExplainerError, match=reason):
        replies.choices(text, 2)
