"""Neurons that take negative values: they fire where they are positive, and all but the evaluation matrix is of that part."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from replication import artifacts
from replication.features import neurons, tokens
from replication.features.matrix import EvaluationMatrix
from replication.interpretability import units
from replication.interpretability.protocol import LEVELS
from replication.model import load as load_model
from tests.unit.features.conftest import SETTINGS, make_world

KINDS = ("gelu", "solu", "solu_ln")


@pytest.fixture(scope="module", params=KINDS)
def measured(request, tmp_path_factory):
    """A model's folder of neurons and of their units, its activations [token, neuron], and their inputs."""
    settings = replace(SETTINGS, model=replace(SETTINGS.model, act_fn=request.param))
    world = make_world(tmp_path_factory.mktemp(request.param) / "run", settings)
    layout = world.layout
    tokens.make(settings=settings, corpus=layout.corpus(), out=layout.evaluation())
    shared = {"settings": settings, "name": "A/neurons", "corpus": layout.corpus(), "evaluation": layout.evaluation()}
    neurons.measure(**shared, model=layout.model("A"), out=layout.features("A/neurons"))
    units.make(**shared, units=0, features=layout.features("A/neurons"), models=layout.root / "model", dictionaries=layout.root / "sae",
               out=layout.interpretability("A/neurons"))
    model, text = load_model(layout.model("A")), tokens.read(layout.evaluation()).long()
    mid, mlp = model.resid_mid(text), model.block.mlp
    inputs = (model.block.ln2(mid) @ mlp.W_in + mlp.b_in).flatten(0, 1).numpy()
    return request.param, layout, model.mlp_act(mid).flatten(0, 1).numpy(), inputs


def test_the_matrix_keeps_the_sign(measured):
    _, layout, act, _ = measured
    found = np.concatenate(list(EvaluationMatrix(layout.features("A/neurons") / artifacts.MATRIX)))
    assert (act < 0).mean() > 0.1 and np.array_equal(np.sign(found), np.sign(act)) and np.allclose(found, act, rtol=1e-3, atol=1e-6)


def test_a_neuron_fires_where_it_is_positive(measured):
    kind, layout, act, inputs = measured
    table = artifacts.read_table(layout.features("A/neurons") / artifacts.FEATURES)
    on = act > 0
    if kind == "solu_ln":
        solu = inputs * torch.softmax(torch.from_numpy(inputs), 1).numpy()
        assert np.array_equal(on, solu > solu.mean(1, keepdims=True))  # the norm is at its start: no bias, all weights 1
    else:
        assert np.array_equal(on, inputs > 0)
    assert np.array_equal(table["fired"], on.sum(0)) and np.allclose(table["density"], on.mean(0))
    assert np.allclose(table["max"], act.max(0), rtol=1e-3) and np.allclose(table["mean_on"], np.where(on, act, 0).sum(0) / on.sum(0), rtol=1e-3)
    assert [counts.sum() for counts in table["activation_counts"]] == table["fired"].tolist()
    assert all(edges[0] == 0 for edges in table["activation_edges"])


def test_examples_and_windows_are_of_the_positive_part(measured):
    _, layout, act, _ = measured
    examples = artifacts.read_table(layout.features("A/neurons") / artifacts.EXAMPLES)
    assert (examples["activation"] > 0).all() and examples["window_activations"].map(min).min() == 0
    windows = pd.read_parquet(layout.interpretability("A/neurons") / artifacts.WINDOWS)
    assert set(windows["role"]) == {"explain", "predict"}
    for row in windows.itertuples():
        place = np.arange(len(row.tokens)) - row.centre + row.token
        positive = np.maximum(act[place, row.feature], 0)
        assert np.allclose(row.values, positive, rtol=1e-3, atol=1e-6)
        assert (abs(row.activations - LEVELS * positive / act[:, row.feature].max()) <= 0.51).all()


def test_a_neuron_that_is_never_positive_counts_as_dead(write, tmp_path):
    from replication.features.profile import activations

    dense = np.array([[-1.0, 2.0], [-0.5, -3.0], [-0.1, 0.5]], np.float32)
    table, examples = activations(write(tmp_path / "m", dense, shard_contexts=1, as_dense=True), np.arange(3, dtype=np.int32)[None], side=1)
    assert table["fired"].tolist() == [0, 2] and table["max"].tolist() == [0.0, 2.0] and table["mean_on"].tolist() == [0.0, 1.25]
    assert examples["feature"].tolist() == [1, 1] and examples["window_activations"].tolist()[0].tolist() == [2.0, 0.0]
