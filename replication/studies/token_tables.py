"""The tokens on which features fire most."""

import json

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix


def top_tokens(
    matrix: EvaluationMatrix, tokens: NDArray[np.int32], strings: list[str], features: NDArray[np.int64], *, most: int,
) -> list[str]:
    """The tokens of the vocabulary that hold most of each feature's activation, as JSON lists; `tokens` [context, n_ctx]."""
    mass = sparse.csr_array((len(features), len(strings)), dtype=np.float64)
    for k in range(matrix.shards):
        contexts = matrix.contexts_of(k)
        flat = tokens[contexts.start : contexts.stop].ravel()
        shard = sparse.csr_array(matrix.shard(k)[:, features])
        one_hot = sparse.csr_array((np.ones(len(flat)), flat, np.arange(len(flat) + 1)), shape=(len(flat), len(strings)))
        mass = mass + shard.T @ one_hot
    found = []
    for start, stop in zip(mass.indptr, mass.indptr[1:], strict=False):
        order = np.argsort(-mass.data[start:stop], kind="stable")[:most]
        found.append(json.dumps([strings[place] for place in mass.indices[start:stop][order]], ensure_ascii=False))
    return found
