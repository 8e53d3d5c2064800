"""Numbers of recited and memorised phrases, on chains whose lengths are known."""

import numpy as np
import pandas as pd
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.phenomenology.automata import recited
from replication.studies.phenomenology.phrases import Phrase, Recital
from tests.planted import raw


def chain(recites, memorises):
    """A phrase of ten steps, of which the first so many are recited and memorised."""
    flags = {"recited": np.arange(10) < recites, "memorised": np.arange(10) < memorises}
    return Recital(Phrase(tuple(range(11)), np.empty(0, np.int64), 0), pd.DataFrame({"feature": range(10), **flags}))


@pytest.fixture
def settings():
    given = raw(bootstrap=50)
    given["dictionaries"] = {"A/0": {"d_sae": 10, "replicates": 3}, "A/1": {"d_sae": 40, "replicates": 3}}
    given["studies"]["twin"] = "A/1"
    return STUDIES["automata"].settings(resolve(given))


def test_memorised_chains_are_judged_apart_from_those_recited(settings):
    memorised = {"A/0": 1, "A/0-r1": 1, "A/0-r2": 1, "A/1": 2, "A/1-r1": 3, "A/1-r2": 4}
    numbers = recited({name: [chain(6, length), chain(5, 0)] for name, length in memorised.items()}, settings)
    assert (numbers["longest_recited_A_1"].value, numbers["longest_memorised_A_1"].value) == (6, 3)
    assert numbers["recited_growth"].value == 0
    growth = numbers["memorised_growth"]
    assert (growth.value, growth.unit) == (pytest.approx((3 - 1) / 2), "steps per doubling")
    assert growth.high - growth.value == pytest.approx(4.303 / 3**0.5 / 2, rel=1e-3)  # replicates 2, 3, 4 have sd 1; nothing else varies


def test_text_that_repeats_nothing_has_chains_of_no_steps(settings):
    numbers = recited({name: [] for name in settings.dictionaries}, settings)
    assert (numbers["longest_memorised_A_0"].value, numbers["memorised_growth"].value) == (0, 0)
