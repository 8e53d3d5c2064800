import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from replication.features.histogram import histograms


@settings(max_examples=50, deadline=None)
@given(st.lists(hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-64, 64).map(lambda n: n / 8)), min_size=1, max_size=4))
def test_equals_numpy_one_by_one(rows):
    low, high = np.array([row.min() for row in rows]), np.array([row.max() for row in rows])
    counts, edges = histograms(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows]), low, high, bins=8)
    for row, count, edge in zip(rows, counts, edges, strict=True):
        if row.min() == row.max():
            assert count.tolist() == [len(row)] + [0] * 7
        else:
            expected, places = np.histogram(row, bins=8, range=(row.min(), row.max()))
            assert np.allclose(edge, places)
            inner = np.abs(row[:, None] - places[None, 1:-1]).min() > 1e-9  # on an edge the two may round apart
            assert count.sum() == len(row) and (count.tolist() == expected.tolist() or not inner)
