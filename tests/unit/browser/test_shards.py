"""Values become scripts and come back, whatever their text."""

import base64
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from replication.browser import shards
from replication.config import UserError
from tests.browser.synthetic import HOSTILE

HARD = st.one_of(st.text(), st.sampled_from([*HOSTILE, "\ud800", "a\udfff"]), st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp"])))
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HARD,
                      lambda inner: st.lists(inner) | st.dictionaries(HARD, inner), max_leaves=20)


def value_of(text):
    """What a shard's script hands over."""
    inside = re.fullmatch(r"shard\((.*)\);\n", text, re.DOTALL)[1]
    return json.loads(f"[{inside}]")


@settings(deadline=None)
@given(HARD, VALUES)
def test_a_script_holds_its_value_and_nothing_that_could_be_markup(path, value):
    text = shards.script(path, value)
    assert value_of(text) == [path, value]
    assert text.isascii() and not set("<>&\x00\r") & set(text) and text.count("\n") == 1


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        shards.encoded([float("nan")])


@settings(deadline=None)
@given(arrays.arrays(st.sampled_from(["float32", "int16", "uint8", "uint16", "uint32", ">f4", ">u2"]), st.integers(0, 50), elements={"allow_nan": True}))
def test_packed_numbers_come_back_little_endian(array):
    found = np.frombuffer(base64.b64decode(shards.packed(array)), array.dtype.newbyteorder("<"))
    np.testing.assert_array_equal(found, array)


@settings(deadline=None)
@given(st.integers(1, 200_000))
def test_token_types_leave_two_values_for_ends(size):
    assert size + 1 <= np.iinfo(shards.token_type(size)).max
    assert shards.token_type(65_534) is np.uint16 and shards.token_type(65_535) is np.uint32


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 12345.0]))), st.integers(1, 7))
def test_rounding_keeps_significant_digits_and_marks_what_is_not_known(values, digits):
    found = shards.rounded(values, digits)
    for before, after in zip(values, found, strict=True):
        if before is None or not math.isfinite(before):
            assert after is None
        else:
            assert abs(after - before) <= 0.5000001 * 10.0 ** (1 - digits) * abs(before)
            assert len(re.sub(r"e.*|[-.]", "", f"{after:.17g}" if isinstance(after, int) else repr(after)).strip("0")) <= digits
    assert shards.rounded(found, digits) == found


def test_whole_numbers_lose_their_point():
    assert json.dumps(shards.rounded([3.0, -0.0, 0.000012344, 123456.0, np.float32(0.1)])) == "[3, 0, 1.234e-05, 123500, 0.1]"


@settings(deadline=None)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=60))
def test_a_series_keeps_order_and_closes_shards_in_time(tmp_path_factory, extents):
    folder, target = tmp_path_factory.mktemp("series"), 100
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "TARGET", target)
        series = shards.Series(folder, "A/1/x", shards.together)
        for number, extent in enumerate(extents):
            series.add(1000 + number, str(number), extent)
        firsts = series.close()
    found = [value_of((folder / "A" / "1" / "x" / f"{k}.js").read_text()) for k in range(len(firsts))]
    assert [path for path, _ in found] == [f"A/1/x/{k}" for k in range(len(firsts))] and len(list(folder.rglob("*.js"))) == len(firsts)
    assert [number for _, some in found for number in some] == list(range(len(extents)))
    assert firsts == [1000 + some[0] for _, some in found]
    taken = [sum(extents[number] for number in some) for _, some in found]
    assert all(len(some) == 1 or total <= target for total, (_, some) in zip(taken, found, strict=True))
    assert all(total + extents[following[0]] > target for total, (_, following) in zip(taken, found[1:], strict=False))


def test_a_shard_above_the_budget_is_refused_with_one_sentence(tmp_path):
    shards.write(tmp_path, "x", "a" * (shards.BUDGET - 20))
    with pytest.raises(UserError, match=r"y.js would have 300,\d+ bytes, but a shard has at most 300,000"):
        shards.write(tmp_path, "y", "a" * shards.BUDGET)
    assert [path.name for path in tmp_path.iterdir()] == ["x.js"]
