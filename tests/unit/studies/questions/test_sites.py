"""A planted run whose sites are known: at equal L0 the MLP's output recovers five points less, and half of A/1's features lie in it."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.features.matrix import MatrixWriter
from replication.interpretability import OFFLINE
from replication.progress import Progress
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.questions import sites
from tests.planted import finish, save_tokens, write_json

CONTEXTS, N_CTX, D_SAE = 32, 16, 24
L1 = {"low": 0.5, "": 1.0, "high": 2.0}


def config(**more):
    at = {f"A/{name}{'_' * bool(l1)}{l1}": {"site": site, "l1": scale * factor, "d_sae": d_sae, "replicates": 3}
          for name, site, d_sae, scale in (("act", "mlp_act", D_SAE, 0.01), ("out", "mlp_out", D_SAE, 0.02), ("small", "mlp_out", D_SAE // 4, 0.02))
          for l1, factor in L1.items()}
    return resolve({
        "run": "planted", "model": {"d_model": 4, "d_mlp": 16, "n_heads": 1, "n_ctx": N_CTX, "tokens": 10_000}, "models": {"A": {}, "B": {"seed": 1, "stream": 1}},
        "activations": {"vectors": 80_000, "per_context": 8, "block": 8000}, "sae": {"batch": 1000, "vectors": 40_000, "min_window": 1000},
        "dictionaries": {**at, "B/act": {"d_sae": D_SAE, "l1": 0.01}}, "features": {"contexts": CONTEXTS, "shard_contexts": 8},
        "studies": {"main": "A/act", "twin": "B/act", "bootstrap": 100},
        "interpretability": {"tables": ["A/act", "A/act-r1", "A/act-r2", "A/out", "A/out-r1", "A/out-r2"]}, **more})


def plant(root, made):
    """Loss recovered is 0.3 log10 L0 + 0.5, five points less at mlp_out and ten less with few features; L0 is 8 / l1's factor."""
    layout, rng = Layout(root), np.random.default_rng(0)
    write_json(made, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10 + "beef", "matches_reference": True})
    save_tokens(made, layout, np.zeros((CONTEXTS, N_CTX), np.int32))
    base, truth = rng.normal(4, 0.2, CONTEXTS), rng.random((CONTEXTS * N_CTX, D_SAE)) < 0.1
    for index, (name, sae) in enumerate(made.dictionaries.items()):
        draw, folder = np.random.default_rng(index), layout.features(name)
        l0 = 8 / (sae.l1 / (0.01 if sae.site == "mlp_act" else 0.02))
        share = 0.5 + 0.3 * np.log10(l0) - (0.1 if sae.d_sae < D_SAE else 0.05 if sae.site == "mlp_out" else 0) + 0.002 * draw.normal()
        per = N_CTX - 1
        losses = pd.DataFrame({"context": range(CONTEXTS), "tokens": N_CTX, "predicted": per, "loss": per * base, "loss_zero": per * (base + 1),
                               "loss_mean": per * (base + 0.7), "loss_reconstructed": per * (base + 1 - share), "l0": l0 * N_CTX})
        if sae.site == "mlp_out":
            losses["loss_zero"] += 5 * per  # another baseline of its own, which the shared scale must not see
        artifacts.write_table(folder / artifacts.LOSSES, losses)
        own = truth.copy()
        if name.startswith("B"):
            own = draw.random(own.shape) < 0.1
        elif sae.site == "mlp_out":
            own[:, D_SAE // 2 :] = draw.random(own[:, D_SAE // 2 :].shape) < 0.1  # half of its features are A/1's, half its own
        values = sparse.csr_array(own[:, : sae.d_sae] * (1 + 0.1 * draw.random((len(own), sae.d_sae)))).astype(np.float32)
        with MatrixWriter(folder / artifacts.MATRIX, n_features=sae.d_sae, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=8, dense=False) as writer:
            for start in range(0, len(own), 8 * N_CTX):
                writer.append(values[start : start + 8 * N_CTX])
        artifacts.write_table(folder / artifacts.FEATURES, pd.DataFrame({"part": ["other"] * sae.d_sae}))
        finish(made, folder, artifacts.LOSSES, artifacts.MATRIX, artifacts.FEATURES)
        if name in made.interpretability.tables:
            scored(layout, made, name, 0.4 if sae.site == "mlp_act" else 0.6, draw)
    return layout


def scored(layout, made, name, level, draw):
    """Scores around a level on inputs, and around 1 minus it on logits."""
    units = pd.DataFrame({"feature": range(D_SAE), "part": "other", "single_token": False, "scored": True})
    artifacts.write_table(layout.interpretability(name) / artifacts.UNITS, units)
    finish(made, layout.interpretability(name), artifacts.UNITS)
    scores = pd.DataFrame({"feature": range(D_SAE), "explainer": "ngram", "control": False, "error": "", "spearman": level + 0.05 * draw.normal(size=D_SAE),
                           "logits": 1 - level + 0.05 * draw.normal(size=D_SAE)})
    artifacts.write_table(layout.interpretability(name, OFFLINE) / artifacts.SCORES, scores)
    finish(made, layout.interpretability(name, OFFLINE), artifacts.SCORES)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    made = config()
    layout = plant(tmp_path_factory.mktemp("sites"), made)
    sites.compute(settings=STUDIES["sites"].settings(made), layout=layout, out=layout.study("sites"), progress=Progress())
    return json.loads((layout.study("sites") / artifacts.NUMBERS).read_text())


def test_losses_are_read_at_the_main_dictionarys_l0_and_on_one_scale(numbers):
    found = numbers["numbers"]
    assert found["l0"]["value"] == pytest.approx(8)
    assert found["recovered_at_mlp_act"]["value"] == pytest.approx(0.5 + 0.3 * np.log10(8), abs=0.01)
    for key, less in (("recovered_minus_mlp_out", 0.05), ("recovered_minus_mlp_out_ratio", 0.1)):
        assert found[key]["value"] == pytest.approx(less, abs=0.01) and found[key]["low"] > 0 and found[key]["replicates"] == 3


def test_half_of_the_features_are_found_and_none_in_the_other_model(numbers):
    found = numbers["numbers"]
    assert found["found_mlp_out"]["value"] == 0.5 and found["finds_mlp_out"]["value"] == 0.5
    assert found["found_seed"]["value"] == 1.0 and found["found_twin"]["value"] == 0.0
    assert found["found_minus_twin_mlp_out"]["low"] > 0


def test_scores_are_compared_by_their_medians(numbers):
    found = numbers["numbers"]
    assert found["input_minus_mlp_out"]["value"] == pytest.approx(-0.2, abs=0.03) and found["input_minus_mlp_out"]["high"] < 0
    assert found["logits_minus_mlp_out"]["value"] == pytest.approx(0.2, abs=0.03) and found["logits_minus_mlp_out"]["low"] > 0


def test_what_the_run_lacks_is_named(numbers):
    assert numbers["missing"]["recovered_minus_resid_post"] == "the run has no dictionary of this site and size"


def test_a_run_of_one_site_has_nothing_to_tell(tmp_path):
    made = config(dictionaries={"A/act": {"d_sae": D_SAE, "l1": 0.01}, "B/act": {"d_sae": D_SAE, "l1": 0.01}}, interpretability={})
    layout = plant(tmp_path, made)
    sites.compute(settings=STUDIES["sites"].settings(made), layout=layout, out=layout.study("sites"), progress=Progress())
    found = json.loads((layout.study("sites") / artifacts.NUMBERS).read_text())
    assert found["absent"] == sites.ABSENT and not found["numbers"] and set(found["missing"]) == set(sites.ASKED)
