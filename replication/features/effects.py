"""What ablation does to the next token wherever a feature fires near one of its examples: the underlines of feature cards.

Of each feature the tokens of its examples' windows, and the token before each window, because ablating a feature changes the
token after the one that it fires on. Each token once, however many windows hold it. Source: paper, "Feature interface"; the
ablation is that of `features.ablation`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from replication import artifacts, compute
from replication.config import Settings, model_of
from replication.features.ablation import in_texts
from replication.features.directions import directions
from replication.features.matrix import EvaluationMatrix, entries
from replication.features.tokens import read
from replication.model.store import load as load_model
from replication.progress import Progress
from replication.provenance import Stopwatch


def firings(matrix: EvaluationMatrix, examples: pd.DataFrame, *, side: int) -> Iterator[pd.DataFrame]:
    """For each shard of the matrix the rows token, feature, activation, in the order of the tokens and then of the features.

    `examples` has feature, context and pos; `token` is a flat number in the whole evaluation set. Tokens that end a context are
    left out.
    """
    n_ctx, width = matrix.n_ctx, matrix.n_features
    feature, context, pos = (examples[name].to_numpy(np.int64) for name in ("feature", "context", "pos"))
    for k in range(matrix.shards):
        shard, contexts = matrix.shard(k), matrix.contexts_of(k)
        here = (context >= contexts.start) & (context < contexts.stop)
        around = pos[here, None] + np.arange(-side - 1, side + 1)
        places = ((context[here, None] - contexts.start) * n_ctx + around) * width + feature[here, None]
        ordered = np.sort(places[(around >= 0) & (around < n_ctx - 1)])  # many times faster than `np.unique`
        token, of = np.divmod(ordered[np.diff(ordered, prepend=-1) > 0], width)
        values = entries(shard, token, of)
        on = values > 0
        yield pd.DataFrame({"token": token[on] + contexts.start * n_ctx, "feature": of[on], "activation": values[on]})


@torch.no_grad()
def measure(*, settings: Settings, name: str, models: Path, dictionaries: Path, evaluation: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `effects.parquet` of the table `name`, which `out` holds: feature, context, pos, activation, effect, by feature and place.

    `effect` is the change of the log-likelihood of the token at pos + 1, in nats; negative: ablating hurts. Raises ArtifactError
    when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.compute
    device = compute.device(settings.compute, progress)
    model = load_model(models / model_of(name), device)
    artifacts.check(out, artifacts.MATRIX, artifacts.EXAMPLES)
    matrix, tokens = EvaluationMatrix(out / artifacts.MATRIX), read(evaluation).numpy()
    written = directions(name, model, dictionaries)
    examples = artifacts.read_table(out / artifacts.EXAMPLES, ["feature", "context", "pos"])
    parts = []
    for done, pairs in enumerate(firings(matrix, examples, side=settings.features.window), start=1):
        token, feature, activation = (pairs[column].to_numpy() for column in ("token", "feature", "activation"))
        context, pos = np.divmod(token, matrix.n_ctx)
        parts.append(pd.DataFrame({"feature": feature.astype(np.int32), "context": context.astype(np.int32), "pos": pos.astype(np.int32),
                                   "activation": activation, "effect": in_texts(model, tokens, written, token, feature, activation)}))
        progress(done, matrix.shards, name)
    path = out / artifacts.EFFECTS
    artifacts.write_table(path, pd.concat(parts).sort_values("feature", kind="stable", ignore_index=True))
    inputs = {"matrix": matrix.path, "examples": out / artifacts.EXAMPLES, "tokens": evaluation / artifacts.EVALUATION_TOKENS,
              "model": models / model_of(name) / artifacts.WEIGHTS}
    artifacts.write_meta(out, stage="features", settings=settings, files={"effects": path}, inputs=inputs, stopwatch=stopwatch,
                         device=str(device), name=artifacts.EFFECTS_META, table=name)
