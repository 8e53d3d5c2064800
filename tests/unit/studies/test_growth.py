import numpy as np
import pytest

from replication.studies.growth import per_doubling
from replication.studies.intervals import Arm, exact

SIZES = {"A/0": 256, "A/1": 2048, "A/2": 8192}


def test_growth_is_between_the_sizes_that_were_fitted_often():
    found = per_doubling({"A/0": exact([1, 1, 1]), "A/1": exact([3, 4, 5]), "A/2": exact([100])}, SIZES)
    assert found.value == pytest.approx((4 - 1) / 3)
    assert found.replicates == 3
    assert found.low < found.value < found.high


def test_without_replicates_all_sizes_count():
    found = per_doubling({name: exact([value]) for name, value in (("A/0", 1), ("A/1", 2), ("A/2", 11))}, SIZES)
    assert (found.value, found.replicates) == (2.0, 1)


def test_one_size_has_no_growth():
    assert per_doubling({"A/1": exact([3, 4, 5])}, SIZES) is None


def test_draws_widen_the_interval():
    rng = np.random.default_rng(0)
    noisy = Arm(np.array([3.0, 4.0, 5.0]), 4 + rng.normal(size=(3, 200)))
    plain = per_doubling({"A/0": exact([1, 1, 1]), "A/1": exact([3, 4, 5])}, SIZES)
    assert per_doubling({"A/0": Arm(np.ones(3), np.ones((3, 200))), "A/1": noisy}, SIZES).low < plain.low
