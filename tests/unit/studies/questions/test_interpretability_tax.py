"""Models whose neurons, scores and losses are planted, so that the tax, the spread and the carried worth are known."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from replication import artifacts
from replication.artifacts import Layout
from replication.interpretability import OFFLINE
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.questions import carried, interpretability_tax, readable
from tests.planted import finish, save_tokens, write_json

VOCABULARY, CONTEXTS, N_CTX = 200, 64, 12
MODELS = {"A": "relu", "B": "relu", "C": "relu", "gelu": "gelu", "norm": "solu_ln", "norm-r1": "solu_ln", "norm-r2": "solu_ln"}
LOSS = {"relu": 4.0, "gelu": 3.9, "solu_ln": 4.05}
NEURONS = {"relu": (0.5, 0.2), "gelu": (0.4, 0.2), "solu_ln": (0.8, 0.1)}  # scores of neurons that read, and of the others
FEATURES = {"relu": 0.7, "gelu": 0.7, "solu_ln": 0.9}


def raw():
    model = {"d_model": VOCABULARY, "d_mlp": 2 * VOCABULARY, "n_heads": 4, "n_ctx": N_CTX}
    return {
        "run": "planted", "model": model, "activations": {"vectors": 10_000, "per_context": 10, "block": 1000},
        "models": {"A": {}, "B": {"seed": 1, "stream": 1}, "C": {"seed": 2}, "gelu": {"act_fn": "gelu"}, "norm": {"act_fn": "solu_ln", "replicates": 3},
                   "wide": {"d_mlp": 90, "act_fn": "solu"}, "random": {"shuffle_of": "A"}, "early": {"until": 0.5}},
        "sae": {"d_sae": 60, "batch": 1000, "vectors": 10_000, "resamplings": 0},
        "dictionaries": {"A/0": {"d_sae": 20}, "A/1": {"replicates": 3}, "B/1": {}, "C/1": {"seed": 4}, "gelu/low": {"l1": 0.001}, "gelu/1": {"l1": 0.002}, "norm/1": {},
                         "norm-r1/1": {}, "norm-r2/1": {}, "wide/1": {}, "random/1": {}, "early/1": {}},
        "features": {"contexts": CONTEXTS}, "studies": {"bootstrap": 50},
        "interpretability": {"explainers": ["lookup", "ngram"],
                             "tables": [f"{model}/{short}" for model in MODELS for short in ("1", "neurons") if (model, short) != ("gelu", "1")]}}


def counter(act_fn):
    """A model that knows which token follows which by one neuron a token; the second half of its neurons writes nothing."""
    model = Transformer(Architecture(VOCABULARY, 2 * VOCABULARY, 4, N_CTX, act_fn, VOCABULARY))
    eye = torch.eye(VOCABULARY)
    with torch.no_grad():
        for _, matrix in model.matrices():
            matrix.zero_()
        model.embed["W_E"].copy_(eye)
        model.block.mlp.W_in.copy_(torch.cat([eye, eye], dim=1))
        model.block.mlp.b_in.fill_(-2)
        model.block.mlp.W_out[:VOCABULARY] = 2 * eye.roll(1, 1)
        model.unembed["W_U"].copy_(3 * eye)
    return model


def plant(root, config):
    """Files of nothing but what the study reads. The neurons that read are those of every second token; of the GELU model those that write nothing."""
    layout, rng = Layout(root), np.random.default_rng(0)
    write_json(config, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10 + "beef"})
    start = rng.integers(VOCABULARY, size=(CONTEXTS, 1))
    save_tokens(config, layout, ((start + np.arange(N_CTX)) % VOCABULARY).astype(np.int32))
    noise = rng.normal(0, 0.2, CONTEXTS)
    for index, (model, act_fn) in enumerate(MODELS.items()):
        finish(config, layout.model(model), *(path.name for path in store.save(counter(act_fn), layout.model(model)).values()), model=model)
        loss = LOSS[act_fn] + 0.001 * (index % 3 - 1) * (act_fn != "gelu") + noise  # of three models the mean is LOSS
        losses(config, layout.features(f"{model}/1"), loss)
        neurons = np.full(2 * VOCABULARY, NEURONS[act_fn][1])
        neurons[slice(VOCABULARY, None) if act_fn == "gelu" else slice(0, VOCABULARY, 2)] = NEURONS[act_fn][0]
        scored(config, layout, f"{model}/neurons", neurons, window=index)
        scored(config, layout, f"{model}/1", np.full(30, FEATURES[act_fn]), window=index)
    return layout


def losses(config, folder, loss):
    folder.mkdir(parents=True)
    pd.DataFrame({"loss": 11 * loss, "loss_zero": 11 * (loss + 1), "loss_mean": 11 * (loss + 0.5), "loss_reconstructed": 11 * (loss + 0.1),
                  "predicted": 11, "l0": 12 * 7.0, "tokens": 12}).to_parquet(folder / artifacts.LOSSES, index=False)
    finish(config, folder, artifacts.LOSSES)


def scored(config, layout, name, scores, window):
    """Scores by the headline explainer among what must not be taken for them: another explainer's, a control's, an ultralow unit's, an error."""
    folder, n, more = layout.interpretability(name), len(scores), 0 if name.endswith("neurons") else 1
    folder.mkdir(parents=True)
    features = np.arange(n + 2 * more, dtype=np.int32)
    parts = ["other"] * (n + more) + ["ultralow"] * more
    pd.DataFrame({"feature": features, "part": parts, "single_token": False, "scored": True}).to_parquet(folder / artifacts.UNITS, index=False)
    pd.DataFrame({"feature": 0, "token": [N_CTX * window + N_CTX]}).to_parquet(folder / artifacts.WINDOWS, index=False)  # at the start of an odd or even context
    finish(config, folder, artifacts.UNITS, artifacts.WINDOWS)
    own = pd.DataFrame({"feature": features, "spearman": [*scores, *[np.nan, 0.99] * more], "error": [""] * n + ["late", ""] * more})
    rows = [own.assign(explainer="ngram", control=False), own.assign(explainer="ngram", control=True, spearman=0.01), own.assign(explainer="lookup", control=False, spearman=0.95)]
    (folder / OFFLINE).mkdir()
    pd.concat(rows, ignore_index=True).to_parquet(folder / OFFLINE / artifacts.SCORES, index=False)
    finish(config, folder / OFFLINE, artifacts.SCORES)


@pytest.fixture(scope="module")
def config():
    return resolve(raw())


@pytest.fixture(scope="module")
def found(config, tmp_path_factory):
    """Numbers, reasons for missing ones, and the table."""
    layout = plant(tmp_path_factory.mktemp("tax"), config)
    study, out = STUDIES["interpretability_tax"], layout.study("interpretability_tax")
    interpretability_tax.compute(settings=study.settings(config), layout=layout, out=out, progress=Progress())
    declared = {path.resolve() for path in study.inputs(config, layout)}
    assert declared == {(out / entry["path"]).resolve() for entry in json.loads((out / "meta.json").read_text())["inputs"].values()}
    return *(json.loads((out / "numbers.json").read_text())[key] for key in ("numbers", "missing")), pd.read_csv(out / "data.csv")


def test_the_models_are_found_by_their_settings(config):
    assert list(STUDIES["interpretability_tax"].settings(config).dictionaries) == [f"{model}/1" for model in MODELS]


def test_the_tax_is_the_planted_difference(found):
    numbers = found[0]
    assert {key: round(numbers[f"loss_{key}"]["value"], 2) for key in LOSS} == pytest.approx(LOSS, abs=0.06)  # noise of the contexts is in all alike
    tax = numbers["tax_solu_ln_over_relu"]
    assert tax["value"] == pytest.approx(0.05) and 0 < tax["low"] < 0.05 < tax["high"] < 0.06 and tax["replicates"] == 3
    assert numbers["tax_gelu_over_relu"]["value"] == pytest.approx(-0.1) and numbers["tax_gelu_over_relu"]["replicates"] == 1
    assert "tax_solu_over_gelu" in found[1] and found[1].keys() <= set(interpretability_tax.LEDGER)
    assert (numbers["recovered_relu"]["value"], numbers["recovered_mean_relu"]["value"], numbers["l0_relu"]["value"]) == pytest.approx((0.9, 0.8, 7))


def test_scores_are_those_of_the_headline_explainer(found):
    numbers = found[0]
    for act_fn in ("relu", "solu_ln"):
        high, low = NEURONS[act_fn]
        assert numbers[f"neurons_{act_fn}"]["value"] == pytest.approx(low) and numbers[f"control_{act_fn}"]["value"] == pytest.approx(0.01)
        assert numbers[f"spread_{act_fn}"]["value"] == pytest.approx((high - low) * np.sqrt(3) / 4)  # a quarter of the neurons read
        assert numbers[f"reads_{act_fn}"]["value"] == pytest.approx(0.25) and numbers[f"neurons_{act_fn}"]["n"] == 2 * VOCABULARY
        assert numbers[f"added_{act_fn}"]["value"] == pytest.approx(FEATURES[act_fn] - low)
    assert numbers["carried_strict_solu_ln_over_relu"]["value"] == pytest.approx(numbers["share_solu_ln"]["value"])  # over 0.5 reads none of ReLU's neurons
    assert numbers["solu_spread"]["value"] == pytest.approx(0.4 * np.sqrt(3) / 4) and numbers["solu_spread"]["low"] > 0 and numbers["solu_spread"]["replicates"] == 3
    assert numbers["added_relu_over_solu_ln"]["value"] == pytest.approx(-0.3)
    assert numbers["added_least"]["value"] == pytest.approx(0.5)
    assert "added_gelu" not in numbers and numbers["neurons_gelu"]["replicates"] == 1


@pytest.mark.parametrize("act_fn", ["relu", "solu_ln"])
def test_neurons_that_read_carry_what_they_were_built_to(found, act_fn):
    numbers = found[0]
    # a quarter of the neurons read, and they do half of the work, or a bit more: silent ones tell what the others at their mean do not
    assert numbers[f"share_{act_fn}"]["value"] == pytest.approx(0.54, abs=0.05)
    assert numbers[f"unseen_{act_fn}"]["value"] == pytest.approx(0.54, abs=0.07) and numbers[f"unseen_{act_fn}"]["n"] < numbers[f"share_{act_fn}"]["n"]
    assert numbers[f"share_random_{act_fn}"]["value"] == pytest.approx(0.3, abs=0.08)
    assert numbers[f"share_above_random_{act_fn}"]["low"] > 0.05
    assert numbers[f"negative_{act_fn}"]["value"] == pytest.approx({"relu": 0, "solu_ln": 0.005}[act_fn], abs=0.001)


def test_neurons_that_write_nothing_carry_nothing(found):
    numbers, _, data = found
    assert numbers["share_gelu"]["value"] == pytest.approx(0, abs=1e-5) and numbers["half_gelu"]["value"] == pytest.approx(0, abs=1e-5)
    assert numbers["share_random_gelu"]["value"] == pytest.approx(0.55, abs=0.1) and numbers["share_above_random_gelu"]["high"] < 0
    at = data[(data["table"] == "threshold") & (data["function"] == "gelu")].set_index("threshold")
    assert at.loc[0.1, "share"] == pytest.approx(1) and at.loc[0.6, "share"] == 0 and at.loc[[0.1, 0.3, 0.6], "over"].tolist() == [1, 0.5, 0]


def test_shares_and_sets_by_hand():
    assert carried.shares(np.array([3.0, 4, 2]), np.float64(2), np.float64(4)).tolist() == [0.5, 0, 1]
    assert [kept.tolist() for kept in carried.first(np.array([2, 0]), [0, 1, 2], 4)] == [
        [False] * 4, [False, False, True, False], [True, False, True, False]]


def test_tokens_of_windows_are_those_around_their_centres_in_the_same_context(config, tmp_path):
    class Reader:
        def windows(self, table, column):
            return pd.DataFrame({"token": [0, 17, 17, 23]})

    found = readable.shown(Reader(), STUDIES["interpretability_tax"].settings(config), "A/neurons", (3, 12))
    assert np.flatnonzero(found).tolist() == [*range(5), *range(13, 24)]
