"""Losses of a transformer that has no dictionary: a small MLP trained from scratch, or the whole one that it is held against.

Source: paper, "How much of the model does our interpretation explain?", footnote on transformers with small MLPs.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features.losses import batches, context_losses
from replication.features.tokens import read
from replication.model.store import load
from replication.model.transformer import Transformer, width
from replication.progress import Progress
from replication.provenance import Stopwatch


@torch.no_grad()
def losses(
    model: Transformer, tokens: Int[Tensor, "context n_ctx"], *, site: str, shard_contexts: int, progress: Callable[[float, float], None],
) -> pd.DataFrame:
    """A row per context, as in the table of a model's neurons.

    Columns: tokens, predicted (tokens that are predicted), and in nats summed over these `loss` and `loss_zero` (every site vector zeroed).
    """
    rows: list[Tensor] = []
    for _, batch in batches(tokens, model, shard_contexts=shard_contexts):
        mid = model.resid_mid(batch)
        nothing = mid.new_zeros(*batch.shape, width(model.architecture, site))
        streams = model.read_from(mid, "resid_post"), model.splice_into(mid, site, nothing)
        rows.append(torch.stack([context_losses(model, batch, stream) for stream in streams], dim=1))
        progress(sum(map(len, rows)), len(tokens))
    table, n_ctx = torch.cat(rows).numpy(), tokens.shape[1]
    return pd.DataFrame({"context": range(len(table)), "tokens": n_ctx, "predicted": n_ctx - 1, "loss": table[:, 0], "loss_zero": table[:, 1]})


def measure(*, settings: Settings, model: Path, evaluation: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `<model>/losses.parquet`. Raises ArtifactError when an upstream file is missing or changed."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.activations and settings.compute
    device = compute.device(settings.compute)
    table = losses(load(model, device), read(evaluation), site=settings.activations.site, shard_contexts=settings.features.shard_contexts, progress=progress)
    artifacts.write_table(out / artifacts.LOSSES, table)
    artifacts.write_meta(out, stage="features", settings=settings, files={"losses": out / artifacts.LOSSES}, stopwatch=stopwatch, device=str(device),
                         inputs={"model": model / artifacts.WEIGHTS, "tokens": evaluation / artifacts.EVALUATION_TOKENS})
