"""Frozen numbers: what another run may differ by, and what leaves the tolerance."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import artifacts
from replication.claims import reference
from replication.claims.inputs import PROJECT
from replication.claims.reference import compare, freeze, marks, numbers_of, provenance, settings_hash, tolerance
from replication.config import Compute, Interpretability, Model, Sae, UserError
from replication.resolution import load


def test_three_seeds_give_students_prediction_interval():
    allowed, why = tolerance([0.86, 0.87, 0.88], None, 0.0)
    assert allowed == pytest.approx(9.92484 * (4 / 3) ** 0.5 * 0.01, rel=1e-4)  # t(0.995; 2) = 9.92484
    assert why == "99 % prediction interval of another seed: 11.5 sd, 3 seeds"


def test_more_seeds_make_a_sharper_test():
    spread = [0.86, 0.87, 0.88]
    widths = [tolerance(spread * k, None, 0.0)[0] for k in (1, 2, 3, 4)]
    assert widths == sorted(widths, reverse=True)


def test_rounding_alone_is_always_allowed():
    assert tolerance([0.5, 0.5, 0.5], None, 0.0) == (pytest.approx(5e-4), "rounding: 0.1 % of the value")
    assert tolerance([7, 7, 7], None, 0.0) == (2, "rounding: a count may move by 2")
    assert tolerance([0.25, 0.25, 0.25], 100, 0.0) == (0.02, "rounding: 2 of 100")


def test_below_three_seeds_a_stated_share_or_the_numbers_own_interval():
    assert tolerance([0.5], None, 0.01) == (pytest.approx(0.05), "10 % of the value: 1 seed")
    assert tolerance([0.5, 0.7], None, 0.2) == (0.2, "half of its 95 % interval: 2 seeds")


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=8))
def test_every_frozen_seed_lies_inside_its_own_tolerance(values):
    allowed, _ = tolerance(values, None, 0.0)
    mean = sum(values) / len(values)
    assert all(abs(value - mean) <= allowed * (1 + 1e-9) + 1e-9 for value in values)


def test_freezing_keeps_mean_spread_and_each_value(make, tmp_path):
    made = freeze([make("a"), make("b", seed=1, shift=3), make("c", seed=2, shift=6)], tmp_path / "frozen")
    dead = made.numbers["live_features.dead"]
    assert (dead.value, dead.sd, dead.n, dead.values, dead.unit) == (153, 3, 3, (150, 153, 156), "features")
    assert reference.read(tmp_path / "frozen") == made
    assert made.provenance["seeds"] == [0, 1, 2]
    assert {"machine", "versions", "settings_hash", "corpus_hash", "run"} <= set(made.provenance)
    assert (tmp_path / "frozen" / "numbers.csv").read_text().startswith("number,unit,value,sd,n,values,tolerance,why\n")


def test_one_seed_can_be_frozen_without_a_spread(make, tmp_path):
    made = freeze([make("a")], tmp_path / "frozen")
    assert made.numbers["live_features.dead"].sd is None
    assert reference.read(tmp_path / "frozen") == made
    assert all(row.inside for row in compare(numbers_of(make("again")), made))


def test_a_fourth_seed_is_inside_and_a_regression_is_not(make, tmp_path):
    made = freeze([make("a"), make("b", seed=1, shift=3), make("c", seed=2, shift=6)], tmp_path / "frozen")
    assert all(row.inside for row in compare(numbers_of(make("d", seed=3, shift=-4)), made))
    broken = {row.number: row.inside for row in compare(numbers_of(make("e", shift=100)), made)}
    assert broken == {"live_features.dead": False, "live_features.growth_0_1": False, "loss_recovered.main_recovered": False}


def test_a_number_that_vanished_has_left_and_a_new_one_is_shown(make, tmp_path):
    made = freeze([make("a")], tmp_path / "frozen")
    other = make("b", numbers={"live_features": {"dead": {"value": 150, "unit": "features"}, "fresh": {"value": 1, "unit": "features"}}})
    found = {row.number: row for row in compare(numbers_of(other), made)}
    assert found["live_features.dead"].inside is True
    assert found["live_features.growth_0_1"].inside is False and found["live_features.growth_0_1"].value is None
    assert found["live_features.fresh"].inside is None
    assert list(found)[-1] == "live_features.fresh"


def test_numbers_that_some_seed_lacks_are_not_frozen(make, tmp_path):
    short = make("b", seed=1, numbers={"live_features": {"dead": {"value": 150, "unit": "features"}}})
    assert set(freeze([make("a"), short], tmp_path / "frozen").numbers) == {"live_features.dead"}


def test_runs_that_differ_in_more_than_the_seed_are_no_reference(make, tmp_path, settings):
    wider = dataclasses.replace(settings, dictionaries={name: dataclasses.replace(sae, l1=0.1) for name, sae in settings.dictionaries.items()})
    other = {"source": "installed", "documents": 1, "bytes": 1, "manifest_sha256": "beef"}
    for bad, message in ((make("b", seed=1, settings=wider), "differ in settings other than the seed"), (make("c", seed=1, corpus=other), "differ in corpus"),
                         (make("d", seed=0), "each run needs its own")):
        with pytest.raises(UserError, match=message):
            freeze([make("a"), bad], tmp_path / "frozen")
        assert not (tmp_path / "frozen").exists()


def test_a_run_of_another_seed_and_name_has_the_same_settings(make, settings):
    one, two = provenance(make("a")), provenance(make("b", seed=7, settings=dataclasses.replace(settings, run="toy-seed7")))
    assert one["settings_hash"] == two["settings_hash"]
    assert (one["seed"], two["seed"]) == (0, 7)


def test_another_corpus_and_other_settings_are_marked(make, tmp_path, settings):
    made = freeze([make("a")], tmp_path / "frozen")
    wider = dataclasses.replace(settings, dictionaries={name: dataclasses.replace(sae, l1=0.1) for name, sae in settings.dictionaries.items()})
    other = {"source": "installed", "documents": 1, "bytes": 1, "manifest_sha256": "beef"}
    assert marks(provenance(make("b", seed=1)), made) == []
    assert marks(provenance(make("c", corpus=other)), made) == ["different corpus"]
    assert marks(provenance(make("d", settings=wider)), made) == ["different settings"]


def everything(config):
    """The settings that the ledger's rule asks for, and with them a reference."""
    return config.settings("corpus", "activations", "features", "interpretability", "studies", "contexts", models=list(config.models),
                           dictionaries=list(config.dictionaries))


@pytest.mark.parametrize("folder", sorted(path.parent for path in (PROJECT / "results" / "reference").glob("*/provenance.json")), ids=lambda path: path.name)
def test_a_committed_reference_is_of_the_config_of_its_name(folder):
    about = artifacts.read_json(folder / reference.PROVENANCE)
    assert about["run"] == folder.name
    assert about["settings_hash"] == settings_hash(everything(load(PROJECT / "config" / f"{folder.name}.yaml"))), "the config changed: freeze its runs again"


def test_a_setting_that_is_added_leaves_references_comparable_while_its_default_stands(settings):
    @dataclasses.dataclass(frozen=True)
    class Later(Sae):
        fresh: float = 0.5

    def later(**changes):
        found = {name: Later(**(vars(sae) | changes)) for name, sae in settings.dictionaries.items()}
        return settings_hash(dataclasses.replace(settings, dictionaries=found))

    assert later() == settings_hash(settings) != later(fresh=0.6)
    assert settings_hash(dataclasses.replace(settings, interpretability=Interpretability())) == settings_hash(settings)  # a section
    assert settings_hash(dataclasses.replace(settings, interpretability=Interpretability(units=7))) != settings_hash(settings)


def test_a_model_of_defaults_alone_is_part_of_what_was_asked_for(settings):
    assert settings_hash(dataclasses.replace(settings, models={**settings.models, "C": Model()})) != settings_hash(settings)


def test_where_a_run_computes_is_no_other_setting(settings):
    ranks = {name: dataclasses.replace(sae, ranks=2) for name, sae in settings.dictionaries.items()}
    assert settings_hash(dataclasses.replace(settings, compute=Compute(device="cpu", threads=2), dictionaries=ranks)) == settings_hash(settings)


def test_broken_references_are_refused(make, tmp_path):
    freeze([make("a")], tmp_path / "frozen")
    (tmp_path / "frozen" / "numbers.csv").write_text("number,unit\nx,y\n")
    with pytest.raises(artifacts.ArtifactError, match="no table of frozen numbers"):
        reference.read(tmp_path / "frozen")
    with pytest.raises(artifacts.ArtifactError, match="is missing"):
        reference.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="at least one finished run"):
        freeze([], tmp_path / "frozen")


def test_seconds_of_a_machine_are_not_part_of_a_reference(make):
    run = make("timed")
    (run / "studies" / "cost_scaling").mkdir()
    (run / "studies" / "cost_scaling" / "numbers.json").write_text('{"numbers": {"step_products": {"value": 0.8}}}')
    assert "live_features.dead" in numbers_of(run) and not any(name.startswith("cost_scaling") for name in numbers_of(run))
