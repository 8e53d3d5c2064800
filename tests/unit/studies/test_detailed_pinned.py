import json

import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.pinned import SHOWN, headline, table
from tests.planted import raw


@pytest.fixture
def settings():
    return STUDIES["live_features"].settings(resolve(raw(bootstrap=200)))


def test_gains_are_paired_differences_of_mean_shares(settings):
    rng = np.random.default_rng(0)
    free = rng.random(32) * 0.8
    shares = {"free": free, "random": free + 0.02, "pinned": free + 0.1}
    numbers = headline(shares, settings, "test")
    assert numbers["share_gain"].value == pytest.approx(0.1)
    assert (numbers["share_gain"].low, numbers["share_gain"].high) == (pytest.approx(0.1), pytest.approx(0.1))  # paired: samples' spread cancels
    assert numbers["gain_over_random"].value == pytest.approx(0.08)
    assert numbers["free_share"].value == pytest.approx(free.mean())
    assert numbers["free_share"].high - numbers["free_share"].low > 0.1
    assert numbers["pinned_share"].n == 32


def test_the_table_has_every_share_the_first_samples_and_the_one_with_most_of_the_context():
    rng = np.random.default_rng(0)
    sampled = {name: rng.integers(3, size=(20, 7)).astype(np.int32) for name in ("free", "random", "pinned")}
    on = {name: tokens == 2 for name, tokens in sampled.items()}
    shares = {name: flags.mean(1) for name, flags in on.items()}
    found = table(sampled, on, shares, ["a", "b", "c"])
    assert (found["kind"] == "share").sum() == 60
    pinned = found[(found["kind"] == "sample") & (found["condition"] == "pinned")]
    furthest = int(shares["pinned"].argmax())
    assert pinned["sample"].tolist() == sorted({*range(SHOWN), furthest})
    row = pinned.iloc[-1]
    assert [token == "c" for token in json.loads(row["tokens"])] == [value == 1 for value in json.loads(row["values"])]
    assert row["share"] == pytest.approx(np.mean(json.loads(row["values"])))
