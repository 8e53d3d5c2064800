import json
import xml.etree.ElementTree as ElementTree
from dataclasses import fields, replace

import matplotlib.image
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

import replication
from replication import artifacts
from replication.artifacts import ArtifactError
from replication.browser import picture, tables
from replication.browser.packed import Packed
from replication.browser.picture import Portrait, cut, draw, figure, sample
from replication.browser.schema import Card, Columns, Example, Explanation, Histogram, Relation
from replication.cli import main
from replication.config import UserError
from replication.exhibits import style, text
from tests.browser import synthetic
from tests.unit.browser.test_run import packed as pack

NORMAL, SCORED, RARE, DEAD = 1, 0, 11 * 3 + 5, 6
OTHERS = ("A/0", "A/0", "A/0", "A/neurons", "A/neurons", "A/0")
VOCABULARY = [*synthetic.HOSTILE, *synthetic.WORDS]
PROVENANCE = {"run": "planted", "config_hash": "abcdefabcdef", "corpus_hash": "0123456789ab", "version": "0.1.0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write(folder, features=48, size=len(VOCABULARY))
    return folder


@pytest.fixture(scope="module")
def packed(folder):
    return Packed.find(folder)


@pytest.fixture(scope="module")
def portrait(packed):
    return lambda feature, table="A/1": Portrait(table, packed.entry(table, feature)["kind"], packed.columns(table, feature), packed.card(table, feature), packed.vocabulary, PROVENANCE)


def neuron(**changes):
    """A neuron that fires on one token, where ablation hurts the next token and helps the one after."""
    unknown = {f.name: np.full(1, np.nan, np.float32) for f in fields(Columns)}
    columns = Columns(**unknown | {"density": np.array([2e-3], np.float32), "max": np.array([4.0], np.float32), "part": np.array([1], np.uint8),
                                   "single_token": np.array([1], np.uint8), "spearman": np.array([0.7], np.float32)})
    example = Example(0, 5, 9, False, -1, [1, 0, 2, 3], [(0, 4.0), (1, 1.0)], [(1, -0.5), (2, 0.25)])
    card = Card(32, Histogram([3, 1], [0, 2, 4]), Histogram([5, 5], [-1, 0, 1]), [(4, 0.9)], [(5, -0.8)], [example],
                [Relation("match", "B/neurons", 7, 0.91, 0.4), Relation("weight", "A/neurons", 3, -0.2, 0.08)],
                [Explanation("trie", "first", 0.1, None, None, None, [], ""), Explanation("ngram", "fires on $x$ and $y", 0.7, None, 0.6, None, [], "")], [("DNA", 0.5)])
    return Portrait("A/neurons", "neurons", columns, replace(card, **changes), [" one", "two", "three", "<b>", "up", "down"], PROVENANCE)


def drawn(portrait):
    with style.paper():
        return figure(portrait)


def said(portrait):
    return [artist.get_text() for artist in drawn(portrait).findobj(Text) if artist.get_text()]


def test_a_card_by_hand():
    made = neuron()
    texts = said(made)
    for expected in ("A/neurons/32", "neuron", "ultralow", "single token", "density 0.00200 · maximum 4.00", "top", "4.00", " one", "two", "three", "<b>", "+0.90",
                     "−0.80", "best match", "B/neurons/7", "0.91 (logits 0.40)", "A/neurons/3", "−0.20 (8 % of L1)", "context", "DNA", r"fires on \$x\$ and \$y (ngram, Spearman 0.70, logits 0.60)"):
        assert expected in texts, expected
    assert not any("first" in one for one in texts)  # another explainer's
    lines = [line for line in drawn(made).findobj(Line2D) if any(same_color(line.get_color(), colour) for colour in (style.RED, style.BLUE)) and len(line.get_xdata()) == 2]
    examples = [line for line in lines if line.get_ydata()[0] < max(line.get_ydata()[0] for line in lines)]  # the legend is above
    hurt, helped = examples
    assert (hurt.get_color(), hurt.get_linestyle()) == (style.RED, "-")
    assert (helped.get_color(), helped.get_linestyle()) == (style.BLUE, "--")
    begin = {artist.get_text(): artist.get_position()[0] for artist in drawn(made).findobj(Text)}
    assert hurt.get_xdata() == pytest.approx([begin["three"], begin["<b>"]]) and helped.get_xdata()[0] == pytest.approx(begin["<b>"])  # the tokens after
    shades = {round(float(shade.get_paths()[0].vertices[:, 0].min()), 4): shade.get_facecolor()[0] for shade in drawn(made).findobj(PolyCollection)}
    one, three = (shades[round(begin[token], 4)] for token in (" one", "three"))
    assert one[2] < three[2] < 1 and round(begin["two"], 4) not in shades
    assert bold(made) >= {" one"} and "two" not in bold(made)


def bold(portrait):
    return {artist.get_text() for artist in drawn(portrait).findobj(Text) if artist.get_fontweight() == "bold"}


def test_outer_tokens_without_room_are_left_out_and_the_own_one_stays():
    wide = [f"{letter * 13}" for letter in "abcdefghi"]
    made = replace(neuron(examples=[Example(0, 5, 9, False, -4, list(range(9)), [(0, 1.0)], [])], up=[], down=[]), vocabulary=wide)
    assert [string for string in said(made) if string in wide] == wide[3:7]
    assert bold(made) & set(wide) == {wide[4]}


def test_a_dead_feature_says_so():
    dead = neuron(activations=None, examples=[])
    dead.columns.part[0] = 0
    assert "It is silent on all evaluation tokens." in said(dead)
    assert "Activations" not in said(dead)


def test_an_empty_card_is_drawn_too():
    empty = Card(0, None, None, [], [], [])
    assert "None are known." in said(replace(neuron(), card=empty))


def test_windows_not_seen_before_come_first_and_keep_their_order():
    examples = [Example(0, k, 0, k < 8, 0, [0], [(0, 1.0)], []) for k in range(15)] + [Example(3, k, 0, True, 0, [0], [(0, 1.0)], []) for k in range(5)]
    assert [(example.group, example.context) for example in sample(examples)] == [(0, k) for k in (0, 1, 2, *range(8, 15))] + [(3, 0), (3, 1)]


@given(st.text(st.characters(), max_size=40) | st.sampled_from(VOCABULARY), st.integers(2, 20))
@settings(deadline=None)
def test_a_cut_token_fits(string, longest):
    found = cut(string, longest)
    assert text.cells(text.show(found)) <= longest
    assert found == string or (found.endswith("…") and string.startswith(found[:-1]))


@pytest.mark.parametrize("feature", [SCORED, DEAD])
def test_nothing_is_cut_off(feature, portrait, tmp_path):
    draw(portrait(feature), tmp_path / "card.png")
    pixels = matplotlib.image.imread(tmp_path / "card.png")[..., :3]
    assert 0.005 < (pixels.min(axis=-1) < 0.9).mean() < 0.6
    edge = np.concatenate([pixels[:2].ravel(), pixels[-2:].ravel(), pixels[:, :2].ravel(), pixels[:, -2:].ravel()])
    assert edge.min() > 0.97


def test_a_card_is_the_same_twice_and_says_whence_it_comes(portrait, tmp_path):
    for suffix in picture.SUFFIXES:
        draw(portrait(RARE), tmp_path / f"first{suffix}")
        draw(portrait(RARE), tmp_path / f"second{suffix}")
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()
    with Image.open(tmp_path / "first.png") as shown:
        assert (shown.text["Title"], shown.text["Run"], shown.text["ConfigHash"]) == (f"A/1/{RARE}", "planted", "abcdefabcdef")
        assert "corpus 0123456789ab · replication 0.1.0" in shown.text["Description"]
    assert b"abcdefabcdef" in (tmp_path / "first.pdf").read_bytes() and b"CreationDate" not in (tmp_path / "first.pdf").read_bytes()
    tree = ElementTree.parse(tmp_path / "first.svg")
    assert "run planted · config abcdefabcdef" in "".join(tree.getroot().itertext())
    tags = {element.tag.rpartition("}")[2] for element in tree.iter() if "svg" in str(element.tag)}
    assert tags <= {"svg", "title", "metadata", "defs", "style", "g", "path", "use", "clipPath", "rect", "pattern", "text"}
    assert not any(name.lower().startswith("on") for element in tree.iter() for name in element.attrib)


@pytest.mark.parametrize("feature", [NORMAL, SCORED, RARE, DEAD, None])
def test_nothing_lies_on_anything_else(feature, portrait):
    weak = neuron(examples=[Example(11, 5, 9, False, -4, [3] * 9, [(0, 7.98e-5)], [])])
    made = drawn(weak if feature is None else portrait(feature))
    made.draw_without_rendering()
    left = (picture.MARGIN + picture.LEFT) / (style.WIDTH * picture.POINTS) * made.bbox.width
    boxes = [(artist.get_text(), artist.get_window_extent()) for artist in made.axes[0].findobj(Text) if artist.get_text().strip()]
    for place, (string, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= made.bbox.width and box.y0 >= 0 and box.y1 <= made.bbox.height, string
        assert box.x0 >= left or box.x1 <= left + 3 or box.y0 > made.bbox.height - made.dpi, string  # of the two columns, below the heading
        for other, beside in boxes[:place]:
            across, along = min(box.y1, beside.y1) - max(box.y0, beside.y0), min(box.x1, beside.x1) - max(box.x0, beside.x0)
            assert across < 2 or along < 3, (string, other)  # pixels


def test_what_the_folder_holds_is_read_back(packed):
    common = synthetic.shared(len(VOCABULARY))
    table = synthetic.table("A/1", 48, common, others=OTHERS)
    assert list(packed.vocabulary) == common.vocabulary
    for card in table.cards:
        found = packed.card("A/1", card.feature)
        assert found.feature == card.feature and tables.as_card(found) == tables.as_card(card)
        row = packed.columns("A/1", card.feature)
        for f in fields(Columns):
            np.testing.assert_array_equal(getattr(row, f.name), getattr(table.columns, f.name)[card.feature:card.feature + 1])


def test_faults_are_named(packed, tmp_path):
    with pytest.raises(UserError, match="has no table 'A/7' with cards; did you mean"):
        packed.card("A/7", 0)
    with pytest.raises(UserError, match="A/1 has features 0 to 47, not 48"):
        packed.columns("A/1", 48)
    with pytest.raises(UserError, match=r"card\.gif ends in none of \.svg, \.png, \.pdf"):
        draw(neuron(), tmp_path / "card.gif")
    (tmp_path / "run.js").write_text('shard("run",{"version":99});\n')
    with pytest.raises(ArtifactError, match="has version 99 of the format, not 1"):
        Packed.find(tmp_path).entry("A/1", 0)
    for content in ("", "shard(", 'shard("run",{}', "alert(1);\n", 'shard("run",{});\nmore', 'shard("run",{"a":"é"});\n'):
        (tmp_path / "run.js").write_text(content, encoding="utf-8")
        with pytest.raises(ArtifactError, match=r"run\.js is not a shard"):
            Packed.find(tmp_path).entry("A/1", 0)


def test_a_changed_shard_of_a_run_is_noticed(tmp_path):
    synthetic.write(tmp_path, features=8, size=len(VOCABULARY))
    cards = tmp_path / "data" / "A" / "1" / "cards" / "0.js"
    (tmp_path / "data" / "A" / "1.meta.json").write_text(json.dumps({"files": {"1/cards/0.js": artifacts.digest(cards)}}))
    assert Packed.find(tmp_path).card("A/1", 3).feature == 3
    cards.write_text(cards.read_text().replace("[", "[ ", 1))
    with pytest.raises(ArtifactError, match="checksum differs"):
        Packed.find(tmp_path).card("A/1", 3)


def test_the_command_draws_and_refuses_in_a_sentence(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["card", "A/1/3", "--run", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == "synthetic-A-1-3.svg" and (tmp_path / "synthetic-A-1-3.svg").is_file()
    assert main(["card", "A/neurons/5", "--run", str(folder), "--out", "here/card.PNG"]) == 0
    assert (tmp_path / "here" / "card.PNG").is_file()
    (tmp_path / "empty").mkdir()
    for arguments, expected in ((["A/1/3", "--run", "nowhere"], "nowhere is not a folder"), (["A/1/3", "--run", "empty"], "`snakemake --cores all` makes it"),
                                (["A/1"], "is not the name of a feature"), (["A/1/-3"], "is not the name of a feature"), (["A/1/3", "--run", str(folder), "--out", "card"], "ends in none of"),
                                (["A/1/999", "--run", str(folder)], "features 0 to 47, not 999"), (["A/3/1", "--run", str(folder)], "has no table 'A/3'"),
                                (["A/1/3", "--run", str(folder), "--out", "here/card.PNG/x.svg"], "cannot be written")):
        assert main(["card", *arguments]) == 2
        error = capsys.readouterr().err
        assert expected in error and "Traceback" not in error and error.count("\n") == 1


def test_a_run_is_drawn_from_what_its_jobs_packed(by_hand, tmp_path, monkeypatch):
    pack(by_hand, tmp_path, monkeypatch)
    assert Packed.find(tmp_path).provenance == {"run": "tiny", "config_hash": by_hand.settings().hash(), "corpus_hash": "c0ffeec0ffee", "version": replication.__version__}
    assert main(["card", "A/1/0", "--run", str(tmp_path), "--out", "card.png"]) == 0
    with Image.open(tmp_path / "card.png") as shown:
        assert (shown.text["Title"], shown.text["ConfigHash"]) == ("A/1/0", by_hand.settings().hash())


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(), max_size=8) | st.sampled_from(VOCABULARY), min_size=6, max_size=6), st.text(st.characters(), max_size=30))
def test_any_text_is_drawn(tmp_path, strings, title):
    hostile = replace(neuron(explanations=[Explanation(title, " ".join(strings), 0.7, None, None, None, [], title)], contexts=[(title, 0.5)]), vocabulary=strings,
                      provenance={"run": title, "version": "0.1.0"})
    draw(hostile, tmp_path / "card.svg")
    ElementTree.parse(tmp_path / "card.svg")
