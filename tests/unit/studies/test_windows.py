import json

import numpy as np

from replication.studies.detailed.windows import drawn, near, row


def test_no_text_comes_twice_before_every_text_came_once():
    tokens = np.arange(40, dtype=np.int32).reshape(4, 10)
    places = np.array([0, 1, 2, 3, 4, 5, 6, 7, 15, 25])  # eight in the first text
    for seed in range(10):
        found = drawn(places, 3, tokens, 1, np.random.default_rng(seed))
        assert sorted(found // 10) == [0, 1, 2]
    assert sorted(drawn(places, 20, tokens, 1, np.random.default_rng(0))) == sorted(places)


def test_a_window_comes_once():
    tokens = np.tile(np.arange(10, dtype=np.int32), (3, 1))
    assert len(drawn(np.array([5, 15, 25]), 3, tokens, 2, np.random.default_rng(0))) == 1
    assert len(drawn(np.array([], np.int64), 3, tokens, 2, np.random.default_rng(0))) == 0


def test_a_window_stays_inside_its_text():
    tokens, values = np.arange(8, dtype=np.int32).reshape(2, 4), np.arange(8, dtype=np.float32)
    found = row(4, tokens, list("abcdefgh"), {"values": values}, 2)
    assert (json.loads(found["tokens"]), json.loads(found["values"]), found["centre"]) == (["e", "f", "g"], [4, 5, 6], 0)
    assert json.loads(row(3, tokens, list("abcdefgh"), {}, 2)["tokens"]) == ["b", "c", "d"]


def test_near_is_a_window_around_each_token_inside_its_text():
    on = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool)
    np.testing.assert_array_equal(near(on, 5, 2), [0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
