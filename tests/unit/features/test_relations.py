"""Children and neighbours of features whose likeness is known."""

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.features import masked_cosine, relations
from replication.features.relations import children, neighbours, often

N_CTX, CONTEXTS = 5, 60


def test_neighbours_are_the_live_rows_with_the_largest_cosine(monkeypatch):
    angle = torch.deg2rad(torch.tensor([0.0, 10, 25, 45, 90, 180, 5]))
    W_dec = 3 * torch.stack((angle.cos(), angle.sin()), dim=1)  # not of unit norm: the cosine is that of directions
    monkeypatch.setattr(relations, "NEIGHBOURS", 2)
    live = np.arange(6)  # the nearest of all, at 5 degrees, is dead
    whole = neighbours(W_dec, live)
    assert whole[["feature", "partner"]].to_numpy().tolist() == [
        [0, 1], [0, 2], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2], [3, 1], [4, 3], [4, 2], [5, 4], [5, 3]]
    assert np.allclose(whole["value"][:4], np.cos(np.deg2rad([10, 25, 10, 15])), atol=1e-6)
    monkeypatch.setattr(relations, "BLOCK", {"cpu": 12})  # two rows at a time
    assert neighbours(W_dec, live).equals(whole)


def test_few_features_have_few_neighbours():
    assert neighbours(torch.eye(3), np.array([0, 2]))[["feature", "partner"]].to_numpy().tolist() == [[0, 2], [2, 0]]
    assert neighbours(torch.eye(3), np.array([1])).empty and neighbours(torch.eye(3), np.array([], dtype=np.int64)).empty


def blank(features):
    return np.zeros((CONTEXTS, N_CTX, features), dtype=np.float32)


def test_parts_of_a_split_are_children_and_their_value_is_that_of_the_other_half(tmp_path, write):
    coarse, fine = blank(2), blank(4)
    coarse[:, 0, 0], coarse[:, 1, 0], coarse[:, 4, 1] = 2, 3, 1
    fine[:, 0, 0] = 1  # within feature 0, at one of its two tokens
    fine[:, 1, 1], fine[1::2, 2, 1] = 5, 5  # within it on half 0 alone: on half 1 every other token lies outside
    fine[:, 3, 2] = 1  # beside both
    fine[0, 0, 3] = 7  # fires once, within feature 0
    found = children(*(write(tmp_path / name, x.reshape(-1, x.shape[2]), shard_contexts=8, n_ctx=N_CTX) for name, x in (("coarse", coarse), ("fine", fine))))
    assert found[["feature", "partner"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    # half 1, a context's share of the sums: over the coarse one's tokens 3 * 5 / (sqrt(4 + 9) * 5), over the fine one's 3 * 5 / (3 * sqrt(25 + 25))
    assert found["value"].tolist() == pytest.approx([1.0, max(15 / (13**0.5 * 5), 15 / (3 * 50**0.5))], rel=1e-6)


def test_only_the_strongest_children_are_kept_in_any_block(tmp_path, write, monkeypatch):
    rng = np.random.default_rng(0)
    fine = (rng.exponential(size=(CONTEXTS, N_CTX, 12)) * (rng.random((CONTEXTS, N_CTX, 12)) < 0.5)).astype(np.float32)
    coarse = np.stack([fine[..., :6].max(axis=2), fine[..., 6:].max(axis=2), fine.max(axis=2)], axis=2)
    pair = [write(tmp_path / name, x.reshape(-1, x.shape[2]), shard_contexts=7, n_ctx=N_CTX) for name, x in (("coarse", coarse), ("fine", fine))]
    monkeypatch.setattr(relations, "CHILDREN", 4)
    whole = children(*pair)
    chosen, reported = (half.toarray() for half in masked_cosine.masked_cosine(masked_cosine.Pair(*pair, np.arange(3), np.arange(12)), above=0.0))
    expected = [(i, j) for i in range(3) for j in np.argsort(-chosen[i], kind="stable")[:4] if chosen[i, j] > 0.4]
    assert list(zip(whole["feature"], whole["partner"], strict=True)) == expected and len(expected) == 12
    assert np.allclose(whole["value"], [reported[place] for place in expected])
    monkeypatch.setattr(masked_cosine, "BLOCK", 12)
    assert children(*pair).equals(whole)


def test_features_that_fire_seldom_on_one_half_are_not_compared(tmp_path, write):
    x = blank(3)
    x[:, 0, 0], x[:40:2, 0, 1], x[1:38:2, 0, 1], x[:40, 0, 2] = 1, 1, 1, 1  # 30 and 30, 20 and 19, 20 and 20 tokens
    assert often(write(tmp_path / "matrix", x.reshape(-1, 3), shard_contexts=8, n_ctx=N_CTX)).tolist() == [0, 2]


def test_the_job_tells_of_every_dictionary_and_no_dead_feature(measured):
    table = artifacts.read_table(measured.layout.evaluation() / artifacts.RELATIONS)
    assert set(zip(table["kind"], table["dictionary"], table["other"], strict=True)) == {
        ("decoder", "A/1", "A/1"), ("decoder", "B/1", "B/1"), ("child", "A/1", "B/1")}
    for name in ("A/1", "B/1"):
        part = artifacts.read_table(measured.layout.features(name) / artifacts.FEATURES)["part"]
        rows = table[(table["dictionary"] == name) & (table["kind"] == "decoder")]
        assert set(rows["feature"]) == set(np.flatnonzero(part != "dead")) and not set(rows["partner"]) & set(np.flatnonzero(part == "dead"))
        assert (rows["feature"] != rows["partner"]).all() and (rows.groupby("feature").size() == 5).all()


def test_a_run_that_shows_no_dictionary_has_an_empty_table(measured, tmp_path):
    relations.make(settings=measured.settings, names=[], sizes=[], dictionaries=measured.layout.root / "sae", out=tmp_path)
    assert artifacts.read_table(tmp_path / artifacts.RELATIONS).empty
