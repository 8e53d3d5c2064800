"""Features through training and in a second layer, on a run in which it is known which feature is where."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.progress import Progress
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.checkpoints import by_layer, chain, fresh
from replication.studies.questions import feature_growth
from replication.studies.questions.births import born, later, later_within
from replication.studies.questions.facts import settled
from tests.planted import finish, save, save_tokens, write_json

CONTEXTS, N_CTX, FEATURES, WIDTH = 64, 48, 40, 64
SINGLE = 20  # of the true features fire on one token each, the others at random places
RAW = {
    "run": "growth", "corpus": {"d_vocab": 512}, "model": {"d_model": 16, "d_mlp": WIDTH, "n_ctx": N_CTX, "tokens": 10_000},
    "models": {"A": {}, "B": {"seed": 1, "stream": 1}, "A_10": {"until": 0.1}, "A_50": {"until": 0.5}, "two": {"n_layers": 2, "replicates": 3}},
    "activations": {"vectors": 400_000, "per_context": 8, "block": 8000},
    "sae": {"l1": 0.003, "batch": 1000, "vectors": 200_000, "min_window": 5000, "d_sae": FEATURES},
    "dictionaries": {
        "A/1": {"replicates": 3}, "B/1": {}, "A_10/cold": {"replicates": 3}, "A_50/cold": {"replicates": 3},
        "A_50/warm": {"warm_start": "A_10/cold", "replicates": 3}, "A/warm": {"warm_start": "A_50/warm", "replicates": 3},
        **{f"{model}/{name}": {"site": site} for model in ("two", "two-r1", "two-r2") for name, site in (("first", "mlp_act_0"), ("second", "mlp_act_1"))}},
    "features": {"contexts": CONTEXTS, "shard_contexts": 32}, "studies": {"bootstrap": 50}}
PRESENT = {  # which true features a dictionary has
    "A/1": range(40), "A_10/cold": range(15), "A_50/cold": range(30), "A/warm": range(40), "A_50/warm": range(25), "two/first": range(20), "two/second": range(20, 25)}


def signals(tokens):
    """True features [token, feature]."""
    rng, flat = np.random.default_rng(0), tokens.ravel()
    on = np.stack([flat == k if k < SINGLE else rng.random(len(flat)) < 0.03 for k in range(FEATURES)], axis=1)
    return on * rng.uniform(1, 2, on.shape)


def plant(root, raw=RAW):
    """Only what the study reads."""
    config, layout = resolve(raw), Layout(root)
    rng = np.random.default_rng(1)
    tokens = rng.integers(SINGLE + 20, size=(CONTEXTS, N_CTX)).astype(np.int32)
    write_json(config, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10, "matches_reference": True})
    save_tokens(config, layout, tokens)
    true, matches = signals(tokens), []
    for index, name in enumerate(config.dictionaries):
        rng, stem = np.random.default_rng(index + 10), re.sub(r"-r\d", "", name)
        order = np.arange(FEATURES) if stem.endswith("warm") or stem == "A_10/cold" else rng.permutation(FEATURES)  # a chain keeps its numbers
        has = np.isin(order, PRESENT.get(stem, ()))
        noise = (rng.random(true.shape) < 0.03) * rng.uniform(1, 2, true.shape)
        dictionary(layout, config, name, np.where(has, true[:, order], noise), order, has)
        if stem == "A/1":
            matches += [pd.DataFrame({"dictionary": name, "feature": np.arange(FEATURES), "other": other, "match": 0, "correlation": np.where(order < there, 0.8, 0.1)})
                        for other, there in (("B/1", 28), ("A/neurons", 4))]
    pd.concat(matches).to_parquet(layout.evaluation() / artifacts.MATCHES, index=False)
    finish(config, layout.evaluation(), artifacts.MATCHES, name=artifacts.MATCHES_META)
    return config, layout


def dictionary(layout, config, name, activations, order, has):
    folder = layout.features(name)
    with MatrixWriter(folder / artifacts.MATRIX, n_features=FEATURES, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=32, dense=False) as writer:
        for part in np.split(activations, 2):
            writer.append(sparse.csr_array(part.astype(np.float32)))
    table = pd.DataFrame({"fired": (activations > 0).sum(0), "part": "other", "single_token": has & (order < SINGLE)})
    edges = np.linspace(-1, 1, 3)
    table["top_weights"], table["logit_counts"], table["logit_edges"] = [np.array([weight]) for weight in np.linspace(1, 2, FEATURES)], [np.array([5, 5])] * FEATURES, [edges] * FEATURES
    table.to_parquet(folder / artifacts.FEATURES, index=False)
    base = np.full(CONTEXTS, 4.0 * (N_CTX - 1))
    pd.DataFrame({"loss": base, "loss_zero": 1.5 * base, "loss_mean": 1.4 * base, "loss_reconstructed": base * (1.1 if name.endswith("second") else 1.05),
                  "predicted": N_CTX - 1, "l0": N_CTX * 3.0, "tokens": N_CTX}).to_parquet(folder / artifacts.LOSSES, index=False)
    finish(config, folder, artifacts.MATRIX, artifacts.FEATURES, artifacts.LOSSES)
    rows = np.eye(WIDTH, dtype=np.float32)[np.where(has, order, FEATURES + len(name))]  # what is not a true feature points elsewhere
    save(config, layout.sae(name), artifacts.SAE_WEIGHTS, {"W_dec": rows})


def compute(config, layout):
    study = STUDIES["feature_growth"]
    feature_growth.compute(settings=study.settings(config), layout=layout, out=layout.study("feature_growth"), progress=Progress())
    return json.loads((layout.study("feature_growth") / "numbers.json").read_text())


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    config, layout = plant(tmp_path_factory.mktemp("growth"))
    return config, layout, compute(config, layout)


@pytest.fixture(scope="module")
def numbers(planted):
    return planted[2]["numbers"]


def test_dictionaries_are_found_by_their_settings():
    config = resolve(RAW)
    own = "A/1", config.models, config.dictionaries
    assert fresh(*own) == {0.1: ["A_10/cold", "A_10/cold-r1", "A_10/cold-r2"], 0.5: ["A_50/cold", "A_50/cold-r1", "A_50/cold-r2"], 1.0: ["A/1", "A/1-r1", "A/1-r2"]}
    assert chain(*own) == {0.1: ["A_10/cold", "A_10/cold-r1", "A_10/cold-r2"], 0.5: ["A_50/warm", "A_50/warm-r1", "A_50/warm-r2"], 1.0: ["A/warm", "A/warm-r1", "A/warm-r2"]}
    assert by_layer(*own) == {0: ["two/first", "two-r1/first", "two-r2/first"], 1: ["two/second", "two-r1/second", "two-r2/second"]}


@pytest.mark.parametrize(("key", "truth"), [
    ("found_first", 15 / 40), ("found_last", 30 / 40), ("found_growth", 15 / 40), ("found_ceiling", 1), ("ceiling_minus_last", 10 / 40), ("found_chance", 0),
    ("found_twin", 28 / 40), ("found_neurons", 4 / 40), ("last_minus_twin", 2 / 40), ("twin_minus_first", 13 / 40),
    ("lasting_first", 15 / 40), ("lasting_last", 30 / 40), ("single_token_fall", 15 / 40 - 20 / 40),
    ("kept_first", 15 / 40), ("kept_last", 25 / 40), ("kept_growth", 10 / 40), ("kept_minus_found", -5 / 40), ("kept_chance", 0),
    ("kept_cosine_first", 0), ("kept_cosine_last", 1),
    ("found_in_first", 20 / 40), ("found_in_second", 5 / 40), ("first_minus_second", 15 / 40), ("same_depth_minus_first", 8 / 40),
    ("first_known", 20 / 40), ("second_known", 5 / 40), ("known_first_minus_second", 15 / 40),
    ("recovered_first_layer", 0.9), ("recovered_second_layer", 0.8), ("recovered_layer_difference", 0.1), ("l0_first_layer", 3),
    ("single_first_layer", 0.5), ("single_second_layer", 0), ("single_layer_difference", 0.5),
])
def test_planted_shares_are_found(numbers, key, truth):
    assert numbers[key]["value"] == pytest.approx(truth, abs=1e-6)
    assert numbers[key].get("low", -2) - 1e-6 <= truth <= numbers[key].get("high", 2) + 1e-6


def test_planted_births_are_found(numbers):
    single, other = (15 * np.log2(0.1) + 5 * np.log2(0.5)) / 20, 10 * np.log2(0.5) / 20
    assert numbers["token_first"]["value"] == pytest.approx(other - single) and numbers["token_first"]["low"] > 1
    assert numbers["token_first"]["n"] == 40
    assert numbers["born_at_first"]["value"] == pytest.approx(15 / 40) and numbers["birth"]["value"] == pytest.approx(0.5)
    single, other = (15 * np.log2(0.1) + 5 * np.log2(0.5)) / 20, 5 * np.log2(0.5) / 20  # of the chain
    assert numbers["token_first_chain"]["value"] == pytest.approx(other - single)
    assert numbers["birth_settled_correlation"]["high"] < 0  # what the token settles is early


def test_what_the_token_settles(numbers):
    assert numbers["universal_settled_difference"]["value"] == pytest.approx(1, abs=0.15)  # single-token features are in the first layer only
    assert numbers["settled_first_layer"]["value"] > 0.4 > 0.1 > numbers["settled_second_layer"]["value"]


def test_the_table_has_every_point_and_layer(planted):
    data = pd.read_csv(planted[1].study("feature_growth") / artifacts.DATA)
    points = data[data["kind"] == "point"]
    assert sorted(points.loc[points["what"] == "found", "share"]) == [0.1, 0.5, 1.0] and sorted(points.loc[points["what"] == "kept", "share"]) == [0.1, 0.5]
    assert set(data.loc[data["kind"] == "layer", "layer"]) == {"one", "first", "second"}
    single = data[(data["kind"] == "born") & (data["start"] == "fresh") & (data["what"] == "single")].set_index("share")["value"]
    assert single.tolist() == pytest.approx([0.75, 1, 1])
    assert not planted[2]["missing"]


def test_a_run_that_lacks_a_part_says_so(tmp_path):
    raw = {**RAW, "models": {"A": {}, "B": RAW["models"]["B"], "two": {"n_layers": 2}},
           "dictionaries": {"A/1": {}, "B/1": {}, **{name: RAW["dictionaries"][name] for name in ("two/first", "two/second")}}}
    found = compute(*plant(tmp_path, raw))
    assert found["numbers"]["first_minus_second"]["value"] == pytest.approx(15 / 40) and "absent" not in found
    assert found["missing"]["found_growth"] == feature_growth.NO_POINTS and found["missing"]["kept_minus_found"] == feature_growth.NO_CHAIN


def test_births_by_hand():
    there = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)  # always; from the second point; lost between; not there at the end
    assert born(there, (0.25, 0.5, 1.0))[:3].tolist() == [-2, -1, 0] and np.isnan(born(there, (0.25, 0.5, 1.0))[3])
    birth, mark, stratum = np.array([-2.0, 0, -1, -1, 0]), np.array([1, 0, 1, 0, 0]), np.array([0, 0, 1, 1, 1])
    assert later(birth, mark) == pytest.approx(-1 / 3 + 1.5)
    assert later_within(birth, mark, stratum) == pytest.approx((0.5 * 2 + 2 / 3 * 0.5) / (0.5 + 2 / 3))


def test_settled_by_hand(tmp_path):
    tokens = np.array([[0, 0, 1, 1]], dtype=np.int32)
    x = np.array([[2.0, 2, 0], [2, 0, 0], [0, 2, 0], [0, 0, 0]])
    with MatrixWriter(tmp_path / "m", n_features=3, contexts=1, n_ctx=4, shard_contexts=1, dense=False) as writer:
        writer.append(sparse.csr_array(x.astype(np.float32)))
    found = settled(EvaluationMatrix(tmp_path / "m"), tokens)
    assert found[0] == pytest.approx(1) and found[1] == pytest.approx(1 - 2 / (4 / 3)) and np.isnan(found[2])
