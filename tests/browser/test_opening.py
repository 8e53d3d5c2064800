"""Opening the page from disk and from a static host: deep links, a hostile corpus, the policy, files that are missing."""

import re
from urllib.parse import quote

import pytest

from tests.browser.visits import eventually, mostly_slow, opened, settled

PAGES = {"run": "#/", "table": "#/A/1", "card": "#/A/1/0", "neuron": "#/A/neurons/3", "dead": "#/A/1/6?parts=duo", "text": "#/text/arabic?table=A/1&token=12", "map": "#/A/1?panel=map",
         "search": "#/A/1/3?q=planted", "tokens": "#/A/1/0?q=&mode=token&regex=", "nothing": "#/A/7"}
READY = {"run": ".run-table tbody tr", "table": "#list .list-row", "card": "#card .card-window", "neuron": "#card .card-window", "dead": "#card .card-dead", "text": ".text-token",
         "map": "#list canvas", "search": "#card .card-match", "tokens": "#card .card-window", "nothing": "[role=alert]"}
FORBIDDEN = "script, style, link, iframe, object, embed, base, meta, img, video, audio, [onclick], [onerror], [onload], [style*='url(']"
# controls, marks of direction, separators: what may change how other text looks
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def ready(visit, kind: str) -> None:
    visit.page.locator(READY[kind]).first.wait_for()


def texts_of(page) -> str:
    """All that can be read or heard on a page."""
    return page.evaluate("""[document.title, document.body.textContent, ...[...document.querySelectorAll("*")].flatMap((one) => [...one.attributes].map(({ value }) => value))].join("\\n")""")


@pytest.mark.parametrize("kind", mostly_slow(["card", *(kind for kind in PAGES if kind != "card")]))
def test_opens_from_disk_without_a_network(visit, kind):
    there = visit(PAGES[kind])
    ready(there, kind)
    assert there.alerts() == ([] if kind != "nothing" else there.alerts()[:1])
    assert there.page.locator(f"#app :is({FORBIDDEN})").count() == 0
    assert not RAW.search(texts_of(there.page))
    links = there.page.evaluate("[...document.querySelectorAll('a[href]')].map((link) => link.getAttribute('href'))")
    assert links and all(link.startswith("#/") or link in ("../report.html", "../claims.html", "#main") for link in links)


@pytest.mark.browser_slow
def test_opens_from_a_static_host(chrome, made, served):
    there = opened(chrome, made, "#/A/1/5", address=served, offline=False)
    there.card("A/1/5")
    there.page.locator("#query").fill("planted")
    eventually(there.rows, [3])
    assert {url for url in there.requests if not url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:"))} == set()
    there.check()
    there.page.context.close()


def test_text_of_the_corpus_stays_text(visit):
    there = visit("#/text/arabic?table=A/1")
    ready(there, "text")
    assert there.page.locator("h1").inner_text() == "Arabic <b>script</b>"
    there.go("#/")
    ready(there, "run")
    assert "synthetic <b>text</b>" in there.page.locator(".run-facts").inner_text()
    there.go("#/A/1/5")
    said = there.card("A/1/5").locator(".card-explanations").inner_text()
    assert "<i>and</i> after \\u202e it" in said and "reply was late" in said


@pytest.mark.parametrize("hash", mostly_slow(["#/A/1/<img src=x onerror=window.attacked=1>", "#/<script>window.attacked=1</script>", "#javascript:window.attacked=1", "#/A/1/../../../etc/passwd", "#/../A/1", "#/A%2F1/3",
                                  "#/text/../A/1/index", "#/text/__proto__", "#/A/1/%00", "#/%E0%A4%A", "#/A/1/5?select=NaN,1,2,3&order=<b>&density=1e999:&scroll=999999999&cluster=99", "#/A/1?q=%00%ff&regex="]))
def test_hostile_links_ask_for_nothing_but_the_sites_own_files(visit, hash):
    there = visit("#/")
    ready(there, "run")
    there.go(hash)
    there.page.wait_for_timeout(120)
    assert there.page.locator(f"#app :is({FORBIDDEN})").count() == 0
    assert len(there.alerts()) <= 1 and not RAW.search(texts_of(there.page))
    there.go("#/A/1/5")  # and the page still works
    there.card("A/1/5")


@pytest.mark.parametrize("query", mostly_slow(["<img src=x onerror=window.attacked=1>", "</script><!--", "\u202eevil", "${window.attacked=1}", "\\", "\x00", "<script>window.attacked=1</script>", "&lt;b&gt;", "é\u0301😀"], 0))
def test_hostile_queries_are_queries(visit, query):
    there = visit(f"#/A/1?q={quote(query)}")
    there.page.locator("#list .list-table").wait_for()
    there.page.wait_for_timeout(150)
    there.go(f"#/A/1/0?mode=token&q={quote(query)}")
    there.card("A/1/0")
    there.page.wait_for_timeout(100)
    assert there.page.locator(f"#app :is({FORBIDDEN})").count() == 0


def test_the_policy_really_blocks(chrome, made, served):
    """Where a fault let markup through, nothing would run or load all the same; seen on a host, where the network is on."""
    there = opened(chrome, made, "#/A/1/5", address=served, offline=False)
    there.card("A/1/5")
    asked, refused = [], []
    there.page.on("request", lambda request: asked.append(request.url))
    there.page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    there.page.evaluate("""() => {
        const inline = document.createElement("script"); inline.textContent = "window.attacked = 1"; document.body.append(inline);
        const markup = document.createElement("div"); document.body.append(markup);
        markup.innerHTML = `<img src=x onerror="window.attacked = 1"><img src="https://example.org/x.png"><iframe src="https://example.org/"></iframe><p style="background: url(https://example.org/y.png)" onclick="window.attacked = 1">x</p>
            <form action="https://example.org/"><button>x</button></form><object data="https://example.org/"></object><base href="https://example.org/"><style>body { display: none }</style><link rel="stylesheet" href="https://example.org/z.css">`;
        markup.querySelector("p").click(); markup.querySelector("form").submit();
        const far = document.createElement("script"); far.src = "https://example.org/far.js"; document.body.append(far);
        fetch("https://example.org/").catch(() => {}); new Image().src = "https://example.org/a.png"; navigator.sendBeacon("https://example.org/b", "x");
        setTimeout("window.attacked = 1");
        const link = document.createElement("a"); link.href = "javascript:window.attacked=1"; document.body.append(link); link.click();
    }""")
    wanted = {"script-src-elem", "script-src-attr", "img-src", "style-src-attr", "style-src-elem", "connect-src", "form-action", "base-uri", "frame-src", "object-src"}
    eventually(lambda: wanted <= {line.split()[0] for line in there.page.evaluate("window.violations")}, True)
    eventually(lambda: there.page.evaluate("1") and bool(asked) and all((url, "csp") in refused for url in asked), True)
    assert not there.page.evaluate("'attacked' in window") and there.page.locator("#app").is_visible()
    there.page.context.close()


@pytest.mark.parametrize("hash", mostly_slow(["#/A/1/7?order=max&panel=map", "#/A/1/3?q=planted&scroll=0", "#/A/1?order=density&direction=up&parts=duo&scroll=40", "#/A/1/20?q=gattaca&mode=explanation", "#/A/0/5?order=random&seed=77",
                                  "#/A/1/9?q=%5Cd%3A&regex=&single=no", "#/A/1/0?density=0.001%3A&panel=density&select=-3,-0.5,-2,0", "#/text/dna?table=A/0&token=7&by=effect", "#/A/neurons/3?order=universality"], 0))
def test_a_deep_link_opened_cold_shows_what_it_was_copied_from(visit, hash):
    """Reached from elsewhere on the page, and opened anew: the same rows, card, controls and link."""
    def state(there):
        return there.page.evaluate("""() => [document.title, location.hash, document.querySelector("#card h2, #card h1, main h1, main h2")?.textContent, document.querySelector(".find-said")?.textContent,
            Math.floor((document.querySelector(".list-view")?.scrollTop ?? 0) / 30), [...document.querySelectorAll(".list-row")].map((row) => [row.ariaRowIndex, row.textContent]).sort((a, b) => a[0] - b[0]),
            [...document.querySelectorAll("#list :is(input, select), .text select")].map((field) => [field.value, field.checked]), document.querySelector(".text-list")?.textContent,
            [...document.querySelectorAll("[aria-pressed=true], [aria-current=true]")].map((one) => one.textContent)]""")

    walked = visit("#/A/1/12?order=score")
    walked.card("A/1/12")
    walked.go("#/A/neurons")
    walked.page.locator("#list .list-row").first.wait_for()
    walked.go(hash)
    here = settled(lambda: state(walked))
    cold = visit(walked.hash)
    eventually(lambda: state(cold), here)
    assert cold.alerts() == []


@pytest.mark.browser_slow
def test_the_link_can_be_copied(visit):
    there = visit("#/A/1/7?order=max&q=w&mode=token")
    there.card("A/1/7")
    there.page.evaluate("addEventListener('copy', () => { window.copied = String(getSelection()) || document.activeElement.value; })")
    there.page.context.grant_permissions([])
    there.page.get_by_role("button", name="Copy link").first.click()
    there.page.locator("text=/copied/i").first.wait_for()


SENTENCE = "is missing or broken; make the browser again"


@pytest.mark.parametrize("shard, hash", [("data/A/1/cards/0.js", "#/A/1/5"), ("data/A/1/index.js", "#/A/1/5"), ("data/vocabulary/0.js", "#/A/1"), ("run.js", "#/A/1"), ("data/texts/dna.js", "#/text/dna"),
                                         ("data/A/1/texts/dna.js", "#/text/dna?table=A/1"), ("data/A/1/windows/0.js", "#/A/1?q=planted"), ("data/A/1/fires/0.js", "#/A/1?q=planted&mode=token"),
                                         ("data/A/1/explanations/0.js", "#/A/1?q=gattaca&mode=explanation")])
@pytest.mark.parametrize("damage", ["missing", "cut", "another's"])
@pytest.mark.browser_slow
def test_a_damaged_file_is_told_in_one_sentence(visit, broken, shard, hash, damage):
    file = broken.folder / shard
    whole = file.read_text()
    if damage == "missing":
        file.unlink()
    else:
        file.write_text(whole[:len(whole) // 2] if damage == "cut" else whole.replace("shard(", 'shard("other",', 1))
    there = visit(hash, site=broken)
    there.expect("ERR_FILE_NOT_FOUND", "SyntaxError", "Unexpected end of input", "Invalid or unexpected token", f"asked for {file.as_uri()}")
    place = there.page.get_by_text(SENTENCE)
    place.first.wait_for()
    there.page.wait_for_timeout(200)
    assert place.count() == 1 and shard in place.inner_text()
    assert all(SENTENCE in text for text in there.alerts())
    file.write_text(whole)
    there.page.reload()
    there.page.wait_for_timeout(200)
    assert SENTENCE not in there.page.inner_text("body")


@pytest.mark.browser_slow
def test_the_rest_works_when_one_file_is_missing(visit, broken):
    entry = broken.run["tables"][0]
    (broken.folder / "data/A/1/cards/1.js").unlink()
    there = visit(f"#/A/1/{entry['cards'][1]}", site=broken)
    there.expect("ERR_FILE_NOT_FOUND", "cards/1.js")
    there.page.get_by_text(SENTENCE).wait_for()
    there.go("#/A/1/0")
    there.card("A/1/0")
    assert there.alerts() == []
