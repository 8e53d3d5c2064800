"""Made-up sites and visits to them that watch for everything that must not happen."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from replication.browser import schema, tables
from tests.browser import synthetic

FEATURES, VOCABULARY, MANY = 256, 1000, 20_000
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
WALK = """async ([names, titles]) => {
    const seen = new Map();
    const settled = async (wanted) => {
        for (let k = 0; k < 2000; k++) {
            const heading = document.querySelector("#card .card h1, main .text h1")?.textContent.trim() ?? "";
            if (heading.split(" ")[0] === wanted || heading === wanted) return wanted;
            await new Promise((done) => setTimeout(done, 10));
        }
        return "nothing";
    };
    for (const name of names) {
        location.hash = `#/${name}`;
        seen.set(`#/${name}`, [name, (await settled(name)) === name, document.querySelectorAll("[role=alert]").length]);
        const links = [...document.querySelectorAll("#card a[href]")].map((link) => [link.getAttribute("href"), (link.getAttribute("aria-label") ?? link.textContent).trim()]).filter(([href]) => !seen.has(href));
        for (const [href, text] of links) {
            location.hash = href;
            const path = href.replace(/^#\\/|\\?.*$/g, "");
            const wanted = titles[path] ?? path;
            seen.set(href, [text, await settled(wanted) === wanted, document.querySelectorAll("[role=alert]").length]);
        }
    }
    return [...seen].map(([href, about]) => [href, ...about]);
}"""
# what the unit tests of the page's own functions call
NAMES = ("parse", "href", "start", "visible", "numeral", "shardOf", "load", "loadRun", "loadIndex", "loadCard", "loadVocabulary", "floats", "WORKER", "make", "svg", "token", "matcher")


@dataclass
class Site:
    """A browser's folder and, of a made-up one, the values that it was made from."""

    folder: Path
    shared: schema.Shared | None = None
    tables: dict[str, schema.Table] = field(default_factory=dict)
    cards: dict[str, list[schema.Card]] = field(default_factory=dict)

    @property
    def run(self) -> dict[str, Any]:
        """The run index, read in Python."""
        return json.loads((self.folder / "run.js").read_text().removeprefix('shard("run",').rstrip().removesuffix(");"))

    def address(self, hash: str = "") -> str:
        return (self.folder / "index.html").as_uri() + hash

    def copy(self, folder: Path) -> "Site":
        """A copy to be broken."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)


@dataclass
class Visit:
    """A page, and what went wrong on it: `faults` must be empty at the end, `expect` forgives those with certain words."""

    page: Any
    site: Site
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)

    def expect(self, *words: str) -> None:
        self.forgiven += words

    def go(self, hash: str) -> None:
        """Open a link of the page as a click would."""
        self.page.evaluate("hash => { location.hash = hash; }", hash)

    @property
    def hash(self) -> str:
        return self.page.evaluate("location.hash")

    def card(self, name: str) -> Any:
        """The card of `A/1/5`, when it is there."""
        self.page.wait_for_function("name => document.querySelector('#card .card h1')?.textContent.split(' ')[0] === name", arg=name)
        return self.page.locator("#card .card")

    def rows(self) -> list[int]:
        """The features whose rows are elements, from top to bottom."""
        return self.page.evaluate("""[...document.querySelectorAll("#list .list-row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => Number(row.querySelector("a").textContent))""")

    def listed(self) -> int:
        """How many features the list has."""
        return int(self.page.locator("#list .list-table").get_attribute("aria-rowcount") or 0) - 1

    def alerts(self) -> list[str]:
        return self.page.locator("[role=alert]").all_inner_texts()

    def walk(self, names: list[str]) -> set[str]:
        """Open cards and follow every link on them; each must lead to the card or text that it names. The links."""
        titles = {f"text/{text['id']}": text["title"] for text in self.site.run["texts"]}
        walked = {href: rest for href, *rest in self.page.evaluate(WALK, [names, titles])}
        assert [href for href, (text, arrived, alerts) in walked.items() if not (text and arrived and alerts == 0)] == []
        return set(walked)

    def check(self) -> None:
        """Nothing went wrong, nothing was asked for but the site's own files, no text of the corpus was executed."""
        faults = [*self.faults, *(f"violates the policy: {one}" for one in self.page.evaluate("window.violations"))]
        faults += [f"asked for {url}" for url in self.requests if not self.own(url)]
        if self.page.evaluate("'attacked' in window"):
            faults.append("text of the corpus was executed")
        assert [fault for fault in faults if not any(word in fault for word in self.forgiven)] == []

    def own(self, url: str) -> bool:
        address = urlsplit(url)
        path = unquote(address.path).removeprefix(self.site.folder.as_posix() if address.scheme == "file" else "")
        file = (self.site.folder / path.lstrip("/")).resolve()
        return address.scheme == "blob" or (address.hostname in (None, "127.0.0.1") and file.is_file() and file.is_relative_to(self.site.folder.resolve()))


def settled(get: Callable[[], Any], quiet: float = 0.6, seconds: float = 20) -> Any:
    """A value once it has not changed for a while."""
    until, found, since = time.monotonic() + seconds, get(), time.monotonic()
    while time.monotonic() - since < quiet and time.monotonic() < until:
        time.sleep(0.05)
        if (now := get()) != found:
            found, since = now, time.monotonic()
    return found


def eventually(get: Callable[[], Any], wanted: Any, seconds: float = 20) -> None:
    """Wait until a value is what it should be."""
    until = time.monotonic() + seconds
    while (found := get()) != wanted and time.monotonic() < until:
        time.sleep(0.03)
    assert found == wanted


def make_site(folder: Path, features: int, *, full: bool = True) -> Site:
    """A made-up site whose values are kept."""
    common = synthetic.shared(VOCABULARY)
    made = [replace(one, cards=list(one.cards), predictions=list(one.predictions)) for one in synthetic.made(common, features, full=full)]
    entries = [tables.write(one, VOCABULARY, folder / "data") for one in made]
    synthetic.write_page(common, entries, folder)
    return Site(folder, common, {one.name: one for one in made}, {one.name: list(one.cards) for one in made})


def expose(target: Site) -> Site:
    """Let tests call the page's own functions, as `inside.parse(...)`."""
    script = target.folder / "browser.js"
    body, closing, rest = script.read_text().rpartition("})();")
    known = [name for name in NAMES if re.search(rf"^(async )?(function|const|class) {name}\b", body, re.MULTILINE)]
    script.write_text(f"{body}window.inside = {{ {', '.join(known)} }};\n{closing}{rest}")
    return target


def opened(chrome: Any, target: Site, hash: str = "", *, address: str | None = None, offline: bool = True, **options: Any) -> Visit:
    """A page in a context of its own, with the network off. `options` are those of a Playwright context."""
    context = chrome.new_context(offline=offline, **options)
    context.set_default_timeout(20_000)
    context.add_init_script(WATCH)
    visit = Visit(context.new_page(), target)
    visit.page.on("console", lambda message: visit.faults.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    visit.page.on("pageerror", lambda error: visit.faults.append(f"error: {error}"))
    visit.page.on("dialog", lambda dialog: (visit.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("popup", lambda popup: visit.faults.append(f"popup: {popup.url}"))
    visit.page.goto((address or target.address()) + hash)
    return visit


def mostly_slow(cases: Iterable[Any], quick: int = 1) -> list[Any]:
    """Parameters of a test of which only the first ones belong to `make test`."""
    return [case if k < quick else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.browser_slow) for k, case in enumerate(cases)]
