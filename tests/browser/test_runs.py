"""Runs as the stage packs them: one solved by hand, and a planted one."""

import pytest

from replication.browser import inputs, pack, run
from replication.browser.cards import Offered
from replication.config import Config
from replication.features import shown
from replication.resolution import resolve
from tests import planted
from tests.browser.visits import PHONE, Site
from tests.unit.browser.conftest import make


def packed(layout, config: Config, *, mapped: bool) -> Site:
    """The browser of a run."""
    settings, names, out = config.settings(*inputs.EVERYTHING, models=list(config.models), dictionaries=list(config.dictionaries)), shown(config), layout.browser()
    for name in names:
        pack.table(settings=settings, name=name, shown=names, offered=Offered(inputs.explained(name, config), mapped and inputs.mapped(name, config)), layout=layout, out=out / "data")
    run.shared(settings=settings, layout=layout, out=out / "data")
    run.page(settings=settings, layout=layout, entries=[out / "data" / f"{name}.json" for name in names], out=out)
    return Site(out)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory) -> Site:
    """A run of four features whose cards are worked out by hand in tests/unit/browser."""
    tiny = make(tmp_path_factory.mktemp("by_hand"))
    return packed(tiny.layout, tiny.config, mapped=True)


@pytest.fixture(scope="module")
def sown(tmp_path_factory) -> Site:
    """A planted run."""
    config = resolve(planted.few())
    return packed(planted.plant(tmp_path_factory.mktemp("sown"), config), config, mapped=False)


def names_of(site: Site) -> list[str]:
    return [f"{table['name']}/{feature}" for table in site.run["tables"] for feature in range(table["features"])]


def test_a_run_solved_by_hand_is_drawn_as_it_was_solved(visit, by_hand):
    there = visit("#/A/1/0", site=by_hand)
    card = there.card("A/1/0")
    rows = card.evaluate("""(card) => [...card.querySelectorAll("[data-example]")].map((row) => [...row.querySelectorAll("[data-place]")].map((cell) => {
        const style = getComputedStyle(cell);
        return [cell.textContent, style.backgroundColor === "rgba(0, 0, 0, 0)" ? "" : "fires", parseFloat(style.borderBlockEndWidth) ? style.borderBlockEndStyle : ""];
    }))""")
    # it is strongest at place 5 of the second context; ablating it makes the next token less likely
    assert rows[0] == [["</script><!--", "", ""], ["four", "", ""], ["\\u202efive", "", ""], ["zero", "", ""], ["one", "fires", ""], ["two", "", "solid"], ["</script><!--", "", ""], ["four", "", ""],
                       ["\\u202efive", "", ""]]
    assert "said <b>" in card.inner_text() and "looked up" in card.inner_text()
    assert there.walk(names_of(by_hand)) >= {f"#/{name}" for name in names_of(by_hand)}


@pytest.mark.browser_slow
def test_the_links_of_a_planted_run(visit, sown):
    there = visit("#/A/1/0", site=sown)
    there.card("A/1/0")
    assert len(there.walk(names_of(sown)[::10])) > 100
    for text in sown.run["texts"]:
        there.go(f"#/text/{text['id']}")
        there.page.wait_for_function("title => document.querySelector('.text h1')?.textContent === title", arg=text["title"])
    assert there.alerts() == []


@pytest.mark.browser_slow
def test_a_planted_run_fits_a_phone(visit, sown):
    there = visit("#/", site=sown, **PHONE)
    for hash in ("#/", "#/A/1", "#/A/1/0", "#/A/neurons/3", *(f"#/text/{text['id']}" for text in sown.run["texts"])):
        there.go(hash)
        there.page.wait_for_timeout(250)
        assert there.page.evaluate("document.documentElement.scrollWidth") <= 360, hash
