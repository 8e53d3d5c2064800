"""Small matrices, and a run of tiny artifacts up to the dictionaries, from the stages' own savers."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Activations, Compute, Features, Model, Sae, Settings
from replication.corpus import shards, tokenizer
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.sae import dictionary

SETTINGS = Settings(
    run="tiny", seed=3, compute=Compute(device="cpu", threads=1), model=Model(d_model=16, d_mlp=24, n_heads=2, n_ctx=12),
    activations=Activations(), features=Features(contexts=40, shard_contexts=16, rare_token=1), sae=Sae(d_sae=48))


def write_matrix(path, dense, *, shard_contexts, as_dense=False, n_ctx=3):
    """A matrix file from tokens x features."""
    contexts = len(dense) // n_ctx
    with MatrixWriter(path, n_features=dense.shape[1], contexts=contexts, n_ctx=n_ctx, shard_contexts=shard_contexts, dense=as_dense) as writer:
        for start in range(0, contexts, shard_contexts):
            part = dense[start * n_ctx:(start + shard_contexts) * n_ctx]
            writer.append(part if as_dense else sparse.csr_array(part))
    return EvaluationMatrix(path)


@pytest.fixture(scope="session")
def write():
    """`write_matrix`, for tests."""
    return write_matrix


@dataclass
class World:
    """A run's folders, with a corpus, the models A and B, and the dictionaries A/1 and B/1."""

    layout: Layout
    settings: Settings

    def finish(self, folder: Path, *files: str, name: str = artifacts.META) -> None:
        artifacts.write_meta(folder, stage="test", settings=self.settings, files={file: folder / file for file in files}, inputs={},
                             stopwatch=Stopwatch(), name=name)


def make_world(root: Path, settings: Settings = SETTINGS) -> World:
    world = World(Layout(root), settings)
    corpus = world.layout.corpus()
    corpus.mkdir(parents=True)
    trained = tokenizer.train(["the cat sat on the mat. " * 20], 280)
    trained.save(str(corpus / artifacts.TOKENIZER))
    d_vocab = trained.get_vocab_size()
    draw = np.random.default_rng(0)
    text = torch.from_numpy((d_vocab * draw.random((100, settings.model.n_ctx)) ** 3).astype(np.int32))
    shards.write_tokens(corpus / artifacts.HELD_OUT_TOKENS, text)
    shards.write_sources(corpus / artifacts.HELD_OUT_SOURCES, torch.arange(len(text)))
    artifacts.write_tensors(corpus / artifacts.UNIGRAMS, {"counts": torch.bincount(text.flatten().long(), minlength=d_vocab)})
    world.finish(corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    world.finish(corpus, artifacts.HELD_OUT_TOKENS, artifacts.HELD_OUT_SOURCES, artifacts.UNIGRAMS, name=artifacts.TOKENS_META)
    for seed, name in enumerate(("A", "B")):
        model = Transformer(Architecture.of(settings.model, d_vocab)).initialise(seed)
        with torch.no_grad():
            for parameter in (model.embed["W_E"], model.unembed["W_U"], model.pos_embed["W_pos"]):
                parameter *= 40
        folder = world.layout.model(name)
        store.save(model, folder)
        world.finish(folder, artifacts.WEIGHTS, artifacts.ARCHITECTURE)
        with torch.no_grad():
            x = model.read(text.long(), "mlp_act").flatten(0, 1)
        sae = dictionary.start(settings.sae, settings.model.d_mlp, x.mean(dim=0), seed=seed)
        sae = replace(sae, W_enc=sae.W_dec.T.contiguous(), b_enc=torch.from_numpy(draw.normal(-0.6, 0.3, settings.sae.d_sae).astype(np.float32)))
        sae.b_enc[0] = -1e6  # a dead feature
        folder = world.layout.sae(f"{name}/1")
        dictionary.save(sae, folder, sae=settings.sae, model=settings.model, name=name)
        started = sae.W_dec.clone()
        started[5:] = started[5:].flip(0)  # features 0 to 4 have not moved
        artifacts.write_tensors(folder / artifacts.SAE_START, {"W_dec": started, "resampled": torch.arange(settings.sae.d_sae, dtype=torch.int32) % 2})
        world.finish(folder, artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG, artifacts.SAE_START)
    return world


@pytest.fixture
def world(tmp_path) -> World:
    """A fresh run."""
    return make_world(tmp_path / "run")


def run_all(world: World) -> None:
    """The whole stage."""
    from replication.features import effects, evaluate, matches, neurons, relations, site, texts, tokens

    layout, settings = world.layout, world.settings
    tokens.make(settings=settings, corpus=layout.corpus(), out=layout.evaluation())
    shared = {"settings": settings, "corpus": layout.corpus(), "evaluation": layout.evaluation()}
    for model in ("A", "B"):
        own = layout.features(f"{model}/neurons")
        neurons.measure(**shared, name=f"{model}/neurons", model=layout.model(model), out=own)
        at = layout.features(f"{model}/mlp_act")
        site.measure(settings=settings, site="mlp_act", model=layout.model(model), evaluation=layout.evaluation(), out=at)
        evaluate.evaluate(**shared, name=f"{model}/1", dictionary=layout.sae(f"{model}/1"), model=layout.model(model), site=at,
                          out=layout.features(f"{model}/1"))
    pairs = [("A/1", "B/1"), ("A/1", "A/neurons"), ("A/neurons", "B/neurons")]
    matches.match(settings=settings, pairs=pairs, models=layout.root / "model", dictionaries=layout.root / "sae", corpus=layout.corpus(),
                  out=layout.evaluation())
    weights = {"models": layout.root / "model", "dictionaries": layout.root / "sae"}
    for name in ("A/1", "A/neurons"):
        effects.measure(settings=settings, name=name, **weights, evaluation=layout.evaluation(), out=layout.features(name))
    relations.make(settings=settings, names=["A/1", "B/1"], sizes=["A/1", "B/1"], dictionaries=layout.root / "sae", out=layout.evaluation())
    written = layout.root / "written"
    for name, content in (("texts.csv", 'id,title\nmat,"A mat, a cat"\nshort,Short\n'), ("mat.txt", "the cat sat on the mat. " * 4), ("short.txt", "the\n")):
        artifacts.write_text(written / name, content)
    texts.make(settings=settings, names=["A/1", "A/neurons", "B/1"], texts=written, **weights, corpus=layout.corpus(), out=layout.evaluation())


@pytest.fixture(scope="session")
def measured(tmp_path_factory) -> World:
    """A run with every table of the stage; do not write into it."""
    world = make_world(tmp_path_factory.mktemp("measured") / "run")
    run_all(world)
    return world


@pytest.fixture(scope="session")
def stage():
    """`run_all`, for tests."""
    return run_all
