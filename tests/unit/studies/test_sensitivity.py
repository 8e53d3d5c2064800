import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.features.contexts import make
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.activations import Activations
from replication.studies.detailed.cases import Case
from replication.studies.detailed.gaps import Firing
from replication.studies.detailed.sensitivity import Others, bars, by_chance, comparable, headline, own, table, unmeasured
from tests.planted import raw

N_CTX, CONTEXTS = 10, 40
HALF = np.repeat(np.arange(CONTEXTS) % 2, N_CTX).astype(np.int8)


@pytest.fixture
def settings():
    return STUDIES["sensitivity"].settings(resolve(raw(bootstrap=100)))


def case(on, context="arabic", feature=0):
    return Case(context, "Arabic script", on.astype(np.float32), on, np.zeros(4, bool), feature, 0, HALF)


def test_a_planted_feature_with_a_filler(settings):
    """In every text the proxy is on at places 0 to 3; the feature at 0 to 2, the neuron at 0 and 5, the filler at 3 and 9."""
    place = np.arange(CONTEXTS * N_CTX) % N_CTX
    on, feature = place < 4, (place < 3).astype(np.float32)
    neuron, cover = np.isin(place, (0, 5)).astype(np.float32), np.isin(place, (3, 9)).astype(np.float32)
    found = headline(case(on), feature, neuron, on & (feature <= 0), cover, np.arange(len(on) // N_CTX // 2), settings)
    assert found["correlation"].value == pytest.approx(np.corrcoef(on, feature)[0, 1])
    assert found["feature_minus_best_neuron"].value == pytest.approx(np.corrcoef(on, feature)[0, 1] - np.corrcoef(on, neuron)[0, 1])
    assert (found["gap_share"].value, found["gap_share"].n) == (0.25, 4 * CONTEXTS // 2)
    assert found["gaps_covered"].value == pytest.approx(1 - 1 / 9)
    assert found["gaps_covered"].low == pytest.approx(1 - 1 / 9)
    assert "gaps_covered" not in headline(case(on), feature, neuron, on & (feature <= 0), 0 * cover, np.arange(len(on) // N_CTX // 2), settings)
    assert "20 gaps" in unmeasured(case(on), {}, 20)["gaps_covered"]


def firing(rises, gaps=10):
    inside = np.array([rises, rises])
    return Firing(np.array([gaps, gaps]), np.array([100, 100]), inside, np.zeros_like(inside))


def test_fillers_are_the_features_that_rise_most_but_never_the_main_one():
    top = pd.DataFrame({"feature": [0, 4, 2], "correlation_chosen": [0.9, 0.5, 0.4], "correlation": [0.8, 0.41, 0.1]})
    found = Others.of(top, firing([10, 9, 3, 0, 0, 1]), 0)
    assert found.fillers == [1, 2, 5]
    assert found.filler == 2  # feature 1 rises more, but does not follow the proxy
    assert Others.of(top, firing([10, 9, 0, 0, 0, 1]), 0).filler is None
    crowded = Others.of(top, firing([10, 9, 1, 8, 0, 7, 6, 5, 4, 3]), 0)
    assert crowded.fillers == [1, 3, 5, 6, 7, 2]
    assert comparable(top)["features"].value == 2


def test_the_null_is_that_of_the_context_and_the_dictionary():
    listed = pd.DataFrame({"dictionary": ["A/1/random", "A/1/random", "A/1"], "context": ["dna", "arabic", "arabic"], "feature": [-1, -1, 7],
                           "rank": 0, "correlation_chosen": 0.3, "correlation": [0.1, 0.2, 0.9]})
    on = np.zeros(CONTEXTS * N_CTX, bool)
    assert by_chance(listed, "A/1", case(on))["random_correlation"].value == 0.2
    assert by_chance(listed, "A/2", case(on)) == {}
    assert "another site" in unmeasured(case(on), {}, 0, among=False)["random_correlation"]


STRINGS = ["the", " \u0627\u0644", "\\xd8", "\\xa7"]
TEXT = np.tile(np.array([0, 0, 0, 1, 2, 3, 0, 1, 2, 3], np.int32), CONTEXTS)


@pytest.fixture
def arabic():
    """Feature 0 fires on the last bytes of characters, 1 on al-, 2 on first bytes, 3 on anything."""
    fires = np.stack([TEXT == 3, TEXT == 1, TEXT == 2, TEXT >= 0], 1).astype(np.float32)
    top = pd.DataFrame({"feature": [0, 1, 2, 3], "correlation_chosen": 0.5, "correlation": 0.5})
    return Activations((0, 1, 2, 3), sparse.csc_array(fires)), {"arabic": top, "hebrew": top}


def test_arabic_and_hebrew_features_are_found_by_what_they_fire_on(arabic):
    features, tops = arabic
    on = TEXT > 0
    found = own(case(on), features, tops, {}, TEXT, STRINGS)
    assert {key: number.value for key, number in found.items()} == {"al_feature": 1, "first_byte_feature": 1}
    assert own(case(on, "hebrew"), features, tops, {}, TEXT, STRINGS)["lead_byte_feature"].value == 1
    assert own(case(on, feature=2), features, tops, {}, TEXT, STRINGS)["first_byte_feature"].value == 0  # the main one is that feature
    assert own(case(on, "dna"), features, {"dna": tops["arabic"]}, {}, TEXT, STRINGS) == {}


def test_hexadecimal_has_a_feature_of_its_own():
    """Feature 0 follows base64 (tokens 1 to 3), feature 1 hexadecimal (token 3), feature 2 base64 too."""
    on, hexadecimal = TEXT > 0, TEXT == 3
    fires = np.stack([on, hexadecimal, on], 1).astype(np.float32)
    correlation = [np.corrcoef(column, hexadecimal)[0, 1] for column in fires.T]
    tops = {"base64": pd.DataFrame({"feature": [0, 2], "correlation_chosen": 0.9, "correlation": 0.9}),
            "hex": pd.DataFrame({"feature": [1, 0, 2], "correlation_chosen": 0.9, "correlation": [correlation[1], correlation[0], correlation[2]]})}
    ons = {"base64": on, "hex": hexadecimal}
    found = own(case(on, "base64"), Activations((0, 1, 2), sparse.csc_array(fires)), tops, ons, TEXT, STRINGS)
    assert (found["hexadecimal_own_feature"].value, found["hexadecimal_lights"].value) == (1, 1.0)
    assert unmeasured(case(on, "base64"), {"hex": "no hex"}, 0)["hexadecimal_own_feature"] == "no hex"


def test_the_table_names_the_gap_tokens_that_a_feature_fires_on(arabic):
    features, tops = arabic
    gap = np.isin(TEXT, (1, 2))
    counts = Firing(np.array([80, 80]), np.array([120, 120]), np.array([[0, 40, 40, 80]] * 2), np.array([[40, 0, 0, 120]] * 2))
    rows = table("A/1", case(gap), Others(tops["arabic"], [1, 3], 1), counts, features, gap, TEXT, STRINGS)
    assert rows["other"].tolist() == ["A/1/1", "A/1/3"]
    assert rows["filler"].tolist() == [1, 0]
    assert (rows["in_gaps"].tolist(), rows["elsewhere"].tolist()) == ([0.5, 1.0], [0.0, 1.0])
    assert rows["counts"].tolist() == ["[40]", "[40, 40]"]
    assert rows["correlation"][0] == pytest.approx(np.corrcoef(TEXT == 1, gap)[0, 1])
    assert np.isnan(rows["correlation"][1])


def test_bars_are_those_that_were_measured(settings):
    place = np.arange(CONTEXTS * N_CTX) % N_CTX
    on, feature = place < 4, (place < 3).astype(np.float32)
    found = headline(case(on), feature, feature, on & (feature <= 0), feature, np.arange(len(on) // N_CTX // 2), settings)
    assert bars(found)["name"].tolist() == ["feature", "neuron"]


@pytest.mark.parametrize(("site", "drawn"), [("mlp_act", True), ("mlp_out", False)])
def test_random_directions_are_compared_with_a_dictionary_of_their_space_only(site, drawn, compute, config_of_few, run_of_few, tmp_path):
    layout = Layout(shutil.copytree(run_of_few.root, tmp_path / "run"))
    read = dataclasses.replace(config_of_few, dictionaries={name: dataclasses.replace(sae, site=site) for name, sae in config_of_few.dictionaries.items()})
    settings = read.settings("compute", "studies", "contexts", models=["A"], dictionaries=["A/1"])
    make(settings=settings, names=["A/1", "A/neurons"], corpus=layout.corpus(), out=layout.evaluation())
    table = artifacts.read_table(layout.evaluation() / artifacts.CONTEXTS, ("dictionary",))
    assert set(table["dictionary"]) == {"A/1", "A/neurons"} | ({"A/1/random"} if drawn else set())
    told = json.loads((compute("sensitivity", layout, tmp_path / "study", read) / "numbers.json").read_text())
    assert drawn == any(key.endswith("random_correlation") for key in told["numbers"])
    assert drawn != any("another site" in why for why in told["missing"].values())
