"""A site of a model without any dictionary: its mean vector, and the model's losses when it is left, zeroed, or held at its mean.

Measured once for all dictionaries of the site, and for transformers that have none: small MLPs trained from scratch, and the whole one
that they are held against. Source: paper, "How much of the model does our interpretation explain?"; the mean baseline is ours.
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
from replication.features.losses import batches, context_losses
from replication.features.tokens import read
from replication.model.store import load
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch

Report = Callable[[float, float, str], None]


@torch.no_grad()
def mean_vector(
    model: Transformer, tokens: Int[Tensor, "context n_ctx"], *, site: str, shard_contexts: int, progress: Report,
) -> Float[Tensor, " d_in"]:
    """The mean vector of a site over all tokens."""
    total: Tensor | float = 0.0
    done = 0
    for _, batch in batches(tokens, model, shard_contexts=shard_contexts):
        total = total + model.read(batch, site).double().sum(dim=(0, 1))
        done += len(batch)
        progress(done, 3 * len(tokens), "mean")
    assert isinstance(total, Tensor)
    return (total / tokens.numel()).float()


@torch.no_grad()
def losses(
    model: Transformer, tokens: Int[Tensor, "context n_ctx"], *,
    site: str, mean: Float[Tensor, " d_in"], shard_contexts: int, progress: Report,
) -> pd.DataFrame:
    """A row per context: tokens, predicted (tokens that are predicted), and the losses in nats summed over these.

    Columns: `loss`, `loss_zero` (every site vector zeroed), `loss_mean` (every site vector replaced by `mean`).
    """
    rows = []
    done = 0
    for _, batch in batches(tokens, model, shard_contexts=shard_contexts):
        ablated = mean.expand(*batch.shape, len(mean))
        before = model.before(batch, site)
        streams = model.resid_post(batch), model.splice_into(before, site, torch.zeros_like(ablated)), model.splice_into(before, site, ablated)
        rows.append(torch.stack([context_losses(model, batch, stream) for stream in streams], dim=1).numpy())
        done += len(batch)
        progress(len(tokens) + 2 * done, 3 * len(tokens), "losses")
    table = pd.DataFrame(np.concatenate(rows), columns=["loss", "loss_zero", "loss_mean"])
    n_ctx = tokens.shape[1]
    counts = pd.DataFrame({"context": np.arange(len(table), dtype=np.int32), "tokens": n_ctx, "predicted": n_ctx - 1})
    return pd.concat([counts, table], axis=1)


def measure(*, settings: Settings, site: str, model: Path, evaluation: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `<model>/<site>/`: losses, mean vector. Raises ArtifactError when an upstream file is missing or changed."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.compute
    device = compute.device(settings.compute, progress)
    transformer, tokens, shard_contexts = load(model, device), read(evaluation), settings.features.shard_contexts
    files = {"losses": out / artifacts.LOSSES, "mean": out / artifacts.SITE_MEAN}
    mean = mean_vector(transformer, tokens, site=site, shard_contexts=shard_contexts, progress=progress)
    artifacts.write_tensors(files["mean"], {"mean": mean})
    artifacts.write_table(files["losses"], losses(transformer, tokens, site=site, mean=mean, shard_contexts=shard_contexts, progress=progress))
    artifacts.write_meta(out, stage="features", settings=settings, files=files, stopwatch=stopwatch, device=str(device), site=site,
                         inputs={"model": model / artifacts.WEIGHTS, "tokens": evaluation / artifacts.EVALUATION_TOKENS})
