import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies import token_sums
from replication.studies.token_sums import sums

CONTEXTS, N_CTX, KINDS = 6, 4, 3


@pytest.fixture
def case(tmp_path):
    rng = np.random.default_rng(3)
    dense = (rng.exponential(size=(CONTEXTS * N_CTX, 5)) * (rng.random((CONTEXTS * N_CTX, 5)) < 0.5)).astype(np.float32)
    dense[:, 4] = 0
    with MatrixWriter(tmp_path / "m", n_features=5, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=4, dense=False) as writer:
        for start in range(0, CONTEXTS * N_CTX, 4 * N_CTX):
            writer.append(sparse.csr_array(dense[start:start + 4 * N_CTX]))
    return EvaluationMatrix(tmp_path / "m"), dense, rng.integers(KINDS, size=CONTEXTS * N_CTX)


@pytest.mark.parametrize("budget", [1, 20, 2**24])
def test_sums_are_those_of_a_plain_grouping(case, monkeypatch, budget):
    matrix, dense, kinds = case
    monkeypatch.setattr(token_sums, "BUDGET", budget)
    half_of = np.arange(CONTEXTS * N_CTX) // N_CTX % 2
    for half, found in enumerate(sums(matrix, kinds, KINDS)):
        inside = half_of == half
        grouped = pd.DataFrame(dense[inside]).groupby(kinds[inside])
        np.testing.assert_allclose(found.mass.toarray(), grouped.sum().reindex(range(KINDS), fill_value=0).T, rtol=1e-6)
        np.testing.assert_array_equal(found.fired.toarray(), grouped.agg(lambda column: (column > 0).sum()).reindex(range(KINDS), fill_value=0).T)
        np.testing.assert_array_equal(found.tokens, np.bincount(kinds[inside], minlength=KINDS))


def test_shares_and_rates(case):
    matrix, dense, kinds = case
    found = sums(matrix, kinds, KINDS)[1]
    odd = np.arange(CONTEXTS * N_CTX) // N_CTX % 2 == 1
    on = odd & (kinds == 1)
    feature, kind = np.array([0, 2, 4]), np.array([1, 1, 1])
    whole = dense[odd][:, feature].sum(0)
    np.testing.assert_allclose(found.share(feature, kind), np.where(whole > 0, dense[on][:, feature].sum(0) / np.maximum(whole, 1e-9), 0), rtol=1e-6)
    np.testing.assert_allclose(found.rate(feature, kind), (dense[on][:, feature] > 0).mean(0))
    assert found.strongest[0] == np.argmax([dense[odd & (kinds == k), 0].sum() for k in range(KINDS)])


def test_the_rate_elsewhere_leaves_the_narrower_kind_out(case):
    matrix, dense, kinds = case
    narrow = np.where(kinds == 1, 1 + np.arange(len(kinds)) % 2, 0)  # splits kind 1 in two
    broad, fine = sums(matrix, kinds, KINDS)[1], sums(matrix, narrow, 3)[1]
    rest = (np.arange(len(kinds)) // N_CTX % 2 == 1) & (narrow == 1)
    one = np.array([1])
    np.testing.assert_allclose(broad.rate_elsewhere(one, one, fine, np.array([2])), [(dense[rest, 1] > 0).mean()])
