import copy
import json
import math
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replication.browser.published import bring, card, survey
from replication.browser.schema import Card, Example, Histogram, Relation
from replication.cli import main
from replication.features import published
from replication.features.published import PublishedError, read
from replication.progress import Progress
from tests.browser.synthetic import HOSTILE

INTERVALS = [f"Subsample Interval {k}" for k in range(11)]
ANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def window(tokens=("a", " b", "\\xd8"), activations=(0, 0.98, 0.1), losses=(0, 0.02, 0.4), centre=1, repeated=0):
    return {"tokens_str_list": list(tokens), "tokens_acts_list": list(activations), "train_token_ind": centre, "is_repeated_datapoint": repeated, "datapoint_ind": 42,
            "ablations": {"loss_ablation": list(losses), "residual_loss_ablation": [3.1] * len(tokens), "top_logit_ablation_tokens_str": [["x"] * len(tokens)],
                          "top_logit_ablation_values": [[0.1] * len(tokens)]}}


def group(name, *windows):
    return {"quantile_name": name, "quantile_max_act": 0.98, "examples": list(windows)}


def feature(index=7, groups=None, density=0.0007):
    return {"index": index, "act_buckets": [12, 3], "act_bucket_edges": [0, 0.5, 1.0], "logit_buckets": [5, 2], "logit_bucket_edges": [-0.2, 0.1, 0.4],
            "examples_quantiles": [group("Top Activations", window())] if groups is None else groups,
            "statistics": {"density_frac": density, "global_max_act": 0.98, "abs_max_neuron_weights": [0.4, 0.2], "abs_max_neuron_inds": [3, 1], "l1_max_neuron_weights": [0.04, 0.02]},
            "logit_effects": {"positives": [["z", 0.31], ["y", 0.2]], "negatives": [["p", -0.2]]}}


def whole(index=0, top=None):
    tops = top or [window()] * 20
    return feature(index, [group("Top Activations", *tops), *(group(name, *[window()] * 5) for name in INTERVALS), group("Bottom Activations", *[window()] * 20)])


def put(folder, *features):
    folder.mkdir(exist_ok=True)
    for place, one in enumerate(features):
        (folder / f"scraped-{place:04d}.json").write_text(json.dumps(one))
    return folder


def shard(path):
    text = path.read_text(encoding="ascii")
    assert not set(text) & set("<>&")
    assert text.startswith("shard(") and text.endswith(");\n")
    return json.loads("[" + text[len("shard("):-len(");\n")] + "]")


def card_of(site, index):
    return next(card for path in site.glob("data/A/1/cards/*.js") for card in shard(path)[1] if card["feature"] == index)


def test_a_file_becomes_a_card_by_hand(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(feature()))
    ids = {"a": 0, " b": 1, "\\xd8": 2, "z": 3, "y": 4, "p": 5}
    assert card(read(tmp_path / "x.json"), ids, "A/neurons") == Card(
        7, Histogram([12, 3], [0, 0.5, 1]), Histogram([5, 2], [-0.2, 0.1, 0.4]), [(3, 0.31), (4, 0.2)], [(5, -0.2)],
        [Example(0, -1, -1, False, -1, [0, 1, 2], [(0, 0.98), (1, 0.1)], [(0, -0.02), (1, -0.4)])],  # a loss that rises is a log-likelihood that falls
        [Relation("weight", "A/neurons", 3, 0.4, 0.04), Relation("weight", "A/neurons", 1, 0.2, 0.02)])


def test_groups_are_numbered_in_their_order_and_a_rare_feature_has_the_top_only(tmp_path):
    site = tmp_path / "site"
    assert bring(put(tmp_path / "files", whole(0), feature(1)), site, name="A/1") == 2
    assert [example[0] for example in card_of(site, 0)["examples"]] == [0] * 20 + [k for k in range(1, 12) for _ in range(5)] + [12] * 20
    assert [example[0] for example in card_of(site, 1)["examples"]] == [0]


def test_the_index_says_what_the_files_say(tmp_path):
    same = [window(["x", "q", "x"], [0.5, 0.1, 0.4], [0, 0, 0])] * 20
    mixed = [*same[:19], window(["x", "q"], [0.1, 0.3], [0, 0])]
    files, _, columns, vocabulary = survey(put(tmp_path / "files", whole(0, same), whole(2, mixed), feature(3, density=9e-7), feature(4, [], density=1e-6)), Progress())
    assert list(files) == [0, 2, 3, 4]
    assert columns.part.tolist() == [2, 0, 2, 1, 2]  # a missing file is a dead feature
    assert columns.single_token.tolist() == [1, 0, 0, 0, 0]  # the rule needs all 20 top examples
    assert columns.density.tolist() == pytest.approx([7e-4, 0, 7e-4, 9e-7, 1e-6])
    assert [vocabulary[token] for token in columns.up[3, :2]] == ["z", "y"] and columns.up[3, 2] == -1
    assert [vocabulary[token] for token in columns.fires[3, :2]] == [" b", "\\xd8"] and columns.fires[3, 2] == -1
    assert columns.fires[1].tolist() == columns.fires[4].tolist() == [-1] * 3
    assert np.isnan(columns.universality).all()


@ANY
@given(st.lists(st.text(st.characters(), max_size=6) | st.sampled_from(HOSTILE), min_size=1, max_size=9), st.data())
def test_any_text_comes_back_from_the_shards_as_it_was(tmp_path_factory, tokens, data):
    folder = tmp_path_factory.mktemp("any")
    centre = data.draw(st.integers(0, len(tokens) - 1))
    one = feature(0, [group("Top Activations", window(tokens, [1.0] * len(tokens), [0.5] * len(tokens), centre))])
    site = folder / "site"
    bring(put(folder / "files", one), site, name="A/1", title="</script><!--")
    strings = [string for path in sorted(site.glob("data/vocabulary/*.js")) for string in shard(path)[1]]
    (example,) = card_of(site, 0)["examples"]
    assert [strings[token] for token in example[5]] == tokens
    assert example[4] == -centre
    assert example[6][::2] == example[7][::2] == [place - centre for place in range(len(tokens))]
    assert shard(site / "run.js")[1]["run"] == "</script><!--"


def broken(path, value):
    made = feature()
    *inner, last = path
    place = made
    for key in inner:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return made


WINDOW = ("examples_quantiles", 0, "examples", 0)
FAULTS = [
    (("index",), KeyError, "index is missing"),
    (("index",), -1, "index is -1, not a whole number from 0"),
    (("index",), 2**40, "index is 1099511627776, not a whole number from 0"),
    (("index",), 7.0, "index is 7.0, not a whole number"),
    (("index",), True, "index is true, not a whole number"),
    (("statistics",), KeyError, "statistics is missing"),
    (("statistics",), [1], "statistics is not an object"),
    (("statistics", "density_frac"), KeyError, "statistics.density_frac is missing"),
    (("statistics", "density_frac"), 1.5, "statistics.density_frac is 1.5, not a number from 0 to 1"),
    (("statistics", "density_frac"), math.nan, "statistics.density_frac is NaN, not a number from 0 to 1"),
    (("statistics", "global_max_act"), math.inf, "statistics.global_max_act is Infinity, not a number"),
    (("statistics", "global_max_act"), 10**400, "statistics.global_max_act is a whole number of many digits, not a number"),
    (("statistics", "global_max_act"), None, "statistics.global_max_act is null, not a number"),
    (("statistics", "l1_max_neuron_weights"), [1], "statistics.abs_max_neuron_weights, abs_max_neuron_inds and l1_max_neuron_weights differ in length"),
    (("act_buckets",), [1, -2], "act_buckets[1] is -2, not a whole number from 0"),
    (("act_bucket_edges",), [0, 1], "act_bucket_edges has 2 entries, not 3"),
    (("logit_bucket_edges",), [0, 2, 1], "logit_bucket_edges does not rise"),
    (("logit_bucket_edges",), [0, math.nan, 1], "logit_bucket_edges holds NaN at 1"),
    (("logit_effects", "positives"), [["z"]], "logit_effects.positives[0] is not a pair"),
    (("logit_effects", "negatives"), [[1, 0.2]], "logit_effects.negatives[0][0] is 1, not a text"),
    (("examples_quantiles",), {}, "examples_quantiles is not a list"),
    (("examples_quantiles",), [group("Top")] + [group("Interval")] * 12, "examples_quantiles[12].quantile_name is the interval 12 of at most 11"),
    ((*WINDOW, "tokens_str_list"), [], "examples_quantiles[0].examples[0].tokens_str_list is empty"),
    ((*WINDOW, "tokens_str_list"), ["x"] * 4, "examples_quantiles[0].examples[0].tokens_acts_list has 3 entries, not 4"),
    ((*WINDOW, "tokens_str_list"), ["x", 3, "y"], "examples_quantiles[0].examples[0].tokens_str_list[1] is 3, not a text"),
    ((*WINDOW, "tokens_str_list"), ["x", "y" * 1001, "y"], "tokens_str_list[1] is a text, not a text of at most 1000 characters"),
    ((*WINDOW, "tokens_acts_list"), [0, -1, 0], "tokens_acts_list holds -1 at 1, not a number from 0"),
    ((*WINDOW, "train_token_ind"), 3, "train_token_ind is 3, not a whole number from 0 to 2"),
    ((*WINDOW, "is_repeated_datapoint"), 2, "is_repeated_datapoint is 2, not 0 or 1"),
    ((*WINDOW, "ablations"), KeyError, "examples_quantiles[0].examples[0].ablations is missing"),
    ((*WINDOW, "ablations", "loss_ablation"), [0, 1], "ablations.loss_ablation has 2 entries, not 3"),
    ((*WINDOW, "ablations", "loss_ablation"), [0, 1e40, 0], "ablations.loss_ablation holds 1e+40 at 1"),
]


@pytest.mark.parametrize(("path", "value", "said"), FAULTS)
def test_a_fault_is_named_by_file_and_field_and_nothing_is_written(path, value, said, tmp_path):
    folder = put(tmp_path / "files", feature(1), broken(path, value))
    with pytest.raises(PublishedError) as caught:
        bring(folder, tmp_path / "site", name="A/1")
    assert "scraped-0001.json: " in str(caught.value) and said in str(caught.value)
    assert list(tmp_path.iterdir()) == [folder]


def test_half_a_character_is_read_as_one_that_is_unknown(tmp_path):
    folder = put(tmp_path / "files", broken((*WINDOW, "tokens_str_list"), ["x", "\ud83d", "\ud83d\ude00"]))
    assert read(folder / "scraped-0000.json").windows[0].tokens == ["x", "\ufffd", "\U0001f600"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"index": 1,}', b"\xff\xfe\x00", b"[" * 100_000, b'{"index": ' + b"9" * 5000 + b"}", b"\x00", b"nul"])
def test_what_is_not_json_is_refused(content, tmp_path):
    put(tmp_path / "files", feature(1))
    (tmp_path / "files" / "scraped-0001.json").write_bytes(content)
    with pytest.raises(PublishedError, match=r"scraped-0001\.json is not JSON"):
        bring(tmp_path / "files", tmp_path / "site", name="A/1")


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=5)


@ANY
@given(st.sampled_from(list(places(feature()))), JSON)
def test_whatever_stands_in_a_field_is_read_as_it_should_be_or_refused_in_a_sentence(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("fuzz") / "one.json"
    path.write_text(json.dumps(broken(place, copy.deepcopy(value)) if place else value))
    try:
        found = read(path)
    except PublishedError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    numbers = [found.density, found.max, *found.activations.edges, *found.logits.edges, *(weight for _, weight in (*found.up, *found.down)),
               *(number for one in found.windows for number in (*one.activations, *one.losses))]
    assert all(math.isfinite(number) for number in numbers)
    assert all(len(one.tokens) == len(one.activations) == len(one.losses) > one.centre >= 0 for one in found.windows)


def test_two_files_of_one_feature_are_refused(tmp_path):
    with pytest.raises(PublishedError, match=r"scraped-0001\.json: index is 7, as in scraped-0000\.json"):
        bring(put(tmp_path / "files", feature(), feature()), tmp_path / "site", name="A/1")


def test_a_file_that_changes_under_way_leaves_nothing_behind(tmp_path):
    folder = put(tmp_path / "files", feature(0), feature(1))

    class Meddling(Progress):
        def __call__(self, done, total, note=""):
            if note == "cards written":
                put(folder, feature(0), feature(1, [group("Top Activations", window(["new", "text"], [1, 1], [0, 0]))]))

    with pytest.raises(PublishedError, match="changed while it was read"):
        bring(folder, tmp_path / "site", name="A/1", progress=Meddling())
    assert list(tmp_path.iterdir()) == [folder]


def test_files_are_held_one_at_a_time(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []
    original = published.read

    def watched(path):
        found = original(path)
        alive.add(found)
        most.append(len(alive))
        return found

    monkeypatch.setattr(published, "read", watched)
    monkeypatch.setattr(published.Feature, "__hash__", object.__hash__)
    bring(put(tmp_path / "files", *(whole(k) for k in range(12))), tmp_path / "site", name="A/1")
    assert len(most) == 24 and max(most) <= 2


@pytest.mark.parametrize(("name", "said"), [("A", "is not the name of a table"), ("A/1/2", "is not the name"), ("text/1", "is not the name"), ("../1", "is not the name"), ("A/<b>", "is not the name")])
def test_a_table_has_a_name_that_links_can_hold(name, said, tmp_path):
    with pytest.raises(PublishedError, match=said):
        bring(put(tmp_path / "files", feature()), tmp_path / "site", name=name)


def test_the_command_writes_a_page_and_refuses_in_a_sentence(tmp_path, capsys):
    folder, site = put(tmp_path / "files", feature(0)), tmp_path / "site"
    (folder / "notes.txt").write_text("passed over")
    (folder / "._scraped-0000.json").write_text("passed over too")
    assert main(["import-viewer", str(folder), "--out", str(site), "--name", "B/neurons", "--title", "theirs"]) == 0
    assert "B/neurons from 1 file" in capsys.readouterr().out
    run = shard(site / "run.js")[1]
    assert (run["run"], run["tables"][0]["name"], run["tables"][0]["kind"]) == ("theirs", "B/neurons", "neurons")
    assert run["dictionaries"][0]["l0"] == pytest.approx(7e-4) and run["contexts"] is None
    assert {"index.html", "browser.js", "browser.css", "run.js", "data"} <= {path.name for path in site.iterdir()}
    assert site.stat().st_mode & 0o755 == 0o755
    for arguments, said in (([folder, site], "exists already"), ([tmp_path / "none", tmp_path / "new"], "is not a folder"), ([site, tmp_path / "new"], "holds no file that ends in .json"),
                            ([folder, folder / "notes.txt" / "new"], "cannot be written")):
        assert main(["import-viewer", str(arguments[0]), "--out", str(arguments[1])]) == 2
        error = capsys.readouterr().err
        assert said in error and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "site"]


def test_a_file_far_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "LARGEST_FILE", 100)
    with pytest.raises(PublishedError, match="has more than 100 bytes"):
        read(put(tmp_path / "files", feature()) / "scraped-0000.json")


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "site").mkdir()
    bring(put(tmp_path / "files", feature(0)), Path(tmp_path / "site"), name="A/1")
    assert (tmp_path / "site" / "index.html").is_file()
