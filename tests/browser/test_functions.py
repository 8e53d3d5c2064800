"""The page's own functions, called in the browser: links, shards, text as it is shown."""

import base64
import json
import struct
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ORDERS = ("index", "random", "max", "density", "hits", "score", "logit_score", "universality")
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
plain = {"page": "run", "table": "", "feature": None, "text": "", "token": None, "order": "index", "descending": True, "seed": 1, "query": "", "mode": "text", "regex": False,
         "caseSensitive": False, "aspect": "fires", "parts": "uo", "single": "", "density": [None, None], "score": [None, None], "cluster": None, "panel": "", "select": None,
         "scroll": 0, "by": "activation"}
number = st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 6) + 0.0)
places = st.integers(0, 999_999)
texts = st.text(max_size=60).filter(lambda text: not any(0xD800 <= ord(sign) < 0xE000 for sign in text))


@st.composite
def routes(draw) -> dict:
    """Any state that a link can hold."""
    page = draw(st.sampled_from([{"page": "run"}, {"page": "table", "table": "A/1"}, {"page": "table", "table": "A/1", "feature": draw(st.integers(0, 255))},
                                 {"page": "table", "table": "A/neurons", "feature": 31}, {"page": "text", "text": "dna", "table": "A/0", "feature": draw(st.none() | st.integers(0, 63))}]))
    box = st.lists(st.integers(-9999, 9999), min_size=4, max_size=4)
    rest = st.fixed_dictionaries({}, optional={
        "token": st.none() | places, "order": st.sampled_from(ORDERS), "descending": st.booleans(), "seed": places, "query": texts, "mode": st.sampled_from(["text", "token", "explanation"]),
        "regex": st.booleans(), "caseSensitive": st.booleans(), "aspect": st.sampled_from(["fires", "promotes", "suppresses"]), "parts": st.sampled_from(["d", "u", "o", "du", "uo", "duo"]),
        "single": st.sampled_from(["", "yes", "no"]), "density": st.lists(number, min_size=2, max_size=2), "score": st.lists(number, min_size=2, max_size=2),
        "cluster": st.none() | places, "panel": st.sampled_from(["", "density", "map"]), "select": st.none() | box, "scroll": places,
        "by": st.sampled_from(["activation", "effect", "share"])})
    return plain | draw(rest) | page


@EXAMPLES
@given(route=routes())
def test_a_link_holds_the_whole_state(inside, route):
    assert inside("parse(href(route), run)", route=route) == route


def test_defaults_are_left_out_of_links(inside):
    assert inside("start()") == plain
    assert inside("href({ ...start(), page: 'table', table: 'A/1', feature: 7 })") == "#/A/1/7"
    assert inside("href(start())") == "#/"
    assert inside("parse('', run)") == plain


@EXAMPLES
@given(text=st.text(max_size=40) | st.sampled_from(["A/1/../../x", "A/1/-1", "A/1/1e3", "text/dna/1", "__proto__", "A/constructor", "A/1/99999999999", "A/1/0x1", "a/1", "A%2F1"]),
       query=st.text(max_size=40) | st.sampled_from(["order=__proto__&parts=duod", "density=a:b", "select=1,2,3", "select=1,2,3,Infinity", "cluster=-1", "table=../x", "seed=1e9", "parts=x"]))
def test_a_link_gives_a_route_of_known_things_or_a_sentence(inside, text, query):
    hash = f"#/{text}?{query}".encode("utf-8", "replace").decode()
    route = inside("(() => { try { return parse(hash, run); } catch (error) { return error.message; } })()", hash=hash)
    if isinstance(route, str):
        assert route.endswith(".") and "such" in route
        return
    assert route["page"] in ("run", "table", "text") and route["table"] in ("", "A/1", "A/0", "A/neurons") and route["text"] in ("", "arabic", "dna")
    assert route["order"] in ORDERS and set(route["parts"]) <= set("duo") and route["single"] in ("", "yes", "no") and len(route["query"]) <= 500
    assert route["feature"] is None or 0 <= route["feature"] < {"A/1": 256, "A/0": 64, "A/neurons": 32}[route["table"]]
    assert all(value is None or np.isfinite(value) for value in [*route["density"], *route["score"], *(route["select"] or [])])


@pytest.mark.parametrize("hash, wanted", [("#/A/1/256", "A/1 has no such feature; they go from 0 to 255."), ("#/A/neurons/32", "A/neurons has no such neuron; they go from 0 to 31."),
                                          ("#/A/9", "There is no such table; this run has A/1, A/0, A/neurons."), ("#/text/latin", "There is no such text in this run.")])
def test_a_link_to_nothing_is_told(inside, hash, wanted):
    assert inside("(() => { try { parse(hash, run); } catch (error) { return error.message; } })()", hash=hash) == wanted


def test_unseen_characters_are_shown_as_escapes(inside):
    signs = [chr(code) for code in [*range(0xD800), *range(0xE000, 0x11000), *range(0x1F300, 0x1F700), *range(0xE0000, 0xE0100), 0x10FFFF]]
    shown_signs = json.loads(inside("JSON.stringify(JSON.parse(signs).map(visible))", signs=json.dumps(signs)))
    for sign, shown in zip(signs, shown_signs, strict=True):
        kind, code = unicodedata.category(sign), ord(sign)
        if kind == "Cn" and shown == sign:
            continue  # the browser's Unicode is newer than Python's
        escape = {"\n": "⏎", "\t": "⇥", "\r": "␍"}.get(sign, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        assert shown == (escape if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else sign), hex(code)
    assert inside("visible('\\ud800')") == "\\ud800"


@pytest.mark.parametrize("value, text", [(None, "–"), (float("nan"), "–"), (0, "0"), (0.1234, "0.123"), (-0.25, "−0.25"), (12.345, "12.3"), (4096, "4,096"), (0.00012345, "1.2e−4"),
                                         (-2.5e7, "−2.5e7"), (999.4, "999"), (float("inf"), "∞"), (float("-inf"), "−∞")])
def test_numbers_have_three_digits(inside, value, text):
    assert inside("numeral(value)", value=value) == text


@EXAMPLES
@given(firsts=st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True).map(sorted), wanted=st.integers(0, 600))
def test_the_shard_of_a_number(inside, firsts, wanted):
    assert inside("shardOf(firsts, wanted)", firsts=firsts, wanted=wanted) == int(np.searchsorted(firsts, wanted, side="right")) - 1


def test_columns_arrive_bit_for_bit(inside, made):
    found = inside("loadIndex(run, run.tables[0]).then((index) => Object.fromEntries(Object.entries(index).filter(([name]) => name !== 'entry').map(([name, column]) => "
                   "[name, Array.from(new Uint8Array(column.buffer))])))")
    for name, column in vars(made.tables["A/1"].columns).items():
        wanted = np.where(column < 0, 0xFFFF, column).astype("<u2") if name in ("fires", "up") else column
        assert bytes(found[name]) == np.ascontiguousarray(wanted).tobytes(), name


def test_every_card_and_token_text_arrives(inside, made):
    texts = inside("loadVocabulary(run)")
    assert texts == list(made.shared.vocabulary)
    cards = json.loads(inside("Promise.all(Array.from({ length: 64 }, (_, k) => loadCard(run.tables[1], k))).then(JSON.stringify)"))
    assert [card["feature"] for card in cards] == list(range(64))
    for card, wanted in zip(cards, made.cards["A/0"], strict=True):
        assert [example[5] for example in card["examples"]] == [list(example.tokens) for example in wanted.examples]
        assert [example[6][1::2] for example in card["examples"]] == [pytest.approx([value for _, value in example.fired], rel=1e-3) for example in wanted.examples]


def test_a_shard_is_loaded_once_and_a_missing_one_is_told(inside):
    assert inside("load('A/1/index') === load('A/1/index')")
    assert "data/A/1/nothing.js is missing or broken" in inside("load('A/1/nothing').catch((error) => error.message)")


def test_more_shards_than_are_remembered_may_be_on_their_way(inside):
    """None may be forgotten before it arrives, or who waits for it waits for ever."""
    found = inside("""(() => { const first = load('A/0/index', 'data/A/0/index.js'); const others = Array.from({ length: 60 }, (_, k) => load(`nothing/${k}`).catch(() => 'missing'));
        const again = load('A/0/index'); return Promise.race([Promise.all([first, again, ...others]).then((all) => all.length), new Promise((done) => setTimeout(done, 3000, 'never'))]); })()""")
    assert found == 62


def test_doubles_are_read_as_floats_little_endian(inside):
    text = base64.b64encode(struct.pack("<2f", 1.5, -2.25)).decode()
    assert inside("Array.from(floats(text))", text=text) == [1.5, -2.25]
