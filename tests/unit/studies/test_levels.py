import numpy as np
import pytest

from replication.studies.detailed.levels import level_of, strength_of, strong_from, wilson


def test_levels_are_closed_above_and_reach_the_maximum():
    activation = np.array([0, 0.01, 1, 1.01, 2, 3.99, 4], np.float32)
    np.testing.assert_array_equal(level_of(activation, 4.0, 4), [-1, 0, 0, 1, 1, 3, 3])
    np.testing.assert_array_equal(level_of(np.zeros(3, np.float32), 0.0), [-1, -1, -1])


def test_strengths_are_split_at_the_median_of_what_is_on():
    proxy = np.array([-5, -1, 0, 1, 2, 3], np.float32)
    assert strong_from(proxy) == 2.0
    np.testing.assert_array_equal(strength_of(proxy, 2.0), [0, 0, 0, 1, 2, 2])
    assert strong_from(np.array([-1.0], np.float32)) == np.inf


def test_wilson_by_its_formula():
    n, p, z = 40, 0.1, 1.959964
    centre, reach = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson(4, n) == pytest.approx((centre - reach, centre + reach), abs=1e-5)
    assert np.isnan(wilson(0, 0)).all()
