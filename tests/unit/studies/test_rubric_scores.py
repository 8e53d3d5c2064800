import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.rating import ratings
from replication.studies import STUDIES
from replication.studies.agreement import alpha
from replication.studies.modes import modes
from tests.planted import rate

NAN = np.nan
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", example C: four observers, twelve units
PUBLISHED = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN]]).T


def test_alpha_is_the_published_one():
    assert alpha(PUBLISHED) == pytest.approx(0.849, abs=5e-4)


def by_pairs(scores):
    """Alpha from its definition, pair by pair."""
    units = [unit[np.isfinite(unit)] for unit in scores if np.isfinite(unit).sum() > 1]
    n = sum(map(len, units))
    observed = sum(((unit[:, None] - unit) ** 2).sum() / (len(unit) - 1) for unit in units) / n
    every = np.concatenate(units)
    return 1 - observed / (((every[:, None] - every) ** 2).sum() / (n * (n - 1)))


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 5.0, 14.0, NAN]), min_size=3, max_size=3), min_size=2, max_size=12))
def test_alpha_is_what_pairs_give(rows):
    scores = np.array(rows)
    shared = scores[np.isfinite(scores).sum(1) > 1]
    if len(shared) and np.nanstd(shared) > 0:
        assert alpha(scores) == pytest.approx(by_pairs(scores), abs=1e-12)
    else:
        assert np.isnan(alpha(scores))


def test_raters_who_agree_have_an_alpha_of_one_and_strangers_near_zero():
    rng = np.random.default_rng(0)
    one = rng.integers(15, size=400).astype(float)
    assert alpha(np.column_stack((one, one))) == 1
    assert abs(alpha(np.column_stack((one, rng.permutation(one))))) < 0.15


def test_modes_by_the_rule():
    rng = np.random.default_rng(1)
    two = np.concatenate((np.zeros(60), rng.normal(7, 1.5, 60)))
    assert modes(two, 1.0) == pytest.approx([0, 7], abs=1)
    assert len(modes(rng.normal(7, 2, 200), 1.0)) == 1
    assert len(modes(np.zeros(40), 1.0)) == 1
    assert len(modes(np.append(np.zeros(60), 12.0), 1.0)) == 1  # one rating is no mode
    assert len(modes(np.repeat([0.0, 2.0], 40), 1.0)) == 1  # no valley between
    assert len(modes(np.repeat([0.0, 6.0, 12.0], 40), 1.0)) == 3


@pytest.fixture
def rated(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ratings, "ROOT", tmp_path / "ratings")
    rate(run)
    return tmp_path / "ratings" / "planted"


def numbers(compute, out):
    return json.loads((compute("rubric_scores", out=out) / "numbers.json").read_text())


def test_planted_scores_are_found(compute, rated, tmp_path):
    found = numbers(compute, tmp_path / "out")
    values = {key: number["value"] for key, number in found["numbers"].items()}
    assert found["missing"] == {} and "absent" not in found
    assert (values["rated"], values["intervals"], values["raters"], values["left_out"]) == (20, 60, 2, 0)
    assert 10 <= values["feature_median"] <= 13 and values["neuron_median"] <= 1
    assert values["feature_share_above_8"] > 0.9 and values["neuron_share_above_8"] == 0
    assert found["numbers"]["features_minus_neurons"]["low"] > 5 and found["numbers"]["features_minus_random"]["low"] > 0
    assert found["numbers"]["features_minus_random"]["replicates"] == 1  # one dictionary on a shuffled copy
    assert values["random_zero_cluster"] == 2 and values["alpha"] > 0.6
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert {"ratings/ann.csv", "ratings/ben.csv"} <= meta["inputs"].keys()


def test_an_interval_of_two_raters_has_their_mean(compute, rated, tmp_path):
    (rated / "ben.csv").unlink()
    rows = ratings.rows_of(rated / "ann.csv")[:30]
    zero = dict.fromkeys(("confidence", "strong_tokens", "logits", "separation", "specificity", "total"), 0)
    ratings.merge(rated / "eve.csv", [row | zero for row in rows])
    data = ratings.artifacts.read_table(compute("rubric_scores", out=tmp_path / "out") / "data.csv")
    data = data[data["table"] == "interval"]
    mean = {(f"{one.dictionary}/{one.feature:.0f}", one.interval): one.total for one in data.itertuples()}
    assert all(mean[row["unit"], row["interval"]] == row["total"] / 2 for row in rows)
    assert sorted(data["raters"].unique()) == [1, 2]


def test_without_ratings_nothing_is_measured_and_the_study_says_so(compute, tmp_path, monkeypatch):
    monkeypatch.setattr(ratings, "ROOT", tmp_path)
    found = numbers(compute, tmp_path / "out")
    assert found["numbers"] == {}
    assert set(found["missing"].values()) == {found["absent"]} == {"no ratings in paper/ratings/planted; `python -m replication rate results/planted` makes them"}


def test_ratings_of_other_examples_are_left_out_and_counted(compute, rated, tmp_path):
    (rated / "ben.csv").unlink()
    path = rated / "ann.csv"
    rows = ratings.rows_of(path)
    ratings.merge(path, [row | {"shown": "0" * 12} for row in rows[:9]] + [rows[0] | {"unit": "A/9/1"}])
    found = numbers(compute, tmp_path / "some")
    assert found["numbers"]["left_out"]["value"] == 10 and found["missing"] == {"alpha": "no two raters rated the same intervals"}
    ratings.merge(path, [row | {"shown": "0" * 12} for row in ratings.rows_of(path)])
    assert "are of other examples than this run's" in numbers(compute, tmp_path / "none")["absent"]


def test_too_few_units_of_a_kind_give_no_number(compute, rated, tmp_path):
    (rated / "ben.csv").unlink()
    path = rated / "ann.csv"
    rows = ratings.rows_of(path)
    neurons = list(dict.fromkeys(row["unit"] for row in rows if "neurons" in row["unit"]))
    path.unlink()
    ratings.merge(path, [row for row in rows if row["unit"] not in neurons[4:]])
    found = numbers(compute, tmp_path / "out")
    assert found["missing"]["features_minus_neurons"] == found["missing"]["neuron_median"] == "fewer than 5 neurons were rated"
    assert found["numbers"]["features_minus_random"]["value"] > 0


def test_files_of_ratings_are_inputs_of_the_study(config, run, tmp_path, monkeypatch):
    monkeypatch.setattr("replication.studies.written", lambda *parts: str(tmp_path.joinpath(*parts)))
    study = STUDIES["rubric_scores"]
    before = study.inputs(config, run)
    path = tmp_path / "paper" / "ratings" / "planted" / "ann.csv"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    assert set(study.inputs(config, run)) - set(before) == {path}
    names = {str(Path(one).relative_to(run.root)) for one in before}
    assert {"features/A/1/examples.parquet", "features/A/neurons/features.parquet", "features/random/1/features.parquet"} <= names
    assert STUDIES["cost_scaling"].inputs(config, run)[-1] == tmp_path / "results" / "bench" / "scaling.csv"
