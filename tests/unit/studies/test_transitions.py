"""A planted automaton: three features that take turns, and a fourth that fires anywhere."""

import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies.attribution import Attribution
from replication.studies.phenomenology.transitions import LEAST, holds, sums, transitions

CONTEXTS, N_CTX = 24, 16


@pytest.fixture
def planted(tmp_path):
    """Feature k fires on token k of 0 1 2 0 1 2 ... (contexts begin anywhere) and raises token k + 1; feature 3 fires at random."""
    rng = np.random.default_rng(0)
    tokens = ((np.arange(N_CTX) + rng.integers(3, size=CONTEXTS)[:, None]) % 3).astype(np.int32)
    dense = np.zeros((tokens.size, 4), np.float32)
    dense[np.arange(tokens.size), tokens.ravel()] = 1 + rng.random(tokens.size)
    dense[:, 3] = (rng.random(tokens.size) < 0.1) * 2
    with MatrixWriter(tmp_path / "matrix.safetensors", n_features=4, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=10, dense=False) as writer:
        for start in range(0, CONTEXTS, 10):
            writer.append(sparse.csr_array(dense[start * N_CTX : (start + 10) * N_CTX]))
    raises = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [-1, -1, 0]], np.float32)  # [feature, token]: d_model is the token
    attribution = Attribution(raises, np.zeros(4, np.float32), np.eye(3, dtype=np.float32), np.arange(3))
    return EvaluationMatrix(tmp_path / "matrix.safetensors"), attribution, tokens, dense, raises


def test_a_planted_cycle_is_found_and_the_lone_feature_not(planted):
    matrix, attribution, tokens, _, _ = planted
    table = transitions(matrix, attribution, tokens, np.arange(4))
    found = {(row.source, row.target): row for row in table[holds(table)].itertuples()}
    assert {(0, 1), (1, 2), (2, 0)} == set(found)
    assert all(row.chosen > 0.9 and row.held > 0.9 and row.null < 0.9 for row in found.values())


def test_weights_are_cosines_of_dense_vectors(planted):
    matrix, attribution, tokens, dense, raises = planted
    found = sums(matrix, attribution, tokens, np.array([3, 1]), np.arange(4)).weights
    texts = dense.reshape(CONTEXTS, N_CTX, 4)
    for half in (0, 1):
        here, there = texts[half::2, :-1], texts[half::2, 1:] > 0
        raised = here * raises[:, tokens[half::2, 1:]].transpose(1, 2, 0)
        for place, source in enumerate((3, 1)):
            a = raised[..., source].ravel()
            for target in range(4):
                b = there[..., target].ravel().astype(float)
                assert found[half, place, target] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-5)


def test_blocks_of_sources_change_nothing(planted):
    matrix, attribution, tokens, _, _ = planted
    whole = transitions(matrix, attribution, tokens, np.arange(4))
    assert whole.equals(transitions(matrix, attribution, tokens, np.arange(4), block=4))
    assert (whole["chosen"] >= LEAST).all()


def test_no_states_give_no_edges(planted):
    matrix, attribution, tokens, _, _ = planted
    assert transitions(matrix, attribution, tokens, np.empty(0, np.int64)).empty
