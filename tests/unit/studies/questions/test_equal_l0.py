"""Curves over l1, by hand."""

import numpy as np
import pytest

from replication.config import Sae
from replication.studies.intervals import estimate
from replication.studies.questions.equal_l0 import Curve
from replication.studies.recovered import Measured

SAES = {name: Sae(d_sae=8, l1=l1, seed=seed) for seed, suffix in enumerate(("", "-r1")) for name, l1 in ((f"A/low{suffix}", 0.001), (f"A/high{suffix}", 0.002))}


def measured(l0: float, value: float) -> Measured:
    return Measured({"l0": l0, "value": value}, {"l0": np.full(4, l0), "value": value + np.array([-0.01, 0, 0, 0.01])}, 4, 40)


@pytest.fixture
def found():
    return {"A/low": measured(16, 0.9), "A/high": measured(4, 0.5), "A/low-r1": measured(16, 0.7), "A/high-r1": measured(4, 0.3)}


def test_a_curve_is_straight_in_log_l0(found):
    curve = Curve.of(list(SAES), SAES)
    assert [list(names) for names in curve.replicates] == [["A/low", "A/high"], ["A/low-r1", "A/high-r1"]]
    arm = curve.at(found, lambda of: of["value"], 8.0)  # half way between 4 and 16
    assert arm.values == pytest.approx([0.7, 0.5]) and arm.draws[0] == pytest.approx([0.69, 0.7, 0.7, 0.71])
    assert estimate(arm).replicates == 2 and estimate(arm).value == pytest.approx(0.6)


def test_a_curve_says_nothing_outside_its_points(found):
    curve = Curve.of(list(SAES), SAES)
    assert curve.covers(found, 4.0) and curve.covers(found, 16.0) and not curve.covers(found, 17.0) and not curve.covers(found, 3.9)
    found["A/low-r1"] = measured(7, 0.7)  # one replicate does not reach
    assert not curve.covers(found, 8.0)


def test_replicates_are_as_many_as_every_l1_has():
    three = {**SAES, "A/low-r2": Sae(d_sae=8, l1=0.001, seed=2)}
    assert len(Curve.of(list(three), three).replicates) == 2
