"""The low-density cluster, where the truth is known: courses that were drawn by a law, encoders that were built."""

import importlib
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Settings, Studies
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.progress import Progress
from replication.resolution import resolve
from replication.sae.dictionary import Dictionary
from replication.studies import STUDIES
from replication.studies.questions import lower_cluster, trajectories, ultralow_numbers
from replication.studies.questions.starts import by_start, start_of
from replication.studies.questions.trajectories import Trajectories
from replication.studies.questions.ultralow_numbers import Found
from tests.planted import raw

SETTINGS = Settings(run="planted", seed=0, studies=Studies(bootstrap=100))
VECTORS = 100_000


def course(step, fired, *, cosine=None, resampled=None, left=()):
    """Trajectories from counts [point, feature]."""
    fired = np.asarray(fired)
    alone = np.zeros(fired.shape[1], np.int32)
    alone[list(left)] = 1
    return Trajectories.of({
        "step": np.asarray(step), "fired": fired, "cosine": np.ones(fired.shape) if cosine is None else cosine,
        "resampled": np.zeros(fired.shape, int) if resampled is None else np.asarray(resampled), "left": alone}, VECTORS)


def test_rare_by_hand():
    # bounds at 10 and 30 of 100,000 vectors: in between a feature stays what it was
    found = course([0, 1, 2, 3, 4], [[50, 9, 20], [20, 20, 5], [9, 31, 20], [20, 20, 31], [31, 5, 10]])
    assert found.rare.T.tolist() == [[False, False, True, True, False], [True, True, False, False, True], [False, True, True, False, False]]


def test_births_and_deaths_by_hand():
    found = course([0, 10, 20, 20, 40], [[50, 50, 0], [50, 0, 0], [0, 0, 0], [0, 0, 90], [0, 50, 0]], resampled=[[0] * 3] * 3 + [[0, 0, 1]] * 2)
    flows = trajectories.flows(found)
    assert flows.end.tolist() == [10, 20, 40] and flows.length.tolist() == [10, 10, 20]
    assert flows.born.tolist() == [0, 0, 1] and flows.died.tolist() == [1, 1, 1]  # what resampling gives life is no birth
    assert flows.rare.tolist() == [1, 2, 2] and flows.common.tolist() == [2, 1, 1]
    assert found.at(0.5) == 3 and trajectories.later_flows(found).tolist() == [[20, 0, 0, 0], [20, 0, 1, 0], [0, 20, 0, 1]]
    left, resampled = trajectories.silenced(replace(found, left=np.array([True, False, False])))
    assert left.tolist() == [0] and resampled.tolist() == [2]


def test_slopes_are_those_of_the_law_and_births_do_not_hide_them():
    step = np.array([0, 100, 500, 600, 700, 800, 900, 1000])
    fall, rng = np.maximum(step, 1) ** -0.8, np.random.default_rng(0)
    rare = np.round(8 * rng.random(400) * fall[:, None] / fall[2])
    common = np.round(5000 * np.maximum(step, 1) ** -0.1)[:, None] * np.ones(50)
    rare[5:, :3] = 9000  # born late
    found = course(step, np.concatenate([rare, common], axis=1))
    numbers = ultralow_numbers.of_slopes([found] * 3, SETTINGS)
    assert numbers["slope_common"].value == pytest.approx(-0.1, abs=0.01)
    assert numbers["slope_rare"].value == pytest.approx(-0.8, abs=0.35) and numbers["rare_keeps_falling"].low > 0
    assert (numbers["slope_rare"].n, numbers["slope_common"].n, numbers["slope_rare"].replicates) == (400, 50, 3)


def test_rates_balance_where_births_and_deaths_are_planted():
    rng, step = np.random.default_rng(1), np.arange(0, 4001, 100)
    state = [rng.random(4000) < 0.8]
    for _ in step[1:]:
        state.append(np.where(state[-1], rng.random(4000) > 0.01, rng.random(4000) < 0.04))  # in 100 steps
    numbers = ultralow_numbers.of_flows([course(step, np.where(state, 0, 100))], SETTINGS)
    assert numbers["births"].value == pytest.approx(0.1, rel=0.1) and numbers["deaths"].value == pytest.approx(0.4, rel=0.1)  # of them in 1,000 steps
    assert numbers["balance"].value == pytest.approx(0.8, abs=0.03) and numbers["rare_at_end"].value == pytest.approx(0.8, abs=0.03)
    assert numbers["deaths_minus_births"].low < 0 < numbers["deaths_minus_births"].high


def test_what_was_decided_early_and_what_resampling_did():
    step = np.array([0, 5, 50, 50, 100])
    low, high, lively = [5000, 40, 2, 2, 1], [5000, 80, 500, 500, 500], [5000, 60, 0, 500, 500]
    fired = np.array([low] * 30 + [high] * 30 + [[5000, 60, 0, 0, 0]] * 15 + [lively] * 15).T
    resampled = np.zeros((5, 90), int)
    resampled[3:, 75:] = 1
    cosine = np.ones((5, 90))
    cosine[1, :30], cosine[-1, :30], cosine[1, 30:60], cosine[-1, 30:60] = 0.95, 0.9, 0.9, 0.1
    found = course(step, fired, cosine=cosine, resampled=resampled, left=range(75))
    early = ultralow_numbers.of_beginning([found], SETTINGS)
    assert early["turned_early_rare"].value == pytest.approx(0.05 / 0.1) and early["turned_early_common"].value == pytest.approx(0.1 / 0.9)
    assert early["early_auc"].value == 1 and early["decided_early"].low == 0.5 and early["early_rare"].value == 0
    kept = ultralow_numbers.of_leaving([found], SETTINGS)
    assert (kept["left_rare"].value, kept["resampled_rare"].value, kept["left_minus_resampled"].value) == (1, 0, 1)


def test_an_input_of_most_is_found_on_features_that_did_not_choose_it(tmp_path):
    rng = np.random.default_rng(2)
    on = rng.random((64, 400)) < 0.01
    on[37] = rng.random(400) < 0.6
    with MatrixWriter(tmp_path / "matrix", n_features=400, contexts=8, n_ctx=8, shard_contexts=4, dense=False) as writer:
        for part in np.split(on.astype(np.float32), 2):
            writer.append(sparse.csr_array(part))
    together, chance = lower_cluster.one_input(EvaluationMatrix(tmp_path / "matrix"), np.arange(100, 400), np.random.default_rng(0))
    assert together.mean() == pytest.approx(on[37, 100:].mean()) and chance == pytest.approx(on[:, 100:].mean())
    with MatrixWriter(tmp_path / "even", n_features=400, contexts=64, n_ctx=64, shard_contexts=64, dense=False) as writer:
        writer.append(sparse.csr_array((rng.random((4096, 400)) < 0.1).astype(np.float32)))
    luck, _ = lower_cluster.one_input(EvaluationMatrix(tmp_path / "even"), np.arange(400), np.random.default_rng(0))
    assert luck.mean() < 0.15  # the busiest of 4,096 tokens, chosen on the features themselves, would have more


def test_firing_without_the_tied_bias_by_hand():
    dictionary = Dictionary(W_enc=torch.tensor([[1.0, 1.0], [2.0, 0.0]]), b_enc=torch.tensor([0.0, -1.0]), W_dec=torch.eye(2), b_dec=torch.tensor([1.0, 0.5]))
    x = torch.tensor([[0.0, 0.0], [1.5, 0.0], [3.0, 0.0]])
    # feature 0: x0 + 2 x1 - 2, feature 1: x0 - 2; without neuron 0's part both are higher by 1, without neuron 1's the first is
    counts = lower_cluster.without_tied_bias(dictionary, x, [np.array([True, False]), np.array([False, True])])
    assert counts.tolist() == [[1, 1], [2, 2], [2, 1]]


def dictionary_of(seed, b_dec, weak, lower):
    """Encoders of the lower cluster lie along b_dec on weak neurons (0.8 of their squared norm), the others' lie anywhere and are longer."""
    rng = np.random.default_rng(seed)
    towards = np.where(weak, b_dec, 0) / np.linalg.norm(b_dec[weak])
    noise = rng.normal(size=(400, len(weak))) * np.where(weak, 0, 1)
    noise *= np.sqrt(0.2) / np.linalg.norm(noise, axis=1, keepdims=True)
    anywhere = rng.normal(size=(400, len(weak)))
    rows = np.where(lower[:, None], np.sqrt(0.8) * towards + noise, 3 * anywhere / np.linalg.norm(anywhere, axis=1, keepdims=True))
    encoders = lower_cluster.encoders(np.ascontiguousarray(rows.T, np.float32), b_dec.astype(np.float32), lower=lower, upper=~lower, weak=weak)
    freed = np.where(lower, [[1], [100], *[[10]] * 2], 50)
    return Found(encoders, np.where(lower, 1e-6, 1e-2), np.where(lower, 0.9, 0.1), rng.random(lower.sum()) < 0.7, 1e-6, freed, 1000, None)


def test_built_encoders_are_found_as_they_were_built():
    weak, lower = lower_cluster.weakest(np.tile([0.1, 1, 1, 1], 16)), np.arange(400) < 300
    assert weak.sum() == 16 and weak[::4].all()
    biases = np.random.default_rng(3).normal(size=(3, 64))
    found = [dictionary_of(seed, bias, weak, lower) for seed, bias in enumerate(biases)]
    numbers = ultralow_numbers.of_clusters(found, SETTINGS)
    assert numbers["weak_share_lower"].value == pytest.approx(0.8) and numbers["weak_share_upper"].value == pytest.approx(0.25, abs=0.02)
    assert numbers["weak_neuron_weight"].value == pytest.approx(0.55, abs=0.02) and numbers["weak_neuron_weight"].low > 0
    assert numbers["weak_share_above_even"].value == pytest.approx(0.55)
    lengths = np.linalg.norm(biases[:, weak], axis=1)
    assert numbers["tied_bias_lower"].value == pytest.approx(-np.sqrt(0.8) * lengths.mean(), rel=1e-4)
    assert numbers["tied_bias_extra_negative"].value == pytest.approx(np.sqrt(0.8) * lengths.mean(), rel=0.1)
    assert numbers["unmoved"].value == pytest.approx(0.8) and numbers["fires_on_one_input"].value == pytest.approx(0.7, abs=0.05)
    assert numbers["bias_alignment"].value == pytest.approx(1) and numbers["bias_alignment_own"].value > 0.5
    across = np.mean([biases[one, weak] @ biases[other, weak] / lengths[one] / lengths[other] for one, other in ((0, 1), (0, 2), (1, 2))])
    assert numbers["direction_cosine_across_seeds"].value == pytest.approx(across, abs=0.02)
    assert numbers["released_by_weak"].value == pytest.approx(1) and numbers["rare_share"].value == 0.75
    same = ultralow_numbers.of_clusters([dictionary_of(seed, biases[0], weak, lower) for seed in range(3)], SETTINGS)
    assert same["direction_cosine_across_seeds"].low > 0.99 and same["bias_alignment_own"].value == pytest.approx(0)
    shrunk = ultralow_numbers.between({"paper": found, "warmup": [replace(item, density=np.full(400, 1e-2)) for item in found]}, SETTINGS)
    assert shrunk["rare_minus_warmup"].value == 0.75 and shrunk["rare_minus_warmup"].low > 0 and "rare_minus_transpose" not in shrunk


def test_starts_are_told_by_settings():
    given = raw()
    given["dictionaries"] |= {"A/dying": {"d_sae": 160, "l1_warmup": 0, "leave": 0.5, "replicates": 2}, "A/watched": {"d_sae": 160, "watch_vectors": 9, "replicates": 3}}
    dictionaries = resolve(given).dictionaries
    assert {start_of(dictionaries[name]) for name in ("A/1", "A/watched", "A/tied")} == {"warmup"}
    # two fits of A/dying, but not known which of its features were left alone; A/watched is A/1, and watched
    assert by_start("A/1", dictionaries) == {"paper": ["A/kaiming"], "warmup": ["A/watched", "A/watched-r1", "A/watched-r2"]}


def test_a_run_that_watches_tells_its_courses(run, tmp_path):
    given = raw()
    given["dictionaries"]["A/kaiming"] |= {"watch_vectors": VECTORS, "leave": 0.5}
    config, layout = resolve(given), Layout(tmp_path / "run")
    for path in run.root.iterdir():
        if path.name != "sae":
            (layout.root / path.name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path, layout.root / path.name)
    shutil.copytree(run.root / "sae", layout.root / "sae", symlinks=True)
    chance = np.random.default_rng(0).random(160)
    step = np.array([0, 1, 10, 50, 100, 120, 140, 160, 180, 200], np.int32)
    fired = np.where(np.arange(160) < 100, np.floor(9 * (np.maximum(step, 1) / 100.0)[:, None] ** -1 + chance), 5000).astype(np.int32)
    left = (np.arange(160) % 2).astype(np.int32)
    floats = {part: np.ones((10, 160), np.float32) for part in ("b_enc", "folded_bias", "encoder_norm", "cosine")}
    folder = layout.sae("A/kaiming")
    save_file({"step": step, "fired": fired, "resampled": np.zeros((10, 160), np.int32), "left": left, **floats}, folder / artifacts.WATCH)
    meta = artifacts.read_json(folder / artifacts.META)
    meta["files"][artifacts.WATCH] = artifacts.digest(folder / artifacts.WATCH)
    artifacts.write_json(folder / artifacts.META, meta)
    study = STUDIES["ultralow_dynamics"]
    out = layout.root / "out"
    importlib.import_module(study.module).compute(settings=study.settings(config), layout=layout, out=out, progress=Progress())
    found = json.loads((out / "numbers.json").read_text())
    assert found["numbers"]["slope_rare"]["value"] == pytest.approx(-1, abs=0.15) and found["numbers"]["slope_rare"]["n"] == 50  # of those left alone
    assert found["numbers"]["rare_keeps_falling"]["low"] > 0 and found["missing"]["left_minus_resampled"] == "fewer than 10 features to compare"
    read = {(out / entry["path"]).resolve() for entry in json.loads((out / "meta.json").read_text())["inputs"].values()}
    assert read == {path.resolve() for path in study.inputs(config, layout)}
