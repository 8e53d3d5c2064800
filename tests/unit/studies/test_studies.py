import json
import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from replication.artifacts import ArtifactError, check
from replication.claims import statements
from replication.config import Settings
from replication.provenance import written
from replication.resolution import resolve
from replication.studies import STUDIES
from tests.planted import plant, raw

CLAIMS = statements.read(Path(written("paper", "published", "claims.csv")))


def read(folder):
    return json.loads((folder / "numbers.json").read_text())


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_writes_its_numbers_and_tells_their_origin(name, compute, config):
    folder = compute(name)
    check(folder)
    found = read(folder)
    asked = {claim.key for claim in CLAIMS if claim.study == name}
    assert asked <= found["numbers"].keys() | found["missing"].keys()
    assert not found["numbers"].keys() & found["missing"].keys()
    assert all(found["missing"].values())
    assert found["provenance"]["config_hash"] == STUDIES[name].settings(config).hash()
    assert (found["provenance"]["run"], found["provenance"]["corpus_hash"]) == ("planted", "c0ffeec0ffee")
    for number in found["numbers"].values():
        assert {"value", "unit", "n", "over"} <= number.keys()
        assert math.isfinite(number["value"])
        assert number.get("low", -math.inf) <= number["value"] <= number.get("high", math.inf)
    assert (folder / "data.csv").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", STUDIES)
def test_two_computations_are_equal_bit_for_bit(name, compute, tmp_path):
    first, second = compute(name), compute(name, out=tmp_path / name)
    for file in ("data.csv", "numbers.json"):
        assert (first / file).read_bytes() == (second / file).read_bytes()


def test_planted_truth_is_found(compute):
    assert read(compute("ultralow_cluster"))["numbers"]["separation_auc"]["value"] > 0.8
    basis = read(compute("neuron_basis"))["numbers"]
    assert basis["lower_encoder_cosine"]["value"] > 0.7 > 0.3 > basis["lower_decoder_cosine"]["value"]
    recovered = read(compute("loss_recovered"))
    assert recovered["numbers"]["growth_0_1"]["low"] > 0
    assert recovered["numbers"]["growth_1_2"]["replicates"] == 1  # A/2 is fitted once
    assert "recovered_random_1" in recovered["missing"]
    assert read(compute("universality_histogram"))["numbers"]["features_minus_own_neurons"]["low"] > 0


@pytest.mark.parametrize("name", STUDIES)
def test_a_run_with_fewer_dictionaries_leaves_their_numbers_out(name, compute, config_of_few, run_of_few, tmp_path):
    found = read(compute(name, layout=run_of_few, config=config_of_few, out=tmp_path))
    assert not {"growth_0_1", "growth_1_2", "q05_fall_0_1", "l1_fall", "monotone_l1"} & found["numbers"].keys()
    assert all(number.get("replicates", 1) == 1 for number in found["numbers"].values())
    if name in ("live_features", "loss_recovered"):
        assert found["missing"]["growth_0_1"] == "the run has no A/0"


def test_a_changed_input_is_refused(config, compute, tmp_path):
    layout = plant(tmp_path, config)
    path = layout.features("A/1") / "features.parquet"
    pd.read_parquet(path).assign(part="other").to_parquet(path, index=False)
    with pytest.raises(ArtifactError, match="checksum differs"):
        compute("live_features", layout=layout)


def test_settings_are_the_slice_that_a_study_depends_on(config):
    settings = STUDIES["neuron_basis"].settings(config)
    assert list(settings.dictionaries) == ["A/1", "A/1-r1", "A/1-r2"]
    assert Settings.parse(settings.json()) == settings
    given = raw()
    given["dictionaries"]["A/0"]["l1"] = 0.1
    assert STUDIES["neuron_basis"].settings(resolve(given)).hash() == settings.hash()
    assert STUDIES["live_features"].settings(resolve(given)).hash() != STUDIES["live_features"].settings(config).hash()


def test_inputs_are_what_a_study_reads(config, run, compute):
    for name, study in STUDIES.items():
        declared = {path.resolve() for path in study.inputs(config, run)}
        compute(name)
        read_ = {(run.study(name) / entry["path"]).resolve()
                 for entry in json.loads((run.study(name) / "meta.json").read_text())["inputs"].values()}
        of_people = "{run}" in study.written  # looks up the examples of what people rated
        assert read_ <= declared if of_people else read_ == declared, name


def test_the_registry_imports_nothing_heavy():
    heavy = "print([m for m in ('torch', 'pandas', 'scipy', 'sklearn') if m in sys.modules])"
    code = f"import sys, replication.studies, replication.studies.command; {heavy}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
