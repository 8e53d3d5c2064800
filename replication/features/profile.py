"""Columns that come from activations or logit weights alone, so that features and neurons have the same ones."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.features import examples
from replication.features.columns import Columns, column_blocks, fired_counts
from replication.features.histogram import histograms
from replication.features.logit_weights import Readout
from replication.features.matrix import EvaluationMatrix

STRONGEST = 10  # tokens listed at each end of the logit weights, as in the paper's published viewer


def activations(matrix: EvaluationMatrix, tokens: NDArray[np.int32], *, side: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables from the evaluation matrix: a row per feature, and the examples of all features.

    The first has feature, density (share of tokens on which it fires, that is, its activation is positive), fired (their number), max, mean_on (mean where it
    fires), activation_counts and activation_edges (histogram from 0 to max), single_token.
    """
    profiles, windows = [], []
    for columns in column_blocks(matrix, fired_counts(matrix)):
        chosen = examples.windows(columns, tokens, side=side)
        windows.append(examples.table(chosen, n_ctx=matrix.n_ctx))
        row = _activations(columns)
        chosen_single = examples.single_token(chosen, columns.stop)[columns.start :]
        profiles.append(row.assign(single_token=chosen_single))
    return pd.concat(profiles, ignore_index=True), pd.concat(windows, ignore_index=True)


def _activations(columns: Columns) -> pd.DataFrame:
    fired, width = columns.fired, len(columns.fired)
    highest = np.zeros(width, dtype=np.float32)
    live = fired > 0
    highest[live] = np.maximum.reduceat(columns.values, columns.indptr[:-1][live]) if live.any() else 0
    total = np.bincount(columns.owner, weights=columns.values, minlength=width)
    counts, edges = histograms(columns.values, columns.owner, np.zeros(width), highest)
    return pd.DataFrame({
        "feature": np.arange(columns.start, columns.stop, dtype=np.int32),
        "density": fired / columns.n_tokens,
        "fired": fired,
        "max": highest,
        "mean_on": np.divide(total, fired, out=np.zeros(width), where=live).astype(np.float32),
        "activation_counts": list(counts.astype(np.int32)),
        "activation_edges": list(edges.astype(np.float32)),
    })


@torch.no_grad()
def logits(readout: Readout, directions: Float[Tensor, "feature d_model"], strings: list[str]) -> pd.DataFrame:
    """A row per direction: top_tokens and top_weights, bottom_tokens and bottom_weights (strongest first), and the histogram
    of its logit weights over the tokens that are kept, logit_counts and logit_edges.
    """
    parts = []
    kept = readout.kept.cpu().numpy()
    for some in directions.split(readout.block):
        weights = readout(some)
        row: dict[str, list[object]] = {}
        for name, largest in (("top", True), ("bottom", False)):
            values, place = weights.topk(min(STRONGEST, len(kept)), dim=1, largest=largest)
            row[f"{name}_tokens"] = [[strings[token] for token in line] for line in kept[place.cpu().numpy()]]
            row[f"{name}_weights"] = list(values.cpu().numpy())
        dense = weights.cpu().numpy()
        counts, edges = histograms(dense.reshape(-1), np.repeat(np.arange(len(dense)), len(kept)), dense.min(axis=1), dense.max(axis=1))
        row["logit_counts"], row["logit_edges"] = list(counts.astype(np.int32)), list(edges.astype(np.float32))
        parts.append(pd.DataFrame(row))
    return pd.concat(parts, ignore_index=True)
