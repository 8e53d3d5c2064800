"""Pairs that differ in one choice, what they are compared by, and small MLPs: on cases solvable by hand."""

import numpy as np
import pandas as pd
import pytest

from replication.config import Model, Sae, Settings, Studies
from replication.exhibits.appendices.recipe_ablations import verdict
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.appendices.recipe_ablations import ORDERINGS, _quantities, first, relative, silent_share
from replication.studies.appendices.sharpness import share as specificity
from replication.studies.appendices.sharpness import sharpness
from replication.studies.intervals import Estimate, counts, estimate
from replication.studies.overall.small_mlp_baseline import baseline, slope, widest_family
from replication.studies.recipe import CHOICES, fitted_for_the_recipe, pairs
from replication.studies.selections import every

MAIN = Sae(d_sae=64, l1=0.01, lr=0.002, vectors=100_000, batch=100, min_window=1000)
SETTINGS = Settings(run="x", seed=0, studies=Studies(bootstrap=50))


def with_(**changes):
    import dataclasses

    return dataclasses.replace(MAIN, **changes)


DICTIONARIES = {
    "A/1": MAIN, "A/1-r1": with_(seed=1), "A/0": with_(d_sae=8), "A/no_bias": with_(pre_bias=False), "A/no_bias-r1": with_(pre_bias=False, seed=1),
    "A/two": with_(pre_bias=False, tied=True), "A/short": with_(vectors=50_000, min_window=500), "A/cut": with_(vectors=50_000),
    "A/low": with_(lr=0.001, log_every=7), "A/high": with_(lr=0.02), "A/kaiming": with_(l1_warmup=0.5), "A/l1": with_(l1=0.02, tied=True), "B/1": MAIN}


def found():
    return {(pair.choice.id, pair.made, pair.not_made) for pair in pairs(DICTIONARIES, "A/1")}


def test_pairs_differ_in_one_choice_and_nothing_else():
    assert found() == {
        ("pre_bias", "A/1", "A/no_bias"),  # replicates stand for one; `two` differs from `A/1` in two choices
        ("untied", "A/no_bias", "A/two"), ("steps", "A/1", "A/short"),  # `cut` has another share of the run as its window
        ("low_lr", "A/low", "A/1"), ("low_lr", "A/1", "A/high"), ("low_lr", "A/low", "A/high"), ("warmup", "A/kaiming", "A/1")}


def test_the_pair_of_a_choice_and_the_one_at_the_highest_rate():
    compared = pairs(DICTIONARIES, "A/1")
    assert (first(compared, "low_lr", DICTIONARIES).made, first(compared, "low_lr", DICTIONARIES).not_made) == ("A/low", "A/1")
    assert first(compared, "low_lr", DICTIONARIES, highest_lr=True).not_made == "A/high"
    assert first(compared, "betas", DICTIONARIES) is None


def test_what_only_weighs_the_recipe_is_no_dictionary_of_the_other_exhibits():
    only = {name for name in DICTIONARIES if fitted_for_the_recipe(name, "A/1", DICTIONARIES)}
    assert only == {"A/no_bias", "A/no_bias-r1", "A/two", "A/short", "A/cut", "A/low", "A/high"}  # other sizes, l1, starts and models stay


def test_every_ordering_names_a_choice_and_what_the_paper_says_of_it():
    says = {choice.id: choice.says for choice in CHOICES}
    for choice, what, sign in ORDERINGS.values():
        assert says[choice][what] == sign


def test_loss_is_squared_error_plus_l1_and_recovered_a_ratio_of_sums():
    # columns: squared_error, l1, l0, tokens, loss, loss_zero, loss_reconstructed; two contexts
    per_context = np.array([[1.0, 10, 4, 2, 6, 10, 7], [3.0, 30, 8, 2, 8, 14, 9]])
    found = _quantities(per_context, per_context[:1] * 2, l1=0.1)
    assert found["loss"][0] == pytest.approx((4 + 0.1 * 40) / 4) and found["loss"][1] == pytest.approx([(2 + 0.1 * 20) / 4])
    assert found["l0"][0] == 3 and found["recovered"][0] == pytest.approx((24 - 16) / (24 - 14))


def test_counts_vary_over_replicates_or_over_the_features_of_a_lone_fit():
    few, many = np.arange(100) < 10, np.arange(100) < 14
    several = estimate(counts([few, many, many], SETTINGS, "x"))
    assert several.value == pytest.approx(38 / 3) and several.replicates == 3
    assert several.high - several.value == pytest.approx(4.303 * np.std([10, 14, 14], ddof=1) / 3**0.5, rel=1e-3)
    lone = estimate(counts([few], SETTINGS, "x"))
    assert lone.replicates == 1 and 2 < lone.low < 10 < lone.high < 20


def test_a_negated_estimate_keeps_its_ends_in_order():
    turned = Estimate(2.0, 0.5, 1.0, 4.0, 3).times(-2)
    assert (turned.value, turned.sd, turned.low, turned.high) == (-4.0, 1.0, -8.0, -2.0)
    assert turned.shifted(10).high == 8.0
    assert str(Estimate(0.0, None, None, None, 1).times(-1).value) == "0.0"


def test_silent_share_is_the_mean_over_checks():
    sae = with_(resamplings=2, resampling="inputs")  # window 12.5, spacing 25 of 1,000 steps: after 25 and 50
    log = pd.DataFrame({"step": [10, 25, 26, 50, 60], "resampled": [0, 16, 0, 0, 0]})
    assert silent_share(log, sae) == 16 / (2 * 64)


def test_a_relative_gain_is_of_the_loss_without_the_choice():
    from replication.studies.appendices.recipe_ablations import Measured
    from replication.studies.intervals import exact

    pair = pairs(DICTIONARIES, "A/1")[0]
    arms = {pair.made: exact([0.9, 0.9, 0.9]), pair.not_made: exact([1.0, 1.2, 1.1])}
    value = relative({name: Measured({"loss": arm}, 10) for name, arm in arms.items()}, pair)
    assert value.value == pytest.approx(0.2 / 1.1) and value.low < value.value < value.high


@pytest.mark.parametrize(("says", "replicates", "ends", "expected"), [
    (-1, 3, (-2, -1), "as the paper says"), (-1, 3, (1, 2), "the other way"), (1, 3, (-1, 2), "undecided: 0 in the interval, or a lone fit"),
    (0, 3, (1, 2), "as the paper says"), (0, 3, (-2, -1), "the other way"), (float("nan"), 3, (1, 2), "different; the paper says nothing"),
    (1, 1, (1, 2), "undecided: 0 in the interval, or a lone fit")])
def test_marks_of_the_forest(says, replicates, ends, expected):
    assert verdict(says, replicates, sum(ends) / 2, *ends) == expected


class Planted:
    """A reader of two dictionaries whose feature 1 stands for the context; that of `blunt` also fires outside."""

    def __init__(self, on, fires):
        self.on, self.fires = on, fires

    def proxies(self):
        return {"dna": np.where(self.on, 1.0, -1.0), "rare": np.full(self.on.shape, -1.0)}

    def context_features(self):
        return pd.DataFrame([{"dictionary": name, "context": context, "rank": rank, "feature": 1 - rank} for name in self.fires
                             for context in ("dna", "rare") for rank in (0, 1)])

    def sources(self):
        return np.arange(len(self.on) // 20)

    def matrix(self, name):
        fires = self.fires[name]

        class Matrix(list):
            n_ctx, tokens = 20, len(fires)

        return Matrix([np.stack([np.ones(len(fires)), fires], axis=1)])


def test_specificity_is_the_share_of_fired_tokens_inside_the_context_on_the_odd_texts():
    on = np.zeros((20, 20), bool)
    on[:, :10] = True
    sharp, blunt = on.copy(), on.copy()
    blunt[1::2, 10:15] = True  # five tokens of each odd text outside
    blunt[::2, 10:] = True  # even texts are for choosing and do not count
    found = sharpness(Planted(on.ravel(), {"sharp": sharp.ravel(), "blunt": blunt.ravel()}), ["sharp", "blunt"], SETTINGS)
    assert found.values.tolist() == [1.0, pytest.approx(10 / 15)] and found.contexts == 1  # `rare` is on nowhere
    assert found.draws.shape == (2, 50) and np.allclose(found.draws[1], 10 / 15)
    assert sharpness(Planted(np.zeros(200, bool), {"sharp": sharp.ravel()}), ["sharp"], SETTINGS) is None
    assert specificity(np.array([[[1.0, 0.0], [4.0, 0.0]]])).tolist() == [0.125]  # a feature that never fires has 0


def models():
    return {"mlp_8": Model(d_mlp=8), "mlp_8-r1": Model(d_mlp=8, seed=1), "mlp_0": Model(d_mlp=0), "mlp_16": Model(d_mlp=16), "mlp_64": Model(d_mlp=64),
            "other": Model(d_mlp=16, tokens=5)}


def losses(loss, zero=6.0, contexts=5):
    rows = pd.DataFrame({"context": range(contexts), "source": range(contexts), "predicted": 10.0, "loss": 10 * loss, "loss_zero": 10 * zero})
    return rows.assign(predicted=[10.0, 20, 10, 10, 30]).assign(loss=lambda table: loss * table["predicted"], loss_zero=lambda table: zero * table["predicted"])


def test_a_small_mlp_is_held_against_the_widest_of_its_family():
    family = widest_family(models())
    assert set(family) == {"mlp_8", "mlp_8-r1", "mlp_0", "mlp_16", "mlp_64"}  # `other` saw fewer tokens
    tables = {"mlp_64": losses(4.0), "mlp_16": losses(4.4), "mlp_8": losses(4.8), "mlp_8-r1": losses(4.6), "mlp_0": losses(5.0)}
    found = baseline(family, tables, SETTINGS)
    assert found.reference == 64 and found.shares[0].values == pytest.approx([0.5]) and found.shares[8].values == pytest.approx([0.6, 0.7])
    assert found.slope.values == pytest.approx([0.8 - 0.6])  # one doubling, from the seed that both have; width 0 has no logarithm
    assert np.allclose(found.shares[16].draws, 0.8)
    assert widest_family({"a": Model(d_mlp=8), "b": Model(d_mlp=8, seed=1)}) == {} == widest_family({})


def test_the_slope_is_least_squares_per_doubling():
    from replication.studies.intervals import exact

    assert slope({8: exact([0.1]), 16: exact([0.2]), 32: exact([0.3])}).values == pytest.approx([0.1])
    assert slope({4: exact([0.0]), 16: exact([0.4])}).values == pytest.approx([0.2])
    assert slope({0: exact([0.0]), 16: exact([0.4])}) is None


def test_the_registry_selects_the_pairs_and_leaves_the_recipe_out_elsewhere():
    raw = {"run": "x", "models": {"A": {}, "mlp_0": {"d_mlp": 0}}, "activations": {"vectors": 8192 * 8, "block": 8192, "per_context": 64},
           "sae": {"batch": 1024, "vectors": 8192 * 8, "min_window": 1, "d_sae": 8},
           "dictionaries": {"A/1": {}, "A/0": {"d_sae": 4}, "A/tied": {"tied": True}, "A/again": {"repeats": 2}}, "studies": {"main": "A/1", "twin": "A/1"}}
    config = resolve(raw)
    assert STUDIES["recipe_ablations"].dictionaries(config) == ["A/1", "A/tied", "A/again"] and every(config) == ["A/1", "A/0"]
    assert list(STUDIES["small_mlp_baseline"].settings(config).models) == ["A", "mlp_0"]
    assert list(STUDIES["small_mlp_baseline"].settings(config).dictionaries) == ["A/1", "A/0"]
