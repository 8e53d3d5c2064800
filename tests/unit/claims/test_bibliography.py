"""Cited works, and the entry of a run."""

import csv

import pytest
import yaml

from replication.claims import bibliography, citing, inputs
from replication.claims.bibliography import Work, bibtex, citation, own, read
from replication.claims.statements import ClaimsError

ENTRY = """% a remark
@article{doe2020,
  ledger = {nanda},
  author = {Doe, Jane and K{\\"o}pf, Andreas},
  title = {On {UMAP} \\& more},
  journal = {J},
  year = {2020},
  url = {https://example.org/a_b},
}
"""


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "references.bib"
        path.write_text(text)
        return path
    return make


def test_an_entry_by_hand(write):
    work = read(write(ENTRY))[0]
    assert (work.kind, work.key, work.cited_as) == ("article", "doe2020", "nanda")
    assert work.line == "Jane Doe, Andreas Köpf: On UMAP & more. J, 2020."


def test_many_authors_are_the_first_and_others():
    fields = {"author": " and ".join(f"Name{index}, First" for index in range(5)), "title": "T", "year": "2020"}
    assert Work("misc", "k", fields).line == "First Name0 and others: T. 2020."


def test_what_is_written_reads_back(write, tmp_path):
    works = read(write(ENTRY))
    assert read(write(bibtex(works))) == works


@pytest.mark.parametrize(("text", "says"), [
    ("@misc{a,\n  year = 2020,\n}\n", "cannot read 'year = 2020,'"), ("@misc{a,\n  year = {2020},\n}\n", "lacks author, title"),
    (ENTRY + ENTRY, "has a key twice"), (ENTRY + "@misc{b, year = {2020}}\n", "cannot be read")])
def test_what_cannot_be_read_is_one_sentence(write, text, says):
    with pytest.raises(ClaimsError, match=says):
        read(write(text))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ClaimsError, match="is missing"):
        read(tmp_path / "references.bib")
    with pytest.raises(ClaimsError, match="cannot be read"):
        citation(tmp_path / "CITATION.cff")


def test_every_source_of_the_ledger_and_every_named_tool_is_cited(paper):
    works = read(paper / "references.bib")
    with (inputs.PROJECT / "paper" / "published" / "claims.csv").open(newline="") as stream:
        sources = {row["source"] for row in csv.DictReader(stream)} - {"ours"}
    assert sources <= {work.fields.get("ledger") for work in works}, sources - {work.fields.get("ledger") for work in works}
    assert {"torch", "snakemake", "sae-lens", "transformer-lens", "umap-learn", "HDBSCAN", "scikit-learn", "matplotlib"} <= {
        work.fields.get("tool") for work in works}
    assert all(work.fields["url"].startswith("https://") for work in works)
    for work in works:
        assert not set("\\{}") & set(work.line), work.key
        assert all(value.count("{") == value.count("}") for value in work.fields.values()), work.key


def test_the_paper_is_the_same_here_and_in_the_citation_file(paper):
    cited = citation(inputs.PROJECT / "CITATION.cff")["references"][0]
    ours = next(work for work in read(paper / "references.bib") if work.fields.get("ledger") == "paper")
    assert ours.fields["title"] == cited["title"] and ours.fields["year"] == str(cited["year"]) and ours.fields["url"] == cited["url"]
    names = [f"{author['family-names']}, {author['given-names']}".rstrip(".") for author in cited["authors"]]
    assert [name.rstrip(".") for name in ours.fields["author"].replace("E. and", "E and").split(" and ")] == names


def test_the_entry_of_a_run_says_what_it_was_made_of():
    found = own({"authors": [{"name": "The authors"}], "title": "A replication", "version": "1.2", "date-released": "2026-11-21"},
                run="my_run", config="abc", corpus="def")
    assert found.key == "replication_my_run_abc"
    assert found.fields["author"] == "{The authors}" and found.fields["year"] == "2026" and found.fields["version"] == "1.2"
    assert found.fields["note"] == r"run my\_run, configuration abc, corpus def"
    assert own({"authors": [{"family-names": "Doe", "given-names": "J"}], "title": "T", "version": "1", "date-released": "2026-01-01"},
               run="r", config="a", corpus="b").fields["author"] == "Doe, J"


def test_both_files_are_written_with_their_metadata(run, settings, paper, as_json):
    numbers = sorted(run.glob("studies/*/numbers.json"))
    citing.make(settings=settings, claims=run / "claims.csv", numbers=numbers, references=paper / "references.bib",
                citation=inputs.PROJECT / "CITATION.cff", corpus=run / "corpus" / "corpus.json", macros=run / "numbers.tex", bib=run / "references.bib")
    macros, works = (run / "numbers.tex").read_text(), read(run / "references.bib")
    assert r"\TMset{TMLiveFeaturesDead}{live_features.dead}{150}{}{}{}{2{,}048}{features}{features}" in macros
    assert r"\TMset{TMLiveFeaturesGrowthZeroOne}{live_features.growth_0_1}{1{,}400}{1{,}390}{1{,}410}" in macros
    assert r"\TMclaim{x-order}{agrees}{above 0}" in macros and r"\newcommand{\TMcorpus}{c0ffeec0ffee}" in macros
    assert works[0].key == f"replication_toy_{settings.hash()}" and len(works) == 1 + len(read(paper / "references.bib"))
    assert works[0].fields["version"] == yaml.safe_load((inputs.PROJECT / "CITATION.cff").read_text())["version"]
    assert set(as_json(run / "citation.meta.json")["files"]) == {"numbers.tex", "references.bib"}
    assert bibliography.citation(inputs.PROJECT / "CITATION.cff")["authors"]
