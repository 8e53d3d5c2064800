import numpy as np
import pandas as pd
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.cases import Case
from replication.studies.detailed.universality import best, correlation, headline, neuron, points
from tests.planted import raw

CONTEXTS, N_CTX = 60, 20


@pytest.fixture
def settings():
    return STUDIES["live_features"].settings(resolve(raw(bootstrap=200)))


@pytest.fixture
def planted():
    """A feature and a noisy copy with another scale; below a ninth of its maximum only the copy keeps to the context."""
    rng = np.random.default_rng(0)
    half = np.arange(2 * CONTEXTS * N_CTX) // N_CTX % 2
    on = rng.random(len(half)) < 0.3
    strong = np.where(on & (rng.random(len(on)) < 0.7), rng.uniform(2, 9, len(on)), 0)
    low = np.where((strong == 0) & (rng.random(len(on)) < 0.2), rng.uniform(0.1, 0.9, len(on)), 0)
    x, y = strong + low, 3 * (strong * rng.uniform(0.8, 1.2, len(on)) + low * on)
    case = Case("arabic", "Arabic script", on.astype(np.float32), on, np.zeros(3, bool), 1, 2, half)
    return case, x[half == 1].astype(np.float32), y[half == 1].astype(np.float32)


def test_correlations_and_their_difference(planted, settings):
    case, x, y = planted
    rng = np.random.default_rng(1)
    weights = np.stack([shared := rng.normal(size=800), 0.2 * shared + rng.normal(size=800)], axis=1)
    numbers = headline(case, x, y, weights, np.arange(len(x) // N_CTX), settings)
    assert numbers["activation_correlation"].value == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
    assert numbers["logit_correlation"].value == pytest.approx(np.corrcoef(weights.T)[0, 1], abs=1e-9)
    gap = numbers["activation_minus_logits"]
    assert gap.value == pytest.approx(np.corrcoef(x, y)[0, 1] - np.corrcoef(weights.T)[0, 1], abs=1e-6)
    assert 0 < gap.low < gap.value < gap.high
    assert numbers["activation_correlation"].n == ((x > 0) | (y > 0)).sum()


def test_the_match_is_the_more_specific_where_it_was_made_so(planted, settings):
    case, x, y = planted
    weights = np.random.default_rng(1).normal(size=(100, 2))
    number = headline(case, x, y, weights, np.arange(len(x) // N_CTX), settings)["twin_more_specific"]
    on = case.on[case.half == 1]
    shares = [on[(values > 0) & (values <= values.max() / 9)].mean() for values in (x, y)]
    assert number.value == pytest.approx(shares[1] - shares[0])
    assert number.low > 0
    swapped = headline(case, y, x, weights, np.arange(len(x) // N_CTX), settings)["twin_more_specific"]
    assert swapped.value == pytest.approx(-number.value)
    few = headline(case, np.where(x > 2, x, 0).astype(np.float32), y, weights, np.arange(len(x) // N_CTX), settings)
    assert "twin_more_specific" not in few


def test_a_match_must_be_there_and_fire_on_both_halves():
    table = pd.DataFrame({"dictionary": "A/1", "other": ["B/1", "B/1", "B/1", "C/1"], "feature": [1, 2, 3, 1], "match": [7, 8, -1, 9],
                          "correlation": [0.5, np.nan, np.nan, 0.9]})
    assert [best(table, "A/1", "B/1", feature) for feature in (1, 2, 3, 4)] == [7, None, None, None]
    assert neuron(table, "A/1", "B/1", 1)["neuron_correlation"].value == 0.5
    assert neuron(table, "A/1", "B/1", 2) == {}


def test_correlation_is_pearson_s():
    sample = np.random.default_rng(0).normal(size=(50, 2)) @ [[1, 2], [0, 1]]
    assert correlation(sample) == pytest.approx(np.corrcoef(sample.T)[0, 1])


@pytest.mark.parametrize(("on", "off", "drawn"), [(1000, 1000, (250, 250)), (10, 1000, (10, 490)), (900, 20, (480, 20)), (5, 5, (5, 5))])
def test_both_kinds_of_points_get_their_room(on, off, drawn):
    flags = np.arange(on + off) < on
    found = points("logits", np.arange(on + off, dtype=float), np.zeros(on + off), flags, np.arange(on + off), np.random.default_rng(0))
    assert (int(found["on"].sum()), int((~found["on"]).sum())) == drawn
    assert found["x"].is_unique
    assert (found["drawn_from"] == on + off).all()
