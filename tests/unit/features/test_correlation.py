import numpy as np
import pytest

from replication.features.correlation import Moments, correlations
from replication.features.matches import NONE, best

N_CTX, CONTEXTS = 4, 30
HALF = np.repeat(np.arange(CONTEXTS) % 2, N_CTX)


def sparse_part(seed, width):
    draw = np.random.default_rng(seed)
    shared = np.maximum(draw.normal(size=(N_CTX * CONTEXTS, 3)), 0) @ draw.random((3, width))
    return np.where(draw.random(shared.shape) < 0.4, shared + draw.random(shared.shape), 0).astype(np.float32)


@pytest.mark.parametrize("left_dense", [False, True])
@pytest.mark.parametrize("right_dense", [False, True])
def test_equals_numpy_for_every_kind_of_matrix_and_block(write, tmp_path, left_dense, right_dense):
    x, y = sparse_part(0, 9), sparse_part(1, 5)
    left = write(tmp_path / "x.safetensors", x, shard_contexts=7, as_dense=left_dense, n_ctx=N_CTX)
    right = write(tmp_path / "y.safetensors", y, shard_contexts=7, as_dense=right_dense, n_ctx=N_CTX)
    moments = Moments.of(left), Moments.of(right)
    blocks = list(correlations(left, right, moments, block=20))
    assert [start for start, _ in blocks] == [0, 4, 8]
    found = np.concatenate([block for _, block in blocks], axis=1)
    for half in (0, 1):
        expected = np.corrcoef(x[half == HALF].T, y[half == HALF].T)[:9, 9:]
        assert np.allclose(found[half], expected, atol=1e-3 if left_dense or right_dense else 1e-9)  # dense ones are rounded to float16


def test_a_match_is_chosen_on_even_contexts_and_reported_on_odd_ones(write, tmp_path):
    draw = np.random.default_rng(2)
    signal = draw.exponential(1, N_CTX * CONTEXTS)
    noise = draw.exponential(1, N_CTX * CONTEXTS)
    x = np.stack([signal, np.where(HALF == 0, 0, noise), np.where(HALF == 1, 0, noise)], axis=1)
    y = np.stack([np.where(HALF == 0, noise, signal), np.where(HALF == 0, signal, noise)], axis=1)  # each is the signal on one half only
    tables = [write(tmp_path / f"{name}.safetensors", values.astype(np.float32), shard_contexts=8, n_ctx=N_CTX) for name, values in (("x", x), ("y", y))]
    table = best(*tables, tuple(Moments.of(table) for table in tables))
    assert table["match"].tolist() == [1, NONE, 0]
    assert table["correlation_chosen"].iloc[0] == pytest.approx(1) and abs(table["correlation"].iloc[0]) < 0.4
    assert table["correlation_chosen"].isna().tolist() == [False, True, False]
    assert table["correlation"].isna().tolist() == [False, True, True]  # the third is silent on the reporting half


def test_a_constant_feature_has_no_correlation(write, tmp_path):
    x = np.full((N_CTX * CONTEXTS, 1), 0.1, np.float32)
    y = sparse_part(3, 2)
    left, right = write(tmp_path / "x.safetensors", x, shard_contexts=8, n_ctx=N_CTX), write(tmp_path / "y.safetensors", y, shard_contexts=8, n_ctx=N_CTX)
    assert best(left, right, (Moments.of(left), Moments.of(right)))["match"].tolist() == [NONE]
