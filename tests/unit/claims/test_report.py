"""The report is one safe page in the paper's order."""

import re

import pytest

from replication import artifacts
from replication.artifacts import Layout
from replication.claims import report
from replication.claims.content import Drawn
from replication.claims.page import render
from replication.config import UserError


@pytest.fixture
def page(make, png, settings, paper):
    """A function that writes the report of a run whose statements, titles, tables and captions are hostile."""
    def write(**changes):
        run = make("toy", **changes)
        layout = Layout(run)
        layout.exhibits().mkdir(parents=True, exist_ok=True)
        for name in ("live_features", "sensitivity_dna", "sensitivity_hex"):
            (layout.exhibits() / f"{name}.png").write_bytes(png)
        (layout.exhibits() / "setup.md").write_text("| a | b |\n|:--|--:|\n| <script>alert(1)</script> | 1 \\| 2 |\n\nsmall <i>print</i>\n")
        caption = layout.exhibits() / "live_features.txt"
        caption.write_text('caption <img src="x" onerror="alert(2)">')
        family = {"title": "Sensitivity", "section": "Detailed investigations", "family": "sensitivity"}
        drawn = [Drawn("sensitivity_dna", file=layout.exhibits() / "sensitivity_dna.png", context="DNA", absent="the text holds no DNA", **family),
                 Drawn("sensitivity_hex", file=layout.exhibits() / "sensitivity_hex.png", context="hexadecimal", **family),
                 Drawn("live_features", 'Title "quoted" <u>', "Global analysis", layout.exhibits() / "live_features.png"),
                 Drawn("setup", "A table", "Problem setup", layout.exhibits() / "setup.md")]
        report.make(settings=settings, claims=layout.claims(), drawn=drawn, captions=[caption], numbers=[], written=paper, corpus=layout.corpus() / artifacts.CORPUS,
                    reference=changes.get("reference"), run=run, html=layout.report(), pages=run / artifacts.REPORT_PDF)
        return layout.report().read_text()
    return write


def test_all_text_is_escaped_and_nothing_is_fetched(page):
    html = page()
    assert "Some &lt;b&gt;features&lt;/b&gt; are dead." in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Title &#34;quoted&#34; &lt;u&gt;" in html
    assert "onerror=&#34;alert(2)&#34;" in html
    assert "<script" not in html and "<b>features" not in html and "<i>print" not in html
    assert re.findall(r'src="(?!data:image/png;base64,)|href="(?!#|https://)', html) == []
    assert "<link" not in html
    assert "url(" not in html and "@import" not in html


def test_figures_lie_inside_and_tables_are_tables(page):
    html = page()
    assert html.count('<img src="data:image/png;base64,') == 2  # not that of the context that the text lacks
    assert re.search(r'<img [^>]*width="1" height="1"[^>]*loading="lazy"', html)
    assert "1 | 2" in html
    assert "small &lt;i&gt;print" in html


def test_statements_stand_with_their_exhibit_in_the_papers_order(page, row, ordering):
    first = row | {"id": "first", "section": "Problem setup", "exhibit": "text_view", "number": "text_view.texts", "statement": "Waiting one."}
    family = row | {"id": "f", "section": "Detailed investigations", "exhibit": "sensitivity_hex", "number": "sensitivity.hex_x"}
    html = page(claims=[first, family, row, ordering])
    titles = re.findall(r'<h2 id="section[^>]*>(.*?)</h2>', html)
    assert titles == ["Problem setup", "Detailed investigations", "Global analysis"]
    assert "1 statement</summary>" in html
    assert html.index('id="waiting-1"') < html.index('id="first"') < html.index('id="exhibit-live_features"') < html.index('id="x-y"')


def test_each_exhibit_has_what_was_published_its_figure_and_what_was_found(page):
    html = page()
    shown = html[html.index('id="exhibit-live_features"'):html.index('id="departures"')]
    places = [shown.index(part) for part in ("168 never fire", "<figure>", "caption &lt;img", "Some &lt;b&gt;features")]
    assert places == sorted(places)


def test_a_family_has_a_place_for_each_context_and_opens_the_first_that_the_text_holds(page):
    html = page()
    assert '<a href="#exhibit-sensitivity">Sensitivity</a>' in html and '<a href="#exhibit-sensitivity_hex">hexadecimal</a>' in html
    assert re.findall(r'id="exhibit-(sensitivity\w*)"( open)?', html) == [("sensitivity", ""), ("sensitivity_dna", ""), ("sensitivity_hex", " open")]
    assert "not in this text" in html and "The paper does not look at this context." in html


def test_every_place_that_is_linked_to_is_there_once(page):
    html = page()
    places = re.findall(r'id="([^"]+)"', html)
    assert len(places) == len(set(places))
    assert {link for link in re.findall(r'href="#([^"]+)"', html)} <= set(places)


def test_head_names_run_corpus_config_and_time(page, settings):
    html = page()
    for text in ("<code>toy</code>", settings.hash(), "c0ffeec0ffee", "installed", "features 0 s", "none is frozen for this run", "256"):
        assert text in html
    assert "different corpus" not in html
    assert "different corpus" in page(corpus={"source": "local", "documents": 1, "bytes": 2, "manifest_sha256": "beef", "matches_reference": False})


def test_rows_that_differ_come_first_with_what_was_looked_at(page, row):
    html = page(claims=[row | {"tolerance": "1"}])
    first = html[html.index('id="differing"'):html.index('id="section-1"')]
    assert 'href="#x-y"' in first and "<b>Looked at:</b> nothing yet" in first
    assert "<b>1</b><span class=\"badge differs\">differs</span>" in html
    assert "None." in page()


def test_a_reference_has_a_column_only_where_there_is_one(page, make, tmp_path, row):
    from replication.claims import reference

    assert "<th>reference</th>" not in page()
    reference.freeze([make("a"), make("b", seed=1, shift=3), make("c", seed=2, shift=6)], tmp_path / "frozen")
    html = page(reference=tmp_path / "frozen", claims=[row])
    assert "<th>reference</th>" in html and "153.0 ± 3.0, n = 3" in html and "seeds 0, 1, 2" in html


def test_the_pdf_and_the_metadata_are_written_too(page, make, as_json, tmp_path):
    page()
    assert (tmp_path / "toy" / "report.pdf").read_bytes().startswith(b"%PDF")
    meta = artifacts.check(tmp_path / "toy", name=artifacts.REPORT_META)
    assert set(meta["files"]) == {"report.html", "report.pdf"} and "findings.csv" in meta["inputs"]


def test_how_to_read_has_paragraphs_and_terms(tmp_path):
    path = tmp_path / "reading.md"
    path.write_text("Of {statements}\nstatements.\n\nSecond.\n\n- L0: a: b\n- l1: c\n")
    assert report.how_to_read(path, 7) == (["Of 7 statements.", "Second."], [("L0", "a: b"), ("l1", "c")])
    with pytest.raises(UserError, match="is missing"):
        report.how_to_read(tmp_path / "none.md", 7)


def test_times_are_summed_over_the_jobs_of_a_stage(run):
    found = report.times(run)
    assert set(found) <= {"features", "claims"}
    for name, seconds in (("A/1", 2.5), ("B/1", 3.5)):
        path = Layout(run).features(name) / "meta.json"
        artifacts.write_json(path, artifacts.read_json(path) | {"wall_seconds": seconds})
    assert report.times(run)["features"] == 6.0


def test_steps_of_a_stage_count_for_it(run):
    path = run / "corpus" / "tokens.meta.json"
    artifacts.write_json(path, {"stage": "corpus tokens", "wall_seconds": 2.0})
    assert report.times(run)["corpus"] == 2.0


def test_a_broken_template_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is missing; it comes with the project"):
        render(tmp_path / "none.j2", {})
    (tmp_path / "bad.j2").write_text("{{ nobody }}")
    with pytest.raises(UserError, match="cannot be filled: 'nobody' is undefined"):
        render(tmp_path / "bad.j2", {})
