import json

import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.activation_spectrum import examples, histogram, measured, strong_windows, unmeasured
from tests.planted import raw

N_CTX = 24


@pytest.fixture
def settings():
    return STUDIES["activation_spectrum"].settings(resolve(raw(bootstrap=100)))


@pytest.fixture
def planted():
    """Every text alike: activations 0.5 to 12, one token a level, in the context from 6.5 on and at 3.5; twelve tokens silent, one of them in."""
    activation = np.concatenate([np.arange(12) + 1.0, np.zeros(12)])
    activation[:11] -= 0.5
    on = np.zeros(N_CTX, bool)
    on[6:12] = on[3] = on[20] = True
    return np.tile(activation, 5).astype(np.float32), np.tile(on, 5)


def test_shares_of_a_planted_feature(planted, settings):
    levels, numbers = measured(*planted, np.arange(5), settings)
    assert levels["count"].tolist() == [5] * 12
    np.testing.assert_array_equal(levels["share"], [0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    found = {key: number.value for key, number in numbers.items()}
    activation, on = (part[:N_CTX] for part in planted)
    assert found == pytest.approx({
        "specificity_rise": 1 - 1 / 6, "context_share": 8 / 24, "active_share": 7 / 12, "barely_on_share": 0, "above_5_share": 6 / 7,
        "summed_activation_share": activation[on].sum() / activation.sum(), "density": 0.5, "maximum": 12})
    assert numbers["specificity_rise"].low == pytest.approx(1 - 1 / 6)  # every text is alike
    assert levels["share_low"][0] == 0
    assert levels["share_high"][0] == pytest.approx(0.4345, abs=1e-3)  # Wilson's for 0 of 5, where the bootstrap sees no spread


def test_a_histogram_holds_every_active_token(planted):
    activation, on = planted
    rows = histogram(activation, on.astype(np.int64) * 2)
    assert rows["count"].sum() == 60
    assert rows["activation"].sum() == pytest.approx(activation.sum())
    assert rows.groupby("proxy")["count"].sum().to_dict() == {"off": 25, "strong": 35, "weak": 0}
    top = rows[(rows["proxy"] == "strong") & (rows["high"] == 12)]
    assert (top["count"].item(), top["activation"].item()) == (5, 60)


def test_windows_above_six_are_counted_only_when_there_are_ten(planted):
    activation, on = planted
    texts = np.arange(len(on), dtype=np.int32).reshape(-1, N_CTX)
    found = strong_windows(activation, on, texts, 0, np.random.default_rng(0))["windows_above_6"]
    assert (found.value, found.n) == (1.0, 10)
    assert strong_windows(activation / 2, on, texts, 0, np.random.default_rng(0)) == {}
    assert "largest activation is 6.0" in unmeasured(activation / 2)["windows_above_6"]


def test_examples_come_from_every_quarter_the_strongest_first(planted):
    activation, on = planted
    texts = np.arange(len(on), dtype=np.int32).reshape(-1, N_CTX)
    rows = examples(activation, np.where(on, 1, -1).astype(np.float32), texts, [str(k) for k in range(len(on))], np.random.default_rng(0))
    assert rows["quarter"].tolist() == [3] * 3 + [2] * 3 + [1] * 3 + [0] * 3
    for row in rows.itertuples():
        assert 3 * row.quarter < row.activation <= 3 * (row.quarter + 1)
        assert json.loads(row.values)[row.centre] == pytest.approx(row.activation)
        assert on[int(json.loads(row.tokens)[row.centre])] == row.inside
