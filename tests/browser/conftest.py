"""A headless Chromium, made-up sites, and visits that watch for everything that must not happen."""

import functools
import http.server
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from replication.browser import schema, tables
from tests.browser import chromium, synthetic

FEATURES, VOCABULARY, MANY = 256, 1000, 20_000
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
# what the unit tests of the page's own functions call
NAMES = ("parse", "href", "start", "visible", "numeral", "shardOf", "load", "loadRun", "loadIndex", "loadCard", "loadVocabulary", "floats", "WORKER", "make", "svg", "token", "matcher")


@dataclass
class Site:
    """A browser's folder and the values that it was made from."""

    folder: Path
    shared: schema.Shared
    tables: dict[str, schema.Table]
    cards: dict[str, list[schema.Card]]

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
        return address.scheme == "blob" or (address.hostname in (None, "127.0.0.1") and not address.query and (self.site.folder / path.lstrip("/")).is_file())


def eventually(get: Callable[[], Any], wanted: Any, seconds: float = 6) -> None:
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


@pytest.fixture(scope="package")
def chrome() -> Iterator[Any]:
    """The browser; where it or Playwright is missing, tests are skipped, and fail under `make test-browser`."""
    if reason := chromium.missing():
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def made(tmp_path_factory) -> Site:
    """A site of 256 features, not to be changed."""
    return make_site(tmp_path_factory.mktemp("made") / "browser", FEATURES)


@pytest.fixture(scope="package")
def many(tmp_path_factory) -> Site:
    """A site of 20,000 features with few examples each."""
    return make_site(tmp_path_factory.mktemp("many") / "browser", MANY, full=False)


@pytest.fixture
def broken(made, tmp_path) -> Site:
    """A copy of the site, to be damaged."""
    return made.copy(tmp_path / "browser")


def opened(chrome: Any, target: Site, hash: str = "", *, address: str | None = None, offline: bool = True, **options: Any) -> Visit:
    """A page in a context of its own, with the network off. `options` are those of a Playwright context."""
    context = chrome.new_context(offline=offline, **options)
    context.set_default_timeout(8000)
    context.add_init_script(WATCH)
    visit = Visit(context.new_page(), target)
    visit.page.on("console", lambda message: visit.faults.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    visit.page.on("pageerror", lambda error: visit.faults.append(f"error: {error}"))
    visit.page.on("dialog", lambda dialog: (visit.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("popup", lambda popup: visit.faults.append(f"popup: {popup.url}"))
    visit.page.goto((address or target.address()) + hash)
    return visit


@pytest.fixture
def visit(chrome, made) -> Iterator[Callable[..., Visit]]:
    """`visit("#/A/1/5")` opens a link from disk; nothing may go wrong on any visit of the test."""
    visits: list[Visit] = []

    def go(hash: str = "", *, site: Site = made, **options: Any) -> Visit:
        visits.append(opened(chrome, site, hash, **options))
        return visits[-1]

    yield go
    try:
        for one in visits:
            one.check()
    finally:
        for one in visits:
            one.page.context.close()


@pytest.fixture(scope="module")
def inside(chrome, made, tmp_path_factory) -> Iterator[Callable[..., Any]]:
    """`inside("parse(hash, run)", hash=...)` is the value of an expression in the scope of the page's own functions; `run` is the run index."""
    target = expose(made.copy(tmp_path_factory.mktemp("inside") / "browser"))
    visit = opened(chrome, target)
    visit.page.evaluate("inside.loadRun().then((run) => { window.run = run; })")

    names = ", ".join(visit.page.evaluate("Object.keys(inside)"))

    def call(expression: str, **values: Any) -> Any:
        return visit.page.evaluate(f"(given) => {{ const {{ {names} }} = inside, {{ {', '.join(values)} }} = given; return {expression}; }}", values)

    yield call
    visit.page.context.close()


@pytest.fixture(scope="module")
def served(made) -> Iterator[str]:
    """The site's address on a static host of this machine."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=made.folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()


def shard(folder: Path, path: str) -> Any:
    """The value of a shard, read in Python."""
    text = (folder / f"{path}.js").read_text()
    name, _, rest = text.removeprefix("shard(").partition(",")
    assert json.loads(name) == path.removeprefix("data/")
    return json.loads(rest.rstrip().removesuffix(");"))
