"""What the rest of the network cannot see: shares by hand, and a dictionary that keeps the visible part and drops the rest."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from replication.model.transformer import Architecture, Transformer
from replication.resolution import resolve
from replication.sae.dictionary import Dictionary
from replication.studies import STUDIES
from replication.studies.questions import null_space
from replication.studies.questions.visible import Visible
from tests.planted import raw

D_MODEL, D_MLP = 4, 16


@pytest.fixture(scope="module")
def settings():
    return STUDIES["null_space"].settings(resolve(raw()))


@pytest.fixture(scope="module")
def model():
    made = Transformer(Architecture(d_model=D_MODEL, d_mlp=D_MLP, n_heads=2, n_ctx=12, act_fn="relu", d_vocab=30)).initialise(3)
    with torch.no_grad():
        for parameter in (made.embed["W_E"], made.unembed["W_U"], made.pos_embed["W_pos"]):
            parameter *= 30
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def vectors(model):
    tokens = np.random.default_rng(0).integers(30, size=(40, 12)).astype(np.int32)
    return null_space.activations(model, tokens, np.arange(40), "mlp_act")


def examined(vectors, dictionary, **columns):
    """What is found for a dictionary whose features are all live, unless `columns` say otherwise."""
    n = len(dictionary.b_enc)
    table = pd.DataFrame({"density": np.full(n, 0.1), "mean_on": np.ones(n), "part": ["other"] * n} | columns)
    return null_space.examine(SimpleNamespace(features=lambda *_: table, sae=lambda _: dictionary), "A/1", vectors)


def keeps_the_visible(vectors):
    """Features are neurons; their decoders are what W_out lets through of them."""
    seen = torch.from_numpy(vectors.visible.basis @ vectors.visible.basis.T).float()
    return Dictionary(W_enc=torch.eye(D_MLP), b_enc=torch.zeros(D_MLP), W_dec=seen, b_dec=torch.zeros(D_MLP))


def test_shares_by_hand():
    W_out = np.zeros((4, 2), np.float32)
    W_out[0, 0], W_out[1, 1] = 2, 1
    visible = Visible.of(W_out)
    assert visible.chance == 0.5
    rows = np.array([[3.0, 0, 4, 0], [0, 1, 0, 0], [0, 0, 0, 5], [0, 0, 0, 0]])
    np.testing.assert_allclose(visible.invisible(rows), [16 / 25, 0, 1, np.nan], atol=1e-12)
    # 2 a = b moves nothing but the mean: the unit direction is (1, 2) / sqrt(5)
    np.testing.assert_allclose(visible.only_mean(np.array([[1.0, 2, 0, 0], [2, -1, 0, 0], [0, 1, 0, 0]])), [1, 0, 4 / 5], atol=1e-9)
    np.testing.assert_allclose(visible.gain(rows[:3]), [36 / 25 / 1.25, 1 / 1.25, 0], atol=1e-12)  # a random direction's mean: (4 + 1) / 4
    np.testing.assert_allclose(visible.without_invisible(rows[:1]), [[3, 0, 0, 0]], atol=1e-12)


def test_what_is_invisible_changes_no_logits(vectors, model):
    tokens = vectors.tokens[:3].long()
    x = model.read(tokens, "mlp_act").double()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unseen = noise - torch.from_numpy(vectors.visible.without_invisible(noise.flatten(0, 1).numpy())).view_as(noise)
    mean = noise[..., :1] * torch.from_numpy(vectors.visible.mean[:, 0])
    logits = [model.logits(model.splice(tokens, "mlp_act", (x + change).float())) for change in (0 * noise, unseen, mean, noise)]
    torch.testing.assert_close(logits[1], logits[0], atol=2e-4, rtol=0)
    torch.testing.assert_close(logits[2], logits[0], atol=2e-4, rtol=0)
    assert (logits[3] - logits[0]).abs().max() > 0.1


def test_a_dictionary_that_keeps_the_visible_part_has_an_invisible_error(vectors, settings):
    controls = null_space.control(vectors, settings)
    numbers = null_space.headline([examined(vectors, keeps_the_visible(vectors))] * 2, vectors, controls, settings)
    values = {key: number.value for key, number in numbers.items()}
    assert values["chance"] == 1 - D_MODEL / D_MLP
    assert values["random_invisible_share"] == pytest.approx(0.75, abs=0.01)
    assert values["decoder_invisible_share"] == pytest.approx(0, abs=1e-6)
    assert values["encoder_minus_decoder"] == pytest.approx(0.75, abs=1e-6)  # the mean over single neurons is exact
    assert values["random_minus_decoder"] == pytest.approx(0.75, abs=1e-6)
    assert (values["error_invisible_share"], values["explained_visible"]) == pytest.approx((1, 1), abs=1e-6)
    assert 0 < values["data_invisible_share"] < 1
    assert values["error_minus_data"] == pytest.approx(1 - values["data_invisible_share"], abs=1e-6)
    assert values["explained_difference"] == pytest.approx(values["explained_visible"] - values["explained_invisible"])
    assert values["data_like_invisible_share"] == pytest.approx(null_space.control(vectors, settings)["data_like"].mean())


def test_parts_and_weights_of_features(vectors, settings):
    dictionary = keeps_the_visible(vectors)
    unseen = np.eye(D_MLP) - dictionary.W_dec.double().numpy()
    rows = torch.cat([dictionary.W_dec[:6], torch.from_numpy(unseen[6:]).float()])
    part = np.array(["other"] * 8 + ["ultralow"] * 5 + ["dead"] * 3)
    found = examined(vectors, Dictionary(dictionary.W_enc, dictionary.b_enc, rows, dictionary.b_dec), part=part, mean_on=np.r_[np.full(6, 1.0), np.full(10, 3.0)])
    np.testing.assert_allclose(found.shares["decoder"], [0] * 6 + [1] * 2, atol=1e-5)
    np.testing.assert_allclose(found.shares["ultralow"], 1, atol=1e-5)
    numbers = null_space.headline([found], vectors, null_space.control(vectors, settings), settings)
    assert numbers["decoder_invisible_share"].value == pytest.approx(2 / 8, abs=1e-5)
    assert numbers["weighted_invisible_share"].value == pytest.approx(6 / 12, abs=1e-5)
    assert numbers["plain_minus_weighted"].value == pytest.approx(-1 / 4, abs=1e-5)


def test_the_activations_variance_is_about_their_mean(vectors):
    x = vectors.x.double().numpy()
    energy = vectors.energy(null_space.centred(vectors)).sum(0)
    assert energy[1] == pytest.approx(len(x) * x.var(axis=0).sum())
    assert energy[2] / energy[1] == pytest.approx(np.square((x - x.mean(0)) @ vectors.visible.W_out).sum() / np.square(x - x.mean(0)).sum()
                                                  / (np.square(vectors.visible.W_out).sum() / D_MLP))


def test_zeroing_the_invisible_part_of_decoders_is_free_and_other_dimensions_are_not(vectors, settings):
    rows = torch.randn(40, D_MLP, generator=torch.Generator().manual_seed(1))
    numbers = null_space.functional(vectors, Dictionary(rows.T.contiguous(), torch.zeros(40), rows, torch.zeros(D_MLP)), "mlp_act", settings)
    assert numbers["logit_change"].value < 1e-3 < 0.1 < numbers["logit_change_random"].value
