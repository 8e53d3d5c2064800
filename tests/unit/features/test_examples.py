"""The examples of features against a reference that is slow and plain."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from replication.features import examples
from replication.features.columns import Columns


def columns(dense, start=0):
    """Columns from tokens x features."""
    parts = [np.flatnonzero(column > 0) for column in dense.T]
    return Columns(start=start, n_tokens=len(dense), indptr=np.cumsum([0, *(len(part) for part in parts)]), tokens=np.concatenate(parts),
                   values=np.concatenate([column[part] for column, part in zip(dense.T, parts, strict=True)]))


def reference(values):
    """Rows (entry, group, interval, rank) by sorting pairs of (distance, token)."""
    def nearest(target, count):
        return [entry for _, entry in sorted((abs(np.float64(value) - target), entry) for entry, value in enumerate(values))[:count]]

    top = [entry for _, entry in sorted((-value, entry) for entry, value in enumerate(values))[:20]]
    groups = [(0, -1, top)]
    if len(values) >= 20:
        groups += [(1, k, nearest(np.float64(max(values)) * ((10 - k) / 11), 5)) for k in range(11)] + [(2, -1, nearest(0, 20))]
    return [(entry, group, interval, rank) for group, interval, entries in groups for rank, entry in enumerate(entries)]


few_values = st.sampled_from([np.float32(x) for x in (0.1, 0.25, 0.5, 1.0, 1.1, 1.2, 3.0, 11.0)])
any_values = st.floats(2.0**-20, 64, width=32)


@settings(max_examples=150, deadline=None)
@given(st.one_of(hnp.arrays(np.float32, st.integers(1, 60), elements=few_values), hnp.arrays(np.float32, st.integers(1, 60), elements=any_values)))
def test_choice_equals_the_slow_reference(values):
    assert examples.choose(values).tolist() == [list(row) for row in reference(values)]


def test_intervals_are_nearest_to_elevenths_of_the_maximum():
    values = np.linspace(0.01, 11, 1100, dtype=np.float32)
    rows = examples.choose(values)
    for k in range(10):
        found = values[rows[(rows[:, 1] == 1) & (rows[:, 2] == k), 0]]
        assert len(found) == 5 and abs(found - (10 - k)).max() < 0.03
    assert values[rows[rows[:, 1] == 2, 0]].tolist() == values[:20].tolist()


def test_a_silent_feature_and_one_with_19_tokens():
    assert examples.choose(np.empty(0, np.float32)).shape == (0, 4)
    assert set(examples.choose(np.ones(19, np.float32))[:, 1]) == {0}
    assert set(examples.choose(np.ones(20, np.float32))[:, 1]) == {0, 1, 2}


def test_windows_stay_inside_their_context():
    dense = np.zeros((20, 2), np.float32)  # two contexts of ten tokens
    dense[[0, 1, 9, 10, 15], 1] = [5, 4, 3, 2, 1]
    tokens = np.arange(20, dtype=np.int32).reshape(2, 10) + 100
    table = examples.table(examples.windows(columns(dense, start=7), tokens, side=4), n_ctx=10)
    assert table["feature"].tolist() == [8] * 5 and table["rank"].tolist() == [0, 1, 2, 3, 4]
    assert table["context"].tolist() == [0, 0, 0, 1, 1] and table["pos"].tolist() == [0, 1, 9, 0, 5]
    assert [list(window) for window in table["window_tokens"]] == [
        [100, 101, 102, 103, 104], [100, 101, 102, 103, 104, 105], [105, 106, 107, 108, 109], [110, 111, 112, 113, 114], list(range(111, 120))]
    assert [list(window) for window in table["window_activations"]][:3] == [[5, 4, 0, 0, 0], [5, 4, 0, 0, 0, 0], [0, 0, 0, 0, 3]]
    assert table["centre"].tolist() == [0, 1, 4, 0, 4] and table["activation"].tolist() == [5, 4, 3, 2, 1]
    assert all(tokens[row.context, row.pos] == row.window_tokens[row.centre] for row in table.itertuples())


def test_repeated_windows_are_marked():
    tokens = np.tile(np.arange(5, dtype=np.int32), (3, 1))
    tokens[2, 4] = 9
    dense = np.zeros((15, 2), np.float32)
    dense[[2, 7, 12], 0] = [3, 2, 1]  # the middle of each context: the first two windows are the same
    dense[[2, 3], 1] = [3, 2]  # the same tokens around another centre
    table = examples.table(examples.windows(columns(dense), tokens, side=2), n_ctx=5)
    assert table["repeated"].tolist() == [False, True, False, False, False]


def test_single_token_features():
    tokens = np.tile(np.array([1, 2, 3, 4], dtype=np.int32), (30, 1))
    dense = np.zeros((120, 4), np.float32)
    dense[1::4, 0] = 2 + np.arange(30)  # always on token 2
    dense[1::4, 1], dense[2::4, 1] = 1 + np.arange(30), 100 + np.arange(30)  # on 2, but stronger on 3 next to it
    dense[1::4, 2], dense[5, 2], dense[6, 2] = 1, 0, 5  # once on 3
    dense[1:76:4, 3] = 1  # 19 tokens only
    found = examples.single_token(examples.windows(columns(dense), tokens, side=1), 4)
    assert found.tolist() == [True, True, False, False]
