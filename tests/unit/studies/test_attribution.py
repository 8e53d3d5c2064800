"""Attribution on weights that are known, and beside logit weights."""

import numpy as np
import pytest
import torch
from scipy import sparse

from replication.features.logit_weights import Readout
from replication.model.transformer import Architecture, Transformer
from replication.studies.attribution import Attribution, following


@pytest.fixture
def readout():
    model = Transformer(Architecture(d_model=6, d_mlp=8, n_heads=2, n_ctx=4, act_fn="relu", d_vocab=9)).initialise(0).requires_grad_(False)
    return Readout.of(model, torch.tensor([5, 5, 5, 0, 5, 5, 5, 5, 5]), rare_token=1)


@pytest.fixture
def directions():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32))


def test_the_token_after_each_one():
    assert following(np.array([[4, 5, 6], [7, 8, 0]], np.int32)).tolist() == [5, 6, -1, 8, 0, -1]


def test_attribution_is_activation_times_logit_weight_of_the_next_token(readout, directions):
    tokens = np.array([[0, 2, 3, 8], [1, 4, 0, 3]], np.int32)
    dense = np.array([[1, 0, 2], [0, 3, 0], [1, 1, 1], [1, 1, 1], [0, 0, 4], [2, 0, 0], [0, 5, 0], [1, 1, 1]], np.float32)
    found = Attribution.of(readout, directions, 9)(sparse.csr_array(dense), following(tokens)).toarray()
    weights = np.zeros((3, 9))
    weights[:, readout.kept.numpy()] = readout(directions).numpy()  # token 3 is rare and left out
    expected = np.zeros_like(dense)
    for row, after in enumerate(following(tokens)):
        if after >= 0:
            expected[row] = dense[row] * weights[:, after]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_columns_may_be_some_of_the_features(readout, directions):
    shard, after = sparse.csr_array(np.ones((2, 1), np.float32)), np.array([4, -1])
    attribution = Attribution.of(readout, directions, 9)
    alone = attribution(shard, after, np.array([2])).toarray()
    assert alone[0, 0] == pytest.approx(attribution.weights(np.array([2]), np.array([4]))[0])
    assert alone[1, 0] == 0


def test_rank_of_a_token_among_logit_weights(readout, directions):
    weights, kept = readout(directions).numpy(), readout.kept.numpy()
    attribution = Attribution.of(readout, directions, 9)
    order = kept[np.argsort(-weights[1])]
    assert attribution.rank(np.full(3, 1), order[[0, 3, 7]]).tolist() == [0, 3, 7]
    assert attribution.rank(np.array([1]), np.array([3])).tolist() == [8]
