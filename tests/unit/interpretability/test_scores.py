"""Correlations against scipy's, by hand, and against their definitions."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from replication.features.examples import INTERVALS
from replication.interpretability.protocol import BOTTOM, FIRING, GROUPS, LEVELS, OUT_OF_CONTEXT, RANDOM, TOP
from replication.interpretability.scores import Truth, importance, measure, pairs, pearson, spearman

levels = st.integers(0, LEVELS)


def level_pairs(elements=levels, at_least=1):
    return hnp.arrays(np.int8, st.tuples(st.just(2), st.integers(at_least, 80)), elements=elements)


def table(true, predicted, weight=None):
    return pairs(np.zeros(len(true), np.int64), true, predicted, weight, 1)


def reference(function, true, predicted):
    """scipy's correlation, with the paper's 0 where one side is constant."""
    if len(set(true)) < 2 or len(set(predicted)) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(true, predicted).statistic


@settings(max_examples=200, deadline=None)
@given(st.one_of(level_pairs(), level_pairs(st.sampled_from([0, 0, 0, 0, 9]))))
def test_spearman_and_pearson_are_scipys(case):
    true, predicted = case
    assert spearman(table(true, predicted))[0] == pytest.approx(reference(stats.spearmanr, true, predicted), abs=1e-12)
    assert pearson(table(true, predicted))[0] == pytest.approx(reference(stats.pearsonr, true.astype(float), predicted.astype(float)), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(level_pairs(), st.data())
def test_a_weight_of_n_is_the_same_as_coming_up_n_times(case, data):
    true, predicted = case
    times = data.draw(hnp.arrays(np.int64, len(true), elements=st.integers(0, 4)))
    weighted = spearman(table(true, predicted, times.astype(float)))[0]
    repeated = spearman(table(np.repeat(true, times), np.repeat(predicted, times)))[0]
    assert weighted == pytest.approx(repeated, abs=1e-12, nan_ok=True)
    scaled = spearman(table(true, predicted, times * 1e-7))[0]
    assert scaled == pytest.approx(weighted, abs=1e-9, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(level_pairs(), min_size=1, max_size=6))
def test_many_units_at_once_are_each_on_its_own(cases):
    unit = np.repeat(np.arange(len(cases)), [case.shape[1] for case in cases])
    true, predicted = np.concatenate(cases, axis=1)
    order = np.random.default_rng(0).permutation(len(unit))
    found = spearman(pairs(unit[order], true[order], predicted[order], None, len(cases)))
    assert found == pytest.approx([spearman(table(*case))[0] for case in cases], abs=1e-12)


def test_by_hand():
    assert spearman(table(np.array([0, 1, 2, 9]), np.array([0, 3, 4, 5])))[0] == pytest.approx(1)
    assert spearman(table(np.array([0, 1, 2, 9]), np.array([9, 3, 2, 0])))[0] == pytest.approx(-1)
    # ranks 1.5 1.5 3.5 3.5 against 1 2 3 4
    assert spearman(table(np.array([0, 0, 5, 5]), np.array([0, 1, 2, 3])))[0] == pytest.approx(4 / np.sqrt(4 * 5))


def test_constant_answers_and_constant_truths_score_nothing_and_no_token_at_all_has_no_score():
    true, constant = np.array([0, 3, 9]), np.full(3, 4)
    assert spearman(table(true, constant))[0] == spearman(table(constant, true))[0] == pearson(table(true, constant))[0] == 0
    assert np.isnan(spearman(np.zeros((1, 10, 10)))[0])


def truth_of(group, level, unit=None, weight=None):
    group = np.asarray(group, np.int8)
    unit = np.zeros(len(group), np.int64) if unit is None else unit
    return Truth(units=int(unit.max()) + 1, unit=unit, group=group, level=np.asarray(level, np.int8), weight=np.ones(len(group)) if weight is None else weight)


def test_scores_of_some_groups_are_correlations_over_their_tokens():
    rng = np.random.default_rng(0)
    group = rng.integers(len(GROUPS), size=2000).astype(np.int8)
    group[group == TOP + 1 + 7] = RANDOM  # no window of interval 7
    true, predicted = rng.integers(10, size=(2, 2000)).astype(np.int8)
    predicted[::2] = true[::2]
    row = measure(truth_of(group, true), predicted).iloc[0]

    def of(chosen):
        return stats.spearmanr(true[chosen], predicted[chosen]).statistic

    assert row["spearman"] == pytest.approx(of(slice(None))) and not row["constant"]
    assert row["in_context"] == pytest.approx(of(np.isin(group, FIRING)))
    assert row["out_of_context"] == pytest.approx(of((group == RANDOM) | (group == OUT_OF_CONTEXT)))
    assert len(row["intervals"]) == INTERVALS and np.isnan(row["intervals"][7])
    for k in set(range(INTERVALS)) - {7}:
        assert row["intervals"][k] == pytest.approx(of((group == TOP + 1 + k) | (group == RANDOM)))


def test_constant_is_said_of_each_unit():
    unit = np.array([0, 0, 1, 1])
    rows = measure(truth_of([TOP] * 4, [0, 9, 0, 9], unit=unit), np.array([5, 5, 5, 6], np.int8))
    assert rows["constant"].tolist() == [True, False] and rows["spearman"].tolist() == pytest.approx([0, 1])


def test_importance_by_hand():
    shares = np.tile(np.arange(INTERVALS) / 55, (5, 1))
    shares[:, 0] = 0.5
    group = np.array([TOP, TOP + 1 + 3, BOTTOM, RANDOM, OUT_OF_CONTEXT], np.int8)
    assert importance(group, np.full(5, 0.01), shares) == pytest.approx([0.005, 0.01 * 3 / 55, 0.01 * 10 / 55, 1, 0.005])


def test_weights_decide():
    weight = np.array([1, 1, 1, 1e-6, 1e-6])
    row = measure(truth_of([RANDOM] * 3 + [TOP] * 2, [0, 1, 2, 9, 9], weight=weight), np.array([2, 1, 0, 9, 9], np.int8)).iloc[0]
    assert row["spearman"] > 0.2 and row["weighted"] == pytest.approx(-1, abs=1e-3)
