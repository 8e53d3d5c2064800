"""A headless Chromium, the sites that it visits, and the visits."""

import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import chromium
from tests.browser.visits import FEATURES, MANY, Site, Visit, expose, make_site, opened


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
