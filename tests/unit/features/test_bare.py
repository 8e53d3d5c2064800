"""Losses of a model that has no dictionary: those that its neurons' table has, and those of an MLP without neurons."""

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.features import bare
from replication.features.losses import context_losses
from replication.features.tokens import read
from replication.model.transformer import Architecture, Transformer


def test_losses_are_those_of_the_neurons_table(measured, tmp_path):
    out = tmp_path / "A"
    bare.measure(settings=measured.settings, model=measured.layout.model("A"), evaluation=measured.layout.evaluation(), out=out)
    table, expected = artifacts.read_table(out / artifacts.LOSSES), artifacts.read_table(measured.layout.features("A/neurons") / artifacts.LOSSES)
    assert table.columns.tolist() == ["context", "tokens", "predicted", "loss", "loss_zero"]
    for column in table:
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-6)
    assert not np.allclose(table["loss"], table["loss_zero"])
    artifacts.check(out)


def test_zeroing_an_mlp_without_neurons_changes_nothing(measured):
    tokens = read(measured.layout.evaluation())
    shape = Architecture(d_model=8, d_mlp=0, n_heads=2, n_ctx=tokens.shape[1], act_fn="relu", d_vocab=int(tokens.max()) + 1)
    model = Transformer(shape).initialise(0).requires_grad_(False)
    table = bare.losses(model, tokens, site="mlp_act", shard_contexts=16, progress=lambda done, total: None)
    assert table["loss"].equals(table["loss_zero"])
    expected = context_losses(model, tokens.long(), model.resid_post(tokens.long()))
    torch.testing.assert_close(torch.tensor(table["loss"].tolist(), dtype=torch.float64), expected, rtol=1e-5, atol=1e-5)


def test_a_changed_model_is_refused(measured, tmp_path):
    with pytest.raises(ArtifactError):
        bare.measure(settings=measured.settings, model=tmp_path, evaluation=measured.layout.evaluation(), out=tmp_path / "out")
