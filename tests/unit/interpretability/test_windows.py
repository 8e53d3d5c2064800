"""Which windows are chosen, and that none is in both roles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.features import examples
from replication.features.columns import Columns
from replication.features.examples import NO_TOKEN
from replication.interpretability.protocol import BOTTOM, FIRING, GROUPS, OUT_OF_CONTEXT, RANDOM, TO_EXPLAIN, TO_PREDICT, TOP
from replication.interpretability.text import Text
from replication.interpretability.windows import choose, distinct, group_of

SIDE = 4


def examples_of(values, text):
    """Groups and places of a unit's examples, by its activation on every token."""
    fires = np.flatnonzero(values)
    columns = Columns(start=0, n_tokens=len(values), indptr=np.array([0, len(fires)]), tokens=fires, values=values[fires])
    table = examples.table(examples.windows(columns, text.tokens, side=text.side), n_ctx=text.tokens.shape[1])
    return group_of(table["group"].to_numpy(str), table["interval"].to_numpy()), (table["context"] * text.tokens.shape[1] + table["pos"]).to_numpy()


def chosen(values, text, seed=0):
    return choose(text, *examples_of(values, text), np.random.default_rng(seed))


def keys(text, shown):
    return [row.tobytes() for row in text.windows(shown.place)]


@st.composite
def planted(draw):
    """A text with few tokens and whole contexts that come again, and a unit that fires seldom or often."""
    contexts, n_ctx, d_vocab = draw(st.integers(2, 30)), draw(st.integers(5, 24)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tokens = rng.integers(d_vocab, size=(contexts, n_ctx)).astype(np.int32)
    tokens[rng.random(contexts) < 0.3] = tokens[0]
    steps = draw(st.sampled_from([3, 1000]))
    values = np.where(rng.random(tokens.size) < draw(st.sampled_from([0.03, 0.3, 1.0])), np.ceil(rng.random(tokens.size) * steps) / steps, 0)
    return Text(tokens, SIDE), values.astype(np.float32)


@settings(max_examples=120, deadline=None)
@given(planted())
def test_no_window_is_in_both_roles_and_none_comes_twice(case):
    text, values = case
    choice = chosen(values, text)
    found = keys(text, choice.explain) + keys(text, choice.predict)
    assert len(found) == len(set(found))


@settings(max_examples=60, deadline=None)
@given(planted())
def test_windows_are_what_their_groups_say(case):
    text, values = case
    group, place = examples_of(values, text)
    choice = chosen(values, text)
    flat = text.tokens.ravel()
    for shown, wanted in ((choice.explain, TO_EXPLAIN), (choice.predict, TO_PREDICT)):
        for each in range(len(GROUPS)):
            places = shown.place[shown.group == each]
            assert len(places) <= wanted[each]
            if each in FIRING:
                assert (values[places] > 0).all() and {row.tobytes() for row in text.windows(places)} <= {row.tobytes() for row in text.windows(place[group == each])}
            else:
                assert (text.windows(places) != NO_TOKEN).all() and not set(places) & set(place)
        assert set(flat[shown.place[shown.group == OUT_OF_CONTEXT]]) <= set(flat[place[group == TOP]])


@pytest.fixture(scope="module")
def plenty():
    """A text in which hardly a window comes twice, and a unit with activations of every size."""
    rng = np.random.default_rng(1)
    text = Text(rng.integers(40, size=(200, 32)).astype(np.int32), SIDE)
    return text, np.where(rng.random(text.tokens.size) < 0.2, rng.random(text.tokens.size), 0).astype(np.float32)


def test_with_windows_enough_the_numbers_are_the_papers(plenty):
    choice = chosen(plenty[1], plenty[0])
    for shown, wanted, total in ((choice.explain, TO_EXPLAIN, 49), (choice.predict, TO_PREDICT, 60)):
        assert {group: int((shown.group == group).sum()) for group in range(len(GROUPS))} == wanted and len(shown.place) == total


def test_windows_to_explain_come_by_group_strongest_first_and_those_to_predict_are_shuffled(plenty):
    text, values = plenty
    choice = chosen(values, text)
    assert (np.diff(choice.explain.group) >= 0).all() and (np.diff(values[choice.explain.place[:10]]) <= 0).all()
    assert (np.diff(choice.predict.group) < 0).sum() > 15


def test_the_draw_is_the_seeds(plenty):
    text, values = plenty
    one, same, other = (chosen(values, text, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.predict.place, same.predict.place) and np.array_equal(one.explain.place, same.explain.place)
    assert not np.array_equal(one.predict.place, other.predict.place)


def test_intervals_and_top_share_the_windows_that_both_hold():
    # 20 firing tokens: every group holds the same ones
    text = Text(np.arange(400, dtype=np.int32).reshape(10, 40), SIDE)
    values = np.zeros(400, np.float32)
    values[np.arange(20) * 20 + 10] = np.linspace(0.05, 1, 20)
    choice = chosen(values, text)
    groups = np.concatenate((choice.explain.group, choice.predict.group))
    firing = groups[np.isin(groups, list(FIRING))]
    assert len(firing) == 20 and set(firing) == set(FIRING)


def test_too_few_windows_are_split_in_proportion():
    text = Text(np.arange(400, dtype=np.int32).reshape(10, 40), SIDE)
    group, place = np.full(8, TOP, np.int8), np.arange(8) * 40 + 10
    choice = choose(text, group, place, np.random.default_rng(0))
    assert [int((shown.group == TOP).sum()) for shown in (choice.explain, choice.predict)] == [5, 3]  # 10 : 6
    assert not (choice.predict.group == OUT_OF_CONTEXT).any()  # no token comes twice in this text
    one = choose(text, np.array([BOTTOM], np.int8), place[:1], np.random.default_rng(0))
    assert [int((shown.group == BOTTOM).sum()) for shown in (one.explain, one.predict)] == [0, 1]  # the odd one is predicted


def test_tokens_out_of_context_come_in_turn_by_rank():
    rng = np.random.default_rng(0)
    tokens = rng.integers(10, 500, size=(60, 32)).astype(np.int32)
    tokens[rng.random(tokens.shape) < 0.1] = 1
    tokens[:, 20], tokens[:2, 12] = 2, 3
    text = Text(tokens, SIDE)
    group, place = np.zeros(3, np.int8), np.array([12, 20, np.flatnonzero(tokens.ravel()[:32] == 1)[0]])  # tokens 3, 2 and 1
    choice = choose(text, group, place, np.random.default_rng(0))
    shown = np.concatenate([shown.place[shown.group == OUT_OF_CONTEXT] for shown in (choice.explain, choice.predict)])
    counts = np.bincount(tokens.ravel()[shown], minlength=4)
    assert counts[3] == 1 and abs(counts[1] - counts[2]) <= 1 and counts.sum() == 30  # token 3 has one other place


def test_a_window_is_told_by_its_centre_too():
    text = Text(np.array([[1, 1, 1, 1], [1, 1, 1, 1]], dtype=np.int32), 1)
    assert distinct(text, np.array([0, 1, 2, 3, 4, 5])) == 3  # the first, one in the middle, the last
    assert text.windows(np.array([0, 3])).tolist() == [[NO_TOKEN, 1, 1], [1, 1, NO_TOKEN]]


def test_places_of_a_token_have_whole_windows():
    text = Text(np.array([[5, 5, 6, 5, 5, 5], [5, 5, 5, 5, 6, 7]], dtype=np.int32), 2)
    assert text.whole.tolist() == [2, 3, 8, 9] and text.where(5).tolist() == [3, 8, 9] and text.where(7).tolist() == [] and text.where(6).tolist() == [2]


def test_random_windows_are_no_examples(plenty):
    text, values = plenty
    choice = chosen(values, text)
    _, place = examples_of(values, text)
    drawn = np.concatenate([shown.place[shown.group >= RANDOM] for shown in (choice.explain, choice.predict)])
    assert len(drawn) == 45 and not set(drawn) & set(place)
