"""The studies of a planted run answer the statements: keys and units meet, and the front door judges and reports."""

import csv
import importlib

import pytest

from replication import artifacts, cli
from replication.claims import inputs, ledger, statements
from replication.progress import Progress
from replication.provenance import written
from replication.resolution import resolve
from replication.studies import STUDIES
from tests.planted import plant, raw

CLAIMS = inputs.PROJECT / "paper" / "published" / "claims.csv"
SECTIONS = ("corpus", "activations", "features", "studies", "contexts")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    config = resolve(raw(contexts=32, bootstrap=20))
    layout = plant(tmp_path_factory.mktemp("planted"), config)
    for study in STUDIES.values():
        importlib.import_module(study.module).compute(settings=study.settings(config), layout=layout, out=layout.study(study.id), progress=Progress())
    settings = config.settings(*SECTIONS, models=list(config.models), dictionaries=list(config.dictionaries)).json()
    corpus = layout.corpus() / artifacts.CORPUS
    artifacts.write_json(corpus, artifacts.read_json(corpus) | {"source": "installed", "documents": 3, "bytes": 5})
    assert cli.main([
        "ledger", "judge", "--settings", settings, "--log", str(layout.log("claims.log")), "--claims", str(CLAIMS),
        "--explanations", written("paper", "report", "explanations.csv"), "--template", written("paper", "report", "claims.html.j2"), "--numbers", *map(str, inputs.numbers(layout)), "--corpus", str(corpus),
        "--evaluation", str(layout.features("A/1") / artifacts.EVALUATION), "--reference", "--out", str(layout.claims())]) == 0
    return layout, settings, {row["id"]: row for row in ledger.read(layout.claims())}, config.studies.contexts


def waits(layout, study):
    """What a study says that has nothing to tell yet: people have to rate first, or the run lacks the fits."""
    path = layout.study(study) / artifacts.NUMBERS
    return artifacts.read_json(path).get("absent", "") if path.exists() else ""


def test_the_studies_give_the_numbers_that_statements_ask_for(judged):
    layout, _, rows, _ = judged
    beyond = {"loss_recovered.recovered_A_5"}  # a dictionary that only `paper` fits
    for claim in statements.read(CLAIMS):
        why = waits(layout, claim.study)
        if why:
            assert rows[claim.id]["verdict"] == "not run" and rows[claim.id]["reason"].startswith(("the run has", "no ratings in paper/ratings/planted"))
        elif claim.study in STUDIES and claim.number not in beyond:
            assert rows[claim.id]["verdict"] != "not run", rows[claim.id]["reason"]
        elif claim.study not in STUDIES:
            assert rows[claim.id]["verdict"] == "not run"


def test_numbers_and_statements_count_in_the_same_units(judged):
    layout, _, _, _ = judged
    studies = {path.parent.name: artifacts.read_json(path)["numbers"] for path in inputs.numbers(layout)}
    for claim in statements.read(CLAIMS):
        if claim.key in studies.get(claim.study, {}):
            assert studies[claim.study][claim.key]["unit"] == claim.unit, claim.id


def test_every_ordering_of_a_written_study_has_an_interval_or_too_few_replicates(judged):
    layout, _, rows, _ = judged
    assert "no ratings in paper/ratings/planted" in waits(layout, "rubric_scores")
    for claim in statements.read(CLAIMS):
        if claim.kind == "ordering" and claim.study in STUDIES:
            row = rows[claim.id]
            if row["value"]:
                assert row["verdict"] in ("agrees", "differs", "undecided")
                assert (row["low"] and row["high"]) or "replicate" in row["reason"], claim.id
            else:  # what the planted run lacks; its study says so
                assert row["verdict"] == ("not run" if waits(layout, claim.study) else "not comparable") and row["reason"], claim.id


def test_published_numbers_are_not_comparable_with_a_toy(judged):
    _, _, rows, _ = judged
    assert rows["loss-recovered-recovered-a-1"]["verdict"] == "not comparable"
    assert "the dictionary saw 200,000 vectors, the row needs 8 billion" in rows["loss-recovered-recovered-a-1"]["reason"]


def test_the_report_is_written_by_the_front_door(judged, png):
    layout, settings, rows, contexts = judged
    layout.exhibits().mkdir(exist_ok=True)
    files = inputs.exhibits(layout, contexts)
    for path in files:
        path.write_bytes(png if path.suffix == ".png" else b"| a | b |\n| --- | --- |\n| 1 | 2 |\n")
    for path in inputs.captions(layout, contexts):
        path.write_text("A caption.")
    assert cli.main([
        "ledger", "report", "--settings", settings, "--ledger", str(layout.claims()), "--written", written("paper", "report"),
        "--captions", *map(str, inputs.captions(layout, contexts)), "--exhibits", *map(str, files), "--numbers", *map(str, inputs.numbers(layout)),
        "--corpus", str(layout.corpus() / artifacts.CORPUS), "--reference", "--results", str(layout.root), "--html", str(layout.report()),
        "--pdf", str(layout.root / artifacts.REPORT_PDF)]) == 0
    html = layout.report().read_text()
    kept = [artifacts.read_json(path).get("contexts", {}) for path in inputs.numbers(layout)]
    absent = sum(bool(context["absent"]) for study in kept for context in study.values())
    assert html.count("<img ") == sum(path.suffix == ".png" for path in files) - absent
    assert html.count("A caption.") == len(files)
    assert all(f'id="{name}"' in html for name in rows)
    assert (layout.root / artifacts.REPORT_PDF).stat().st_size > 20_000
    with CLAIMS.open() as stream:
        assert len(list(csv.DictReader(stream))) == len(rows)


def test_numbers_and_references_are_written_by_the_front_door(judged):
    layout, settings, rows, _ = judged
    assert cli.main([
        "ledger", "cite", "--settings", settings, "--ledger", str(layout.claims()), "--numbers", *map(str, inputs.numbers(layout)),
        "--references", written("paper", "report", "references.bib"), "--citation", written("CITATION.cff"),
        "--corpus", str(layout.corpus() / artifacts.CORPUS), "--macros", str(layout.macros()), "--bib", str(layout.references())]) == 0
    macros = layout.macros().read_text()
    numbers = [f"{path.parent.name}.{key}" for path in inputs.numbers(layout) for key in artifacts.read_json(path)["numbers"]]
    assert all(f"{{{name}}}{{" in macros for name in numbers) and macros.count("\\TMclaim{") == len(rows)
    named = [line for line in macros.splitlines() if line.startswith("\\TMset{TM")]
    assert len(named) >= 0.99 * len(numbers)  # hardly any two ids are one name
