"""Studies of explanations on scores whose summaries are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from replication.config import ConfigError
from replication.interpretability import scored
from replication.resolution import resolve
from replication.studies import STUDIES, scores, tables
from replication.studies.appendices import autointerp_appendix
from replication.studies.overall import autointerp_activations, autointerp_logits, interval_consistency, interval_mass, random_transformer
from replication.studies.overall.interval_consistency import PEOPLE, SCORES, Judge, depth, slope
from tests.planted import raw

REPLICATES = {"A/1": "features", "A/1-r1": "features", "A/1-r2": "features", "A/neurons": "neurons", "random/1": "random",
              "random/1-r1": "random", "random/1-r2": "random"}


def settings_of(**interpretability):
    given = raw(bootstrap=60) | {"interpretability": interpretability}
    given["dictionaries"] = {"A/1": {"d_sae": 40, "replicates": 3}, "B/1": {"d_sae": 40}, "random/1": {"d_sae": 40, "replicates": 3}}
    config = resolve(given)
    return config, STUDIES["autointerp_activations"].settings(config)


@pytest.fixture
def settings():
    return settings_of()[1]


class Stub:
    """A reader of tables in memory."""

    def __init__(self, units, rows):
        self.tables = {"units": units, "rows": rows}

    def units(self, name, *columns):
        return self.tables["units"][name][list(columns)]

    def scores(self, name, kind, *columns):
        rows = self.tables["rows"][name]
        return rows.loc[(rows["explainer"] == "llm") == (kind == "llm"), list(columns)]


def rows(value, explainer="ngram", *, n=20, control=False, single=(), **more):
    """Scores of units 0..n-1 of one explainer, spread by 0.02 around a value; `single` are single-token units."""
    spread = value + 0.02 * np.linspace(-1, 1, n)
    return pd.DataFrame({"feature": np.arange(n), "explainer": explainer, "control": control, "error": "", "spearman": spread, "in_context": spread,
                         "constant": False, "part": "other", "single_token": np.isin(np.arange(n), single), "logits": spread, **more})


def joined(**parts):
    """A table as `scores.read` gives it, from rows by role: each role is its three replicates."""
    found = [part.assign(dictionary=name, group=name.partition("-")[0], role=role)
             for name, role in REPLICATES.items() if role in parts for part in [parts[role]]]
    return pd.concat(found, ignore_index=True)


def test_tables_have_the_role_that_they_are_compared_as(settings):
    config, _ = settings_of()
    assert set(scores.tables(settings)) == set(scored(config)) == set(REPLICATES)
    assert {name: scores.role(name, settings) for name in REPLICATES} == REPLICATES
    more, given = settings_of(tables=["A/1", "B/1", "B/neurons", "random/neurons"])
    assert scores.tables(given) == scored(more)
    assert [scores.role(name, given) for name in scores.tables(given)] == ["features", "", "", ""]


def test_a_language_model_takes_the_place_of_the_headline_and_its_files_are_read_only_then(settings, tmp_path):
    from replication.artifacts import Layout

    config, given = settings_of(llm=True)
    assert (scores.headline(settings), scores.headline(given)) == ("ngram", "llm")
    assert scores.explainers(given) == [*scores.explainers(settings), "llm"]
    files = {llm: {str(path.relative_to(tmp_path)) for path in STUDIES["autointerp_logits"].inputs(of, Layout(tmp_path))}
             for llm, of in ((False, settings_of()[0]), (True, config))}
    assert "interpretability/A/neurons/offline/scores.parquet" in files[False] and "interpretability/random/1-r2/units.parquet" in files[False]
    assert files[True] - files[False] == {f"interpretability/{name}/llm/scores.parquet" for name in REPLICATES}


def test_scores_are_joined_with_their_units(settings):
    units = pd.DataFrame({"feature": [3, 5, 9], "part": ["other", "ultralow", "other"], "single_token": [True, False, False],
                          "scored": [True, True, False]})
    given = pd.DataFrame({"feature": [3, 5, 3, 5], "explainer": "ngram", "control": [False, False, True, True], "error": ["", "late", "", ""],
                          "spearman": [0.5, np.nan, 0.1, 0.2]})
    stub = Stub(dict.fromkeys(REPLICATES, units), dict.fromkeys(REPLICATES, given))
    drawn = scores.units(stub, settings)
    table = scores.read(stub, settings, drawn, "spearman")
    assert len(drawn) == 3 * len(REPLICATES) and len(table) == 4 * len(REPLICATES)
    assert scores.answered(table)["feature"].tolist() == [3] * len(REPLICATES)
    assert scores.answered(table, part="ultralow").empty  # its answer was late
    assert scores.answered(table, control=True, part="ultralow")["spearman"].tolist() == [0.2] * len(REPLICATES)
    counted = autointerp_activations.counted(drawn, table, "ngram").set_index(["dictionary", "part"])
    assert counted.loc[("A/1", "other"), ["drawn", "left_out", "errors", "single_token", "other_token"]].tolist() == [2, 1, 0, 1, 0]
    assert counted.loc[("A/1", "ultralow"), ["drawn", "left_out", "errors", "single_token", "other_token"]].tolist() == [1, 0, 1, 0, 1]
    found, _ = autointerp_activations.headline(drawn, table.assign(in_context=0.5, constant=False), settings)
    assert (found["errors"].value, found["errors"].n) == (7, 14)
    assert (found["left_out"].value, found["left_out"].n) == (7, 21)
    assert found["features_median"].value == 0.5


def test_differences_have_the_sign_of_the_statement(settings):
    single = range(8)
    one = {"features": rows(0.8, single=single), "neurons": rows(0.2), "random": rows(0.9, single=range(15))}
    one["features"].loc[8:, "spearman"] = 0.7
    one["random"].loc[15:, "spearman"] = 0.3
    found = autointerp_activations.orderings(pd.concat([joined(**one), joined(features=rows(0.0, control=True))]), settings)
    for key, value, replicates in (("features_minus_neurons", 0.5, 3), ("other_features_minus_random", 0.4, 3),
                                   ("other_random_minus_neurons", 0.1, 3), ("features_minus_control", 0.7, 3)):
        assert found[key].value == pytest.approx(value, abs=0.02)
        assert (found[key].replicates, found[key].low > 0, found[key].unit) == (replicates, True, "correlation")
    assert found["random_minus_features"].value == pytest.approx(0.19, abs=0.02) and found["random_minus_features"].n == 20
    assert found["other_random_minus_neurons"].n == 5
    assert found["neurons_control_median"] == scores.LACKING["neurons"]


def test_what_was_not_scored_is_said(settings):
    numbers, missing = scores.measured(autointerp_activations.orderings(joined(features=rows(0.8)), settings))
    assert numbers["features_median"].value == pytest.approx(0.8)
    assert "neuron" in missing["features_minus_neurons"] and "shuffled" in missing["random_minus_features"]
    assert not numbers.keys() & missing.keys()


def test_a_fit_of_which_nothing_was_scored_is_no_replicate(settings):
    table = joined(features=rows(0.8))
    table.loc[table["dictionary"] == "A/1-r1", "spearman"] = np.nan
    found = scores.level(scores.sample(table, "features", ["spearman"], scores.median, settings, "x"), unit="correlation")
    assert (found.value, found.replicates) == (pytest.approx(0.8), 2)


def test_constant_answers_are_held_against_the_bins_beside_zero():
    values = np.array([[0.0, 1]] * 5 + [[0.01, 0]] + [[0.05, 0]] * 2 + [[-0.06, 0]] * 2 + [[0.5, 0]] * 10)
    assert autointerp_activations.above_uniform(values) == pytest.approx(5 / 20 - 2 / 20)
    assert autointerp_activations.above_uniform(values[5:]) == pytest.approx(-2 / 15)
    low, high = autointerp_activations.EDGES[autointerp_activations.ZERO:autointerp_activations.ZERO + 2]
    assert (low, high) == (-0.025, 0.025)


def test_clusters_are_shares_above_the_score_that_reads_as_interpretable(settings):
    live = rows(0.0, n=10).assign(spearman=[0.31, 0.9, 0.5, 0.30, 0.1, 0.2, 0.0, -0.2, 0.29, 0.3])
    low = rows(0.1, n=4).assign(part="ultralow", feature=np.arange(10, 14))
    found = autointerp_activations.clusters(joined(features=pd.concat([live, low])), settings)
    assert (found["upper_cluster_score"].value, found["lower_cluster_score"].value) == (0.3, 0.0)
    assert (found["upper_cluster_score"].unit, found["lower_cluster_score"].n) == ("share of features", 4)
    alone = autointerp_activations.clusters(joined(features=live), settings)
    assert "ultralow" in alone["lower_cluster_score"]


def test_the_token_table_is_told_apart_by_kinds_and_compared_with_the_ngram_on_the_same_features(settings):
    own, ngram = rows(0.5, "lookup", single=range(10)), rows(0.9, "ngram", single=range(10))
    own.loc[:9, "in_context"], ngram["in_context"] = 0.88, own["in_context"] + 0.01
    ngram.loc[:9, "in_context"] = 0.89
    ngram.loc[12:, "error"] = "late"
    wrong = rows(-0.03, "lookup", control=True)
    found = autointerp_activations.lookup(joined(features=pd.concat([own, ngram, wrong])), settings)
    assert {key: found[f"lookup_{key}_median"].value for key in ("single_token", "other", "wrong_feature")} == pytest.approx(
        {"single_token": 0.88, "other": 0.51, "wrong_feature": -0.03}, abs=0.01)
    assert found["lookup_single_minus_other"].value == pytest.approx(0.37, abs=0.01) and found["lookup_single_minus_other"].low > 0
    assert found["lookup_trigram_gain"].value == pytest.approx(0.01) and found["lookup_trigram_gain"].n == 12
    without = autointerp_activations.lookup(joined(features=ngram), settings)
    assert set(without.values()) == {"the run has no explainer lookup"}


def test_shares_right_are_compared_by_means_and_medians(settings):
    skewed = rows(0.5, n=20).assign(logits=[1.0] * 5 + [0.6] * 15)
    table = pd.concat([joined(features=skewed, neurons=rows(0.55), random=rows(0.5)), joined(features=rows(0.5, control=True))])
    table.loc[(table["role"] == "neurons") & (table["feature"] == 0), ["logits", "error"]] = [np.nan, "refused"]
    numbers, _ = autointerp_logits.headline(table, autointerp_logits.samples(table, "ngram", settings))
    assert (numbers["feature_mean"].value, numbers["feature_median"].value) == pytest.approx((0.7, 0.6))
    assert numbers["features_minus_neurons"].value == pytest.approx(0.15, abs=0.01) and numbers["features_minus_neurons"].replicates == 3
    assert numbers["neurons_minus_random"].value == pytest.approx(0.05, abs=0.005)
    assert numbers["features_minus_control"].value == pytest.approx(0.2)
    assert (numbers["errors"].value, numbers["errors"].n, numbers["neuron_mean"].n) == (1, 140, 19)
    bins = autointerp_logits.histograms(table)
    assert bins["count"].sum() == 139 and set(bins.loc[bins["role"] == "features", "low"].round(4)) == {0.5875, 0.9875}


def test_the_slope_is_that_of_least_squares_and_positive_where_scores_fall():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 10))
    values[1, 3] = values[2, :7] = np.nan
    values[3, 1:] = values[4] = np.nan
    for row, found in zip(values, slope(values), strict=True):
        known = np.flatnonzero(np.isfinite(row))
        expected = -np.polyfit(known, row[known], 1)[0] if len(known) > 1 else np.nan
        assert found == pytest.approx(expected, nan_ok=True)
    assert slope(np.array([[0.9, 0.8, 0.7]])) == pytest.approx([0.1])


def test_a_unit_is_as_deep_as_the_last_interval_that_reads_before_one_does_not():
    nan = np.nan
    values = np.array([[0.9, 0.5, 0.2, 0.9], [0.9, nan, 0.4, 0.31], [0.1, 0.9, 0.9, 0.9], [0.3, 0.9, 0.9, 0.9], [0.9, nan, 0.2, 0.9],
                       [nan, 0.2, 0.9, 0.9], [nan, 0.9, 0.2, nan]])
    assert depth(values, 0.3).tolist() == [2, 4, 0, 0, 1, 0, 2]


def test_consistency_by_the_fixed_rules(settings):
    """Of four features one reads throughout, two over 3 and 6 intervals, and one nowhere; the weakest interval does not count."""
    judge = Judge("ngram", 0.3, 10)
    held = np.full((4, 11), 0.9)
    held[:, 10] = -0.5
    held[1, 3:], held[2, 6:], held[3] = 0.0, 0.0, 0.1
    of = pd.concat([rows(0, n=4), pd.DataFrame(held, columns=SCORES)], axis=1)
    table = joined(features=of, neurons=of.assign(**dict.fromkeys(SCORES, 0.0)))
    found = interval_consistency.headline(table, judge, settings)
    assert (found["consistent_share"].value, found["inconsistent_share"].value) == (0.25, 0.25)
    assert found["partial_range"].value == pytest.approx(4.5 / 11) and found["partial_range"].n == 2
    assert found["features_minus_neurons_consistent"].value == 0.25
    assert found["score_slope"].value == pytest.approx(slope(held[:, :10]).mean())
    assert "shuffled" in found["random_slope"]
    counts = interval_consistency.depths(table, judge).set_index(["dictionary", "depth"])["count"]
    assert counts["A/1"].to_dict() == {10: 1, 3: 1, 6: 1, 0: 1} and counts["A/neurons"].to_dict() == {0: 4}
    assert interval_consistency.columns(pd.Series([held[1], np.full(11, np.nan)])).iloc[0].tolist() == held[1].tolist()


def test_people_rate_some_intervals_and_read_above_eight_points(settings, monkeypatch):
    given = pd.DataFrame([("x", "A/1", 3, 0, 14), ("y", "A/1", 3, 0, 6), ("x", "A/1", 3, 10, 9), ("x", "A/1", 4, 2, 12), ("x", "A/1", 4, 6, 8),
                          ("x", "A/neurons", 3, 5, 2)], columns=["rater", "table", "feature", "interval", "total"])
    monkeypatch.setattr(interval_consistency.rated, "read", lambda *_: (given.assign(role=["features"] * 5 + ["neurons"]), 0))
    rated = interval_consistency.of_people(None, settings)
    assert rated.set_index(["dictionary", "feature"]).loc[("A/1", 3), SCORES].dropna().to_dict() == {"interval 0": 10.0, "interval 10": 9.0}
    found = interval_consistency.headline(rated, PEOPLE, settings)
    assert (found["consistent_share"].value, found["partial_range"].value) == (0.5, 3 / 11)
    assert found["score_slope"].value == pytest.approx((0.1 + 1) / 2)


def test_zeros_are_counted_on_random_windows_that_are_predicted():
    windows = pd.DataFrame({"feature": [7, 7, 7, 7, 8], "role": ["predict", "predict", "explain", "predict", "predict"],
                            "group": ["random", "random", "random", "top", "random"],
                            "values": [np.array([0, 0, 0.01]), np.array([0.0]), np.ones(3), np.ones(3), np.array([2.0, 0])]})
    assert autointerp_appendix.zeros(windows).set_index("feature")["zeros"].to_dict() == {7: 0.75, 8: 0.5}


def test_other_scores_are_held_against_the_plain_one(settings):
    table = joined(features=rows(0.6, pearson=0.55, weighted=0.1), neurons=rows(0.3, pearson=0.3, weighted=0.25))
    found = autointerp_appendix.compared(table, settings)
    assert found["pearson_minus_spearman"].value == pytest.approx(-0.05)
    assert found["weighting_loss_difference"].value == pytest.approx(0.5 - 0.05) and found["weighting_loss_difference"].low > 0
    assert (found["weighted_near_zero_features"].value, found["weighted_near_zero_neurons"].value) == (1.0, 0.0)


def test_scores_of_the_shuffled_model_are_counted_in_modes_and_held_against_the_main_ones(settings):
    two = rows(0.1, n=40, single=range(5)).assign(spearman=lambda part: part["spearman"] + 0.8 * (part["feature"] >= 20))
    found = random_transformer.explanations(joined(features=rows(0.7, single=range(5)), random=two), settings)
    assert found["score_modes"].value == 2 and found["score_modes"].n == 120
    assert found["other_score_difference"].value == pytest.approx(0.7 - 0.9, abs=0.02) and found["other_score_difference"].replicates == 3
    assert set(random_transformer.explanations(joined(features=rows(0.7)), settings).values()) == {scores.LACKING["random"]}


def test_the_rank_correlation_with_the_maximum(settings):
    values = np.random.default_rng(0).integers(0, 5, (50, 2)).astype(float)
    assert interval_mass.rank_correlation(values) == pytest.approx(spearmanr(*values.T).statistic)
    assert interval_mass.rank_correlation(np.array([[1.0, 2], [1, 3]])) == 0.0
    table = joined(features=rows(0.5).assign(max=np.arange(20.0) ** 2))
    found = interval_mass.against_maximum(table[table["dictionary"] == "A/1"], settings)
    assert (found.value, found.unit, found.n, found.replicates) == (pytest.approx(1.0), "rank correlation", 20, 1)


def test_tables_without_the_main_dictionary_are_refused():
    with pytest.raises(ConfigError, match="leaves out A/1"):
        settings_of(tables=["B/1"])


def test_only_a_language_model_is_overlong(settings):
    table = joined(features=rows(0.6, "llm", overlong=np.arange(20) < 5))
    table.loc[table["overlong"], "spearman"] = 0.5
    found = autointerp_appendix.overlong(table, settings_of(llm=True)[1])
    assert found["overlong_features"].value == 0.25 and found["overlong_score_difference"].value == pytest.approx(-0.1, abs=0.01)
    assert set(autointerp_appendix.overlong(table, settings).values()) == {scores.NO_LLM}
    none = autointerp_appendix.overlong(table[~table["overlong"]], settings_of(llm=True)[1])
    assert none["overlong_features"].value == 0.0 and none["overlong_score_difference"] == autointerp_appendix.NO_OVERLONG


def test_the_facts_of_the_ledger_name_a_language_model_only_where_one_explains(settings):
    from replication.claims.scale import facts

    config, _ = settings_of(llm=True)
    for of, expected in ((config, "llm"), (settings_of()[0], "none")):
        given = of.settings("corpus", "interpretability", "studies", models=list(of.models), dictionaries=list(of.dictionaries))
        assert facts(given, {"tokens": 1})["explainer"] == expected


def test_files_are_read_by_their_checksums(tmp_path):
    from replication.artifacts import ArtifactError, Layout, write_meta
    from replication.provenance import Stopwatch

    layout, (config, _) = Layout(tmp_path), settings_of()
    folder = layout.interpretability("A/1", "offline")
    folder.mkdir(parents=True)
    rows(0.5).to_parquet(folder / "scores.parquet")
    write_meta(folder, stage="x", settings=config.settings(), files={"scores": folder / "scores.parquet"}, inputs={}, stopwatch=Stopwatch())
    reader = tables.Reader(layout)
    assert reader.scores("A/1", "offline", "feature", "spearman").shape == (20, 2)
    assert list(reader.inputs) == ["interpretability/A/1/offline/scores.parquet"]
    rows(0.6).to_parquet(folder / "scores.parquet")
    with pytest.raises(ArtifactError, match="checksum differs"):
        tables.Reader(layout).scores("A/1", "offline", "feature")
