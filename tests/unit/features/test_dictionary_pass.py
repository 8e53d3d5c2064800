"""Dictionaries whose effect is known by hand, on a tiny model."""

import numpy as np
import pytest
import torch

from replication.features import dictionary_pass, fired, site
from replication.features.losses import batches, context_losses, recovered
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.model import load
from replication.progress import Progress
from replication.sae.dictionary import Dictionary

D_IN, N_CTX, SHARD = 24, 12, 3


@pytest.fixture
def model(world):
    return load(world.layout.model("A"))


@pytest.fixture
def tokens():
    return torch.randint(0, 250, (10, N_CTX), generator=torch.Generator().manual_seed(1)).int()


def measure(model, sae, tokens, path, monkeypatch=None, at="mlp_act", mean=None):
    contexts, n_ctx = tokens.shape
    mean = torch.zeros(D_IN) if mean is None else mean
    with MatrixWriter(path / "m.safetensors", n_features=sae.W_enc.shape[1], contexts=contexts, n_ctx=n_ctx, shard_contexts=SHARD, dense=False) as writer:
        table = dictionary_pass.measure(model, sae, tokens, site=at, mean=mean, matrix=writer, shard_contexts=SHARD, progress=Progress())
    dense = np.concatenate([shard.toarray() for shard in EvaluationMatrix(path / "m.safetensors")])
    return table, dense


def identity(scale=1.0, width=D_IN):
    return Dictionary(W_enc=torch.eye(width), b_enc=torch.zeros(width), W_dec=scale * torch.eye(width), b_dec=torch.zeros(width))


def baselines(model, tokens, mean):
    return site.losses(model, tokens, site="mlp_act", mean=mean, shard_contexts=SHARD, progress=Progress())


def test_identity_dictionary_recovers_everything(model, tokens, tmp_path):
    x = model.read(tokens.long(), "mlp_act").flatten(0, 1)
    table, dense = measure(model, identity(), tokens, tmp_path, mean=x.mean(dim=0))
    losses = baselines(model, tokens, x.mean(dim=0))
    assert np.allclose(dense, x.numpy(), atol=1e-5) and np.array_equal(dense > 0, x.numpy() > 0)
    assert np.allclose(table["loss_reconstructed"], losses["loss"], rtol=1e-5)
    per_context = x.view(10, N_CTX, D_IN)
    assert np.allclose(table["l0"], (per_context > 0).sum(dim=(1, 2))) and np.allclose(table["l1"], per_context.sum(dim=(1, 2)), rtol=1e-5)
    assert np.allclose(table["squared_error"], 0, atol=1e-9)
    assert np.allclose(table["variance"].sum() / x.shape[0], x.var(dim=0, correction=0).mean(), rtol=1e-4)


def test_empty_dictionary_recovers_nothing(model, tokens, tmp_path):
    silent = Dictionary(W_enc=torch.zeros(D_IN, 2), b_enc=torch.zeros(2), W_dec=torch.zeros(2, D_IN), b_dec=torch.zeros(D_IN))
    table, dense = measure(model, silent, tokens, tmp_path)
    losses = baselines(model, tokens, torch.zeros(D_IN))
    assert dense.shape == (120, 2) and not dense.any() and not table["l0"].any()
    assert np.allclose(table["loss_reconstructed"], losses["loss_zero"], rtol=1e-5)
    assert np.allclose(losses["loss_zero"], losses["loss_mean"]) and not np.allclose(losses["loss"], losses["loss_zero"], rtol=1e-3)
    assert np.allclose(table["squared_error"], table["variance"])


def test_losses_equal_the_plain_cross_entropy(model, tokens):
    text = tokens.long()
    logits = model(text)
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), text[:, 1:].flatten(), reduction="none").view(10, -1).sum(dim=1)
    assert np.allclose(context_losses(model, text, model.resid_post(text)), plain, rtol=1e-5)
    zeroed = model.logits(model.resid_mid(text) + model.block.mlp.b_out)
    plain = torch.nn.functional.cross_entropy(zeroed[:, :-1].flatten(0, 1), text[:, 1:].flatten(), reduction="none").view(10, -1).sum(dim=1)
    losses = baselines(model, tokens, torch.zeros(D_IN))
    assert np.allclose(losses["loss_zero"], plain, rtol=1e-5)
    assert losses["predicted"].tolist() == [N_CTX - 1] * 10 and losses["tokens"].tolist() == [N_CTX] * 10


def test_sparse_decoding_equals_the_dense_way():
    draw = torch.Generator().manual_seed(0)
    sae = Dictionary(*(torch.randn(*shape, generator=draw) for shape in ((6, 20), (20,), (20, 6), (6,))))
    x = torch.randn(31, 6, generator=draw)
    x[4] = sae.b_dec - 100 * sae.W_enc.sum(dim=1)
    assert torch.allclose(dictionary_pass.decode(sae, fired.Dense(sae)(x)), sae.decode(sae.encode(x)), atol=1e-4)


def test_batches_end_with_their_shard(model, monkeypatch):
    monkeypatch.setattr("replication.features.losses.FORWARD_TOKENS", {"cpu": 24})
    tokens = torch.arange(7 * N_CTX).view(7, N_CTX).int()
    parts = list(batches(tokens, model, shard_contexts=3))
    assert [(ends, len(part)) for ends, part in parts] == [(False, 2), (True, 1), (False, 2), (True, 1), (True, 1)]
    assert torch.equal(torch.cat([part for _, part in parts]), tokens.long())


def test_recovered_is_a_ratio_of_means():
    assert recovered(loss=4.0, ablated=5.0, reconstructed=4.25) == 0.75
    assert np.isnan(recovered(loss=4.0, ablated=4.0, reconstructed=4.25)) and np.isnan(recovered(loss=4.0, ablated=3.9, reconstructed=3.95))


@pytest.mark.parametrize("at", ["resid_mid", "mlp_out", "resid_post"])
def test_other_sites_pass_through_an_identity(model, tokens, tmp_path, at):
    shift = 1000.0  # the stream has negative entries: lift them above zero and back
    eye = torch.eye(16)
    lifted = Dictionary(W_enc=eye, b_enc=torch.zeros(16), W_dec=eye, b_dec=torch.full((16,), -shift))
    table, dense = measure(model, lifted, tokens, tmp_path, at=at, mean=torch.zeros(16))
    assert (dense > 0).all()
    assert np.allclose(table["loss_reconstructed"], baselines(model, tokens, torch.zeros(D_IN))["loss"], rtol=1e-3)
