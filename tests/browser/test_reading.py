"""For whoever reads: accessibility, phones, light and dark."""

import os
from pathlib import Path

import pytest

from tests.browser.test_opening import PAGES, ready
from tests.browser.visits import PHONE, mostly_slow

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
KINDS = [*PAGES, "filters", "help", "predictions", "wide"]
WIDER = """[...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && getComputedStyle(one).position !== "fixed"
    && !one.closest("[data-clipped]")).slice(0, 5).map((one) => one.outerHTML.slice(0, 120))"""


def show(visit, kind: str, **options):
    """A kind of page, with what opens on it."""
    start = {"filters": "table", "help": "card", "predictions": "card", "wide": "card"}.get(kind, kind)
    there = visit(PAGES[start] if kind not in ("predictions", "wide") else "#/A/1/45", **options)
    ready(there, start)
    page = there.page
    if kind == "filters":
        page.get_by_role("button", name="Filters").click()
    elif kind == "help":
        page.get_by_role("button", name="Help and keys").click()
        page.locator("dialog[open]").wait_for()
    elif kind == "predictions":
        page.get_by_role("button", name="Show what was predicted").click()
        page.locator(".card-levels").first.wait_for()
    elif kind == "wide":
        page.get_by_role("button", name="Widen all").click()
        page.locator("[data-example='70'].card-wide").wait_for()
    return there


@pytest.mark.parametrize("kind", mostly_slow(["wide", *(kind for kind in KINDS if kind != "wide")]))
def test_a_phone_never_scrolls_sideways(visit, kind):
    there = show(visit, kind, **PHONE)
    there.page.wait_for_timeout(150)
    width = there.page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, visualViewport.width, innerWidth]")
    assert width[0] <= 360 and width[1] <= 360 and width[3] == 360, there.page.evaluate(WIDER)
    there.page.evaluate("scrollTo(200, 0)")
    assert there.page.evaluate("scrollX") == 0


@pytest.mark.browser_slow
@pytest.mark.parametrize("wide", [pytest.param(PHONE, id="phone"), pytest.param({}, id="desk")])
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_serious_fault(visit, kind, colours, wide):
    if not AXE.is_file():
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)("axe-core is not installed: make test-browser installs it")
    there = show(visit, kind, color_scheme=colours, reduced_motion="reduce", **wide)
    there.page.wait_for_timeout(100)
    there.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = there.page.evaluate("axe.run(document, { resultTypes: ['violations'], preload: false }).then(({ violations }) => violations)")
    bad = [(one["id"], one["impact"], one["help"], [(node["target"], node["failureSummary"][:300]) for node in one["nodes"][:2]], len(one["nodes"])) for one in found if one["impact"] in ("serious", "critical")]
    assert bad == []


@pytest.mark.browser_slow
def test_light_and_dark_differ_and_can_be_read(visit):
    colours = {}
    for scheme in ("light", "dark"):
        there = visit("#/A/1/45", color_scheme=scheme)
        there.card("A/1/45")
        colours[scheme] = there.page.evaluate("[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color].map((one) => one.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 765)")
    assert colours["light"][0] > 0.9 and colours["light"][1] < 0.3 and colours["dark"][0] < 0.2 and colours["dark"][1] > 0.7


@pytest.mark.browser_slow
def test_print_and_zoom_keep_the_card_whole(visit):
    there = visit("#/A/1/45", viewport={"width": 640, "height": 400})  # a desk at 200 %
    there.card("A/1/45")
    assert there.page.evaluate("document.documentElement.scrollWidth") <= 640
