"""Columns by name, csv and print."""

import csv
import io

import pytest

from bench import table


def test_the_columns_that_readers_of_the_csv_rely_on():
    assert table.COLUMNS[:9] == ("what", "d_in", "d_sae", "batch", "l0_nominal", "l0", "device", "median_s", "spread")
    assert {"encoder_products", "data", "threads", "rounds", "peak_mib", "tokens_per_s", "vectors_per_s"} < set(table.COLUMNS)
    assert len(set(table.COLUMNS)) == len(table.COLUMNS)
    assert set(table.SPREADS) <= set(table.PRINTED) and set(table.SPREADS.values()) | set(table.PRINTED) <= set(table.COLUMNS)


def test_csv_comes_back_and_unknown_stays_empty():
    text = table.to_csv([{"what": "ours", "d_in": 512, "median_s": 1 / 3, "l0_nominal": None, "spread": 0.0}])
    row, = csv.DictReader(io.StringIO(text))
    assert tuple(row) == table.COLUMNS
    assert (row["what"], row["d_in"], row["median_s"], row["l0_nominal"], row["spread"], row["peak_mib"]) == ("ours", "512", "0.333333", "", "0", "")


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="secs"):
        table.to_csv([{"what": "ours", "secs": 1.0}])


def test_the_columns_of_a_timing():
    row = table.timed([2.0, 4.0, 6.0], product=[1.0, 1.0, 2.0], ours=[4.0, 4.0, 4.0])
    assert row == {"median_s": 4.0, "spread": 2.0, "rounds": 3, "encoder_products": 4.0, "encoder_products_spread": 1.0, "times_ours": 1.0, "times_ours_spread": 0.5}
    assert set(row) < set(table.COLUMNS)
    assert set(table.timed([1.0])) == {"median_s", "spread", "rounds"}


def test_the_print_leaves_out_what_nothing_fills():
    text = table.to_text([{"what": "ours", "median_s": 0.1234567, "spread": 0.01, "vectors_per_s": 123456.7}, {"what": "sae_lens", "median_s": 2.0}])
    head, _, first, second = text.splitlines()
    assert head.split("  ")[0] == "what" and "tokens/s" not in head
    assert "0.123 ± 0.01" in first and "123,457" in first
    assert second.split() == ["sae_lens", "2"]
