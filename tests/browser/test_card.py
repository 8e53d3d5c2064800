"""The card: what it draws is what the values say."""

import re

import numpy as np
import pytest

from tests.browser.expected import number, token_at, visible
from tests.browser.visits import eventually, mostly_slow

LEAST = 0.05  # share of the largest effect from which it is underlined
ROWS = """(card) => [...card.querySelectorAll("[data-example]")].map((row) => [...row.querySelectorAll("[data-place]")].map((cell) => {
    const style = getComputedStyle(cell);
    return { text: cell.textContent, place: Number(cell.dataset.place), weight: Number(style.fontWeight), background: style.backgroundColor, line: parseFloat(style.borderBlockEndWidth) && style.borderBlockEndStyle,
        colour: style.borderBlockEndColor.match(/\\d+/g).map(Number) };
}))"""


def share(background: str) -> float:
    """How strong a background is."""
    numbers = [float(one) for one in re.findall(r"[\d.]+", background)]
    return numbers[3] if len(numbers) > 3 else 1.0


def agrees(row, example, shared, maximum: float, largest: float, tokens=None, start=None) -> None:
    """A window's cells show its tokens, activations behind them and effects below them, each in its own place."""
    tokens, start = example.tokens if tokens is None else tokens, example.start if start is None else start
    assert [cell["text"] for cell in row] == [visible(shared.vocabulary[token]) for token in tokens]
    assert [cell["place"] for cell in row] == list(range(start, start + len(tokens)))
    fired, effects = dict(example.fired), dict(example.effects)
    strength = max(share(cell["background"]) / (fired[cell["place"]] / maximum) for cell in row if cell["place"] in fired)
    for cell in row:
        place = cell["place"]
        assert (cell["weight"] >= 700) == (place == 0)
        assert share(cell["background"]) == pytest.approx(strength * fired.get(place, 0) / maximum, abs=0.01)
        if abs(effects.get(place, 0)) >= LEAST * largest * 1.01:
            assert cell["line"] == ("solid" if effects[place] < 0 else "dashed")
            red, _, blue = cell["colour"][:3]
            assert red > blue if effects[place] < 0 else blue > red
        elif abs(effects.get(place, 0)) <= LEAST * largest * 0.99:
            assert not cell["line"]


@pytest.mark.parametrize("colours", mostly_slow(["light", "dark"]))
def test_windows_show_tokens_activations_and_effects(visit, made, colours):
    cards, columns = made.cards["A/1"], made.tables["A/1"].columns
    there = visit("#/A/1/3", color_scheme=colours)
    for feature in (3, 16, 45):
        there.go(f"#/A/1/{feature}")
        rows = there.card(f"A/1/{feature}").evaluate(ROWS)
        card = cards[feature]
        largest = max(abs(effect) for example in card.examples for _, effect in example.effects)
        assert len(rows) == len(card.examples)
        for row, example in zip(rows, card.examples, strict=True):
            agrees(row, example, made.shared, float(columns.max[feature]), largest)
        for example in card.examples:  # the effect of a firing is on the token after it
            assert {place for place, _ in example.effects} <= {place + 1 for place, _ in example.fired}


@pytest.mark.browser_slow
def test_groups_have_their_names_and_sizes(visit):
    there = visit("#/A/1/3")
    groups = there.card("A/1/3").evaluate("(card) => [...card.querySelectorAll('.card-group')].map((one) => [one.querySelector('h3, h4').firstChild.textContent, one.querySelectorAll('[data-example]').length])")
    assert groups == [["Top activations", 20], *([f"Interval {k}", 5] for k in range(1, 12)), ["Bottom activations", 20]]


@pytest.mark.parametrize("some", mostly_slow([[0], [30, 70]], 0))
def test_a_window_widens_to_the_text_around_it(visit, made, some):
    card = made.cards["A/1"][45]
    there = visit("#/A/1/45")
    place = there.card("A/1/45")
    maximum, largest = float(made.tables["A/1"].columns.max[45]), max(abs(effect) for example in card.examples for _, effect in example.effects)
    for k in some:
        example = card.examples[k]
        place.locator(f"[data-example='{k}'] .card-widen").click()
        start, end = max(0, example.pos - 32), min(made.shared.contexts.shape[1], example.pos + 33)
        place.locator(f"[data-example='{k}'].card-wide").wait_for()
        agrees(place.evaluate(ROWS)[k], example, made.shared, maximum, largest, made.shared.contexts[example.context, start:end].tolist(), start - example.pos)
        place.locator(f"[data-example='{k}'] .card-widen").click()
        agrees(place.evaluate(ROWS)[k], example, made.shared, maximum, largest)


@pytest.mark.browser_slow
def test_an_example_without_a_context_cannot_be_widened(visit):
    there = visit("#/A/1/3")
    assert there.card("A/1/3").locator("[data-example]").count() == 95
    assert there.page.locator("#card .card-widen").count() == 0  # the planted token stands in no context


@pytest.mark.browser_slow
def test_pointing_at_a_token_tells_its_values(visit, made):
    example, maximum = made.cards["A/1"][45].examples[0], float(made.tables["A/1"].columns.max[45])
    effects = dict(example.effects)
    there = visit("#/A/1/45")
    row = there.card("A/1/45").locator("[data-example='0']")
    for place, activation in [one for one in example.fired if token_at(example, one[0]) >= 0]:
        row.locator(f"[data-place='{place}']").hover()
        tip = there.page.locator(".card-tip:popover-open")
        tip.wait_for()
        eventually(lambda place=place, tip=tip: tip.locator("p").first.inner_text().strip().startswith(visible(made.shared.vocabulary[token_at(example, place)]).strip()), True)
        said = tip.inner_text()
        assert number(said.split("Activation ")[1]) == pytest.approx(activation, rel=0.01)
        assert number(re.search(r", (\S+) % of the maximum", said)[1]) == pytest.approx(100 * activation / maximum, rel=0.01)
        if place in effects:
            assert number(said.split("Ablation: ")[1]) == pytest.approx(effects[place], rel=0.01)


@pytest.mark.browser_slow
def test_tokens_are_reached_by_keys_and_told(visit, made):
    there = visit("#/A/1/45")
    there.card("A/1/45").locator("[data-example='0'] [data-place='0']").click()
    there.page.keyboard.press("ArrowRight")
    focused = "[document.activeElement.closest('[data-example]')?.dataset.example, document.activeElement.dataset.place]"
    assert there.page.evaluate(focused) == ["0", "1"]
    there.page.keyboard.press("ArrowDown")
    assert there.page.evaluate(focused)[0] == "1"
    assert "Activation" in there.page.locator(".card-tip:popover-open").inner_text() or "Does not fire" in there.page.locator(".card-tip:popover-open").inner_text()
    there.card("A/1/45")  # arrows among tokens do not leave the card
    there.page.keyboard.press("Enter")
    there.page.locator("[data-example='1'].card-wide").wait_for()


@pytest.mark.browser_slow
def test_histograms_have_every_bin(visit, made):
    card = made.cards["A/1"][45]
    there = visit("#/A/1/45")
    charts = there.card("A/1/45").locator("figure svg")
    for chart, histogram in zip([charts.nth(0), charts.nth(1)], [card.activations, card.logits], strict=True):
        bins = chart.evaluate("(chart) => [...chart.querySelectorAll('.chart-bin')].map((bin) => [bin.dataset.tip, bin.getBoundingClientRect().width])")
        assert [number(tip.split(": ")[1]) for tip, _ in bins] == list(histogram.counts)
        assert [number(tip) for tip, _ in bins] == pytest.approx(histogram.edges[:-1], rel=0.01, abs=1e-3)
        assert all(width > 1 for _, width in bins)
        heights = chart.evaluate("""(chart) => [...chart.querySelectorAll(".chart-bars")].flatMap((path) => [...(path.getAttribute("d") || "").matchAll(/M([\\d.]+) ([\\d.]+)V([\\d.]+)/g)])
            .map(([, x, floor, top]) => [Number(x), floor - top]).sort((a, b) => a[0] - b[0]).map(([, height]) => height)""")
        counts = [count for count in histogram.counts if count]
        assert np.array(heights) / max(heights) == pytest.approx(np.array(counts) / max(counts), abs=0.03)


@pytest.mark.browser_slow
def test_logit_weights_relations_and_scores_are_those_of_the_card(visit, made):
    card = made.cards["A/1"][45]
    there = visit("#/A/1/45")
    place = there.card("A/1/45")
    for listed, pairs in zip(place.locator(".card-logits").all(), (card.up, card.down), strict=True):
        rows = listed.locator("li").all()
        assert [row.locator(".token").inner_text().strip() for row in rows] == [visible(made.shared.vocabulary[token]).strip() for token, _ in pairs]
        assert [number(row.locator(".card-number").inner_text()) for row in rows] == pytest.approx([weight for _, weight in pairs], rel=0.01, abs=5e-6)
    shown = place.locator(".card-relation li").evaluate_all("(rows) => rows.map((row) => [row.querySelector('a').getAttribute('href'), row.querySelector('.card-number').textContent])")
    assert sorted(href.split("?")[0] for href, _ in shown) == sorted(f"#/{one.table}/{one.feature}" for one in card.relations)
    values = {(one.table, one.feature): one.value for one in card.relations}
    for href, text in shown:
        _, model, name, feature = href.split("/")
        assert any(number(text) == pytest.approx(one.value, rel=0.01) for one in card.relations if (one.table, one.feature) == (f"{model}/{name}", int(feature))), values
    said = place.locator(".card-explanations").inner_text()
    assert re.search(r"Spearman\s+0\.7\b", said) and re.search(r"Pearson\s+0\.8\b", said) and re.search(r"−0\.02\b", said) and "reply was late" in said


@pytest.mark.browser_slow
def test_predictions_stand_beside_what_was_true(visit, made):
    windows = dict(made.tables["A/1"].predictions)[45]
    there = visit("#/A/1/45")
    there.card("A/1/45").get_by_role("button", name="Show what was predicted").click()
    there.page.locator(".card-levels").first.wait_for()
    shown = there.page.locator(".card-levels").evaluate_all("(all) => all.map((one) => [...one.querySelectorAll('.card-level')].map((cell) => [...cell.querySelectorAll('.card-digit')].map((digit) => Number(digit.textContent))).filter((some) => some.length))")
    assert shown == [[list(pair) for pair in zip(window.levels, window.predicted["ngram"], strict=True)] for window in windows]


@pytest.mark.parametrize("name, said, unsaid", mostly_slow([("A/1/6", ["dead", "never fires"], ["Activations and", "Top activations"]), ("A/1/5", ["ultralow", "no intervals"], ["Interval 1"]), ("A/neurons/3", ["Maximum", "single-token"], ["Bias"]),
                                                ("A/1/0", ["Arabic script 0.61", "single-token", "Bias", "DNA"], ["dead"]), ("A/0/1", ["Best match in A/1"], ["single-token"])], 0))
def test_each_kind_of_card_says_what_it_is(visit, name, said, unsaid):
    there = visit(f"#/{name}?parts=duo")
    text = there.card(name).inner_text()
    assert all(one in text for one in said) and not any(one in text for one in unsaid)


@pytest.mark.browser_slow
def test_a_card_that_arrives_late_does_not_replace_the_one_asked_for_after_it(visit):
    there = visit("#/A/1/200")
    there.card("A/1/200")
    held = []
    there.page.route("**/A/1/cards/0.js", lambda route: held.append(route))
    there.page.reload()  # files are held back from the next load on
    there.card("A/1/200")
    there.go("#/A/1/0")
    eventually(lambda: there.page.evaluate("location.hash") and len(held), 1)
    there.go("#/A/1/255")
    there.card("A/1/255")
    held[0].continue_()
    there.page.wait_for_timeout(300)
    there.card("A/1/255")
    assert there.page.locator("#card .card").count() == 1
    there.go("#/A/1/0")
    there.card("A/1/0")


@pytest.mark.parametrize("some", mostly_slow([1, 50], 0))
def test_every_link_of_a_card_leads_to_what_it_names(visit, made, some):
    there = visit("#/A/1/0")
    there.card("A/1/0")
    features = np.random.default_rng(some).choice(256, some, replace=False).tolist()
    walked = there.walk([f"A/1/{feature}" for feature in features])
    wanted = {f"{one.table}/{one.feature}" for feature in features for one in made.cards["A/1"][feature].relations}
    assert wanted <= {href.removeprefix("#/").split("?")[0] for href in walked}


@pytest.mark.browser_slow
def test_a_click_on_a_relation_opens_it_and_back_returns(visit):
    there = visit("#/A/1/45?order=max&q=w1")
    link = there.card("A/1/45").locator(".card-relation a[href^='#/A/0/']").first
    name = link.inner_text()
    link.click()
    there.card(name)
    there.page.go_back()
    there.card("A/1/45")
    eventually(lambda: there.hash.split("scroll")[0].rstrip("&"), "#/A/1/45?order=max&q=w1")


