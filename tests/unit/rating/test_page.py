import json
import re
from html.parser import HTMLParser

import pytest

from replication.rating import cards, page, ratings
from replication.rating.cards import visible
from tests.unit.rating.conftest import CAN, TOKENS


@pytest.fixture(scope="module")
def static(task):
    return page.render(task, [], served=False)


def test_only_units_with_whole_examples_are_offered(source):
    assert {kind: {name: list(features) for name, features in of.items()} for kind, of in source.offered.items()} == {
        "features": {"A/1": list(CAN)}, "neurons": {"A/neurons": list(CAN)}, "random": {"random/1": list(CAN)}}


def test_a_card_has_five_windows_of_each_interval_in_levels_of_its_own_maximum(source):
    card = source.cards({"A/neurons": [5]})["A/neurons/5"]
    assert [len(windows) for windows in card.intervals] == [5] * 11
    assert [len(window.tokens) for window in card.intervals[0]] == [3, 9, 9, 9, 9]  # in the order of their ranks
    for interval, windows in enumerate(card.intervals):
        for window in windows:
            assert window.levels[window.centre] == max(window.levels) == round(9 * (10 - interval) / 11)
    assert [percent for _, percent in card.logits] == [100, 90, 80, 70, 60, 50, 40, 30, 20, 10]
    assert re.fullmatch("[0-9a-f]{12}", card.id) and card.id != source.cards({"A/neurons": [6]})["A/neurons/6"].id


def test_the_page_tells_nothing_of_what_a_unit_is(static, task, content):
    found = content(static)
    assert [unit["id"] for unit in found["units"]] == [task.cards[unit.name].id for unit in task.units]
    assert {frozenset(unit) for unit in found["units"]} == {frozenset({"id", "logits", "intervals", "rate"})}
    forms = {(len(unit["logits"]), *(tuple(len(window["tokens"]) for window in windows) for windows in unit["intervals"])) for unit in found["units"]}
    assert len(forms) == 1  # one form for features and neurons
    windows = [window for unit in found["units"] for windows in unit["intervals"] for window in windows]
    assert {frozenset(window) for window in windows} == {frozenset({"tokens", "levels", "centre"})}
    assert all(type(level) is int and 0 <= level <= 9 for window in windows for level in window["levels"])
    said = static.partition("<body>")[2]
    for unit in task.units:
        assert unit.name not in said and unit.table not in said
    texts = json.dumps(found)
    assert not any(f'"{word}' in texts for word in ("density", "max", "feature", "unit\"", "table", "kind", "neurons", "random"))
    assert not any(str(scale) in texts for scale in (0.001, 0.7, 0.02, 0.01, 700.0))  # densities and maxima


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_no_token_becomes_markup_and_nothing_is_fetched(static, content):
    tags = Tags(static).found
    assert [tag for tag, _ in tags].count("script") == 2 and not {"img", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert not any({"src", "href", "onerror", "style"} & attributes.keys() for _, attributes in tags)
    assert "http://" not in static and "https://" not in static
    raw = static.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in raw and ">" not in raw
    shown = {token for unit in content(static)["units"] for windows in unit["intervals"] for window in windows for token in window["tokens"]}
    assert shown == {visible(token) for token in TOKENS} and "<img src=x onerror=alert(1)>" in shown and "</script>" in shown
    script = (page.FOLDER / "page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", script)


def test_the_policy_of_the_page_allows_its_own_script_and_style_alone(static, task):
    policy = next(attributes["content"] for tag, attributes in Tags(static).found if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "connect-src 'none'" in policy and "unsafe" not in policy
    for name, kind in (("style", "css"), ("script", "js")):
        assert f"<{name}>{(page.FOLDER / f'page.{kind}').read_text()}</{name}>" in static  # what the digest is of
    assert "connect-src 'self'" in page.render(task, [], served=True)


def test_what_cannot_be_seen_is_written_out():
    assert visible("a\n\t\rb") == "a⏎⇥␍b"
    assert visible("\x00\x07\u202e\u200b\ud800\u2028") == "\\x00\\x07\\u202e\\u200b\\ud800\\u2028"
    assert visible("\\xd8 שלום 中") == "\\xd8 שלום 中"


def test_a_page_resumes_with_what_was_rated_of_the_same_examples(task, content, row):
    unit = task.units[4]
    shown = task.cards[unit.name].id
    known = row | {"unit": unit.name, "interval": unit.intervals[1], "shown": shown}
    stale = known | {"interval": unit.intervals[0], "shown": "0" * 12}
    saved = content(page.render(task, [known, stale], served=True))["saved"]
    assert saved == [{column: value for column, value in known.items() if column != "unit"}]


def test_a_unit_is_known_by_what_is_shown_of_it(source, layout):
    first = source.cards({"A/1": [2]})["A/1/2"]
    features, examples = (ratings.artifacts.read_table(layout.features("A/1") / name) for name in ("features.parquet", "examples.parquet"))
    assert cards.of_table(features, examples, [2])[2].id == first.id
    again = features.assign(max=features["max"] * 2)
    assert cards.of_table(again, examples, [2])[2].id != first.id
