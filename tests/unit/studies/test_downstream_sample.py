import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.overall.downstream_sample import agreement, among, examples, headline, histogram, spearman
from tests.planted import raw

KEPT, FEATURES = 400, 12


@pytest.fixture
def settings():
    return STUDIES["live_features"].settings(resolve(raw(bootstrap=200)))


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=(FEATURES, KEPT)).astype(np.float32)


def views(weights, noise, seed=1):
    """What a view says of 30 random tokens: the feature's logit weight, and noise."""
    rng = np.random.default_rng(seed)
    found = []
    for row in weights:
        tokens = rng.choice(KEPT, 30, replace=False)
        found.append((tokens, row[tokens].astype(float) + noise * rng.normal(size=30)))
    return found


def test_rank_correlations_are_scipy_s():
    rng = np.random.default_rng(0)
    rows, values = rng.integers(5, size=(6, 40)).astype(float), rng.normal(size=40)
    rows[3] = 2.0
    expected = [0.0 if place == 3 else spearmanr(row, values).statistic for place, row in enumerate(rows)]
    np.testing.assert_allclose(spearman(rows, values), expected, atol=1e-12)


def test_views_that_say_the_same_agree_and_mismatched_ones_do_not(weights, settings):
    pairs = pd.concat([agreement(views(weights, noise), weights).assign(measure=name) for name, noise in (("ablation", 0.0), ("pinned", 1.0))])
    own = pairs["feature"] == pairs["other"]
    assert pairs.loc[own & (pairs["measure"] == "ablation"), "correlation"].min() == pytest.approx(1.0)
    numbers = headline(pairs, {"largest": np.array([1.0, 2.0, 9.0])}, settings)
    assert numbers["ablation_agreement"].value == pytest.approx(1.0)
    assert 0.4 < numbers["pinned_agreement"].value < 0.9
    assert numbers["agreement_above_chance"].low > 0.5
    assert numbers["agreement_above_chance"].value == pytest.approx(
        (numbers["ablation_above_chance"].value + numbers["pinned_above_chance"].value) / 2)
    assert numbers["agreement_above_chance"].n == FEATURES
    assert numbers["largest_logit_weight_median"].value == 2.0


def test_views_of_other_features_are_no_better_than_chance(weights, settings):
    shifted = agreement(views(np.roll(weights, 1, axis=0), 0.0), weights).assign(measure="ablation")
    number = headline(shifted, {}, settings)["agreement_above_chance"]
    assert number.low < 0 < number.high or number.value < 0


def test_a_view_of_few_tokens_is_left_out(weights):
    some = views(weights, 0.0)
    some[4] = (some[4][0][:9], some[4][1][:9])
    some[5] = (some[5][0], np.zeros(30))
    assert sorted(set(range(FEATURES)) - set(agreement(some, weights)["feature"])) == [4, 5]
    assert agreement([], weights).empty


def test_a_run_without_any_view_still_has_its_medians(settings):
    empty = agreement([], np.zeros((0, 3), np.float32)).assign(measure="ablation")
    assert headline(empty, {"smallest": np.array([-1.0, -3.0, -2.0])}, settings).keys() == {"smallest_logit_weight_median"}


def test_tokens_are_named_by_their_place_among_the_kept():
    tokens, values = among((np.array([2, 3, 9]), np.array([1.0, 2.0, 3.0])), np.array([0, 3, 5, 9]))
    assert tokens.tolist() == [1, 3]
    assert values.tolist() == [2.0, 3.0]


def test_examples_go_from_the_most_to_the_least_agreement(weights):
    found = views(weights, 0.8)
    pairs = agreement(found, weights).assign(measure="ablation")
    rows = examples(pairs, {"ablation": found}, [str(token) for token in range(KEPT)])
    order = rows.groupby("feature", sort=False)["agreement"].first()
    assert len(order) == 6
    assert order.is_monotonic_decreasing
    assert order.iloc[0] == pairs.loc[pairs["feature"] == pairs["other"], "correlation"].max()
    first = rows[rows["feature"] == order.index[0]]
    tokens, values = found[order.index[0]]
    assert first["token"].iloc[0] == str(tokens[values.argmax()])


def test_the_histogram_keeps_every_feature():
    assert histogram(np.array([0.0, 1.0, 1.0, 5.0]))["count"].sum() == 4
