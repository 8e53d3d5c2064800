"""A site without any dictionary: its mean, the losses without it, and an MLP without neurons."""

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.features import site
from replication.features.losses import context_losses
from replication.features.tokens import read
from replication.model.store import load
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress


def test_losses_are_those_of_the_model_with_the_site_replaced(measured):
    model, tokens = load(measured.layout.model("A")), read(measured.layout.evaluation())
    folder = measured.layout.features("A/mlp_act")
    artifacts.check(folder)
    table, mean = artifacts.read_table(folder / artifacts.LOSSES), artifacts.read_tensors(folder / artifacts.SITE_MEAN)["mean"]
    vectors = model.read(tokens.long(), "mlp_act")
    torch.testing.assert_close(mean, vectors.mean(dim=(0, 1)), rtol=1e-4, atol=1e-6)
    for column, kept in (("loss", vectors), ("loss_zero", torch.zeros_like(vectors)), ("loss_mean", mean.expand_as(vectors))):
        expected = context_losses(model, tokens.long(), model.splice(tokens.long(), "mlp_act", kept))
        np.testing.assert_allclose(table[column], expected, rtol=1e-5)
    assert not np.allclose(table["loss"], table["loss_zero"])


def test_zeroing_an_mlp_without_neurons_changes_nothing(measured):
    tokens = read(measured.layout.evaluation())
    shape = Architecture(d_model=8, d_mlp=0, n_heads=2, n_ctx=tokens.shape[1], act_fn="relu", d_vocab=int(tokens.max()) + 1)
    model = Transformer(shape).initialise(0).requires_grad_(False)
    table = site.losses(model, tokens, site="mlp_act", mean=torch.zeros(0), shard_contexts=16, progress=Progress())
    assert table["loss"].equals(table["loss_zero"])
    expected = context_losses(model, tokens.long(), model.resid_post(tokens.long()))
    torch.testing.assert_close(torch.tensor(table["loss"].tolist(), dtype=torch.float64), expected, rtol=1e-5, atol=1e-5)


def test_a_changed_model_is_refused(measured, tmp_path):
    with pytest.raises(ArtifactError):
        site.measure(settings=measured.settings, site="mlp_act", model=tmp_path, evaluation=measured.layout.evaluation(), out=tmp_path / "out")
