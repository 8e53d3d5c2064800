"""Tiny artifacts that several stages' tests start from."""

import os
from dataclasses import replace
from pathlib import Path

# numba refuses another number of threads once it has started some, as UMAP does; set before anything imports it
os.environ["NUMBA_NUM_THREADS"] = "1"

import pytest
import torch

from replication import artifacts
from replication.config import Activations, Compute, Corpus, Features, Model, Sae, Settings
from replication.provenance import Stopwatch

TINY = Settings(
    run="tiny", seed=0, compute=Compute(device="cpu", threads=1), corpus=Corpus(), features=Features(contexts=16, shard_contexts=4, rare_token=0),
    model=Model(d_model=16, d_mlp=32, n_heads=2, n_ctx=16, tokens=4096, batch=8, lr=1e-2, validation_contexts=8, validate_every=10, checkpoint_every=10),
    activations=Activations(vectors=4096, per_context=8, storage="stored", block=1024),
    sae=Sae(d_sae=64, l1=0.01, lr=3e-3, batch=128, vectors=4096, resamplings=2, min_window=400, resample_inputs=512, median_vectors=256, log_every=5, checkpoint_every=7))
D_VOCAB = 50


@pytest.fixture(autouse=True)
def _numba_threads(monkeypatch):
    """Whatever a test tells the numeric libraries (`compute.limit_threads`), the next one finds the same number."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")



@pytest.fixture
def tiny() -> Settings:
    """Settings of everything at a size that trains in a blink."""
    return TINY


def make_model(folder: Path, settings: Settings = TINY, seed: int = 0) -> Path:
    """An untrained transformer with weights large enough that its neurons differ."""
    from replication.model.store import save
    from replication.model.transformer import Architecture, Transformer

    transformer = Transformer(Architecture.of(settings.model, D_VOCAB)).initialise(seed)
    with torch.no_grad():
        for parameter in transformer.parameters():
            if parameter.dim() > 1:
                parameter *= 3
    files = save(transformer, folder)
    artifacts.write_meta(folder, stage="model", settings=settings, files=files, inputs={}, stopwatch=Stopwatch())
    return folder


def make_tokens(path: Path, contexts: int = 1200, n_ctx: int = 16, seed: int = 0) -> Path:
    """Tokens with an uneven distribution, so that some neurons fire often and some seldom."""
    from replication.corpus.shards import write_tokens

    draw = torch.Generator().manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tokens(path, (D_VOCAB * torch.rand(contexts, n_ctx, generator=draw) ** 2).to(torch.int32))
    artifacts.write_meta(path.parent, stage="corpus tokens", settings=TINY, files={"tokens": path}, inputs={}, stopwatch=Stopwatch(), name=artifacts.TOKENS_META)
    return path


@pytest.fixture
def world(tmp_path):
    """Folders of a tiny model, its tokens and its stored activations."""
    from replication.activations.harvest import harvest

    model, tokens, activations = make_model(tmp_path / "model" / "A"), make_tokens(tmp_path / "corpus" / "train.safetensors"), tmp_path / "activations" / "A"
    harvest(settings=replace(TINY, sae=None), site="mlp_act", model=model, tokens=tokens, out=activations)
    return {"model": model, "tokens": tokens, "activations": activations}
