"""Finding features: search, orders, filters, scatters, keys, links, and a list of 20,000."""

import csv
import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser.expected import fires_on, kept, number, ordered, plain, regex, text_hits
from tests.browser.visits import MANY, eventually, mostly_slow, settled

TALL = {"viewport": {"width": 1280, "height": 9000}}  # every row of the list is in sight
HITS = "[...document.querySelectorAll('#list .list-row')].map((row) => [Number(row.querySelector('a').textContent), row.lastElementChild.textContent])"


def found(there) -> dict[int, float]:
    """Features in the list with the value of their last column."""
    return {feature: number(text) for feature, text in there.page.evaluate(HITS)}


def said(there) -> str:
    return there.page.locator(".find-said").inner_text()


@pytest.mark.parametrize("query, link, matches", mostly_slow([
    (" planted", "", plain(" planted")), ("gattaca", "", plain("gattaca")), ("GATTACA", "&case=", plain("GATTACA", case=True)), ("gattaca", "&case=", plain("gattaca", case=True)), ("w1", "", plain("w1")),
    (" w12 w", "", plain(" w12 w")), ("</script><!--", "", plain("</script><!--")), ("\u202eevil", "", plain("\u202eevil")), ("כ", "", plain("כ")), ("nowhere", "", plain("nowhere")), ("\n", "", plain("\n")),
    (r"plan\w+d", "&regex=", regex(r"plan\w+d")), (r"w\d{3} w(1|2)\d\b", "&regex=", regex(r"w\d{3} w(1|2)\d\b")), ("[A-Z]{4}", "&regex=&case=", regex("[A-Z]{4}", case=True)), (r"\\frac\{", "&regex=", regex(r"\\frac\{"))], 0))
def test_text_is_found_in_the_windows_that_hold_it(visit, made, query, link, matches):
    wanted = text_hits(made.cards["A/1"], made.shared, matches)
    there = visit(f"#/A/1?order=hits&parts=duo&q={quote(query)}{link}", **TALL)
    eventually(lambda: said(there).split(";")[0], f"{sum(wanted.values()):,} {'window' if sum(wanted.values()) == 1 else 'windows'} of {len(wanted)} {'feature' if len(wanted) == 1 else 'features'}")
    eventually(lambda: found(there), wanted)
    assert there.rows() == sorted(wanted, key=lambda feature: (-wanted[feature], feature))


def test_the_planted_token_is_found_by_every_kind_of_search(visit, made):
    there = visit("#/A/1")
    there.page.keyboard.press("/")
    there.page.keyboard.type(" planted")
    eventually(there.rows, [3])
    there.page.keyboard.press("Enter")
    there.page.keyboard.press("Enter")
    card = there.card("A/1/3")
    eventually(lambda: card.locator(".card-match").count(), len(made.cards["A/1"][3].examples))
    there.go("#/A/1/3?q=PLAN%5Cw%2Bd%24%3F&regex=")
    eventually(lambda: there.card("A/1/3").locator(".card-match").count(), len(made.cards["A/1"][3].examples))
    there.go("#/A/1?q=%20planted&mode=token")
    eventually(there.rows, [3])
    there.go("#/A/1?q=GATTACA&mode=explanation&parts=duo")
    eventually(there.rows, [card.feature for card in made.cards["A/1"] if any("GATTACA" in one.text for one in card.explanations)])


@pytest.mark.parametrize("token", mostly_slow([" planted", "<script>window.attacked=1</script>", "\x00", " w500", "ACGT"], 0))
def test_features_of_a_token(visit, made, token):
    place = made.shared.vocabulary.index(token)
    there = visit(f"#/A/1?mode=token&case=&parts=duo&q={quote(token)}", **TALL)
    eventually(lambda: set(there.rows()), fires_on(made.cards["A/1"], place))
    for aspect, sign in (("promotes", 1), ("suppresses", -1)):
        there.go(f"#/A/1?mode=token&case=&parts=duo&aspect={aspect}&order=hits&q={quote(token)}")
        weights = {card.feature: weight for card in made.cards["A/1"] for some, weight in (*card.up, *card.down) if some == place and weight * sign > 0}
        eventually(lambda weights=weights: set(there.rows()), set(weights))
        assert found(there) == pytest.approx(weights, rel=0.05)


@pytest.mark.parametrize("query, mode", mostly_slow([("(", "text"), ("[", "token"), ("a{2,1}", "explanation"), ("*", "text")], 0))
def test_what_is_no_regular_expression_is_told(visit, query, mode):
    there = visit(f"#/A/1?regex=&mode={mode}&q={quote(query)}")
    eventually(lambda: said(there).startswith("This is not a regular expression: "), True)
    there.page.locator("#query").fill("w1")
    there.page.get_by_label("regular expression").uncheck()
    eventually(lambda: "not a regular" in said(there), False)


@pytest.mark.browser_slow
def test_an_expression_that_takes_for_ever_is_stopped_and_the_page_stays_quick(visit):
    there = visit("#/A/1/45?regex=&q=" + quote(r"((.|\s)+)+\u0001"))
    there.card("A/1/45")
    there.page.wait_for_timeout(300)
    assert there.page.evaluate("new Promise((done) => { const asked = performance.now(); setTimeout(() => done(performance.now() - asked)); })") < 2000
    there.go("#/A/1/46?q=w1")  # another query does not wait for it
    eventually(lambda: "windows of" in said(there) and "searched" not in said(there), True)
    there.go("#/A/1/45?regex=&q=" + quote(r"((.|\s)+)+\u0002"))
    eventually(lambda: "takes too long" in said(there), True)


@pytest.mark.parametrize("order, column", mostly_slow([("max", "max"), ("density", "density"), ("score", "spearman"), ("logit_score", "logit_score"), ("universality", "universality")], 0))
def test_orders_are_those_of_the_columns(visit, made, order, column):
    columns = made.tables["A/1"].columns
    there = visit(f"#/A/1?parts=duo&order={order}", **TALL)
    eventually(there.rows, ordered(getattr(columns, column), kept(columns, "duo")))
    there.go(f"#/A/1?order={order}&direction=up")
    eventually(there.rows, ordered(getattr(columns, column), kept(columns), descending=False))
    assert there.listed() == kept(columns).sum()


@pytest.mark.browser_slow
def test_random_orders_are_shuffles_that_a_seed_fixes(visit, made):
    everyone = sorted(np.flatnonzero(kept(made.tables["A/1"].columns)).tolist())
    orders = {}
    there = visit("#/A/1?order=random", **TALL)
    for seed in (1, 2, 77):
        there.go(f"#/A/1?order=random&seed={seed}")
        eventually(lambda: sorted(there.rows()) == everyone and there.rows() not in orders.values(), True)
        orders[seed] = there.rows()
    again = visit("#/A/1?order=random&seed=2", **TALL)
    eventually(again.rows, orders[2])
    assert everyone not in orders.values()


@pytest.mark.parametrize("link, keeps", mostly_slow([
    ("parts=d", lambda c: c.part == 0), ("parts=u", lambda c: c.part == 1), ("single=yes", lambda c: c.single_token == 1), ("single=no&parts=duo", lambda c: c.single_token == 0),
    ("density=0.001%3A", lambda c: c.density >= 0.001), ("density=%3A0.0005&parts=duo", lambda c: c.density <= 0.0005), ("score=0.3%3A0.8", lambda c: (c.spearman >= 0.3) & (c.spearman <= 0.8)),
    ("cluster=7", lambda c: c.cluster == 7), ("panel=map&select=-1,-1,0.5,1", lambda c: (c.x >= -1) & (c.x <= 0.5) & (c.y >= -1) & (c.y <= 1)),
    ("panel=density&select=-3.5,-0.4,-2.5,0", lambda c: (c.density >= 10 ** -3.5) & (c.density <= 10 ** -2.5) & (c.bias >= -0.4) & (c.bias <= 0)),
    ("single=yes&density=0.001%3A0.01&q=w1&order=index", lambda c: (c.single_token == 1) & (c.density >= 0.001) & (c.density <= 0.01))], 0))
def test_filters_keep_the_right_features(visit, made, link, keeps):
    columns = made.tables["A/1"].columns
    parts = "d" if "parts=d&" in link + "&" else "u" if "parts=u" in link else "duo" if "parts=duo" in link else "uo"
    with np.errstate(invalid="ignore"):
        wanted = np.flatnonzero(keeps(columns) & kept(columns, parts)).tolist()
    if "q=w1" in link:
        wanted = [feature for feature in wanted if feature in text_hits(made.cards["A/1"], made.shared, plain("w1"))]
    there = visit(f"#/A/1?{link}", **TALL)
    eventually(there.rows, wanted)
    assert 0 < len(wanted) < 256 and there.listed() == len(wanted)
    assert there.page.locator(".find-count").inner_text() == f"{len(wanted)} of 256"


@pytest.mark.browser_slow
def test_controls_write_what_links_hold(visit, made):
    there = visit("#/A/1", **TALL)
    page = there.page
    page.get_by_label("Order").select_option("density")
    eventually(lambda: there.hash, "#/A/1?order=density")
    page.locator(".find-direction").click()
    eventually(lambda: there.hash, "#/A/1?order=density&direction=up")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("ultralow").uncheck()
    eventually(lambda: there.hash, "#/A/1?order=density&direction=up&parts=o")
    page.get_by_label("density from").fill("0.001")
    page.keyboard.press("Enter")
    eventually(lambda: "density=0.001%3A" in there.hash, True)
    columns = made.tables["A/1"].columns
    eventually(there.rows, ordered(columns.density, kept(columns, "o") & (columns.density >= 0.001), descending=False))
    page.get_by_role("button", name="Reset filters").click()
    eventually(lambda: there.hash, "#/A/1?order=density&direction=up")


@pytest.mark.browser_slow
def test_a_region_of_a_scatter_lists_the_features_in_it(visit, made):
    columns = made.tables["A/1"].columns
    there = visit("#/A/1?panel=map", viewport={"width": 1280, "height": 2400})
    box = there.page.locator("#list canvas").bounding_box()
    there.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    there.page.mouse.down()
    there.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.8, steps=4)
    there.page.mouse.up()
    eventually(lambda: "select=" in there.hash, True)
    x0, y0, x1, y1 = map(float, there.hash.split("select=")[1].split("&")[0].replace("%2C", ",").split(","))
    inside = kept(columns) & (columns.x >= x0) & (columns.x <= x1) & (columns.y >= y0) & (columns.y <= y1)
    eventually(there.listed, int(inside.sum()))
    assert 10 < inside.sum() < 200 and x0 < x1 and y0 < y1
    shown = there.page.evaluate("(() => { const canvas = document.querySelector('#list canvas'); const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; return new Set(new Uint32Array(data.buffer)).size; })()")
    assert shown > 20  # something is drawn
    there.page.get_by_role("button", name="Clear region").click()
    eventually(there.listed, int(kept(columns).sum()))


@pytest.mark.browser_slow
def test_the_listed_features_are_saved_as_a_table(visit, made):
    columns = made.tables["A/1"].columns
    there = visit("#/A/1?order=max&single=yes")
    eventually(there.listed, int((kept(columns) & (columns.single_token == 1)).sum()))
    with there.page.expect_download() as download:
        there.page.get_by_role("button", name="Table as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert [int(row["feature"]) for row in rows] == ordered(columns.max, kept(columns) & (columns.single_token == 1))
    for row in rows:
        feature = int(row["feature"])
        assert float(row["density"]) == pytest.approx(columns.density[feature], rel=1e-5) and row["part"] == ("dead", "ultralow", "other")[columns.part[feature]]
        assert json.loads(row["fires_1"]) == made.shared.vocabulary[columns.fires[feature, 0]]


@pytest.mark.browser_slow
def test_keys_walk_through_the_list(visit, made):
    columns = made.tables["A/1"].columns
    order = ordered(columns.max, kept(columns))
    there = visit("#/A/1?order=max")
    eventually(lambda: there.rows()[0], order[0])
    for key, place in (("j", 0), ("j", 1), ("ArrowRight", 2), ("k", 1), ("j", 2), ("j", 3), ("ArrowLeft", 2)):
        there.page.keyboard.press(key)
        there.card(f"A/1/{order[place]}")
    there.page.keyboard.press("/")
    eventually(lambda: there.page.evaluate("document.activeElement.id"), "query")
    there.page.keyboard.type("jk?w")
    eventually(lambda: "q=jk%3Fw" in there.hash, True)
    there.card(f"A/1/{order[2]}")  # typing does not walk, nor open the help
    assert there.page.locator("dialog[open]").count() == 0
    there.page.keyboard.press("Escape")
    eventually(lambda: there.page.evaluate("document.activeElement.id"), "")
    there.page.keyboard.press("?")
    there.page.locator("dialog[open]").wait_for()
    there.page.keyboard.press("j")
    there.page.keyboard.press("Escape")
    eventually(lambda: there.page.locator("dialog[open]").count(), 0)
    there.card(f"A/1/{order[2]}")
    there.page.keyboard.press("Escape")
    eventually(lambda: there.hash.startswith("#/A/1?"), True)
    there.page.keyboard.press("Escape")
    eventually(lambda: there.hash, "#/")


def test_quick_keys_are_all_counted(visit, made):
    order = ordered(made.tables["A/1"].columns.max, kept(made.tables["A/1"].columns))
    there = visit("#/A/1?order=max")
    eventually(lambda: there.rows()[0], order[0])
    there.page.evaluate("for (const key of 'jjjjkj') document.dispatchEvent(new KeyboardEvent('keydown', { key, cancelable: true }))")
    there.card(f"A/1/{order[3]}")


@pytest.mark.browser_slow
def test_enter_opens_a_row_and_tab_reaches_it(visit, made):
    there = visit("#/A/1?order=density")
    there.page.locator("#list .list-row").first.wait_for()
    there.page.locator("#query").focus()
    for _ in range(20):
        there.page.keyboard.press("Tab")
        if there.page.evaluate("document.activeElement.classList.contains('list-link')"):
            break
    first = ordered(made.tables["A/1"].columns.density, kept(made.tables["A/1"].columns))[0]
    assert there.page.evaluate("document.activeElement.textContent") == str(first)
    there.page.keyboard.press("Enter")
    there.card(f"A/1/{first}")
    assert there.page.locator("#list [aria-current=true]").inner_text() == str(first)


@pytest.mark.browser_slow
def test_back_and_forward_restore_what_was_there(visit):
    there = visit("#/A/1?order=density")
    first = there.page.locator("#list .list-row").first
    first.wait_for()

    def state():
        return there.page.evaluate("[location.hash, document.querySelector('#card h1')?.textContent, document.querySelector('#query').value, Math.round(document.querySelector('.list-view').scrollTop / 30)]")

    there.page.locator(".list-view").evaluate("(view) => { view.scrollTop = 1200; }")
    eventually(lambda: "scroll=40" in there.hash, True)
    states = []
    there.page.locator(".list-row").nth(15).locator("a").click()
    eventually(lambda: state()[1].startswith("A/1/"), True)
    states.append(settled(state))
    there.page.keyboard.press("j")
    states.append(settled(state))
    there.page.keyboard.press("/")
    there.page.keyboard.type("w1")
    eventually(lambda: "q=w1" in there.hash, True)
    states.append(settled(state))
    there.go("#/A/0/5")
    there.card("A/0/5")
    for wanted in reversed(states):
        there.page.go_back()
        eventually(state, wanted)
    for wanted in states[1:]:
        there.page.go_forward()
        eventually(state, wanted)
    there.page.go_forward()
    there.card("A/0/5")
    assert len({json.dumps(one) for one in states}) == 3


@pytest.mark.browser_slow
def test_a_query_with_a_line_end_outlives_the_field_that_drops_it(visit):
    there = visit("#/A/1?q=%0A&mode=token&case=")
    eventually(lambda: "of all" in said(there), True)
    before = (there.hash, there.rows())
    there.page.locator("#query").press("Enter")
    there.page.wait_for_timeout(400)
    assert (there.hash, there.rows()) == before and before[1]


@pytest.mark.browser_slow
def test_a_query_does_not_fill_the_history(visit):
    there = visit("#/A/1")
    there.page.locator("#list .list-row").first.wait_for()
    before = there.page.evaluate("history.length")
    for letter in "planted":
        there.page.locator("#query").press_sequentially(letter)
        there.page.wait_for_timeout(200)
    eventually(there.rows, [3])
    assert there.page.evaluate("history.length") == before + 1
    there.page.go_back()
    eventually(lambda: there.page.locator("#query").input_value(), "")


@pytest.mark.browser_slow
def test_the_text_view_and_cards_lead_to_each_other(visit, made):
    there = visit("#/text/dna?table=A/1")
    firings = made.tables["A/1"].texts["dna"]
    there.page.locator(".text-token[data-pos='7']").click()
    wanted = {one.feature: one.activation for one in firings if one.pos == 7}

    def rows():
        return {int(row[0].rsplit("/", 1)[1]): number(row[1]) for row in there.page.evaluate("[...document.querySelectorAll('.text-table tbody tr')].map((row) => [row.querySelector('a').textContent, row.cells[1].textContent])")}

    eventually(lambda: set(rows()), set(wanted))
    assert rows() == pytest.approx(wanted, rel=0.01) and list(rows()) == sorted(wanted, key=lambda feature: -wanted[feature])
    assert "token=7" in there.hash
    link = there.page.locator(".text-table a").first
    name = link.inner_text()
    link.click()
    there.card(name)
    there.page.go_back()
    eventually(lambda: set(rows()), set(wanted))
    there.go("#/A/1/4")
    there.card("A/1/4").locator("a[href^='#/text/dna']").click()
    eventually(lambda: there.page.locator("main h1").inner_text(), "DNA")


@pytest.mark.browser_slow
def test_the_run_index_sorts_and_links(visit):
    there = visit("#/")
    names = "[...document.querySelectorAll('.run-table tbody th')].map((cell) => cell.firstChild.textContent)"
    eventually(lambda: there.page.evaluate(names), ["A/0", "A/1", "A/2", "A/neurons"])
    there.page.get_by_role("button", name="size").click()
    eventually(lambda: there.page.evaluate(names), ["A/2", "A/1", "A/0", "A/neurons"])
    assert there.page.evaluate("[...document.querySelectorAll('.run-table a')].map((link) => link.getAttribute('href'))") == ["#/A/1", "#/A/0", "#/A/neurons"]
    there.page.locator(".run-table a").first.click()
    there.page.locator("#list .list-row").first.wait_for()


@pytest.mark.browser_slow
def test_a_list_of_20000_has_few_rows_and_reaches_the_last(visit, many):
    columns = many.tables["A/1"].columns
    order = ordered(columns.density, kept(columns, "duo"))
    there = visit("#/A/1?order=density&parts=duo", site=many)
    eventually(there.listed, MANY)
    eventually(lambda: there.rows()[:10], order[:10])
    for share in (0.25, 0.5, 1):
        there.page.locator(".list-view").evaluate("(view, share) => { view.scrollTop = view.scrollHeight * share; }", share)
        eventually(lambda share=share: any(abs(order.index(feature) - share * MANY) < 40 for feature in there.rows()), True)
        rows = there.rows()
        assert len(rows) < 80 and rows == order[order.index(rows[0]):][:len(rows)]
    assert there.rows()[-1] == order[-1]
    there.page.locator(f".list-link:text-is('{order[-1]}')").click()
    there.card(f"A/1/{order[-1]}")
    for _ in range(3):
        there.page.keyboard.press("k")
    there.card(f"A/1/{order[-4]}")
    there.go("#/A/1/17?parts=duo")
    there.card("A/1/17")
    eventually(lambda: 17 in there.rows(), True)
    assert there.page.evaluate("document.querySelectorAll('*').length") < 3000


@pytest.fixture(scope="module")
def worker(inside):
    """Search a list of windows of token texts by the page's own worker: the numbers of those that match."""
    def search(tokens: list[str], windows: list[list[int]], **query) -> list[int]:
        return inside("""new Promise((done, fail) => {
            const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" })));
            worker.onmessage = ({ data }) => { worker.terminate(); done([...data.features].sort((a, b) => a - b)); };
            worker.onerror = (event) => fail(new Error(event.message));
            worker.postMessage({ vocabulary: tokens, wide: false });
            worker.postMessage({ asked: { id: 1, what: "windows", ...query } });
            worker.postMessage({ piece: { what: "windows", k: 0, first: 0, tokens: Uint16Array.from(windows.flatMap((window) => [...window, tokens.length, tokens.length + 1])).buffer } });
        })""", tokens=tokens, windows=windows, query=query)

    return search


@st.composite
def searches(draw) -> tuple[list[str], list[list[int]], str]:
    """Token texts, windows of them, and a query that is cut from one of the windows, now and then in the other case."""
    tokens = draw(st.lists(st.text("aAbÉ\n", min_size=1, max_size=2), min_size=2, max_size=6, unique=True))
    windows = draw(st.lists(st.lists(st.integers(0, len(tokens) - 1), min_size=2, max_size=6), min_size=1, max_size=8))
    text = "".join(tokens[token] for token in draw(st.sampled_from(windows)))
    start = draw(st.integers(0, len(text) - 2))
    query = text[start:start + draw(st.integers(1, 5))]
    return tokens, windows, query.swapcase() if draw(st.booleans()) else query


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=searches(), case=st.booleans())
def test_search_finds_what_a_plain_search_in_the_joined_text_finds(worker, made, case):
    """Also across the edges of tokens, which the worker's short cut has to get right."""
    tokens, windows, query = made
    wanted = [k for k, window in enumerate(windows) if plain(query, case)("".join(tokens[token] for token in window))]
    assert worker(tokens, windows, query=query, regex=False, caseSensitive=case) == wanted
