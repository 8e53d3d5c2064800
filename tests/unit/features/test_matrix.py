import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file

from replication.artifacts import ArtifactError
from replication.features.columns import column_blocks, fired_counts
from replication.features.matrix import EvaluationMatrix, MatrixWriter, to_half

N_CTX = 3

activations = hnp.arrays(np.float32, st.tuples(st.integers(1, 6).map(lambda contexts: contexts * N_CTX), st.integers(1, 7)),
                         elements=st.one_of(st.just(0.0), st.floats(2.0**-149, 2.0**100, width=32)))


@settings(max_examples=60, deadline=None)
@given(activations, st.integers(1, 4), st.integers(1, 40))
def test_sparse_matrix_comes_back_bit_for_bit(write, tmp_path_factory, dense, shard_contexts, budget):
    matrix = write(tmp_path_factory.mktemp("m") / "matrix.safetensors", dense, shard_contexts=shard_contexts)
    assert matrix.shards == -(-len(dense) // N_CTX // shard_contexts) and matrix.n_features == dense.shape[1] and matrix.tokens == len(dense)
    assert np.array_equal(np.concatenate([shard.toarray() for shard in matrix]).view(np.int32), dense.view(np.int32))
    fired = fired_counts(matrix)
    assert np.array_equal(fired, (dense > 0).sum(axis=0))
    blocks = list(column_blocks(matrix, fired, budget=budget))
    assert blocks[0].start == 0 and blocks[-1].stop == matrix.n_features
    assert all(len(block.values) <= budget or len(block.fired) == 1 for block in blocks)
    everywhere = np.arange(len(dense))
    rebuilt = np.concatenate([block.at(np.arange(len(block.fired))[:, None], everywhere[None]) for block in blocks])
    assert np.array_equal(rebuilt, dense.T)
    assert all((np.diff(block.tokens[a:b]) > 0).all() for block in blocks for a, b in zip(block.indptr[:-1], block.indptr[1:], strict=True))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False)))
def test_half_precision_never_moves_a_number_to_or_from_zero(x):
    rounded = to_half(x)
    assert np.isfinite(rounded).all()
    assert np.array_equal(np.sign(rounded), np.sign(x).astype(np.float16))
    normal = (np.abs(x) < 6e4) & (np.abs(x) > 1e-4)
    assert np.allclose(rounded[normal], x[normal], rtol=1e-3)


def test_dense_matrix_keeps_what_is_zero_and_its_columns(write, tmp_path):
    draw = np.random.default_rng(0)
    dense = np.where(draw.random((12, 5)) < 0.5, 0, draw.exponential(1, (12, 5)) * 10.0 ** draw.integers(-12, 2, (12, 5))).astype(np.float32)
    matrix = write(tmp_path / "matrix.safetensors", dense, shard_contexts=2, as_dense=True)
    back = np.concatenate(list(matrix))
    assert back.dtype == np.float32 and np.array_equal(back > 0, dense > 0)
    assert np.array_equal(matrix.shard(1, slice(1, 3)), matrix.shard(1)[:, 1:3])
    blocks = list(column_blocks(matrix, fired_counts(matrix), budget=8))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate([block.values for block in blocks]), back.T[back.T > 0])


def test_halves_are_contexts_in_turn(write, tmp_path):
    matrix = write(tmp_path / "matrix.safetensors", np.ones((15, 2), np.float32), shard_contexts=3)
    assert [matrix.half(k).tolist() for k in range(matrix.shards)] == [[0, 0, 0, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    assert list(matrix.contexts_of(1)) == [3, 4]


def test_file_is_plain_safetensors(write, tmp_path):
    dense = np.eye(6, 5, dtype=np.float32)
    write(tmp_path / "matrix.safetensors", dense, shard_contexts=1)
    tensors = load_file(tmp_path / "matrix.safetensors")
    assert sorted(tensors) == [f"{k:03d}/{part}" for k in range(2) for part in ("indices", "indptr", "values")]
    assert tensors["001/indices"].tolist() == [3, 4] and tensors["001/indptr"].tolist() == [0, 1, 2, 2]


def test_nothing_is_left_of_a_matrix_that_failed(tmp_path):
    with pytest.raises(RuntimeError), MatrixWriter(tmp_path / "m.safetensors", n_features=2, contexts=2, n_ctx=1, shard_contexts=1, dense=True) as writer:
        writer.append(np.ones((1, 2), np.float32))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_broken_file_is_named(write, tmp_path):
    path = tmp_path / "matrix.safetensors"
    with pytest.raises(ArtifactError, match=r"matrix\.safetensors is missing"):
        EvaluationMatrix(path)
    write(path, np.ones((6, 2), np.float32), shard_contexts=1)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ArtifactError, match="truncated"):
        EvaluationMatrix(path)
