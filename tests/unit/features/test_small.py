"""Tokens, vocabulary, pairs."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.config import UserError
from replication.corpus import tokenizer
from replication.features import pairs, tables, tokens
from replication.features.vocabulary import token_strings
from replication.resolution import load, resolve


def test_contexts_are_drawn_without_replacement_and_by_seed():
    drawn = tokens.draw(25, 20, n_ctx=2, seed=1).tolist()
    assert len(set(drawn)) == 20 and set(drawn) <= set(range(25))
    assert drawn == tokens.draw(25, 20, n_ctx=2, seed=1).tolist() != tokens.draw(25, 20, n_ctx=2, seed=2).tolist()
    assert tokens.draw(25, 10, n_ctx=2, seed=1).tolist() == drawn[:10]  # fewer contexts are the first of more
    assert drawn != sorted(drawn)


def test_too_few_contexts_are_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"features\.contexts is 26, .* only 25 contexts .* lower features\.contexts, or raise corpus\.holdout"):
        tokens.draw(25, 26, n_ctx=2, seed=0)


def test_halves_by_hand():
    sources = np.array([7, 7, 7, 5, 5, 9, 7, 8])  # 7 fills one half, the others the other
    order = tokens.halved(sources)
    assert sources[order[0::2]].tolist() == [7, 7, 7, 7] and sources[order[1::2]].tolist() == [5, 5, 9, 8]
    assert order[1::2].tolist() == [3, 4, 5, 7]  # inside a half the order stays


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_no_more_than_one_text_is_in_both_halves(sources):
    order = tokens.halved(np.array(sources))
    assert sorted(order) == list(range(len(sources)))
    even, odd = (Counter(np.array(sources)[order[half::2]].tolist()) for half in (0, 1))
    both = [source for source in even if source in odd]
    assert len(both) <= 1
    longest = max(Counter(sources).values())
    assert not both or longest > len(sources) / 2 or min(even[both[0]], odd[both[0]]) <= longest / 2


def test_every_token_is_shown_as_text_or_bytes(tmp_path):
    trained = tokenizer.train(["naïve 日本 the the the the\n<|endoftext|>"], 300)
    trained.save(str(tmp_path / "tokenizer.json"))
    strings = token_strings(tmp_path / "tokenizer.json")
    assert len(strings) == trained.get_vocab_size()
    assert strings[trained.token_to_id("<|endoftext|>")] == "<|endoftext|>" and strings[trained.token_to_id("Ġthe")] == " the"
    assert strings[trained.token_to_id("Ċ")] == "\n" and r"\xd8" in strings and r"\xff" in strings
    ids = trained.encode("the naïve").ids
    assert "".join(strings[token] for token in ids).replace(r"\xc3\xaf", "ï") == "the naïve"


def test_a_broken_tokenizer_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ArtifactError, match="missing"):
        token_strings(path)
    path.write_text("{}")
    with pytest.raises(ArtifactError, match="not a tokenizer"):
        token_strings(path)


def config(dictionaries, **studies):
    return resolve({
        "run": "x", "models": {"A": {}, "B": {"seed": 1}, "random": {"shuffle_of": "A"}}, "activations": {"block": 1024000},
        "sae": {"d_sae": 8, "batch": 1000, "vectors": 1000, "resamplings": 0}, "dictionaries": {name: {} for name in dictionaries},
        "studies": studies})


def test_pairs_of_the_full_layout():
    found = pairs(config(["A/0", "A/1", "A/1-r1", "A/2", "B/0", "B/1", "random/1"]))
    assert found == list(dict.fromkeys(found))
    assert set(found) == {
        ("A/1", "B/1"), ("A/1-r1", "B/1"), ("B/1", "A/1"), ("A/0", "B/0"), ("B/0", "A/0"),
        ("A/1", "A/neurons"), ("A/1-r1", "A/neurons"), ("A/0", "A/neurons"), ("A/neurons", "B/neurons"), ("random/1", "A/1")}
    assert set(tables(config(["A/1", "B/1"]))) == {"A/1", "B/1", "A/neurons", "B/neurons"}


def test_pairs_of_one_model_never_match_a_table_with_itself():
    found = pairs(config(["A/1"], main="A/1", twin="A/1"))
    assert found == [("A/1", "A/neurons")]


@pytest.mark.parametrize("name", ["laptop", "smoke"])
def test_configs_name_only_tables_that_exist(name):
    run = load(Path(__file__).parents[3] / "config" / f"{name}.yaml")
    assert all(table in run.dictionaries or (table.partition("/")[0] in run.models and table.endswith("/neurons")) for table in tables(run))


def test_make_writes_what_read_reads(world):
    layout = world.layout
    tokens.make(settings=world.settings, corpus=layout.corpus(), out=layout.evaluation())
    found = tokens.read(layout.evaluation())
    assert found.shape == (40, 12) and found.dtype == torch.int32
    (layout.evaluation() / artifacts.EVALUATION_TOKENS).write_bytes(b"x")
    with pytest.raises(ArtifactError, match="checksum"):
        tokens.read(layout.evaluation())
