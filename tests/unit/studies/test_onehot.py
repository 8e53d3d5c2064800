"""Layers with one state on at a time, on cases whose losses and shares are known."""

from itertools import product

import numpy as np
import pytest

from replication.studies.setup import one_neuron_toy
from replication.studies.setup.onehot import exact_loss, polysemantic, train

EQUAL = np.full(4, 0.25)


def test_exact_losses_of_all_assignments():
    by_count = {1: 0.75 * np.log(3), 2: np.log(2), 3: 0.75 * np.log(3), 0: np.log(4), 4: np.log(4)}
    for states in product((0, 1), repeat=4):
        assert exact_loss(np.array(states), EQUAL) == pytest.approx(by_count[sum(states)])
    cases = one_neuron_toy.cases()
    assert cases["assignments"].tolist() == [1, 4, 6, 4, 1]
    np.testing.assert_allclose(cases["loss"], [by_count[on] for on in range(5)])


def test_a_state_of_its_own_for_each_feature_costs_nothing():
    probabilities = np.array([0.5, 0.3, 0.2])
    assert exact_loss(np.array([2, 0, 1]), probabilities) == pytest.approx(0)
    assert exact_loss(np.zeros(3, int), probabilities) == pytest.approx(-(probabilities * np.log(probabilities)).sum())


def test_a_neuron_is_polysemantic_when_no_feature_makes_up_nine_tenths():
    probabilities = np.array([0.45, 0.05, 0.3, 0.2])  # neuron 0: 90 % one feature; neuron 1: 60 %; neuron 2 is never on
    assert polysemantic(np.array([0, 0, 1, 1]), probabilities, 3) == 0.5
    assert polysemantic(np.array([0, 1, 2, 2]), probabilities, 3) == pytest.approx(1 / 3)


def test_training_reaches_the_exact_loss_of_what_it_is_held_at():
    held = np.array([[1, 0, 0, 0], [1, 1, 0, 0]])
    found = train(EQUAL, 2, 2, seed=0, what="test", held=held)
    np.testing.assert_array_equal(found.states, held)
    np.testing.assert_allclose(found.losses, [0.75 * np.log(3), np.log(2)], atol=2e-3)


def test_training_ends_in_no_better_loss_than_its_assignment_allows_and_finds_the_optimum():
    found = train(EQUAL, 2, 30, seed=1, what="test")
    allowed = np.array([exact_loss(states, EQUAL) for states in found.states])
    assert (found.losses > allowed - 1e-6).all()
    assert found.losses - allowed == pytest.approx(0, abs=0.01)
    assert found.losses.min() == pytest.approx(np.log(2), abs=0.01)


def test_restarts_differ_and_a_seed_repeats_them():
    first, again, other = (train(EQUAL, 2, 8, seed=seed, what="test") for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.losses, again.losses)
    assert not np.array_equal(first.losses, other.losses)
    assert len(set(first.losses.tolist())) > 1
