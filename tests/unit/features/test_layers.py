"""A dictionary in either layer of a two-layer model: the vectors it is fitted on, the losses without it, and with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.activations import open_stream
from replication.activations.harvest import harvest
from replication.activations.plan import plan
from replication.config import Activations, Sae
from replication.corpus.shards import read_tokens
from replication.features import evaluate, site, tokens
from replication.features.losses import context_losses
from replication.features.matrix import EvaluationMatrix
from replication.features.tokens import read
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.sae import dictionary, load, site_of

LAYERS = 2
D_SAE = 32


@pytest.fixture
def model(world):
    """A model of two layers in the run, in which either layer's MLP matters."""
    settings = replace(world.settings.model, n_layers=LAYERS)
    made = Transformer(Architecture.of(settings, store.load(world.layout.model("A")).architecture.d_vocab)).initialise(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter *= 40 if name.endswith(("W_E", "W_U", "W_pos")) else 2
    folder = world.layout.model("two")
    store.save(made, folder)
    world.finish(folder, artifacts.WEIGHTS, artifacts.ARCHITECTURE)
    return made.requires_grad_(False)


@pytest.mark.parametrize("layer", range(LAYERS))
def test_the_harvest_of_a_layer_is_its_vectors(world, model, layer):
    at, corpus = f"mlp_act_{layer}", world.layout.corpus() / artifacts.HELD_OUT_TOKENS
    settings = replace(world.settings, activations=Activations(vectors=128, per_context=4, storage="stored", block=64, dtype="float32"),
                       sae=Sae(d_sae=D_SAE, site=at, batch=64, vectors=128))
    out = world.layout.root / "activations" / "two" / at
    harvest(settings=settings, site=at, model=world.layout.model("two"), tokens=corpus, out=out)
    text = read_tokens(corpus)
    every = model.read(text, at).flatten(0, 1)
    contexts, positions, slots = plan(settings.activations, contexts=len(text), n_ctx=12, seed=settings.seed, stream=0).vectors(0)
    expected = torch.empty(64, every.shape[1])
    expected[slots] = every[(contexts[:, None] * 12 + positions).ravel()]
    stream = open_stream(settings, model=world.layout.model("two"), tokens=corpus, folder=out, device=torch.device("cpu"))
    torch.testing.assert_close(next(iter(stream.batches(start=0, batch=64, steps=1))), expected, rtol=1e-4, atol=1e-5)
    assert artifacts.read_json(out / artifacts.STATISTICS)["site"] == at


@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_dictionary_of_a_layer_is_measured_through_the_layers_after_it(world, model, layer):
    layout, at = world.layout, f"mlp_act_{layer}"
    tokens.make(settings=world.settings, corpus=layout.corpus(), out=layout.evaluation())
    shared = {"settings": world.settings, "model": layout.model("two"), "evaluation": layout.evaluation()}
    site.measure(**shared, site=at, out=layout.features(f"two/{at}"))
    settings = replace(world.settings.model, n_layers=LAYERS)
    sae = dictionary.start(Sae(d_sae=D_SAE, site=at), settings.d_mlp, torch.zeros(settings.d_mlp), seed=layer)
    sae = replace(sae, W_enc=4 * sae.W_enc, b_enc=sae.b_enc - 0.2)
    folder = layout.sae("two/1")
    dictionary.save(sae, folder, sae=Sae(d_sae=D_SAE, site=at), model=settings, name="two/1")
    artifacts.write_tensors(folder / artifacts.SAE_START, {"W_dec": sae.W_dec, "resampled": torch.zeros(D_SAE, dtype=torch.int32)})
    world.finish(folder, artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG, artifacts.SAE_START)
    assert site_of(folder, LAYERS) == at
    evaluate.evaluate(**shared, name="two/1", dictionary=folder, site=layout.features(f"two/{at}"), corpus=layout.corpus(), out=layout.features("two/1"))

    text, sae = read(layout.evaluation()).long(), load(folder)
    x = model.read(text, at)
    f = sae.encode(x.flatten(0, 1))
    mean = x.mean(dim=(0, 1))
    table = artifacts.read_table(layout.features("two/1") / artifacts.LOSSES)

    def loss(vectors):  # by hand: the layer's own MLP is replaced, and the next layer sees what that writes
        stream = model.resid_mid(text, layer) + model.mlp_out(vectors, layer)
        if layer == 0:
            last = model.layer(1)
            stream = stream + last.attn(last.ln1(stream))
            stream = stream + last.mlp(last.ln2(stream)) @ last.mlp.W_out + last.mlp.b_out
        return context_losses(model, text, stream)

    for column, kept in (("loss", x), ("loss_zero", 0 * x), ("loss_mean", mean.expand_as(x)), ("loss_reconstructed", sae.decode(f).view_as(x))):
        np.testing.assert_allclose(table[column], loss(kept), rtol=1e-4)
    assert not np.allclose(table["loss"], table["loss_reconstructed"], rtol=1e-3)
    dense = np.concatenate([shard.toarray() for shard in EvaluationMatrix(layout.features("two/1") / artifacts.MATRIX)])
    assert np.allclose(dense, f, atol=1e-4) and 0 < (dense > 0).mean() < 1
