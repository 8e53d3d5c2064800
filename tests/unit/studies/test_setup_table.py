"""The table of all dictionaries, from tables whose sums are known."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from replication.exhibits.setup.setup_runs import spread
from replication.exhibits.setup.setup_table import draw
from replication.exhibits.study import Study
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.setup import setup_table
from tests.planted import raw


@pytest.fixture
def settings():
    given = raw()
    given["dictionaries"] = {"A/0": {"d_sae": 24}, "A/1": {"d_sae": 192, "l1": 0.005}, "B/1": {"d_sae": 192}, "random/1": {"d_sae": 192}}
    return STUDIES["setup_table"].settings(resolve(given))


def reader(share):
    losses = pd.DataFrame({"source": [5, 5], "predicted": [9, 9], "tokens": [10, 10], "loss": [9.0, 27.0], "loss_zero": [18.0, 36.0],
                           "loss_mean": [13.5, 31.5], "loss_reconstructed": [18.0 - 9 * share, 36.0 - 9 * share], "l0": [30.0, 50.0]})
    parts = pd.DataFrame({"part": ["dead"] * 3 + ["ultralow"] * 2 + ["other"] * 187})
    return SimpleNamespace(losses=lambda name: losses, features=lambda name, *columns: parts)


def test_a_row_has_both_conventions_of_l1_and_ratios_of_sums(settings):
    row = setup_table.row(reader(0.75), settings, "A/1", settings.dictionaries["A/1"])
    assert (row["l1"], row["l1_summed"], row["expansion"]) == (0.005, pytest.approx(0.12), 8)  # 24 neurons
    assert (row["recovered"], row["recovered_mean"], row["l0"]) == pytest.approx((0.75, 0.5, 4.0))
    assert (row["dead"], row["ultralow"], row["other"], row["tokens"]) == (3, 2, 187, 20)
    assert row["texts"] == 1


def test_headline_counts_what_was_trained(settings):
    runs = pd.DataFrame([setup_table.row(reader(0.5), settings, name, sae) for name, sae in settings.dictionaries.items()])
    numbers = {key: number.value for key, number in setup_table.headline(settings, runs).items()}
    assert numbers == {"smallest_dictionary": 24, "largest_dictionary": 192, "largest_expansion": 8, "vectors": 200_000, "tokens": 10_000,
                       "dictionaries": 4, "d_vocab": 512}
    setup = {row["what"]: row["value"] for row in setup_table.setup(settings, runs, {"bytes": 123})}
    assert (setup["d_mlp"], setup["l1"], setup["corpus_bytes"], setup["main"]) == ("24", "0.005", "123", "A/1")


def test_what_others_trained_is_not_said_to_be_trained_as_the_config_says():
    given = raw() | {"models": {"A": {"load": "gelu-1l"}}, "dictionaries": {"A/1": {"load": "x", "d_sae": 192}}, "studies": {"twin": "A/1"}}
    given["corpus"] |= {"tokenizer": "someone/tokenizer"}
    settings = STUDIES["setup_table"].settings(resolve(given))
    runs = pd.DataFrame([setup_table.row(reader(0.5), settings, "A/1", settings.dictionaries["A/1"])])
    numbers = {key: number.value for key, number in setup_table.headline(settings, runs).items()}
    assert all(math.isnan(numbers[key]) for key in ("vectors", "tokens", "d_vocab")) and numbers["largest_dictionary"] == 192
    rows = setup_table.setup(settings, runs, {"bytes": 123})
    assert {row["what"] for row in rows if not row["value"]} == {"vectors", "tokens", "d_vocab", "batch", "l1", "l1_warmup", "init"}
    lines = {line[1]: line[3] for line in draw(Study(pd.DataFrame(rows).assign(table="setup"), {}, {}, {}, pd.DataFrame())).rows}
    assert [lines[what] for what in ("vectors of training", "batch", "start of the encoder, l1 warm-up")] == ["not known"] * 3 and lines["neurons of the MLP"] == "24"


def test_a_shuffled_model_has_the_tokens_of_the_one_it_copies(settings):
    assert setup_table.model_settings(settings, "random/1") == settings.models["A"]


def test_a_range_stands_where_replicates_differ():
    assert spread(pd.Series([10.3, 10.5]), "{:.1f}") == "10.4 (10.3 to 10.5)"
    assert spread(pd.Series([0.0, 0.0]), "{:.0f}") == "0"
    assert spread(pd.Series([0.5, float("nan")]), "{:.1f}", "%") == "not defined"
