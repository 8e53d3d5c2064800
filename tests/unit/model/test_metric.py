"""The metric of logit updates against explicit logits, and the way back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.model.metric import Metric
from replication.model.transformer import EPS, Architecture, Transformer


def made(d_model: int, d_vocab: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights of a last layer norm, an unembedding, and streams, in double precision."""
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(d_model, generator=draw, dtype=torch.float64) + 0.2, torch.randn(d_model, d_vocab, generator=draw, dtype=torch.float64),
            torch.randn(9, d_model, generator=draw, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(d_model=st.integers(2, 24), d_vocab=st.integers(3, 60), seed=st.integers(0, 99))
def test_squared_error_of_z_is_that_of_explicit_centred_logits(d_model, d_vocab, seed):
    w, W_U, streams = made(d_model, d_vocab, seed)
    metric, sigma = Metric.of(w, W_U), (streams.var(dim=1, correction=0, keepdim=True) + EPS).sqrt()
    update, other = streams.flip(0), streams.roll(2, 0) * 1.3
    change = update - other
    logits = (change - change.mean(dim=1, keepdim=True)) / sigma * w @ W_U
    explicit = (logits - logits.mean(dim=1, keepdim=True)).square().mean(dim=1)
    found = (metric.read(update, sigma) - metric.read(other, sigma)).square().mean(dim=1)
    torch.testing.assert_close(found, explicit, rtol=1e-9, atol=1e-12)
    assert metric.rank == min(d_model - 1, d_vocab - 1)


def test_a_metric_by_hand():
    # two directions of the stream; the layer norm leaves their difference alone, which moves the logits by (1, -1) / 2 each
    metric = Metric.of(torch.ones(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    assert metric.rank == 1
    torch.testing.assert_close(metric.root @ metric.root, torch.tensor([[0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64))


@pytest.fixture
def model():
    shape = Architecture(d_model=12, d_mlp=20, n_heads=3, n_ctx=10, act_fn="relu", d_vocab=40)
    built = Transformer(shape).initialise(3)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return built.requires_grad_(False)


def test_a_change_of_the_site_is_a_change_of_the_linearised_logits(model):
    tokens = torch.arange(20).view(2, 10)
    z, stream = model.read(tokens, "logit_update"), model.resid_post(tokens)
    moved = z + 0.01 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    change = model.splice(tokens, "logit_update", moved) - stream
    logits = (change - change.mean(dim=-1, keepdim=True)) / (stream.var(dim=-1, correction=0, keepdim=True) + EPS).sqrt() * model.ln_final.w @ model.unembed["W_U"]
    explicit = (logits - logits.mean(dim=-1, keepdim=True)).square().mean()
    seen = (moved - z) @ model.metric.inverse @ model.metric.root  # what no logit can show is not written
    torch.testing.assert_close(seen.square().mean(), explicit, rtol=1e-4, atol=0)


def test_splicing_the_true_update_changes_no_logit(model):
    tokens = torch.arange(20).view(2, 10)
    spliced = model.splice(tokens, "logit_update", model.read(tokens, "logit_update"))
    torch.testing.assert_close(model.logits(spliced), model(tokens), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(spliced, model.resid_post(tokens), atol=1e-3)  # the mean over d_model is lost, which the layer norm removes
