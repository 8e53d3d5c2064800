"""From a run's files to the values that the browser shows, and from these to a folder, on a run that is solved by hand."""

import json
import subprocess
import sys

import numpy as np
import pytest

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.browser import about, cards, inputs, run
from replication.browser.cards import Offered
from replication.browser.schema import Explanation, Firing, Prediction, Relation
from replication.browser.source import Source
from replication.cli import main
from replication.features import shown
from replication.resolution import resolve
from tests import planted
from tests.unit.browser.conftest import FIRINGS, Tiny, make

NAN = np.nan


def read(tiny, name="A/1", kinds=("offline",), mapped=True):
    made = cards.read(Source(tiny.layout), tiny.settings(), name, shown(tiny.config), Offered(kinds, mapped))
    return made, list(made.cards)


@pytest.fixture(scope="module")
def main_table(by_hand):
    return read(by_hand)


def test_examples_hold_their_window_and_what_fires_within_reach_of_it(main_table):
    _, (first, dead, third, last) = main_table
    near = [(one.context, one.pos, one.start, list(one.tokens), one.fired) for one in first.examples]
    assert near == [
        (1, 5, -4, [3, 4, 5, 0, 1, 2, 3, 4, 5], [(0, 4.0)]),
        (0, 40, -4, [0, 1, 2, 3, 4, 5, 0, 1, 2], [(0, 3.0), (32, 2.0)]),  # the firing 33 tokens on is out of reach, and so is the first token
        (0, 72, -4, [2, 3, 4, 5, 0, 1, 2, 3, 4], [(-32, 3.0), (0, 2.0), (1, 0.5)]),
        (0, 0, 0, [0, 1, 2, 3, 4], [(0, 1.0)]),
        (0, 73, -4, [3, 4, 5, 0, 1, 2, 3, 4, 5], [(-1, 2.0), (0, 0.5)])]
    assert dead.examples == [] and dead.activations is None and dead.logits is not None
    assert [(one.pos, one.start, len(one.tokens)) for one in last.examples] == [(79, -4, 5)]  # cut at the end of its context
    assert [one.group for one in third.examples] == [0, 0] and not any(one.repeated for one in third.examples)


def test_effects_stand_on_the_token_after_the_firing_also_after_the_token_before_the_window(main_table):
    _, (first, _, third, last) = main_table
    assert [one.effects for one in first.examples] == [[(1, -2.0)], [(1, -1.5)], [(1, -1.0), (2, -0.25)], [(1, -0.5)], [(0, -1.0), (1, -0.25)]]
    assert [one.effects for one in third.examples] == [[(-4, -0.5), (1, -1.0)], [(1, -0.5)]]
    assert last.examples[0].effects == []


def test_neurons_fire_everywhere_and_have_groups(by_hand):
    table, found = read(by_hand, "A/neurons", (), mapped=False)
    groups = [one.group for one in found[0].examples]
    assert table.kind == "neurons" and groups == [0] * 20 + [1 + k for k in range(11) for _ in range(5)] + [12] * 20
    assert all(len(one.fired) == min(32, one.pos) + 1 + min(32, 79 - one.pos) for one in found[0].examples)
    assert found[2].relations == [Relation("matched_by", "A/1", 0, 0.25, 0.125)] and np.isnan(table.columns.bias).all()
    assert table.strongest == 32


def test_relations_lead_to_tables_that_are_shown_strongest_first(by_hand, main_table):
    _, (first, dead, third, _) = main_table
    weights = [Relation("weight", "A/neurons", 2, -0.75, np.float32(0.6)), Relation("weight", "A/neurons", 0, 0.5, np.float32(0.4))]
    assert first.relations == [*weights, Relation("neuron", "A/neurons", 2, 0.25, 0.125), Relation("match", "B/1", 1, 0.875, 0.5),
                               Relation("parent", "A/0", 0, 0.5), Relation("decoder", "A/1", 2, 0.25), Relation("matched_by", "B/1", 1, 0.875, 0.5)]
    assert third.relations == [*weights, Relation("match", "B/1", 1, 0.75), Relation("parent", "A/0", 0, 0.75)]
    assert dead.relations == weights  # a correlation that could not be measured is none
    _, (small, _) = read(by_hand, "A/0", (), mapped=True)
    assert small.relations == [*weights, Relation("child", "A/1", 2, 0.75), Relation("child", "A/1", 0, 0.5)]
    only = cards.read(Source(by_hand.layout), by_hand.settings(), "A/1", ["A/1"], Offered())
    assert {one.table for card in only.cards for one in card.relations} == {"A/1"}


def test_the_index(main_table):
    columns = main_table[0].columns
    np.testing.assert_array_equal(columns.spearman, np.float32([0.5, NAN, NAN, NAN]))  # of the headline explainer
    np.testing.assert_array_equal(columns.universality, np.float32([0.875, NAN, 0.75, NAN]))
    np.testing.assert_array_equal(columns.x, np.float32([0.5, NAN, 1.5, NAN]))
    assert columns.cluster.tolist() == [-1, -1, 7, -1] and columns.part.tolist() == [2, 0, 2, 2]
    # in the five windows of feature 0: 1 + 2 + 2 on token 0 (places 0 and 72), 4 + 0.5 + 0.5 on token 1 (5 of the second context, 73), 3 on token 4
    assert columns.fires.tolist() == [[0, 1, 4], [-1, -1, -1], [3, 4, -1], [3, -1, -1]]
    assert columns.up.tolist() == [[3, 4, 5]] * 4 and columns.max.tolist() == [4, 0, 2, np.float32(0.123456)]


def test_the_largest_size_is_on_the_large_map_only(by_hand, tmp_path):
    table = artifacts.read_table(by_hand.layout.study("feature_umap") / artifacts.DATA)
    table.loc[table["name"].str.startswith("A/1/"), ["x_large", "y_large", "x", "y"]] = [3.0, 4.0, NAN, NAN]
    artifacts.write_table(tmp_path / artifacts.DATA, table)
    source = Source(by_hand.layout)
    source._checked = lambda folder, file, meta="": tmp_path / file
    assert source.map("A/1")[["feature", "x", "y", "cluster"]].to_numpy().tolist() == [[2, 3, 4, 7], [0, 3, 4, -1]]


def test_explanations_with_their_control_and_their_errors(main_table):
    _, (first, dead, third, _) = main_table
    assert first.explanations == [Explanation("lookup", "looked up", 0.75, 0.25, None, None, [None, 0.5], ""),
                                  Explanation("ngram", "said <b>", 0.5, 0.25, None, -0.125, [None, 0.5], "")]
    assert third.explanations == [Explanation("ngram", "", None, None, None, None, [None, 0.5], "late")] and not dead.explanations


def test_predictions_come_window_by_window(main_table):
    window = {"start": -1, "tokens": [3, 4, 5], "levels": [0, 9, 1]}
    assert list(main_table[0].predictions) == [
        (0, [Prediction("top", **window, predicted={"ngram": [0, 9, 0], "lookup": [0, 9, 0]}),
             Prediction("random", **window, predicted={"ngram": [1, 9, 0], "lookup": [1, 9, 0]})]),
        (2, [Prediction("top", **window, predicted={})])]


def test_contexts_and_texts_lead_back(by_hand, main_table):
    table, (first, dead, third, _) = main_table
    assert third.contexts == [("DNA", 0.25)] and not first.contexts and not dead.contexts
    assert first.texts == [("poem", 3.0), ("code", 2.0)] and third.texts == [("poem", 4.0)]
    assert table.texts == {"code": [Firing(0, 0, 2.0, None)], "poem": [Firing(0, 0, 1.0, 0.5), Firing(1, 0, 3.0, None), Firing(1, 2, 4.0, None)]}
    assert [(text.id, text.title, text.tokens) for text in run.texts_of(Source(by_hand.layout)).texts] == [("code", "Code", [5]), ("poem", "A <poem>", [1, 2])]


def test_a_table_without_scores_and_map_lacks_them(by_hand):
    table, found = read(by_hand, "B/1", (), mapped=False)
    assert np.isnan(table.columns.spearman).all() and np.isnan(table.columns.x).all() and list(table.predictions) == []
    assert not any(card.explanations for card in found) and table.texts == {}
    assert inputs.explained("A/1", by_hand.config) == ["offline"] and inputs.explained("B/1", by_hand.config) == []
    assert inputs.mapped("A/0", by_hand.config) and not inputs.mapped("B/1", by_hand.config) and not inputs.mapped("A/neurons", by_hand.config)


def test_the_run_index_has_a_row_for_every_dictionary(by_hand):
    found = about.read(Source(by_hand.layout), by_hand.settings(), ["A/1"])
    rows = {row["name"]: row for row in found.dictionaries}
    assert set(rows) == {"A/1", "A/0", "B/1"} and [row["table"] for row in rows.values()] == [True, False, False]
    row = rows["A/1"]
    assert row["l1_summed"] == pytest.approx(0.003 * 24) and row["l1"] == 0.003 and row["recovered"] is None and row["dead"] == 1 and row["l0"] == 1.5
    assert row["config"] == by_hand.config.settings().hash() and row["commit"]
    assert found.facts["config hash"] == by_hand.config.hash() and found.facts["corpus"] == "made up" and found.facts["evaluation tokens"] == "160"
    assert found.links == [("report", "../report.html"), ("ledger", "../claims.html")]


def packed(tiny, out, monkeypatch):
    """The jobs as the rules call them."""
    monkeypatch.chdir(out)
    given = ["--settings", tiny.settings().json(), "--results", str(tiny.layout.root)]
    names = shown(tiny.config)
    for name in names:
        mapped = inputs.mapped(name, tiny.config) and tiny.layout.study("feature_umap").is_dir()
        optional = ["--explained", *inputs.explained(name, tiny.config), *(["--mapped"] if mapped else [])]
        assert main(["browser", "table", *given, "--name", name, "--shown", *names, *optional, "--out", "browser/data"]) == 0
    assert main(["browser", "shared", *given, "--out", "browser/data"]) == 0
    assert main(["browser", "page", *given, "--entries", *(f"browser/data/{name}.json" for name in names), "--out", "browser"]) == 0
    return out / "browser"


def test_a_whole_folder_verifies_until_a_shard_is_changed(by_hand, tmp_path, monkeypatch, capsys):
    folder = packed(by_hand, tmp_path, monkeypatch)
    assert {path.name for path in folder.iterdir()} == {"index.html", "browser.js", "browser.css", "run.js", "types.d.ts", "README.txt", "data", "meta.json"}
    assert [sentence for _, sentence in artifacts.verify(tmp_path)] == [""] * 6
    index = json.loads((folder / "run.js").read_text().removeprefix('shard("run",').removesuffix(");\n"))
    assert [table["name"] for table in index["tables"]] == shown(by_hand.config) and index["texts"][1] == {"id": "poem", "title": "A <poem>"}
    assert index["tables"][0] == json.loads((folder / "data" / "A" / "1.json").read_text()) and index["contexts"] == {"count": 2, "n_ctx": 80, "perShard": 937}
    shard = folder / "data" / "A" / "1" / "cards" / "0.js"
    shard.write_text(shard.read_text().replace("0.1235", "0.1236"))
    assert main(["verify", str(tmp_path)]) == 1
    assert f"data/A/1/cards/0.js is not what was written (its checksum differs); delete {folder}/data/A/1 and run" in capsys.readouterr().out


def test_packing_twice_gives_the_same_bytes(by_hand, tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (packed(by_hand, tmp_path / name, monkeypatch) for name in ("first", "second"))
    shards = sorted(path.relative_to(first) for path in first.glob("data/**/*.js"))
    assert len(shards) > 10 and shards == sorted(path.relative_to(second) for path in second.glob("data/**/*.js"))
    assert all((first / path).read_bytes() == (second / path).read_bytes() for path in shards)


def test_an_upstream_file_that_changed_is_refused(tmp_path):
    tiny = make(tmp_path)
    path = tiny.layout.features("A/1") / artifacts.EFFECTS
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="effects.parquet is not what was written"):
        read(tiny)


def test_a_run_where_nothing_fires(tmp_path, monkeypatch):
    silent = make(tmp_path / "run", {name: {} for name in FIRINGS}, explained=False)
    raw = silent.config.interpretability.__class__(tables=("A/0",), explainers=("lookup",), headline="lookup")
    object.__setattr__(silent.config, "interpretability", raw)
    assert inputs.explained("A/1", silent.config) == []
    silent.explained("A/0")
    folder = packed(silent, tmp_path, monkeypatch)
    entry = json.loads((folder / "data" / "A" / "1.json").read_text())
    assert entry["cards"] == [0] and entry["fires"] == [] and entry["promotes"] == [0] and not entry["scored"]


def test_what_the_real_jobs_leave_behind_is_packed_and_every_relation_leads_somewhere(tmp_path, monkeypatch):
    given = resolve(planted.few())
    tiny = Tiny(planted.plant(tmp_path / "run", given), given)
    tables = {name: read(tiny, name, inputs.explained(name, given), mapped=False) for name in shown(given)}
    ids = [text.id for text in run.texts_of(Source(tiny.layout)).texts]
    kinds, leads = set(), 0
    for table, found in tables.values():
        assert [card.feature for card in found] == list(range(len(table.columns.density))) and set(table.texts) <= set(ids)
        for card in found:
            assert all(one.table in tables and 0 <= one.feature < len(tables[one.table][1]) for one in card.relations)
            assert all(largest in {firing.activation for firing in table.texts[text] if firing.feature == card.feature}
                       for text, largest in card.texts)
            kinds |= {one.kind for one in card.relations}
            leads += len(card.texts) + sum(bool(one.effects) for one in card.examples)
    assert kinds == {"neuron", "match", "decoder", "matched_by"} and leads > 100  # the planted table has no decoder weights
    assert [entry["name"] for entry in json.loads((packed(tiny, tmp_path, monkeypatch) / "run.js").read_text()[len('shard("run",'):-3])["tables"]] == list(tables)


def test_packing_loads_no_torch(by_hand, tmp_path):
    code = ("import sys; from pathlib import Path; from replication.artifacts import Layout; from replication.browser import pack, run\n"
            "from replication.browser.cards import Offered; from replication.config import Settings\n"
            f"settings = Settings.parse({by_hand.settings().json()!r})\n"
            f"layout, out = Layout(Path({str(by_hand.layout.root)!r})), Path({str(tmp_path)!r})\n"
            "pack.table(settings=settings, name='A/1', shown=['A/1'], offered=Offered(['offline'], True), layout=layout, out=out)\n"
            "run.shared(settings=settings, layout=layout, out=out)\n"
            "assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_is_packed_without_knowing_the_page():
    from replication.provenance import code

    files = {path.rpartition("/")[2] for path in code("replication.browser.pack")}
    assert {"cards.py", "tables.py", "examples.py"} <= files and not {"site.py", "about.py", "picture.py", "published.py"} & files
    assert any(path.endswith("page/card.js") for path in inputs.page())
