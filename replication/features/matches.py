"""The best match of each feature in another dictionary, or among neurons, by the correlation of activations.

A match is chosen on one half of the evaluation tokens (even contexts) and its correlation is reported on the other, so
that the best of thousands is not flattered by chance. Beside it stands the correlation of the two logit weights.
Source: paper, "Are features universal?"; the halves are ours.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication import artifacts
from replication.config import Settings, model_of
from replication.corpus.shards import read_counts
from replication.features.correlation import Moments, correlations
from replication.features.directions import directions
from replication.features.logit_weights import Readout
from replication.features.matrix import EvaluationMatrix
from replication.model.store import load as load_model
from replication.progress import Progress
from replication.provenance import Stopwatch

NONE = -1


def best(left: EvaluationMatrix, right: EvaluationMatrix, moments: tuple[Moments, Moments]) -> pd.DataFrame:
    """A row per feature of `left`: match, correlation_chosen (on half 0, where it is the largest), correlation (on half 1).

    A feature that is silent on half 0 has match -1; a correlation that cannot be measured, because one of the two is silent
    there, is missing.
    """
    parts = []
    for start, correlation in correlations(left, right, moments):
        match = np.where(np.isnan(correlation[0]), -np.inf, correlation[0]).argmax(axis=1)
        row = np.arange(len(match))
        chosen, reported = correlation[0, row, match], correlation[1, row, match]
        unmatched = np.isnan(chosen)
        parts.append(pd.DataFrame({
            "feature": (start + row).astype(np.int32), "match": np.where(unmatched, NONE, match).astype(np.int32),
            "correlation_chosen": chosen, "correlation": np.where(unmatched, np.nan, reported)}))
    return pd.concat(parts, ignore_index=True)


@torch.no_grad()
def logit_correlation(
    left: tuple[Readout, Float[Tensor, "left d_model"]], right: tuple[Readout, Float[Tensor, "right d_model"]], match: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Pearson correlation of the logit weights of each feature and its match, over the tokens that are kept; missing without a match."""
    (readout, directions), (other, theirs) = left, right
    place = torch.from_numpy(np.where(match == NONE, 0, match).astype(np.int64)).to(directions.device)
    parts = []
    for some, where in zip(directions.split(readout.block), place.split(readout.block), strict=True):
        x, y = (weights - weights.mean(dim=1, keepdim=True) for weights in (readout(some), other(theirs[where])))
        parts.append((x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1)))
    return np.where(match == NONE, np.float32(np.nan), torch.cat(parts).cpu().numpy())


def match(
    *, settings: Settings, pairs: list[tuple[str, str]], models: Path, dictionaries: Path, corpus: Path, out: Path,
    progress: Progress | None = None,
) -> None:
    """Write `matches.parquet`: dictionary, feature, other, match, correlation_chosen, correlation, logit_correlation.

    One row for each feature of the left table of each pair. Raises ArtifactError when a table is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features
    artifacts.check(corpus, artifacts.UNIGRAMS, name=artifacts.TOKENS_META)
    counts = read_counts(corpus / artifacts.UNIGRAMS)
    matrices: dict[str, EvaluationMatrix] = {}
    moments: dict[str, Moments] = {}
    paths: dict[str, tuple[Readout, Tensor]] = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        artifacts.check(out / name, artifacts.MATRIX)
        matrices[name] = EvaluationMatrix(out / name / artifacts.MATRIX)
        moments[name] = Moments.of(matrices[name])
        transformer = load_model(models / model_of(name))
        paths[name] = (Readout.of(transformer, counts, rare_token=settings.features.rare_token),
                       directions(name, transformer, dictionaries))
    tables = []
    for done, (left, right) in enumerate(pairs, start=1):
        table = best(matrices[left], matrices[right], (moments[left], moments[right]))
        table.insert(0, "dictionary", left)
        table.insert(2, "other", right)
        tables.append(table.assign(logit_correlation=logit_correlation(paths[left], paths[right], table["match"].to_numpy())))
        progress(done, len(pairs), f"{left} to {right}, median {table['correlation'].median():.2f}")
    path = out / artifacts.MATCHES
    artifacts.write_table(path, pd.concat(tables, ignore_index=True))
    artifacts.write_meta(out, stage="features", settings=settings, files={"matches": path}, stopwatch=stopwatch,
                         name=artifacts.MATCHES_META, inputs={name: matrix.path for name, matrix in matrices.items()})
