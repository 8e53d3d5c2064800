"""What the report says: its order, families of contexts, what the paper found."""

import csv

import pytest

from replication import exhibits
from replication.artifacts import write_json
from replication.claims import content, inputs
from replication.claims.content import Drawn, discussions, findings, markdown_table, merged, reason, sections
from replication.claims.statements import ClaimsError
from replication.contexts import BUILT_IN


@pytest.fixture
def drawn(tmp_path, png):
    """A function that draws an exhibit."""
    def draw(name, section="Global analysis", **more):
        path = tmp_path / f"{name}.png"
        path.write_bytes(png)
        return Drawn(name, more.pop("title", name.upper()), section, path, **more)
    return draw


def rows(*names, verdict="agrees", section="Global analysis", study=""):
    return [{"section": section, "exhibit": name, "verdict": verdict, "number": f"{study or name}.x", "reason": "r"} for name in names]


def shown(found):
    return [(section.title, [[part.id for part in entry.parts] for entry in section.entries], [part.id for part in section.waiting]) for section in found]


@pytest.mark.parametrize(("first", "second", "order"), [
    ("abc", "", "abc"), ("", "abc", "abc"), ("ad", "abcd", "abcd"), ("cb", "abc", "cba"), ("ab", "bx", "abx"), ("ba", "bxa", "bxa"), ("aab", "b", "ab")])
def test_two_orders_become_one(first, second, order):
    assert "".join(merged(first, second)) == order


def test_exhibits_stand_in_the_statements_order_with_new_ones_in_the_registrys_place(drawn):
    found = sections(rows("c", "a"), [drawn("a"), drawn("b"), drawn("c"), drawn("z", "Beyond the paper")], [], {}, {})
    assert shown(found) == [("Global analysis", [["c"], ["a"], ["b"]], []), ("Beyond the paper", [["z"]], [])]


def test_what_is_not_drawn_waits_with_its_statements(drawn):
    found = sections(rows("a", "b", "b", verdict="not run"), [drawn("a")], [], {"b": "The paper did b."}, {})
    assert shown(found) == [("Global analysis", [["a"]], ["b"])]
    assert found[0].waiting[0].published == "The paper did b." and len(found[0].waiting[0].rows) == 2
    assert found[0].counts == {"not run": 3}


def test_a_family_is_one_entry_with_a_part_for_each_context(drawn, tmp_path):
    family = {"family": "sensitivity", "title": "Sensitivity"}
    said = tmp_path / "sensitivity_dna.txt"
    said.write_text("It follows.\n")
    statements = [*rows("sensitivity_hebrew", "sensitivity_dna", study="sensitivity"), *rows("a")]
    found = sections(
        statements, [drawn("sensitivity_hex", context="hexadecimal", **family), drawn("sensitivity_dna", context="DNA", **family), drawn("a")], [said],
        {"sensitivity": "It correlates.", "sensitivity_dna": "At 0.8."}, {})
    assert shown(found) == [("Global analysis", [["sensitivity_dna", "sensitivity_hex"], ["a"]], ["sensitivity_hebrew"])]
    entry, waiting = found[0].entries[0], found[0].waiting[0]
    assert (entry.id, entry.title, entry.published, entry.family) == ("sensitivity", "Sensitivity", "It correlates.", True)
    assert [(part.context, part.title, part.published, part.caption) for part in entry.parts] == [
        ("DNA", "Sensitivity: DNA", "At 0.8.", "It follows."), ("hexadecimal", "Sensitivity: hexadecimal", "", "")]
    assert waiting.published == "It correlates."  # no words of its own


def test_a_context_that_the_text_lacks_has_no_picture_and_is_not_the_first_shown(drawn):
    family = {"family": "f", "title": "F"}
    found = sections([], [drawn("f_dna", context="DNA", absent="the text holds no DNA", **family), drawn("f_hex", context="hex", **family)], [], {}, {})
    entry = found[0].entries[0]
    assert [part.figure is None for part in entry.parts] == [True, False]
    assert entry.first.id == "f_hex"


def test_paragraphs_stand_with_their_exhibit_and_carry_the_runs_numbers(drawn, tmp_path):
    folder, numbers = tmp_path / "questions", tmp_path / "studies" / "a" / "numbers.json"
    folder.mkdir()
    (folder / "a.md").write_text("It was asked.\nThe share is {share.value:.1f}.\n\nOf {lost.value} nothing is known.\n\nThat would change our mind.\n")
    write_json(numbers, {"numbers": {"share": {"value": 0.25}}})
    said = discussions(folder, [numbers])
    assert said == {"a": ["It was asked. The share is 0.2.", "That would change our mind."]}
    assert sections([], [drawn("a")], [], {}, said)[0].entries[0].first.discussion == said["a"]


def test_a_reason_is_said_once_and_what_was_looked_at_stands_apart():
    row = {"reason": "1 is not within 0; looked at: the log; and the curve"}
    assert reason(row) == ("1 is not within 0", "the log; and the curve")
    assert reason(row, dict(row)) == ("as above", "")
    assert reason({"reason": "x"}, row) == ("x", "")


def test_a_markdown_table_by_hand():
    found = markdown_table("Note.\n\n| name | x |\n| --- | ---: |\n| a | 1 |\n| b \\| c |  |\n")
    assert (found.header, found.rows, found.notes) == (["name", "x"], [["a", "1"], ["b | c", ""]], ["Note."])
    assert markdown_table("").header == []


def test_every_exhibit_has_what_the_paper_found(paper):
    said = findings(paper / "findings.csv")
    with (inputs.PROJECT / "paper" / "published" / "claims.csv").open(newline="") as stream:
        stated = {row["exhibit"]: row for row in csv.DictReader(stream)}
    families = {exhibit.study for exhibit in exhibits.of(list(BUILT_IN)).values() if exhibit.context}
    for name, row in stated.items():
        assert name in said or content._family(row) in said, name
    for exhibit in exhibits.of(list(BUILT_IN)).values():
        assert exhibit.study in said or exhibit.id in said, exhibit.id
    known = {*exhibits.of(list(BUILT_IN)), *families, *stated, *(content._family(row) for row in stated.values())}
    assert set(said) <= known, set(said) - known


def test_a_finding_said_twice_is_refused(tmp_path):
    path = tmp_path / "findings.csv"
    path.write_text("exhibit,published\na,one\na,two\n")
    with pytest.raises(ClaimsError, match="two rows for 'a'"):
        findings(path)


def test_the_registry_is_described_with_labels_and_absence(tmp_path, monkeypatch):
    family = exhibits._family("sensitivity", "Sensitivity")
    monkeypatch.setattr(exhibits, "FAMILIES", {"sensitivity": family})
    monkeypatch.setattr(inputs, "FAMILIES", {"sensitivity": family})
    numbers = tmp_path / "sensitivity" / "numbers.json"
    numbers.parent.mkdir()
    numbers.write_text('{"contexts": {"dna": {"label": "DNA", "absent": "none"}, "hex": {"label": "hexadecimal", "absent": ""}}}')
    files = [tmp_path / name for name in ("live_features.png", "sensitivity_hex.png", "sensitivity_dna.png")]
    found = inputs.drawn(files, ("dna", "hex"), [numbers])
    assert [(one.id, one.title, one.family, one.context, one.absent) for one in found] == [
        ("sensitivity_dna", "Sensitivity", "sensitivity", "DNA", "none"), ("sensitivity_hex", "Sensitivity", "sensitivity", "hexadecimal", ""),
        ("live_features", "Dead, ultralow and live features", "", "", "")]
