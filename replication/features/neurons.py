"""A model's own tables: its neurons measured like features, and its losses without any dictionary.

The losses and the mean site vector do not depend on a dictionary, so they are measured here once for all of them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features import profile, summary
from replication.features.logit_weights import Readout
from replication.features.losses import batches, context_losses
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.features.tokens import read
from replication.features.vocabulary import Vocabulary
from replication.model.store import load
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch

Report = Callable[[float, float, str], None]


@torch.no_grad()
def activations(
    model: Transformer, tokens: Int[Tensor, "context n_ctx"], *, site: str, matrix: MatrixWriter, shard_contexts: int, progress: Report,
) -> Float[Tensor, " d_in"]:
    """Fill the dense evaluation matrix of the neurons; returns the mean vector of the site over all tokens."""
    total: Tensor | float = 0.0
    shard: list[Tensor] = []
    done = 0
    for shard_ends, batch in batches(tokens, model, shard_contexts=shard_contexts):
        mid = model.resid_mid(batch)
        mlp_act = model.mlp_act(mid)
        vectors = mlp_act if site == "mlp_act" else model.read_from(mid, site)
        total = total + vectors.double().sum(dim=(0, 1))
        shard.append(mlp_act.flatten(0, 1).cpu())
        if shard_ends:
            matrix.append(torch.cat(shard).numpy())
            shard = []
        done += len(batch)
        progress(done, 3 * len(tokens), "activations")
    assert isinstance(total, Tensor)
    return (total / tokens.numel()).float()


@torch.no_grad()
def losses(
    model: Transformer, tokens: Int[Tensor, "context n_ctx"], *,
    site: str, mean: Float[Tensor, " d_in"], shard_contexts: int, progress: Report,
) -> pd.DataFrame:
    """A row per context: tokens, predicted (tokens that are predicted), and the losses in nats summed over these.

    Columns: `loss`, `loss_zero` (every site vector zeroed), `loss_mean` (every site vector replaced by `mean`). Source:
    paper, "How much of the model does our interpretation explain?"; the mean baseline is ours.
    """
    rows = []
    done = 0
    for _, batch in batches(tokens, model, shard_contexts=shard_contexts):
        ablated = mean.expand(*batch.shape, len(mean))
        mid = model.resid_mid(batch)
        streams = model.read_from(mid, "resid_post"), model.splice_into(mid, site, torch.zeros_like(ablated)), model.splice_into(mid, site, ablated)
        rows.append(torch.stack([context_losses(model, batch, stream) for stream in streams], dim=1).numpy())
        done += len(batch)
        progress(len(tokens) + 2 * done, 3 * len(tokens), "losses")
    table = pd.DataFrame(np.concatenate(rows), columns=["loss", "loss_zero", "loss_mean"])
    n_ctx = tokens.shape[1]
    counts = pd.DataFrame({"context": np.arange(len(table), dtype=np.int32), "tokens": n_ctx, "predicted": n_ctx - 1})
    return pd.concat([counts, table], axis=1)


def measure(
    *, settings: Settings, name: str, model: Path, corpus: Path, evaluation: Path, out: Path, progress: Progress | None = None,
) -> None:
    """Write `<model>/neurons/`: evaluation matrix, features (one row per neuron), examples, losses, mean site vector, numbers.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.activations and settings.compute
    device = compute.device(settings.compute)
    transformer, tokens, vocabulary = load(model, device), read(evaluation), Vocabulary.read(corpus)
    site, shard_contexts = settings.activations.site, settings.features.shard_contexts
    files = {role: out / file for role, file in (
        ("matrix", artifacts.MATRIX), ("features", artifacts.FEATURES), ("examples", artifacts.EXAMPLES), ("losses", artifacts.LOSSES),
        ("mean", artifacts.SITE_MEAN), ("evaluation", artifacts.EVALUATION))}
    contexts, n_ctx = tokens.shape
    with MatrixWriter(files["matrix"], n_features=transformer.architecture.d_mlp, contexts=contexts, n_ctx=n_ctx,
                      shard_contexts=shard_contexts, dense=True) as matrix:
        mean = activations(transformer, tokens, site=site, matrix=matrix, shard_contexts=shard_contexts, progress=progress)
    artifacts.write_tensors(files["mean"], {"mean": mean})
    table = losses(transformer, tokens, site=site, mean=mean, shard_contexts=shard_contexts, progress=progress)
    artifacts.write_table(files["losses"], table)
    neurons, examples = profile.activations(EvaluationMatrix(files["matrix"]), tokens.numpy(), side=settings.features.window)
    readout = Readout.of(transformer, vocabulary.counts, rare_token=settings.features.rare_token)
    neurons = pd.concat([neurons, profile.logits(readout, transformer.block.mlp.W_out, vocabulary.strings)], axis=1)
    neurons["part"] = np.where(neurons["fired"] > 0, "other", "dead")
    artifacts.write_table(files["features"], neurons)
    artifacts.write_table(files["examples"], examples)
    artifacts.write_json(files["evaluation"], summary.neurons(name, table, neurons))
    artifacts.write_meta(out, stage="features", settings=settings, files=files, stopwatch=stopwatch, device=str(device), inputs={
        "model": model / artifacts.WEIGHTS, "tokens": evaluation / artifacts.EVALUATION_TOKENS, "tokenizer": corpus / artifacts.TOKENIZER})
