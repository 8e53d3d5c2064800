"""Which features belong together: children in the next larger dictionary, and the nearest decoder rows in the same one.

A feature has a child where their masked cosine is above 0.4, found on one half of the evaluation tokens and reported on the other
(paper, "Feature splitting"); features that fire on fewer than 20 tokens of a half have none, because a feature that fires once
lies within any other that fires there. Neighbours are told by the cosine of decoder rows. Dead features take no part.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features.masked_cosine import EDGE, FEWEST, Pair, blocks
from replication.features.matrix import HALVES, EvaluationMatrix, entries
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae import load as load_dictionary

CHILD, DECODER = "child", "decoder"
CHILDREN, NEIGHBOURS = 10, 5  # at most, of each feature
BLOCK = {"cpu": 2**22, "cuda": 2**27}  # cosines of decoder rows that exist at one time: 16 MB

Features = NDArray[np.int64]
NONE = np.zeros(0, dtype=np.int64)


@torch.no_grad()
def neighbours(W_dec: Float[Tensor, "d_sae d_in"], live: Features) -> pd.DataFrame:
    """Rows feature, partner, value: of each live feature the live ones whose decoder rows are nearest, with the cosine; nearest first."""
    rows = F.normalize(W_dec[torch.from_numpy(live).to(W_dec.device)], dim=1)
    count = min(NEIGHBOURS, max(0, len(live) - 1))
    at_once, parts = max(1, BLOCK[W_dec.device.type] // max(1, len(live))), [_rows(NONE, NONE, np.zeros(0))]
    room = torch.empty(min(at_once, len(live)), len(live), device=rows.device)  # one for all blocks: the allocator would leave a hole for each
    for start in range(0, len(live), at_once):
        some = rows[start : start + at_once]
        cosine = torch.matmul(some, rows.T, out=room[: len(some)])
        own = torch.arange(len(cosine), device=rows.device)
        cosine[own, start + own] = -torch.inf
        value, place = (found.cpu().numpy() for found in cosine.topk(count, dim=1))
        parts.append(_rows(np.repeat(live[start : start + at_once], count), live[place.ravel()], value.ravel()))
    return pd.concat(parts, ignore_index=True)


def children(coarse: EvaluationMatrix, fine: EvaluationMatrix) -> pd.DataFrame:
    """Rows feature, partner, value: of each feature of `coarse` its features of `fine`, strongest on half 0 first, with the masked
    cosine on half 1 (0 where the two never fire together there).
    """
    rows, columns = often(coarse), often(fine)
    start, parts = 0, [_rows(NONE, NONE, np.zeros(0))]
    for chosen, reported in blocks(Pair(coarse, fine, rows, columns)):
        edges = (chosen * (chosen > EDGE)).tocoo()
        order = np.lexsort((edges.col, -edges.data, edges.row))
        row, column = edges.row[order], edges.col[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        row, column = row[rank < CHILDREN], column[rank < CHILDREN]
        parts.append(_rows(rows[start + row], columns[column], entries(reported, row, column)))
        start += chosen.shape[0]
    return pd.concat(parts, ignore_index=True)


def often(matrix: EvaluationMatrix) -> Features:
    """The features that fire on enough tokens of each half to be compared."""
    fired = np.zeros((len(HALVES), matrix.n_features), dtype=np.int64)
    for k, shard in enumerate(matrix):
        for half in HALVES:
            fired[half] += np.bincount(shard[matrix.half(k) == half].indices, minlength=matrix.n_features)
    return np.flatnonzero(fired.min(axis=0) >= FEWEST)


def make(*, settings: Settings, names: Sequence[str], sizes: Sequence[str], dictionaries: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `relations.parquet`: dictionary, feature, kind, other, partner, value, for the dictionaries `names`.

    Kind `decoder` is told of each of them, `child` of each of `sizes` (by size) towards the next one. Raises ArtifactError when an
    upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.compute
    device, parts = str(compute.device(settings.compute, progress)), [_of("", "", "", _rows(NONE, NONE, np.zeros(0)))]
    steps = list(pairwise(sizes))
    for done, name in enumerate(names, start=1):
        artifacts.check(out / name, artifacts.FEATURES)
        live = np.flatnonzero(artifacts.read_table(out / name / artifacts.FEATURES, ["part"])["part"] != "dead")
        parts.append(_of(name, DECODER, name, neighbours(load_dictionary(dictionaries / name, device).W_dec, live)))
        progress(done, len(names) + len(steps), name)
    for name in dict.fromkeys(name for step in steps for name in step):
        artifacts.check(out / name, artifacts.MATRIX)
    for done, (coarse, fine) in enumerate(steps, start=len(names) + 1):
        matrices = (EvaluationMatrix(out / name / artifacts.MATRIX) for name in (coarse, fine))
        parts.append(_of(coarse, CHILD, fine, children(*matrices)))
        progress(done, len(names) + len(steps), f"{coarse} to {fine}")
    path = out / artifacts.RELATIONS
    artifacts.write_table(path, pd.concat(parts, ignore_index=True))
    inputs = {name: dictionaries / name / artifacts.SAE_WEIGHTS for name in names}
    inputs |= {f"{name}/matrix": out / name / artifacts.MATRIX for step in steps for name in step}
    artifacts.write_meta(out, stage="features", settings=settings, files={"relations": path}, inputs=inputs, stopwatch=stopwatch,
                         name=artifacts.RELATIONS_META)


def _rows(feature: Features, partner: Features, value: NDArray[np.floating]) -> pd.DataFrame:
    return pd.DataFrame({"feature": feature.astype(np.int32), "partner": partner.astype(np.int32), "value": value.astype(np.float32)})


def _of(dictionary: str, kind: str, other: str, found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"dictionary": dictionary, "feature": found["feature"], "kind": kind, "other": other, "partner": found["partner"],
                         "value": found["value"]})
