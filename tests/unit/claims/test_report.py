"""The report is one safe page in the paper's order."""

import re

import pytest

from replication import artifacts
from replication.artifacts import Layout
from replication.claims import report
from replication.claims.inputs import PROJECT
from replication.claims.numerals import numeral, quantity
from replication.claims.report import Drawn, markdown_table
from replication.config import UserError

PAPER = PROJECT / "paper" / "report"


@pytest.fixture
def page(make, png, settings):
    """A function that writes the report of a run whose statements, titles, tables and captions are hostile."""
    def write(**changes):
        run = make("toy", **changes)
        layout = Layout(run)
        layout.exhibits().mkdir(parents=True, exist_ok=True)
        (layout.exhibits() / "live_features.png").write_bytes(png)
        (layout.exhibits() / "setup.md").write_text("| a | b |\n|:--|--:|\n| <script>alert(1)</script> | 1 \\| 2 |\n\nsmall <i>print</i>\n")
        caption = layout.exhibits() / "live_features.txt"
        caption.write_text('caption <img src="x" onerror="alert(2)">')
        drawn = [Drawn("live_features", 'Title "quoted" <u>', "Global analysis", layout.exhibits() / "live_features.png"),
                 Drawn("setup", "A table", "Problem setup", layout.exhibits() / "setup.md")]
        report.make(settings=settings, claims=layout.claims(), drawn=drawn, captions=[caption], template=PAPER / "report.html.j2",
                    departures=PAPER / "departures.csv", corpus=layout.corpus() / artifacts.CORPUS, reference=None, run=run, out=layout.report())
        return layout.report().read_text()
    return write


def test_all_text_is_escaped_and_nothing_is_fetched(page):
    html = page()
    assert "Some &lt;b&gt;features&lt;/b&gt; are dead." in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Title &#34;quoted&#34; &lt;u&gt;" in html
    assert "onerror=&#34;alert(2)&#34;" in html
    assert "<script" not in html and "<b>features" not in html and "<i>print" not in html
    assert re.findall(r'(?:src|href)="(?!#|data:image/png;base64,)', html) == []
    assert "url(" not in html and "@import" not in html


def test_figures_lie_inside_and_tables_are_tables(page, png):
    import base64

    html = page()
    assert base64.b64encode(png).decode() in html
    assert "1 | 2" in html
    assert "small &lt;i&gt;print" in html


def test_statements_stand_with_their_exhibit_in_the_papers_order(page, row, ordering):
    first = row | {"id": "first", "section": "Problem setup", "exhibit": "text_view", "number": "text_view.texts", "statement": "Waiting one."}
    html = page(claims=[first, row, ordering])
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert titles == ["Verdicts", "Problem setup", "Global analysis", "Departures from the paper", "The whole ledger", "Versions"]
    assert "1 statements that no study answers yet" in html
    assert html.index("Waiting one.") < html.index('id="exhibit-live_features"') < html.index('id="x-y"')


def test_head_names_run_corpus_config_and_time(page, settings):
    html = page()
    for text in ("<code>toy</code>", settings.hash(), "c0ffeec0ffee", "installed", "features 0 s", "none is frozen for this run", "256"):
        assert text in html


def test_rows_that_differ_come_first(page, row):
    html = page(claims=[row | {"tolerance": "1"}])
    assert "Rows that differ" in html
    assert "looked at: nothing yet" in html
    assert "<b>1</b><span class=\"badge differs\">differs</span>" in html


def test_an_exhibit_without_statements_is_shown_all_the_same(page, row):
    assert "Other exhibits" in page(claims=[row])
    assert 'id="exhibit-setup"' in page(claims=[row | {"section": "Problem setup", "exhibit": "text_view"}])


def test_times_are_summed_over_the_jobs_of_a_stage(run):
    found = report.times(run)
    assert set(found) <= {"features", "claims"}
    for name, seconds in (("A/1", 2.5), ("B/1", 3.5)):
        path = Layout(run).features(name) / "meta.json"
        artifacts.write_json(path, artifacts.read_json(path) | {"wall_seconds": seconds})
    assert report.times(run)["features"] == 6.0


def test_a_broken_template_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is missing; it comes with the project"):
        report.render(tmp_path / "none.j2", {})
    (tmp_path / "bad.j2").write_text("{{ nobody }}")
    with pytest.raises(UserError, match="cannot be filled: 'nobody' is undefined"):
        report.render(tmp_path / "bad.j2", {})


def test_a_markdown_table_by_hand():
    found = markdown_table("Note.\n\n| name | x |\n| --- | ---: |\n| a | 1 |\n| b \\| c |  |\n")
    assert (found.header, found.rows, found.notes) == (["name", "x"], [["a", "1"], ["b | c", ""]], ["Note."])
    assert markdown_table("").header == []


@pytest.mark.parametrize(("value", "text"), [
    ("", ""), (None, ""), ("0", "0"), ("0.123456", "0.1235"), ("1234567", "1,234,567"), ("168", "168"), (2e-7, "2e-07"),
    ("1e11", "100,000,000,000"), ("12345.678", "1.235e+04"), ("A/1", "A/1"), (-0.4, "-0.4")])
def test_numerals(value, text):
    assert numeral(value) == text


def test_cells_of_a_row():
    row = {"kind": "number", "published": ">=100", "tolerance": "0", "value": "0.87", "sd": "0.01", "n": "3", "low": "", "high": "",
           "reference": "0.86", "reference_sd": "0.02", "reference_n": "3"}
    assert quantity(row, "published") == "≥ 100"
    assert quantity(row | {"published": "0.79", "tolerance": "0.02"}, "published") == "0.79 ± 0.02"
    assert quantity(row | {"kind": "ordering"}, "published") == "above 0"
    assert quantity(row, "here") == "0.87 ± 0.01"
    assert quantity(row | {"low": "0.8", "high": "0.9"}, "here") == "0.87 (0.8 to 0.9)"
    assert quantity(row, "reference") == "0.86 ± 0.02, n = 3"
    assert quantity(row | {"value": ""}, "here") == ""
