import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.per_context import estimates, grouped, moments, pearson, ratio, summed
from tests.planted import raw


@pytest.fixture
def settings():
    return STUDIES["sensitivity"].settings(resolve(raw(bootstrap=400)))


def test_sums_are_of_whole_contexts():
    np.testing.assert_array_equal(summed(3, [1, 2, 3, 4, 5, 6], [0, 1, 0, 0, 0, 1]), [[6, 1], [15, 1]])


def test_groups_are_counted_within_their_context():
    group, counted = np.array([0, 2, 2, 1, 1, 0]), np.array([True, True, True, True, False, True])
    np.testing.assert_array_equal(grouped(3, group, 3, counted), [[1, 0, 2], [1, 1, 0]])


def test_a_correlation_of_sums_is_numpy_s():
    rng = np.random.default_rng(0)
    x = rng.exponential(size=60).astype(np.float32)
    y = x + rng.normal(size=60) > 1
    sums = moments(6, x, y)
    assert sums.shape == (10, 6)
    assert pearson(sums.sum(0)) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert pearson(sums[2:5].sum(0)) == pytest.approx(np.corrcoef(x[12:30], y[12:30])[0, 1])


def test_what_never_changes_has_no_correlation():
    assert np.isnan(pearson(moments(2, np.ones(4, np.float32), np.array([0, 1, 0, 1])).sum(0)))


def test_a_ratio_without_a_whole_is_undefined():
    np.testing.assert_array_equal(np.isnan(ratio(np.array([0.0, 1.0]), np.array([0.0, 2.0]))), [True, False])


def test_an_interval_narrows_with_contexts_and_leaves_undefined_resamples_out(settings):
    def share(sums):
        return ratio(sums[..., 0], sums[..., 1])[..., None]

    widths = []
    for contexts in (16, 400):
        hits = np.arange(contexts) % 2
        (found,) = estimates(share, np.stack([hits, np.ones(contexts)], 1).astype(float), settings, "test")
        assert found.value == 0.5
        assert found.low < 0.5 < found.high
        widths.append(found.high - found.low)
    assert widths[1] < 0.3 * widths[0]
    rare = np.zeros((20, 2))
    rare[3] = [1, 2]
    (found,) = estimates(share, rare, settings, "test")
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
