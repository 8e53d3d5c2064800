import numpy as np
import pytest
from scipy import stats

from replication.config import Settings, Studies
from replication.studies.intervals import Arm, arm_of, arm_of_all, by_text, estimate, exact, random, resampled_sums, smallest

SETTINGS = Settings(run="test", seed=0, studies=Studies(bootstrap=400))


def test_two_replicates_by_hand():
    # s^2 = 2, se = sqrt(2 / 2) = 1, and t(0.975, 1) = 12.706
    found = estimate(exact([1.0, 3.0]))
    assert (found.value, found.replicates) == (2.0, 2)
    assert found.sd == pytest.approx(np.sqrt(2))
    assert (found.low, found.high) == (pytest.approx(2 - 12.7062, abs=1e-3), pytest.approx(2 + 12.7062, abs=1e-3))


def test_a_difference_adds_the_variances():
    plus, minus = exact([1.0, 2.0, 3.0]), exact([0.0, 2.0])  # s^2 = 1 and 2, so se^2 = 1/3 + 2/2
    found = estimate(plus, minus)
    assert (found.value, found.replicates, found.sd) == (1.0, 2, pytest.approx(np.sqrt(3)))
    of_arms = [np.subtract(*stats.ttest_1samp(values, 0).confidence_interval()) / 2 for values in ([1.0, 2.0, 3.0], [0.0, 2.0])]
    assert found.high - found.value == pytest.approx(np.hypot(*of_arms))


def test_the_sampling_error_that_replicates_share_is_added():
    draws = np.tile(np.array([-1.0, 0.0, 1.0]), (3, 1))  # variance 1 of the arm's mean
    found = estimate(Arm(np.array([5.0, 5.0, 5.0]), draws))
    assert found.high - found.value == pytest.approx(1.96, abs=1e-3)  # which is not made larger by training's variance being known from few
    both = estimate(Arm(5 + np.sqrt(3) * np.array([-1.0, 0.0, 1.0]), draws))  # s^2 / 3 = 1
    assert both.high - both.value == pytest.approx(np.hypot(4.3027, 1.96), abs=1e-3)


def test_one_replicate_gives_quantiles_of_the_draws():
    draws = np.linspace(0, 1, 1001)[None]
    found = estimate(Arm(np.array([0.5]), draws))
    assert (found.low, found.high, found.sd, found.replicates) == (pytest.approx(0.025), pytest.approx(0.975), None, 1)


def test_one_replicate_without_a_sample_gives_no_interval():
    found = estimate(exact([4.0]))
    assert (found.value, found.low, found.high, found.sd) == (4.0, None, None, None)


def test_what_no_training_touches_does_not_limit_the_replicates():
    neurons = Arm(np.array([0.4]), np.full((1, 10), 0.4), untrained=True)
    found = estimate(Arm(np.array([0.7, 0.8, 0.9]), np.full((3, 10), 0.8)), neurons)
    assert (found.replicates, found.value) == (3, pytest.approx(0.4))


def test_the_smallest_difference_is_positive_only_if_all_are():
    sure, unsure = Arm(np.array([1.0]), np.linspace(0.5, 1.5, 99)[None]), Arm(np.array([2.0]), np.linspace(-1, 5, 99)[None])
    found = smallest([estimate(sure), estimate(unsure)])
    assert found.value == 1.0
    assert found.low < 0 < found.high < 1.5


def test_scaling_keeps_the_interval_in_step():
    found = estimate(exact([2.0, 4.0])).times(0.5)
    assert (found.value, found.sd, found.replicates) == (1.5, pytest.approx(np.sqrt(2) / 2), 2)


def test_contexts_are_resampled_together():
    column = np.random.default_rng(0).normal(size=(50, 1))
    sums = resampled_sums(np.concatenate([column, 2 * column], axis=1), 130, random(SETTINGS, "x"))
    assert sums.shape == (130, 2)
    np.testing.assert_allclose(sums[:, 1], 2 * sums[:, 0])
    assert sums[:, 0].std() > 0


def test_resampling_all_contexts_of_one_value_changes_nothing():
    np.testing.assert_allclose(resampled_sums(np.full((8, 1), 3.0), 5, random(SETTINGS, "x")), 24.0)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng, few = np.random.default_rng(1), Settings(run="test", seed=0, studies=Studies(bootstrap=100))
    inside = bootstrap = 0
    for index in range(200):
        common = rng.normal(0, 0.5)  # the evaluation sample, shared by the replicates
        values = common + rng.normal(0, 1, 3)
        draws = values[:, None] + rng.normal(0, 0.5, 300)
        found = estimate(Arm(values, draws))
        inside += found.low < 0 < found.high
        one = estimate(arm_of(np.mean, [rng.normal(0, 1, 60)], few, f"coverage {index}"))
        bootstrap += one.low < 0 < one.high
    assert 0.91 <= inside / 200 <= 1.0
    assert 0.89 <= bootstrap / 200 <= 0.99


def test_sums_of_a_text_are_over_its_contexts():
    columns = np.array([[1.0, 10], [2, 20], [4, 40], [8, 80]])
    np.testing.assert_array_equal(by_text(columns, np.array([9, -3, 9, 5])), [[2, 20], [8, 80], [5, 50]])
    assert by_text(np.empty((0, 2)), np.empty(0, np.int64)).shape == (0, 2)


def test_contexts_of_one_text_tell_no_more_than_one():
    """Each text a value of its own, in 50 contexts: the spread of the mean is that of 40 values, not of 2,000."""
    rng = np.random.default_rng(0)
    values, sources = np.repeat(rng.normal(size=40), 50), np.repeat(np.arange(40), 50)
    columns = np.stack([values, np.ones(2000)], axis=1)
    of_texts, of_contexts = (sums[:, 0] / sums[:, 1] for sums in (resampled_sums(some, 2000, np.random.default_rng(1)) for some in (by_text(columns, sources), columns)))
    assert of_texts.std() == pytest.approx(values.std() / np.sqrt(40), rel=0.1)
    assert of_contexts.std() == pytest.approx(values.std() / np.sqrt(2000), rel=0.1)


def test_all_features_of_several_fits_vary_over_the_fits_alone():
    fits = [np.array([1.0, 3.0]), np.array([2.0, 6.0]), np.array([0.0, 12.0])]
    several, alone = (arm_of_all(np.mean, some, SETTINGS, "x") for some in (fits, fits[:1]))
    found, exactly = estimate(several), estimate(exact([2.0, 4.0, 6.0]))
    assert (found.low, found.high) == pytest.approx((exactly.low, exactly.high))
    assert estimate(several, alone).low < 2 < estimate(several, alone).high  # a lone fit is resampled, and the two can be compared
    assert np.array_equal(alone.draws, arm_of(np.mean, fits[:1], SETTINGS, "x").draws)
