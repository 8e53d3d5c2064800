import numpy as np
import pytest
from scipy import sparse

from replication.features import masked_cosine as module
from replication.features.masked_cosine import Pair, masked_cosine
from replication.features.matrix import EvaluationMatrix, MatrixWriter

CONTEXTS, N_CTX = 8, 5


@pytest.fixture
def matrix(tmp_path):
    def matrix(dense, name):
        with MatrixWriter(tmp_path / name, n_features=dense.shape[1], contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=4, dense=False) as writer:
            for start in range(0, CONTEXTS * N_CTX, 4 * N_CTX):
                writer.append(sparse.csr_array(dense[start:start + 4 * N_CTX].astype(np.float32)))
        return EvaluationMatrix(tmp_path / name)
    return matrix


def pair(matrix, x, y):
    return Pair(matrix(x, "x"), matrix(y, "y"), np.arange(x.shape[1]), np.arange(y.shape[1]))


def dense(x, y):
    """The definition, one pair of features at a time."""
    found = np.zeros((x.shape[1], y.shape[1]))
    for i, a in enumerate(x.T):
        for j, b in enumerate(y.T):
            cosines = [(a[on] @ b[on]) / (np.linalg.norm(a[on]) * np.linalg.norm(b[on])) for on in (a > 0, b > 0) if a[on] @ b[on] > 0]
            found[i, j] = max(cosines, default=0.0)
    return found


def test_parts_of_a_split_match_wholly_and_strangers_not_at_all(matrix):
    x, y = np.zeros((CONTEXTS * N_CTX, 1)), np.zeros((CONTEXTS * N_CTX, 3))
    x[::N_CTX, 0], x[1::N_CTX, 0] = 2, 3
    y[::N_CTX, 0], y[1::N_CTX, 1], y[2::N_CTX, 2] = 1, 4, 1
    for half in masked_cosine(pair(matrix, x, y), above=0.4):
        np.testing.assert_allclose(half.toarray(), [[1, 1, 0]])


@pytest.mark.parametrize("block", [1, 3, 2**20])
def test_it_is_the_definition_on_either_half(matrix, monkeypatch, block):
    rng = np.random.default_rng(0)
    x, y = (rng.exponential(size=(CONTEXTS * N_CTX, n)) * (rng.random((CONTEXTS * N_CTX, n)) < 0.3) for n in (4, 6))
    monkeypatch.setattr(module, "BLOCK", block)
    even = np.repeat(np.arange(CONTEXTS) % 2 == 0, N_CTX)
    for half, of in zip(masked_cosine(pair(matrix, x, y), above=0.0), (even, ~even), strict=True):
        np.testing.assert_allclose(half.toarray(), dense(x[of], y[of]), rtol=1e-5)


def test_only_the_features_asked_for_and_values_above_the_threshold(matrix):
    rng = np.random.default_rng(1)
    x, y = (rng.exponential(size=(CONTEXTS * N_CTX, 5)) * (rng.random((CONTEXTS * N_CTX, 5)) < 0.4) for _ in range(2))
    some = Pair(matrix(x, "x"), matrix(y, "y"), np.array([1, 4]), np.array([0, 2, 3]))
    whole = masked_cosine(pair(matrix, x, y), above=0.0)[1].toarray()[np.ix_([1, 4], [0, 2, 3])]
    threshold = float(np.median(whole))
    np.testing.assert_allclose(masked_cosine(some, above=threshold)[1].toarray(), np.where(whole > threshold, whole, 0))


def test_the_null_moves_whole_contexts_within_their_half(matrix):
    x, y = np.zeros((CONTEXTS * N_CTX, 1)), np.zeros((CONTEXTS * N_CTX, 1))
    x[2], y[2] = 1, 1  # the same token of context 0, of which context 2 is the other one of its half and shard
    assert masked_cosine(pair(matrix, x, y))[0].nnz == 1
    assert masked_cosine(pair(matrix, x, y), permuted=True)[0].nnz == 0
    x[2 * N_CTX + 2] = 1
    assert masked_cosine(pair(matrix, x, y), permuted=True)[0].nnz == 1


def test_no_features_give_an_empty_table(matrix):
    x = np.ones((CONTEXTS * N_CTX, 2))
    none = np.zeros(0, dtype=np.int64)
    assert masked_cosine(Pair(matrix(x, "x"), matrix(x, "y"), none, np.arange(2)))[0].shape == (0, 2)
