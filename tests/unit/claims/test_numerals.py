"""How numbers stand in tables."""

import pytest

from replication.claims.numerals import decimals, numeral, quantity, supported

ROW = {"kind": "number", "published": ">=100", "tolerance": "0", "value": "0.87", "sd": "0.01", "n": "3", "low": "", "high": "",
       "reference": "0.86", "reference_sd": "0.02", "reference_n": "3"}


@pytest.mark.parametrize(("value", "text"), [
    ("", ""), (None, ""), ("0", "0"), ("0.123456", "0.1235"), ("1234567", "1,234,567"), ("168", "168"), (2e-7, "2e-07"),
    ("1e11", "100,000,000,000"), ("12345.678", "1.235e+04"), ("A/1", "A/1"), (-0.4, "-0.4")])
def test_numerals(value, text):
    assert numeral(value) == text


@pytest.mark.parametrize(("uncertainty", "places"), [(0.0081, 4), (0.1, 2), (0.99, 2), (1.5, 1), (19.4, 0), (350, 0), (2e-8, 9)])
def test_an_uncertainty_supports_two_of_its_own_digits(uncertainty, places):
    assert decimals(uncertainty) == places


@pytest.mark.parametrize(("number", "text"), [
    ({"value": 0.899935, "low": 0.891801, "high": 0.90807}, "0.8999"),
    ({"value": 62, "low": 42.59, "high": 81.41}, "62"),
    ({"value": 1234.567, "low": 1230.0, "high": 1239.0, "sd": 0.001}, "1,234.6"),  # the interval comes before the sd
    ({"value": 0.87, "sd": 0.0123}, "0.870"),
    ({"value": 2.123456e-7, "low": 2.0e-7, "high": 2.2e-7}, "2.12e-07"),
    ({"value": 0, "low": -1e-9, "high": 1e-9}, "0"),
    ({"value": -0.00001, "low": -0.1, "high": 0.1}, "0.00"),
    ({"value": 0.5, "low": 0.5, "high": 0.5}, "0.5"), ({"value": 0.123456}, "0.1235"), ({"value": 524288}, "524,288")])
def test_digits_are_those_that_the_interval_supports(number, text):
    assert supported(number) == text


def test_the_ends_of_an_interval_have_the_digits_of_its_value():
    number = {"value": 0.899935, "low": 0.891801, "high": 0.90807, "sd": 0.0041}
    assert [supported(number, part) for part in ("low", "high", "sd")] == ["0.8918", "0.9081", "0.0041"]


def test_cells_of_a_row():
    assert quantity(ROW, "published") == "≥ 100"
    assert quantity(ROW | {"published": "0.79", "tolerance": "0.02"}, "published") == "0.79 ± 0.02"
    assert quantity(ROW | {"kind": "ordering"}, "published") == "above 0"
    assert quantity(ROW, "here") == "0.870 ± 0.010"
    assert quantity(ROW | {"low": "0.8", "high": "0.9"}, "here") == "0.870 (0.800 to 0.900)"
    assert quantity(ROW | {"value": "0", "low": "0", "high": "0.9"}, "here") == "0.00 (0.00 to 0.90)"
    assert quantity(ROW, "reference") == "0.860 ± 0.020, n = 3"
    assert quantity(ROW | {"value": ""}, "here") == "" and quantity(ROW | {"reference": ""}, "reference") == ""
