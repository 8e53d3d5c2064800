import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies.detailed.activations import Activations
from replication.studies.detailed.gaps import firing

CONTEXTS, N_CTX, FEATURES = 10, 6, 15


@pytest.fixture
def dense():
    rng = np.random.default_rng(1)
    found = rng.exponential(size=(CONTEXTS * N_CTX, FEATURES)).astype(np.float32) * (rng.random((CONTEXTS * N_CTX, FEATURES)) < 0.2)
    found[:, 7] = 0
    return found


@pytest.fixture
def matrix(dense, tmp_path):
    with MatrixWriter(tmp_path / "matrix", n_features=FEATURES, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=3, dense=False) as writer:
        for start in range(0, len(dense), 3 * N_CTX):
            writer.append(sparse.csr_array(dense[start:start + 3 * N_CTX]))
    return EvaluationMatrix(tmp_path / "matrix")


def test_firing_in_gaps_is_counted_as_on_the_dense_matrix(matrix, dense):
    gaps = np.random.default_rng(2).random((len(dense), 3)) < 0.3
    gaps[:, 2] = False
    half = np.repeat(np.arange(CONTEXTS) % 2, N_CTX)
    for kind, found in enumerate(firing(matrix, gaps)):
        for which in (0, 1):
            at, gap = half == which, gaps[:, kind]
            np.testing.assert_array_equal(found.in_gaps[which], (dense[at & gap] > 0).sum(0))
            np.testing.assert_array_equal(found.elsewhere[which], (dense[at & ~gap] > 0).sum(0))
            wanted = (dense[at & gap] > 0).mean(0) - (dense[at & ~gap] > 0).mean(0) if gap.any() else np.zeros(FEATURES)
            np.testing.assert_allclose(found.rise[which], wanted)


def test_activations_of_some_features_are_columns_of_the_dense_matrix(matrix, dense):
    found = Activations.of(matrix, [9, 2, 7, 9])
    assert found.features == (2, 7, 9)
    for feature in found.features:
        np.testing.assert_array_equal(found[feature], dense[:, feature])
        np.testing.assert_array_equal(found.fires(feature), np.flatnonzero(dense[:, feature]))
