"""A model's neurons, those of its last MLP, measured like features.

A neuron fires where its activation is positive, whatever the activation function (ours). After ReLU, GELU and SoLU that is where its
pre-activation is positive (unless the result underflows); after SoLU's layer norm it is, but for the norm's bias, where the neuron lies
above the mean of the token's neurons. So densities and examples are comparable, and a neuron that is never positive counts as dead.
The evaluation matrix keeps negative values, and correlations and losses use them; densities, examples, activation histograms and
explanations are of the positive part, in which a negative value is 0.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features import profile, summary
from replication.features.logit_weights import Readout
from replication.features.losses import batches
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.features.tokens import read
from replication.features.vocabulary import Vocabulary
from replication.model.store import load
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch

Report = Callable[[float, float, str], None]


@torch.no_grad()
def activations(model: Transformer, tokens: Int[Tensor, "context n_ctx"], *, matrix: MatrixWriter, shard_contexts: int, progress: Report) -> None:
    """Fill the dense evaluation matrix of the neurons."""
    shard: list[Tensor] = []
    done = 0
    for shard_ends, batch in batches(tokens, model, shard_contexts=shard_contexts):
        shard.append(model.mlp_act(model.resid_mid(batch)).flatten(0, 1).cpu())
        if shard_ends:
            matrix.append(torch.cat(shard).numpy())
            shard = []
        done += len(batch)
        progress(done, len(tokens), "activations")


def measure(
    *, settings: Settings, name: str, model: Path, corpus: Path, evaluation: Path, out: Path, progress: Progress | None = None,
) -> None:
    """Write `<model>/neurons/`: evaluation matrix, features (one row per neuron), examples, numbers.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.compute
    device = compute.device(settings.compute, progress)
    transformer, tokens, vocabulary = load(model, device), read(evaluation), Vocabulary.read(corpus)
    shard_contexts = settings.features.shard_contexts
    files = {role: out / file for role, file in (
        ("matrix", artifacts.MATRIX), ("features", artifacts.FEATURES), ("examples", artifacts.EXAMPLES),
        ("evaluation", artifacts.EVALUATION))}
    contexts, n_ctx = tokens.shape
    with MatrixWriter(files["matrix"], n_features=transformer.architecture.d_mlp, contexts=contexts, n_ctx=n_ctx,
                      shard_contexts=shard_contexts, dense=True) as matrix:
        activations(transformer, tokens, matrix=matrix, shard_contexts=shard_contexts, progress=progress)
    neurons, examples = profile.activations(EvaluationMatrix(files["matrix"]), tokens.numpy(), side=settings.features.window)
    readout = Readout.of(transformer, vocabulary.counts, rare_token=settings.features.rare_token)
    neurons = pd.concat([neurons, profile.logits(readout, transformer.block.mlp.W_out, vocabulary.strings)], axis=1)
    neurons["part"] = np.where(neurons["fired"] > 0, "other", "dead")
    artifacts.write_table(files["features"], neurons)
    artifacts.write_table(files["examples"], examples)
    artifacts.write_json(files["evaluation"], summary.neurons(name, neurons, tokens=tokens.numel(), contexts=contexts))
    artifacts.write_meta(out, stage="features", settings=settings, files=files, stopwatch=stopwatch, device=str(device), inputs={
        "model": model / artifacts.WEIGHTS, "tokens": evaluation / artifacts.EVALUATION_TOKENS, "tokenizer": corpus / artifacts.TOKENIZER})
