"""A table's shards hold what the table holds: decoded here by the book of types.d.ts, and compared with the values they were made of."""

import base64
from collections import defaultdict
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from replication.browser import shards, site, tables
from replication.browser.schema import WIDE, About, Card, Example, Explanation, Firing, Histogram, Relation, Shared, Table
from tests.browser import synthetic
from tests.unit.browser.test_shards import value_of

SIZE = 400


def shard(folder, path):
    name, value = value_of((folder / f"{path}.js").read_text())
    assert name == path
    return value


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<"))


def near(found, values):
    return found == shards.rounded(values) and np.allclose(np.array(found, float), np.array([np.nan if v is None else v for v in values], float), rtol=6e-4, equal_nan=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A synthetic table as values, and its entry and folder. Shards are small, so that there are several."""
    folder = tmp_path_factory.mktemp("tables")
    common = synthetic.shared(SIZE)
    table = synthetic.table("A/1", 90, common, others=("B/1", "A/0", "A/2", "A/neurons", "A/neurons", "B/1"))
    table = replace(table, cards=list(table.cards), predictions=list(table.predictions))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "TARGET", 40_000)
        entry = tables.write(table, SIZE, folder)
    return table, entry, folder


def test_the_index_holds_the_columns(written):
    table, entry, folder = written
    found = shard(folder, "A/1/index")
    for name, column in vars(table.columns).items():
        kind = "uint16" if name in ("fires", "up") else column.dtype
        expected = np.where(column < 0, 65535, column).ravel() if name in ("fires", "up") else column
        np.testing.assert_array_equal(unpacked(found[name], kind), expected, err_msg=name)
    assert (entry.features, entry.scored, entry.universal, entry.mapped, entry.kind) == (90, True, True, True, "features")


def test_cards_come_back_in_order_from_the_shards_that_the_entry_names(written):
    table, entry, folder = written
    found = [shard(folder, f"A/1/cards/{k}") for k in range(len(entry.cards))]
    assert [some[0]["feature"] for some in found] == entry.cards and len(entry.cards) > 3
    for one, card in zip([one for some in found for one in some], table.cards, strict=True):
        assert one["feature"] == card.feature
        for kind in ("activations", "logits"):
            histogram = getattr(card, kind)
            assert one[kind] is histogram is None or (one[kind]["counts"] == histogram.counts and near(one[kind]["edges"], histogram.edges))
        for kind in ("up", "down", "contexts", "texts"):
            assert [key for key, _ in one[kind]] == [key for key, _ in getattr(card, kind)] and near([v for _, v in one[kind]], [v for _, v in getattr(card, kind)])
        for row, example in zip(one["examples"], card.examples, strict=True):
            group, context, pos, repeated, start, tokens, fired, effects = row
            assert (group, context, pos, bool(repeated), start, tokens) == (example.group, example.context, example.pos, example.repeated, example.start, example.tokens)
            for flat, pairs in ((fired, example.fired), (effects, example.effects)):
                assert flat[::2] == [place for place, _ in pairs] and near(flat[1::2], [value for _, value in pairs])
        assert [tuple(row[:3]) for row in one["relations"]] == [(r.kind, r.table, r.feature) for r in card.relations]
        assert all(near(row[3:], [r.value, r.second]) for row, r in zip(one["relations"], card.relations, strict=True))
        for said, source in zip(one["explanations"], card.explanations, strict=True):
            assert (said["explainer"], said["text"], said["error"]) == (source.explainer, source.text, source.error)
            assert near([said[key] for key in ("spearman", "pearson", "logits", "control")], [source.spearman, source.pearson, source.logits, source.control])
            assert near(said["intervals"], source.intervals)


def test_windows_are_distinct_and_end_where_they_say(written):
    table, entry, folder = written
    stream = np.concatenate([unpacked(shard(folder, f"A/1/windows/{k}")["tokens"], "uint16") for k in range(len(entry.windows))]).tolist()
    assert [shard(folder, f"A/1/windows/{k}")["first"] for k in range(len(entry.windows))] == entry.windows and len(entry.windows) > 1
    features, window = [[]], []
    for token in stream:
        if token == SIZE + 1:
            assert not window
            features.append([])
        elif token == SIZE:
            features[-1].append(tuple(window))
            window = []
        else:
            window.append(token)
    assert features.pop() == []
    assert features == [list(dict.fromkeys(tuple(example.tokens) for example in card.examples)) for card in table.cards]


def decoded(folder, kind, firsts):
    found = {}
    for k, first in enumerate(firsts):
        one = shard(folder, f"A/1/{kind}/{k}")
        tokens, offsets, features = (unpacked(one[name], "uint32").tolist() for name in ("tokens", "offsets", "features"))
        strengths = unpacked(one["strengths"], "float32").tolist()
        assert tokens[0] == first and tokens == sorted(tokens) and offsets[0] == 0 and offsets[-1] == len(features) == len(strengths)
        for token, a, b in zip(tokens, offsets[:-1], offsets[1:], strict=True):
            assert token not in found
            found[token] = list(zip(features[a:b], strengths[a:b], strict=True))
    return found


def test_postings_say_who_fires_on_a_token_and_who_raises_it(written):
    table, entry, folder = written
    fires, promotes = defaultdict(dict), defaultdict(list)
    for card in table.cards:
        most = defaultdict(float)
        for example in card.examples:
            for place, activation in example.fired:
                if 0 <= place - example.start < len(example.tokens):
                    token = example.tokens[place - example.start]
                    most[token] = max(most[token], activation)
        for token, activation in most.items():
            fires[token][card.feature] = np.float32(activation / max(most.values()))
        for token, weight in (*card.up, *card.down):
            promotes[token].append((card.feature, np.float32(weight)))
    found = decoded(folder, "fires", entry.fires)
    assert {token: dict(rows) for token, rows in found.items()} == fires and len(entry.fires) >= 1
    assert all([strength for _, strength in rows] == sorted((strength for _, strength in rows), reverse=True) for rows in found.values())
    found = decoded(folder, "promotes", entry.promotes)
    assert {token: sorted(rows) for token, rows in found.items()} == {token: sorted(rows) for token, rows in promotes.items()}
    assert min(strength for rows in found.values() for _, strength in rows) < 0


def test_of_a_common_token_only_the_strongest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST", 2)
    posted = tables.Posted()
    for feature, strength in enumerate((0.1, 0.9, -0.8, 0.2)):
        posted.add(7, feature, strength)
    posted.add(3, 9, 0.5)
    assert tables.postings(tmp_path, "A/1/fires", posted) == [3]
    assert [[feature for feature, _ in rows] for rows in decoded(tmp_path, "fires", [3]).values()] == [[9], [1, 2]]


def test_explanations_predictions_and_texts(written):
    table, entry, folder = written
    rows = [row for k in range(entry.explanations) for row in shard(folder, f"A/1/explanations/{k}")]
    assert rows == [[card.feature, said.explainer, said.text] for card in table.cards for said in card.explanations if said.text]
    tested = [row for k in range(len(entry.predictions)) for row in shard(folder, f"A/1/predictions/{k}")]
    assert [(row["feature"], row["windows"]) for row in tested] == [
        (feature, [[one.group, one.start, one.tokens, one.levels, one.predicted] for one in windows]) for feature, windows in table.predictions]
    assert entry.texts == ["arabic", "dna"] and entry.strongest is None
    for text, firings in table.texts.items():
        found = shard(folder, f"A/1/texts/{text}")
        assert list(zip(found[::4], found[1::4], strict=True)) == [(one.pos, one.feature) for one in sorted(firings, key=lambda one: (one.pos, -one.activation))]
        assert found[3::4].count(None) == sum(one.effect is None for one in firings)


def test_a_text_on_which_too_much_fires_keeps_the_strongest_of_each_token(tmp_path):
    firings = [Firing(pos, 100_000 + feature, 0.00012345 * (feature + 1), -0.000012345) for pos in range(250) for feature in range(200)]
    columns = synthetic.table("A/neurons", 4, synthetic.shared(SIZE)).columns
    entry = tables.write(Table("A/neurons", "neurons", columns, [], texts={"long": firings, "short": firings[:3]}), SIZE, tmp_path)
    found = shard(tmp_path, "A/neurons/texts/long")
    assert entry.strongest == 9000 // 250 and found[1:4 * entry.strongest:4] == [100_199 - k for k in range(entry.strongest)]
    assert len(found) == 4 * 250 * entry.strongest and len(shard(tmp_path, "A/neurons/texts/short")) == 12
    told = Table("A/neurons", "neurons", columns, [], texts={"short": firings[:3]}, strongest=32)
    assert tables.write(told, SIZE, tmp_path).strongest == 32  # what was left out before is told too


def test_the_largest_card_that_a_run_can_have_fits_into_a_shard(tmp_path):
    places, longest = range(-WIDE, WIDE + 1), -1.2345e-05
    example = Example(12, 9_999_999, 255, True, -4, [131_071] * 9, [(place, 12.345e-05) for place in places], [(place, longest) for place in range(-4, 6)])
    relations = [Relation("matched_by", "random_long_name/long_name-r1", 131_071, longest, longest)] * 60
    said = Explanation("lookup", "x" * 4000, longest, longest, longest, longest, [longest] * 11, "")
    histogram = Histogram([1_000_000] * 40, [longest] * 41)
    card = Card(131_071, histogram, histogram, [(131_071, longest)] * 10, [(131_071, longest)] * 10, [example] * 95, relations, [said] * 5,
                [("a long name of a context", longest)] * 20, [("a_long_name_of_a_text", longest)] * 10)
    columns = synthetic.table("A/1", 2, synthetic.shared(SIZE)).columns
    assert tables.write(Table("A/1", "features", columns, [card]), 200_000, tmp_path).cards == [131_071]
    assert 100_000 < (tmp_path / "A" / "1" / "cards" / "0.js").stat().st_size <= shards.BUDGET


def extent(folder, *paths):
    return sum(path.stat().st_size for name in paths for path in ([folder / name] if (folder / name).is_file() else (folder / name).glob("*.js")))


@pytest.mark.parametrize(("features", "most"), [(4096, 1_000_000), (131_072, 15_000_000)])
def test_budgets_of_what_is_loaded_first_and_of_every_shard(tmp_path, features, most):
    common = synthetic.shared(65_536, contexts=300, n_ctx=256)
    table = synthetic.table("A/1", features, common, others=("B/1", "A/0"), full=False)
    some = [replace(card, activations=None, logits=None, examples=card.examples[:1], up=card.up[:1], down=card.down[:1], relations=(), explanations=())
            for card in islice(table.cards, 77)]
    entry = tables.write(replace(table, cards=(replace(some[feature % len(some)], feature=feature) for feature in range(features))), 65_536, tmp_path / "data")
    site.write_shared(common, tmp_path / "data")
    site.write_page(About("synthetic", {}, []), common, [entry], tmp_path)
    assert extent(tmp_path, "run.js", "data/vocabulary", "data/A/1/index.js") < most
    index = tmp_path / "data" / "A" / "1" / "index.js"
    assert all(path.stat().st_size <= shards.BUDGET for path in tmp_path.rglob("*.js") if path.name != "browser.js" and path != index)
    assert len(list((tmp_path / "data" / "vocabulary").iterdir())) == -(-65_536 // site.per_vocabulary(common))


def test_shared_shards_come_back(tmp_path):
    words = [f"{'長い' * 40}{k}" for k in range(3000)]  # a third of a megabyte with its escapes, and hostile ones
    common = Shared([*synthetic.HOSTILE, *words], np.arange(600 * 200, dtype=np.int32).reshape(600, 200) % 3000, synthetic.shared(SIZE).texts)
    site.write_shared(common, tmp_path)
    step = site.per_vocabulary(common)
    count = -(-len(common.vocabulary) // step)
    assert count > 2 and [word for k in range(count) for word in shard(tmp_path, f"vocabulary/{k}")] == list(common.vocabulary)
    assert all(len(shard(tmp_path, f"vocabulary/{k}")) == step for k in range(count - 1))
    per = site.per_shard(common)
    found = np.concatenate([unpacked(shard(tmp_path, f"contexts/{k}"), "uint16") for k in range(-(-600 // per))])
    np.testing.assert_array_equal(found.reshape(600, 200), common.contexts)
    assert shard(tmp_path, "texts/arabic") == {"id": "arabic", "title": "Arabic <b>script</b>", "tokens": common.texts[0].tokens}
    assert all(path.stat().st_size <= shards.BUDGET for path in tmp_path.rglob("*.js"))
