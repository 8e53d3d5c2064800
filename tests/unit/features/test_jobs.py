"""The whole stage on tiny artifacts: tables fit together, come out equal twice, and upstream damage is named."""

import filecmp

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.features import evaluate
from replication.features.matrix import EvaluationMatrix
from replication.features.tokens import read
from replication.model import load as load_model
from replication.sae import load as load_dictionary

TABLES = [artifacts.FEATURES, artifacts.EXAMPLES]


@pytest.fixture(scope="module")
def site(measured):
    """Site vectors [token, d_in] and feature activations [token, d_sae] of A/1 by the plainest way."""
    tokens = read(measured.layout.evaluation()).long()
    x = load_model(measured.layout.model("A")).read(tokens, "mlp_act").flatten(0, 1)
    return x, load_dictionary(measured.layout.sae("A/1")).encode(x)


def test_matrix_and_features_table_equal_the_plain_way(measured, site):
    _, f = site
    folder = measured.layout.features("A/1")
    dense = np.concatenate([shard.toarray() for shard in EvaluationMatrix(folder / artifacts.MATRIX)])
    assert np.allclose(dense, f, atol=1e-5)
    table = artifacts.read_table(folder / artifacts.FEATURES)
    assert table["feature"].tolist() == list(range(48)) and np.array_equal(table["fired"], (dense > 0).sum(axis=0))
    assert np.allclose(table["density"], (dense > 0).mean(axis=0)) and np.allclose(table["max"], dense.max(axis=0))
    live = table["fired"] > 0
    assert np.allclose(table["mean_on"][live], dense.sum(axis=0)[live] / (dense > 0).sum(axis=0)[live], rtol=1e-4)
    assert table["part"][0] == "dead" and (table["part"] == "dead").equals(~live) and live.sum() > 1
    assert table["moved"][:5].tolist() == [False] * 5 and table["moved"][5:].any() and table["resampled"].tolist() == [0, 1] * 24
    assert np.array_equal([counts.sum() for counts in table["activation_counts"]], table["fired"])
    assert len({counts.sum() for counts in table["logit_counts"]}) == 1
    assert all(len(edges) == 41 for edges in table["logit_edges"]) and all(len(tokens) == 10 for tokens in table["top_tokens"])
    assert all(np.all(np.diff(weights) <= 0) for weights in table["top_weights"])
    assert all(np.all(np.diff(weights) >= 0) for weights in table["bottom_weights"])


def test_examples_hold_true_activations(measured, site):
    _, f = site
    tokens = read(measured.layout.evaluation()).numpy()
    activations = f.numpy().reshape(*tokens.shape, -1)
    table = artifacts.read_table(measured.layout.features("A/1") / artifacts.EXAMPLES)
    assert set(table["group"]) == {"top", "interval", "bottom"}
    for row in table.iloc[:: max(1, len(table) // 300)].itertuples():
        place = slice(row.pos - row.centre, row.pos - row.centre + len(row.window_tokens))
        assert row.window_tokens.tolist() == tokens[row.context, place].tolist()
        assert np.allclose(row.window_activations, activations[row.context, place, row.feature], atol=1e-5)
        assert row.activation == row.window_activations[row.centre] > 0


def test_evaluation_equals_the_plain_way(measured, site):
    x, f = site
    numbers = artifacts.read_json(measured.layout.features("A/1") / artifacts.EVALUATION)
    assert numbers["dictionary"] == "A/1" and numbers["tokens"] == 480 and numbers["contexts"] == 40 and numbers["features"] == 48
    model, sae = load_model(measured.layout.model("A")), load_dictionary(measured.layout.sae("A/1"))
    tokens = read(measured.layout.evaluation()).long()
    xhat = sae.decode(f)
    assert numbers["l0"] == pytest.approx(float((f > 0).sum(dim=1).float().mean()))
    assert numbers["l1_norm"] == pytest.approx(float(f.sum(dim=1).mean()), rel=1e-4)
    assert numbers["mse"] == pytest.approx(float((x - xhat).square().mean()), rel=1e-4)
    variance = (x - x.mean(dim=0)).square().sum()
    assert numbers["explained_variance"] == pytest.approx(float(1 - (x - xhat).square().sum() / variance), rel=1e-3)

    def loss(vectors):
        logits = model.logits(model.splice(tokens, "mlp_act", vectors.view(40, 12, -1)))
        return float(torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()))

    expected = {"loss": loss(x), "loss_zero": loss(0 * x), "loss_mean": loss(x.mean(dim=0).expand_as(x)), "loss_reconstructed": loss(xhat)}
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert numbers["dead"] + numbers["ultralow"] + numbers["other"] == 48


def test_neurons_have_the_same_tables(measured, site):
    x, _ = site
    folder = measured.layout.features("A/neurons")
    dense = np.concatenate(list(EvaluationMatrix(folder / artifacts.MATRIX)))
    assert np.array_equal(dense > 0, x.numpy() > 0) and np.allclose(dense, x, atol=1e-2)
    table = artifacts.read_table(folder / artifacts.FEATURES)
    features = artifacts.read_table(measured.layout.features("A/1") / artifacts.FEATURES)
    assert len(table) == 24 and set(table.columns) <= set(features.columns)
    assert set(features.columns) - set(table.columns) == {
        "bias", "decoder_encoder", "cosine", "encoder_norm", "start_cosine", "moved", "resampled", "cluster",
        "top_neurons", "top_neuron_weights", "top_neuron_shares"}
    site_mean = artifacts.read_tensors(measured.layout.features("A/mlp_act") / artifacts.SITE_MEAN)["mean"]
    assert torch.allclose(site_mean, x.mean(dim=0), atol=1e-5)


def test_matches_of_a_model_with_its_neurons(measured, site):
    x, f = site
    matches = artifacts.read_table(measured.layout.evaluation() / artifacts.MATCHES)
    sizes = {("A/1", "A/neurons"): 48, ("A/1", "B/1"): 48, ("A/neurons", "B/neurons"): 24}
    assert matches.groupby(["dictionary", "other"]).size().to_dict() == sizes
    own = matches[(matches["dictionary"] == "A/1") & (matches["other"] == "A/neurons")].set_index("feature")
    half = np.repeat(np.arange(40) % 2, 12)
    for feature in np.flatnonzero((f.numpy()[half == 0] > 0).sum(axis=0) > 5)[:10]:
        expected = np.corrcoef(np.column_stack((f[half == 0, feature], x[half == 0])).T)[0, 1:]
        assert own["match"][feature] == np.nanargmax(expected)
        assert own["correlation_chosen"][feature] == pytest.approx(np.nanmax(expected), abs=1e-3)
        reported = np.corrcoef(f[half == 1, feature], x[half == 1, own["match"][feature]])[0, 1]
        assert own["correlation"][feature] == pytest.approx(reported, abs=1e-3)
    silent = own["match"] == -1
    assert silent[0] and own["logit_correlation"].isna().equals(silent) and own["logit_correlation"].abs().max() <= 1 + 1e-5


def test_two_runs_are_equal_bit_for_bit(measured, world, stage):
    stage(world)
    for name in ("A/1", "B/1", "A/neurons"):
        for file in (*TABLES, artifacts.MATRIX, artifacts.EVALUATION):
            assert filecmp.cmp(world.layout.features(name) / file, measured.layout.features(name) / file, shallow=False), (name, file)
    for name in ("A/1", "A/mlp_act"):
        assert filecmp.cmp(world.layout.features(name) / artifacts.LOSSES, measured.layout.features(name) / artifacts.LOSSES, shallow=False)
    for name in ("A/1", "A/neurons"):
        assert filecmp.cmp(world.layout.features(name) / artifacts.EFFECTS, measured.layout.features(name) / artifacts.EFFECTS, shallow=False)
    for file in (artifacts.MATCHES, artifacts.RELATIONS, artifacts.TEXTS, artifacts.TEXT_TOKENS):
        assert filecmp.cmp(world.layout.evaluation() / file, measured.layout.evaluation() / file, shallow=False), file
    assert not [sentence for _, sentence in artifacts.verify(world.layout.root) if sentence]


@pytest.mark.parametrize("damaged", [
    "sae/A/1/start.safetensors", "sae/A/1/sae_weights.safetensors", "features/A/mlp_act/losses.parquet", "features/tokens.safetensors",
    "corpus/tokenizer.json", "corpus/unigrams.safetensors", "model/A/weights.safetensors"])
def test_damage_upstream_is_named_and_nothing_is_written(world, damaged, stage):
    stage(world)
    path = world.layout.root / damaged
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    layout, out = world.layout, world.layout.root / "elsewhere"
    with pytest.raises(ArtifactError, match=path.name.replace(".", r"\.") + ".*checksum"):
        evaluate.evaluate(settings=world.settings, name="A/1", dictionary=layout.sae("A/1"), model=layout.model("A"),
                          site=layout.features("A/mlp_act"), corpus=layout.corpus(), evaluation=layout.evaluation(), out=out)
    assert not out.exists()
