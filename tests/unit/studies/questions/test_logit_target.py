"""Errors in the logits on dictionaries whose errors are known, and against explicit logits."""

import json

import numpy as np
import pytest
import torch

from replication.model.transformer import Architecture, Transformer
from replication.sae.dictionary import Dictionary
from replication.studies.questions.logit_errors import errors, explicit, squared
from replication.studies.questions.logit_target import bins

TOKENS = torch.arange(60).view(5, 12) % 40


@pytest.fixture
def model():
    made = Transformer(Architecture(d_model=8, d_mlp=20, n_heads=2, n_ctx=12, act_fn="relu", d_vocab=40)).initialise(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return made.requires_grad_(False)


def shifted(by: torch.Tensor) -> Dictionary:
    """Reconstructs activations that are not negative, but for a constant shift."""
    eye = torch.eye(len(by))
    return Dictionary(W_enc=eye, b_enc=by, W_dec=eye, b_dec=by)


def random(d_in: int) -> Dictionary:
    draw = torch.Generator().manual_seed(1)
    rows = torch.nn.functional.normalize(torch.randn(30, d_in, generator=draw), dim=1)
    return Dictionary(W_enc=rows.T.contiguous(), b_enc=torch.full((30,), -0.1), W_dec=rows, b_dec=torch.zeros(d_in))


def test_a_perfect_dictionary_misses_nothing(model):
    found = errors(model, shifted(torch.zeros(20)), "mlp_act", TOKENS)
    assert found.site.max() < 1e-10 and found.linear.max() < 1e-8 and found.site_spread.min() > 0
    active = (model.read(TOKENS, "mlp_act") > 0).sum(dim=-1).flatten()
    assert np.array_equal(found.l0, active)


def test_an_error_that_the_output_weights_do_not_see_costs_no_logit(model):
    unseen = torch.linalg.svd(model.block.mlp.W_out.T).Vh[-1]  # in the null space of W_out
    found = errors(model, shifted(0.5 * unseen), "mlp_act", TOKENS)
    assert found.site == pytest.approx(0.25 / 20, rel=1e-4) and found.linear.max() < 1e-6
    seen = torch.linalg.svd(model.block.mlp.W_out.T).Vh[0]
    assert errors(model, shifted(0.5 * seen), "mlp_act", TOKENS).linear.min() > 1e-3


@pytest.mark.parametrize(("site", "d_in"), [("mlp_act", 20), ("mlp_out", 8), ("resid_post", 8), ("logit_update", 8)])
def test_the_quadratic_form_equals_explicit_logits(model, site, d_in):
    sae = random(d_in)
    found = errors(model, sae, site, TOKENS)
    np.testing.assert_allclose(found.linear, explicit(model, sae, site, TOKENS), rtol=1e-3)
    if site == "logit_update":  # its own squared error is that of the logits, but for what no logit shows
        own = model.metric.root @ model.metric.inverse
        z = model.read(TOKENS, site).flatten(0, 1)
        np.testing.assert_allclose(found.linear, ((z - sae.decode(sae.encode(z))) @ own).square().mean(dim=1), rtol=1e-3)


def test_linearising_is_exact_across_the_stream_and_sees_what_the_layer_norm_undoes(model):
    stream = model.resid_post(TOKENS).flatten(0, 1).double()
    centred = stream - stream.mean(dim=1, keepdim=True)
    change = torch.randn(stream.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    change = change - change.mean(dim=1, keepdim=True)
    across = change - (change * centred).sum(dim=1, keepdim=True) / centred.square().sum(dim=1, keepdim=True) * centred
    linear, true = (squared(model, stream, stream + 1e-4 * across, linear=which) for which in (True, False))
    torch.testing.assert_close(linear, true, rtol=1e-3, atol=0)
    linear, true = (squared(model, stream, stream + 1e-2 * centred, linear=which) for which in (True, False))
    assert (linear > 1e3 * true).all()


def test_bins_hold_every_token():
    draw = np.random.default_rng(0)
    rows = bins(draw.lognormal(size=500), draw.lognormal(size=500))
    assert rows["count"].sum() == 500 and (rows["count"] > 0).all()


def test_the_study_shows_the_equality_and_says_what_it_lacks(compute):
    found = json.loads((compute("logit_target") / "numbers.json").read_text())
    numbers = found["numbers"]
    assert numbers["equality"]["value"] < 1e-3 and numbers["rank"]["value"] == 15
    assert numbers["correlation"]["replicates"] == 3 and -1 <= numbers["correlation"]["low"] <= numbers["correlation"]["high"] <= 1
    assert found["missing"]["gain_logit_update"] == "the run has no dictionaries at logit_update"
