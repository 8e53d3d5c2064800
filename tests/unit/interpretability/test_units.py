"""The job that draws units, windows and logit tests, on planted features and on neurons."""

import filecmp

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.features.examples import INTERVALS
from replication.features.logit_weights import Readout
from replication.features.matrix import EvaluationMatrix
from replication.interpretability import activations, frames, logit_test, score, units
from replication.interpretability.protocol import GROUPS
from replication.model import load as load_model
from replication.progress import Progress
from tests.unit.interpretability.conftest import CONTEXT, N_CTX, NOISE, REPEATED, SELDOM, SINGLE, TOKEN, ULTRALOW


def read(folder):
    return pd.read_parquet(folder / artifacts.UNITS), pd.read_parquet(folder / artifacts.WINDOWS)


def test_units_that_fire_in_few_different_windows_are_left_out_and_counted(folder):
    table, windows = read(folder)
    assert table["feature"].tolist() == [SINGLE, CONTEXT, NOISE, SELDOM, REPEATED, ULTRALOW]  # the dead one is not drawn
    assert dict(zip(table["feature"], table["scored"], strict=True)) == {SINGLE: True, CONTEXT: True, NOISE: True, SELDOM: False, REPEATED: False, ULTRALOW: True}
    assert table.set_index("feature")["examples"][[SELDOM, REPEATED]].tolist() == [19, 1] and table["part"].tolist()[-1] == "ultralow"
    assert set(windows["feature"]) == {SINGLE, CONTEXT, NOISE, ULTRALOW} and table["single_token"].tolist() == [True, True, False, False, True, False]
    assert artifacts.check(folder)["scored"] == 4


def test_windows_hold_the_text_and_what_the_unit_truly_does(folder, world):
    _, windows = read(folder)
    flat = world.tokens.ravel()
    for row in windows.itertuples():
        place = np.arange(len(row.tokens)) - row.centre + row.token
        assert set(place // N_CTX) == {row.token // N_CTX}
        assert row.tokens.tolist() == flat[place].tolist() and np.array_equal(row.values, world.dense[place, row.feature])
        share = world.dense[place, row.feature] / world.dense[:, row.feature].max()
        assert (abs(row.activations - 9 * share) <= 0.5 + 1e-5).all()


def test_no_window_is_in_both_roles_of_a_feature(folder):
    _, windows = read(folder)
    keys = windows.assign(content=[tuple(tokens) for tokens in windows["tokens"]])[["feature", "content", "centre"]]
    assert not keys.duplicated().any() and set(windows["role"]) == {"explain", "predict"} and set(windows["group"]) == set(GROUPS)


def test_windows_out_of_context_are_of_the_top_examples_tokens(folder):
    _, windows = read(folder)
    out = windows[(windows["group"] == "out of context") & windows["feature"].isin([SINGLE, CONTEXT])]
    assert {row.tokens[row.centre] for row in out.itertuples()} == {TOKEN}
    fires = pd.Series([row.activations[row.centre] > 0 for row in out.itertuples()]).groupby(out["feature"].to_numpy()).mean()
    assert fires[SINGLE] == 1 and 0.2 < fires[CONTEXT] < 0.8  # a single token fires out of its context too


def test_interval_shares_are_of_the_nearest_target(folder, world):
    table, _ = read(folder)
    targets = (10 - np.arange(INTERVALS)) / 11
    for row in table.itertuples():
        values = world.dense[:, row.feature]
        nearest = abs(values[values > 0, None] / values.max() - targets).argmin(axis=1)
        assert row.interval_shares == pytest.approx(np.bincount(nearest, minlength=INTERVALS) / len(nearest))


def test_the_logit_test_of_a_dictionary_and_of_neurons(folder, world):
    model = load_model(world.layout.model("A"))
    W_dec = artifacts.read_tensors(world.layout.sae("A/1") / artifacts.SAE_WEIGHTS)["W_dec"]
    for out, directions in ((folder, W_dec @ model.block.mlp.W_out), (world.make("A/neurons", 5), model.block.mlp.W_out)):
        table, _ = read(out)
        read_by = model.ln_final.w[:, None] * model.unembed["W_U"]
        weights = (directions @ (read_by - read_by.mean(dim=0))).numpy()
        for row in table.itertuples():
            order = (-weights[row.feature]).argsort()
            assert set(row.positive) == set(order[:10]) and set(row.negative) == set(order[-10:])
            assert set(row.test_tokens[row.test_promoted]) == set(order[10:60]) and row.test_promoted.sum() == 50
            assert len(set(row.test_tokens)) == 100 and not set(row.test_tokens[~row.test_promoted]) & set(order[:60])
            assert (np.diff(row.test_promoted.astype(int)) != 0).sum() > 20  # in random order


def test_tokens_that_are_left_out_are_in_no_test_and_a_small_vocabulary_gives_a_short_one():
    readout = Readout(matrix=torch.eye(30), kept=torch.arange(100, 130))
    weights = torch.arange(30.0).flip(0)[None]  # token 100 is the strongest
    row = logit_test.draw(readout, weights, np.array([4]), seed=0).iloc[0]
    assert row["positive"].tolist() == list(range(100, 110)) and row["negative"].tolist() == list(range(129, 119, -1))
    assert sorted(row["test_tokens"]) == list(range(110, 130)) and row["test_promoted"].all()
    none = logit_test.draw(Readout(matrix=torch.eye(8), kept=torch.arange(8)), torch.arange(8.0)[None], np.array([0]), seed=0).iloc[0]
    assert none["test_tokens"].tolist() == [] and sorted(none["positive"]) == list(range(8))


def test_the_draw_takes_a_fifth_as_many_ultralow_features():
    table = pd.DataFrame({"feature": np.arange(300), "part": ["other"] * 200 + ["ultralow"] * 50 + ["dead"] * 50})
    some, every = units.draw(table, 40, seed=0), units.draw(table, 0, seed=0)
    assert some["part"].value_counts().to_dict() == {"other": 40, "ultralow": 8} and some["feature"].is_monotonic_increasing
    assert every["part"].value_counts().to_dict() == {"other": 200, "ultralow": 50}
    assert units.draw(table, 1000, seed=0)["feature"].tolist() == every["feature"].tolist()
    assert units.draw(table, 40, seed=1)["feature"].tolist() != some["feature"].tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(2.0**-20, 1, width=32), min_size=1, max_size=40), st.floats(0.125, 64, width=32))
def test_intervals_are_the_nearest_targets(shares, maximum):
    values = (np.array(shares) * maximum).astype(np.float32)
    distance = abs(values[:, None].astype(float) - maximum * (10 - np.arange(INTERVALS)) / 11)
    found = distance[np.arange(len(values)), activations.interval_of(values, np.full(len(values), maximum, np.float32))]
    assert found == pytest.approx(distance.min(axis=1), abs=1e-6 * maximum)


def test_levels_by_hand():
    assert activations.quantised(np.array([0, 0.4, 0.6, 4.4, 9], np.float32), np.float32(9)).tolist() == [0, 0, 1, 4, 9]


@pytest.mark.parametrize("name", ["A/1", "A/neurons"])
def test_activations_are_the_matrix(world, name):
    matrix = EvaluationMatrix(world.layout.features(name) / artifacts.MATRIX)
    dense = np.concatenate([shard if isinstance(shard, np.ndarray) else shard.toarray() for shard in matrix])
    rng, features = np.random.default_rng(0), np.array([0, 2, 6])
    unit, places = rng.integers(3, size=400), rng.integers(matrix.contexts, size=(400, 1)) * N_CTX + rng.integers(N_CTX, size=(400, 5))
    values, shares = activations.read(matrix, features, dense[:, features].max(axis=0), unit, places, Progress())
    assert np.array_equal(values, np.maximum(dense[places, features[unit][:, None]], 0)) and shares.sum(axis=1) == pytest.approx(1)


def test_rows_of_a_table_are_windows_again(folder):
    _, windows = read(folder)
    again = frames.windows(windows)
    assert again.tokens.shape == again.activations.shape == (len(windows), 9) and np.array(GROUPS)[again.group].tolist() == windows["group"].tolist()
    inside = again.tokens != -1
    assert all(np.array_equal(a, b) for a, b in zip(frames.rows(again.tokens, inside), windows["tokens"], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(frames.rows(again.activations, inside), windows["activations"], strict=True))
    assert (again.activations[~inside] == 0).all() and [row[4] for row in again.tokens] == [row.tokens[row.centre] for row in windows.itertuples()]
    assert len(frames.windows(windows[:0])) == 0 and frames.rows(again.tokens[:0], inside[:0]) == []


def test_a_second_time_gives_the_same_bits(folder, world, tmp_path):
    before = {file: (folder / file).rename(tmp_path / file) for file in (artifacts.UNITS, artifacts.WINDOWS)}
    world.make()
    assert all(filecmp.cmp(path, folder / file, shallow=False) for file, path in before.items())


@pytest.mark.parametrize("broken", [False, True])
def test_a_table_without_a_live_unit_is_empty_and_damage_is_named(world, tmp_path, broken):
    layout, features, out = world.layout, tmp_path / "features", tmp_path / "out"
    features.mkdir()
    for file in (artifacts.MATRIX, artifacts.EXAMPLES):
        (features / file).write_bytes((layout.features("A/1") / file).read_bytes())
    pd.read_parquet(layout.features("A/1") / artifacts.FEATURES).assign(part="dead").to_parquet(features / artifacts.FEATURES)
    meta = artifacts.read_json(layout.features("A/1") / artifacts.META)
    if not broken:
        meta["files"][artifacts.FEATURES] = artifacts.digest(features / artifacts.FEATURES)
    artifacts.write_json(features / artifacts.META, meta)
    ask = lambda: units.make(settings=world.config.settings("activations", "features"), name="A/1", units=0, features=features, evaluation=layout.evaluation(),
                             models=layout.root / "model", dictionaries=layout.root / "sae", corpus=layout.corpus(), out=out)
    if broken:
        with pytest.raises(ArtifactError, match="features.parquet is not what was written"):
            ask()
        assert not out.exists()
    else:
        ask()
        assert [len(table) for table in read(out)] == [0, 0] and score.read(out)[0] == []
