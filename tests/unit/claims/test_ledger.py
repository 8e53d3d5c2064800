"""The ledger as a file: its columns, its order, what stands beside a number."""

import csv
import re
from dataclasses import replace

import pytest

from replication import artifacts
from replication.artifacts import ArtifactError, Layout
from replication.claims import ledger, reference, statements
from replication.config import UserError


def test_every_statement_has_a_row_in_its_order_with_a_reason(run):
    rows = ledger.read(Layout(run).claims())
    assert [row["id"] for row in rows] == ["x-y", "x-order"]
    assert list(rows[0]) == [*statements.COLUMNS, *ledger.LEDGER_COLUMNS]
    assert all(row["reason"] for row in rows)
    assert [row["verdict"] for row in rows] == ["agrees", "agrees"]
    assert (rows[0]["value"], rows[0]["n"], rows[0]["low"], rows[0]["reference"]) == ("150", "2048", "", "")
    assert (rows[1]["low"], rows[1]["high"]) == ("1390", "1410")


def test_the_whole_list_of_statements_can_be_judged(tmp_path, make):
    from replication.claims.inputs import PROJECT

    with (PROJECT / "paper" / "published" / "claims.csv").open() as stream:
        published = list(csv.DictReader(stream))
    rows = ledger.read(Layout(make("whole", claims=published)).claims())
    assert len(rows) == len(published)
    counted = ledger.counts(rows)
    assert counted["agrees"] == 1 and counted["differs"] == 0  # growth_0_1; the published counts need a scale that the toy lacks
    assert counted["not comparable"] == sum(row["number"] == "live_features.dead" for row in published)
    assert sum(counted.values()) == len(rows)


def test_a_study_that_cannot_measure_says_so(make, row):
    run = make("missing", numbers={"live_features": {"other": {"value": 1, "unit": "features"}}}, claims=[row])
    assert ledger.read(Layout(run).claims())[0]["verdict"] == "not run"
    studies = {"live_features": {"numbers": {}, "missing": {"dead": "fewer than ten million tokens"}}}
    judged = ledger.judge_all(claims=[statements.parse(row)], studies=studies, scale={}, notes={}, reference=None, corpus_hash="")
    assert (judged[0]["verdict"], judged[0]["reason"]) == ("not comparable", "fewer than ten million tokens")


def test_a_study_that_waits_for_people_has_not_run_and_says_so(row):
    studies = {"live_features": {"numbers": {}, "missing": {"dead": "no ratings yet"}, "absent": "no ratings yet"}}
    judged = ledger.judge_all(claims=[statements.parse(row)], studies=studies, scale={}, notes={}, reference=None, corpus_hash="")
    assert (judged[0]["verdict"], judged[0]["reason"]) == ("not run", "no ratings yet")


def test_ratings_by_people_are_a_fact_of_the_run(make, row):
    for numbers, reason in (({}, "no human raters"), ({"raters": {"value": 1, "unit": "raters"}}, "within 50")):
        given = {"live_features": {"dead": {"value": 168, "unit": "features"}}, "rubric_scores": numbers}
        judged = ledger.read(Layout(make(f"rated{len(numbers)}", numbers=given, claims=[row | {"needs": "raters=human"}])).claims())
        assert reason in judged[0]["reason"]


def test_a_reference_stands_beside_the_number_and_another_corpus_is_marked(make, tmp_path, row):
    frozen = tmp_path / "reference"
    reference.freeze([make("a", seed=0), make("b", seed=1, shift=3), make("c", seed=2, shift=6)], frozen)
    beside = ledger.read(Layout(make("d", reference=frozen)).claims())[0]
    assert (float(beside["reference"]), float(beside["reference_sd"]), beside["reference_n"], beside["reference_corpus"]) == (153, 3, "3", "same")
    other = {"source": "local", "documents": 1, "bytes": 2, "manifest_sha256": "beef"}
    assert ledger.read(Layout(make("e", reference=frozen, corpus=other)).claims())[0]["reference_corpus"] == "different corpus"


def test_two_ledgers_of_one_run_are_equal_bit_for_bit(make):
    one, two = (Layout(make(name)).claims().read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.fixture
def noted(tmp_path, make, paper, row):
    """The reason of a row that differs, in a run with notes of its own, of another run, and of all."""

    def reason(name, *, settings, reference=None, corpus=None, on="toy", run="toy"):
        made = make(name, claims=[row | {"tolerance": "1"}], settings=settings, **({"corpus": corpus} if corpus else {}))
        notes = tmp_path / "notes.csv"
        notes.write_text(f"run,on,id,looked_at\nother,other,x-y,wrong\n{run},{on},x-y,the log\n")
        rows = ledger.make(settings=settings, claims=tmp_path / "claims-published.csv", explanations=notes, numbers=list(made.glob("studies/*/numbers.json")),
                           corpus=made / "corpus" / "corpus.json", evaluation=made / "features/A/1/evaluation.json", reference=reference,
                           template=paper / "claims.html.j2", out=made / "claims.csv")
        assert rows[0]["verdict"] == "differs"
        return rows[0]["reason"].partition("looked at: ")[2]

    return reason


def test_a_note_on_a_row_that_differs_says_where_it_was_looked_at_unless_that_is_this_run(tmp_path, make, noted, settings):
    frozen, elsewhere = tmp_path / "reference", "on another run (toy): the log"
    reference.freeze([make("a", seed=0), make("b", seed=1, shift=3)], frozen)
    assert noted("same", settings=settings, reference=frozen) == "the log"
    assert noted("unfrozen", settings=settings) == elsewhere
    assert noted("seed", settings=replace(settings, seed=1), reference=frozen) == elsewhere
    assert noted("wider", settings=replace(settings, features=replace(settings.features, contexts=10)), reference=frozen) == elsewhere
    assert noted("text", settings=settings, reference=frozen, corpus={"source": "local", "documents": 1, "bytes": 2, "manifest_sha256": "beef"}) == elsewhere


def test_a_note_for_every_run_says_where_it_was_looked_at(tmp_path, make, noted, settings):
    frozen = tmp_path / "reference"
    reference.freeze([make("a")], frozen)
    assert noted("all", settings=settings, reference=frozen, run="", on="200 MB of mixed text") == "on another run (200 MB of mixed text): the log"
    assert noted("own", settings=settings, reference=frozen, run="", on="toy") == "the log"
    assert noted("none", settings=replace(settings, run="mine")) == "nothing yet"


def test_metadata_hold_the_checksum_and_the_config_of_the_run(run, settings):
    meta = artifacts.check(run, name=artifacts.CLAIMS_META)
    assert set(meta["files"]) == {"claims.csv", "claims.md", "claims.html"}
    assert {"live_features", "loss_recovered", "corpus", "evaluation"} <= set(meta["inputs"])
    assert meta["config_hash"] == settings.hash()


def test_the_ledger_is_a_table_in_markdown_under_section_and_exhibit(make, row):
    text = (make("md", claims=[row, row | {"id": "other", "exhibit": "tradeoff", "statement": "a | b"}, row | {"id": "late"}]) / "claims.md").read_text()
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == ["# Ledger of run toy", "## Global analysis", "### live_features", "### tradeoff"]
    assert "3 agrees, 0 differs" in text and "| a \\| b |" in text
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_the_ledgers_page_shows_one_verdict_at_a_time_and_fetches_nothing(run):
    html = (run / "claims.html").read_text()
    assert "Some &lt;b&gt;features&lt;/b&gt; are dead." in html and "<script" not in html
    assert html.count('class="row agrees-row"') == 2
    for index, word in enumerate(("agrees", "differs", "undecided", "not-comparable", "not-run"), start=1):
        assert f"body:has(#show-{index}:checked) .row:not(.{word}-row)" in html and f'id="show-{index}"' in html
    assert re.findall(r'(?:src|href)="(?!#|report\.html)', html) == []


def test_a_missing_or_foreign_ledger_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="is missing; `snakemake"):
        ledger.read(tmp_path / "claims.csv")
    (tmp_path / "claims.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has the columns a, b"):
        ledger.read(tmp_path / "claims.csv")
