import numpy as np
import pandas as pd
import torch

from replication.features import summary, table
from replication.sae.dictionary import Dictionary


def test_columns_from_weights_by_hand():
    W_dec = torch.tensor([[0.6, 0.0, -0.8, 0.0], [0.0, 1.0, 0.0, 0.0]])
    W_enc = torch.tensor([[3.0, 0.0, 0.0, 4.0], [0.0, -2.0, 0.0, 0.0]]).T
    sae = Dictionary(W_enc=W_enc, b_enc=torch.tensor([0.5, -1.0]), W_dec=W_dec, b_dec=torch.zeros(4))
    W_start = torch.tensor([[0.6, 0.0, -0.8, 0.0], [1.0, 0.0, 0.0, 0.0]])
    start = table.Start(W_dec=W_start, resampled=torch.tensor([0, 2], dtype=torch.int32))
    found = table.weights(sae, start)
    assert np.allclose(found["decoder_encoder"], [1.8, -2.0]) and np.allclose(found["cosine"], [0.36, -1.0])
    assert np.allclose(found["encoder_norm"], [5, 2]) and np.allclose(found["bias"], [0.5, -1.0])
    assert np.allclose(found["start_cosine"], [1, 0]) and found["moved"].tolist() == [False, True] and found["resampled"].tolist() == [0, 2]
    assert found["top_neurons"][0].tolist()[:2] == [2, 0] and np.allclose(found["top_neuron_weights"][0], [-0.8, 0.6, 0])
    assert np.allclose(found["top_neuron_shares"][0], [0.8 / 1.4, 0.6 / 1.4, 0])


def features(n_tokens):
    draw = np.random.default_rng(0)
    low = np.arange(1000) < 300
    density = 10 ** np.where(low, draw.normal(-4.3, 0.2, 1000), draw.normal(-2.5, 0.2, 1000))
    density[:5] = 0
    density[5:15] = 5e-7
    bias, product = np.where(low, -0.3, 0.1) + draw.normal(0, 0.05, 1000), draw.normal(0.6, 0.1, 1000)
    return pd.DataFrame({"fired": np.ceil(density * n_tokens).astype(int), "density": density, "bias": bias, "decoder_encoder": product})


def test_few_tokens_cluster_stands_in_for_ultralow():
    parts, clusters = table.parts(features(1_000_000), n_tokens=1_000_000, seed=0)
    assert clusters.clear
    assert (parts["part"][:5] == "dead").all() and (parts["part"][5:300] == "ultralow").all() and (parts["part"][300:] == "other").all()
    assert parts["cluster"][:5].isna().all() and (parts["cluster"][5:300] == "lower").all() and (parts["cluster"][300:] == "upper").all()


def test_many_tokens_ultralow_is_measured():
    parts, _ = table.parts(features(20_000_000), n_tokens=20_000_000, seed=0)
    assert (parts["part"] == "ultralow").sum() == 10 and (parts["part"][5:15] == "ultralow").all()
    assert (parts["cluster"] == "lower").sum() == 295


def test_without_two_modes_nothing_is_ultralow():
    whole = features(1_000_000)[300:]
    parts, clusters = table.parts(whole.reset_index(drop=True), n_tokens=1_000_000, seed=0)
    assert not clusters.clear and (parts["part"] == "other").all()


def test_all_features_dead():
    silent = pd.DataFrame({"fired": [0, 0], "density": [0.0, 0.0], "bias": [1.0, 2.0], "decoder_encoder": [1.0, 1.0]})
    parts, _ = table.parts(silent, n_tokens=1000, seed=0)
    assert parts["part"].tolist() == ["dead", "dead"] and parts["cluster"].isna().all()


def test_summary_by_hand():
    losses = pd.DataFrame({
        "context": [0, 1], "tokens": 4, "predicted": 3,
        "loss": [6.0, 6.0], "loss_zero": [12.0, 12.0], "loss_mean": [9.0, 9.0], "loss_reconstructed": [6.0, 9.0],
        "l0": [8.0, 4.0], "l1": [16.0, 8.0], "squared_error": [2.0, 0.0], "variance": [5.0, 3.0]})
    table_ = pd.DataFrame({"density": [0.5, 0.0, 0.005], "fired": [4, 0, 1], "part": ["other", "dead", "ultralow"], "cluster": ["upper", None, "lower"],
                           "moved": [True, False, False], "resampled": [0, 2, 0]})
    _, clusters = table.parts(features(1_000_000), n_tokens=1_000_000, seed=0)
    found = summary.dictionary("A/1", losses, table_, clusters)
    assert (found["loss"], found["loss_zero"], found["loss_mean"], found["loss_reconstructed"]) == (2.0, 4.0, 3.0, 2.5)
    assert found["recovered"] == 0.75 and found["recovered_mean"] == 0.5
    assert (found["l0"], found["l1_norm"], found["mse"], found["explained_variance"]) == (1.5, 3.0, 0.25, 0.75)
    assert (found["features"], found["dead"], found["ultralow"], found["other"], found["lower_cluster"]) == (3, 1, 1, 1, 1)
    assert (found["moved"], found["resampled"], found["above_1_percent"]) == (1, 1, 1)
    assert found["ultralow_measurable"] is False and "below_1e-6" not in found
    harmless = summary.dictionary("A/1", losses.assign(loss_zero=5.0), table_, clusters)
    assert "recovered" not in harmless and harmless["recovered_mean"] == 0.5
