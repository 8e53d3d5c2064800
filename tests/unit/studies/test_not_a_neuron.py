import numpy as np
import pandas as pd
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.not_a_neuron import (
    coefficients,
    correlated,
    exemplified,
    largest,
    logit_histogram,
    points,
    spectrum,
    unmeasured,
    with_context,
)
from tests.planted import raw


@pytest.fixture
def settings():
    return STUDIES["not_a_neuron"].settings(resolve(raw(bootstrap=50)))


def test_coefficients_of_a_direction():
    direction = np.array([0.1, -0.8, 0.02, 0.5, -0.3, 0.05, 0.0], np.float32)
    found = coefficients(direction)
    assert (found["coefficients_above_0_1"].value, found["coefficients_above_0_1"].n) == (4, 7)
    assert found["largest_three_negative"].value == 2
    assert largest(direction)["unit"].tolist() == [1, 3, 4, 0, 5, 2, 6]


def test_the_margin_is_one_half_minus_the_correlation(settings):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400).astype(np.float32)
    y = (x + rng.normal(size=400)).astype(np.float32)
    found = correlated(x, y, np.arange(len(x) // 10), settings)
    r = np.corrcoef(x, y)[0, 1]
    assert found["best_neuron_correlation"].value == pytest.approx(r, abs=1e-6)
    assert found["margin_below_half"].value == pytest.approx(0.5 - r, abs=1e-6)
    assert found["margin_below_half"].low == pytest.approx(0.5 - found["best_neuron_correlation"].high)


def test_examples_that_hold_the_context_are_counted_by_neuron():
    held = np.array([1, 1, 0, 0, 1, 0], bool)  # two texts of three tokens
    examples = pd.DataFrame({"feature": [0, 0, 1, 1, 2], "group": "top", "context": [0, 1, 0, 1, 1], "pos": [0, 1, 2, 0, 2]})
    found = with_context(examples, held, 3)
    assert found.to_dict() == {0: 2, 1: 0, 2: 0}
    numbers = exemplified(found, examples, 0)
    assert (numbers["neuron_top_examples"].value, numbers["neuron_top_examples"].n, numbers["neurons_with_context"].value) == (2, 2, 1)
    assert exemplified(found, examples, 5)["neuron_top_examples"].value == 0


def test_histograms_hold_every_positive_activation_and_every_token():
    activation, on = np.array([-1, 0, 0.5, 1, 2], np.float32), np.array([1, 1, 1, 0, 0], bool)
    rows = spectrum(activation, on)
    assert (rows["context_count"].sum(), rows["rest_count"].sum(), rows["low"].min(), rows["high"].max()) == (1, 2, 0, 2)
    rows = logit_histogram(activation, on)
    assert (rows["context_count"].sum(), rows["rest_count"].sum(), rows["low"].min()) == (3, 2, -1)


def test_points_are_of_three_kinds_and_say_of_how_many():
    x, on = np.array([0, 1, 2, 0, 0], np.float32), np.array([1, 1, 0, 0, 0], bool)
    found = points(x, 10 * x, on, np.random.default_rng(0))
    assert found["group"].tolist() == ["proxy on", "proxy on", "only the feature on", "neither on", "neither on"]
    assert found["of"].tolist() == [2, 2, 1, 2, 2]
    assert (found["y"] == 10 * found["x"]).all()


def test_reasons_name_what_is_lacking():
    assert unmeasured("arabic", {"hebrew": "no Hebrew"}, "mlp_act")["hebrew_same_neuron"] == "no Hebrew"
    assert "hebrew_same_neuron" not in unmeasured("dna", {}, "mlp_act")
    assert "mlp_out" in unmeasured("dna", {}, "mlp_out")["coefficients_above_0_1"]
