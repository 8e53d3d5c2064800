import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.logit_weights import headline, modes, nucleotides, table, unmeasured
from tests.planted import raw


@pytest.fixture
def settings():
    return STUDIES["live_features"].settings(resolve(raw(bootstrap=200)))


def vocabulary(gap, own=60, rest=4000, seed=0):
    """Weights of tokens, the context's own last and `gap` above the others."""
    rng = np.random.default_rng(seed)
    weights = np.concatenate([rng.normal(0, 0.1, rest), rng.normal(gap, 0.08, own)])
    return weights.astype(np.float32), np.arange(rest + own) >= rest, [f"t{place}" for place in range(rest + own)]


def test_the_gap_is_a_difference_of_means(settings):
    weights, on, strings = vocabulary(0.6)
    number = headline("arabic", on, weights, strings, settings)["context_minus_rest"]
    assert number.value == pytest.approx(weights[on].mean() - weights[~on].mean(), abs=1e-6)
    assert number.low < number.value < number.high
    assert number.high - number.low == pytest.approx(2 * 1.96 * 0.08 / np.sqrt(60), rel=0.3)  # the rest's mean hardly varies
    null = headline("arabic", on, np.random.default_rng(1).permutation(weights), strings, settings)["context_minus_rest"]
    assert null.low < 0 < null.high


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gap", [0.8, 0.5])  # at 0.5 the valley is not empty
def test_tokens_that_stand_apart_are_a_second_mode(seed, gap):
    weights, on, _ = vocabulary(gap, seed=seed)
    assert modes(weights.astype(float), on) == 2


@pytest.mark.parametrize("seed", range(5))
def test_tokens_in_the_bulk_or_on_its_slope_are_none(seed):
    for gap in (-0.8, 0.0, 0.15, 0.35):
        weights, on, _ = vocabulary(gap, seed=seed)
        assert modes(weights.astype(float), on) == 1


def test_tokens_spread_from_the_bulk_upwards_pass_into_it_smoothly():
    rng = np.random.default_rng(0)
    weights = np.concatenate([rng.normal(0, 0.1, 4000), rng.exponential(0.25, 400)])
    assert modes(weights, np.arange(4400) >= 4000) == 1


def test_first_bytes_are_looked_for_where_the_context_s_own_tokens_would_lie(settings):
    weights, on, strings = vocabulary(0.8)
    strings[-1], strings[0] = "\\xd8", "\\xd9"
    weights[0] = -0.5
    numbers = headline("arabic", on, weights, strings, settings)
    assert (numbers["lead_bytes_in_top"].value, numbers["lead_bytes_in_top"].n) == (1, 2)
    weights[0] = 2.0
    assert headline("arabic", on, weights, strings, settings)["lead_bytes_in_top"].value == 2
    assert "lead_bytes_in_top" not in headline("hebrew", on, weights, strings, settings)  # no \xd7 in the vocabulary
    assert "as a token" in unmeasured("hebrew", 60)["lead_bytes_in_top"]


def test_top_tokens_of_nucleotides_are_counted(settings):
    weights, on, strings = vocabulary(0.8, own=8)
    strings[-8:] = ["A", " GATT", "CC", "T", "AC", "GG", "at", " "]
    weights[-8:] = 3 - 0.1 * np.arange(8)
    numbers = headline("dna", on, weights, strings, settings)
    assert numbers["top_nucleotide_share"].value == 0.6
    assert numbers["top_context_share"].value == 0.8
    assert "second_mode" not in numbers  # eight tokens have no density
    assert "top_nucleotide_share" not in headline("hex", on, weights, strings, settings)
    assert [nucleotides(token) for token in ("ATCG", " AT", "", "N", "\n")] == [True, True, False, False, False]


def test_a_context_without_tokens_of_its_own_has_no_gap(settings):
    weights, _, strings = vocabulary(0.0)
    assert headline("latex", np.zeros(len(weights), bool), weights, strings, settings) == {}


def test_the_table_counts_every_token_and_lists_both_ends():
    weights, on, strings = vocabulary(0.8)
    found = table(weights, on, strings)
    bins = found[found["kind"] == "bin"]
    assert (bins["own"].sum(), bins["rest"].sum()) == (60, 4000)
    top, bottom = (found[found["kind"] == kind] for kind in ("top", "bottom"))
    assert top["weight"].tolist() == sorted(weights.tolist(), reverse=True)[:15]
    assert bottom["weight"].tolist() == sorted(weights.tolist())[:15]
    assert top["on"].all()
    assert not bottom["on"].any()
