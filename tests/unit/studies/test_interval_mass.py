"""Shares per activation interval, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.progress import Progress
from replication.studies.overall import interval_mass
from replication.studies.overall.interval_mass import KINDS


def matrix(path, dense):
    with MatrixWriter(path, n_features=dense.shape[1], contexts=len(dense) // 2, n_ctx=2, shard_contexts=2, dense=False) as writer:
        for part in np.array_split(dense, len(dense) // 4):
            writer.append(sparse.csr_array(part))
    return EvaluationMatrix(path)


def test_half_the_maximum_is_an_edge():
    assert interval_mass.place(np.float32([0.001, 4.999, 5.0, 9.99, 10.0]), np.full(5, 10.0)).tolist() == [0, 10, 11, 21, 21]


def test_sums_by_hand(tmp_path):
    dense = np.float32([[11, 0], [1, 0], [1, 22], [0, 2], [5, 0], [0, 0], [0, 0], [0, 0]])  # maxima 11 and 22
    ablation = pd.DataFrame({"feature": [0, 0, 1], "activation": np.float32([11, 1, 22]), "effect": np.float32([-3.0, 1.0, -2.0])})
    sums = interval_mass.mass(matrix(tmp_path / "matrix.safetensors", dense), ablation, np.array([11.0, 22.0]), Progress())
    whole = dict(zip(KINDS, sums.sum(1), strict=True))
    assert (whole["tokens"][21], whole["tokens"][2], whole["tokens"][10]) == (2, 3, 1)  # 1 of 11 and 2 of 22 are alike, 5 of 11 below half
    assert (whole["activation"][21], whole["activation"][2], whole["activation"][10]) == (33, 4, 5)
    assert (whole["effect"][21], whole["effect"][2]) == (5, -1)  # ablating raises the loss where the likelihood falls
    assert (whole["effect_absolute"][21], whole["effect_absolute"][2]) == (5, 1)
    assert whole["tokens"].sum() == 6


def test_shares_and_headline():
    sums = np.zeros((4, 22))
    sums[0, [0, 21]] = 9, 1
    sums[1, [0, 21]] = 5, 5
    sums[2, [0, 10, 21]] = 0, 2, 8
    sums[3, [0, 21]] = 6, 4
    draws = np.repeat(sums[:, None], 50, axis=1)
    table = interval_mass.shares(sums, draws).set_index("interval")
    assert table.loc[0, ["tokens", "activation", "effect"]].tolist() == [0.1, 0.5, 0.8]
    assert table.loc[10, "tokens"] == 0.9
    assert table.loc[5, "effect"] == pytest.approx(0.2)  # the interval that holds half the maximum
    assert (table.loc[0, "low"], table.loc[0, "high"], table.loc[10, "low"]) == (pytest.approx(10 / 11), 1.0, 0.0)
    numbers = interval_mass.headline(sums, draws, 7)
    assert numbers["effect_minus_tokens"].value == pytest.approx(0.7)
    assert (numbers["effect_minus_tokens"].low, numbers["effect_minus_tokens"].high) == pytest.approx((0.7, 0.7))
    assert numbers["lower_half_token_share"].value == pytest.approx(0.9)
    assert numbers["upper_half_effect_share"].value == pytest.approx(0.8)


def test_every_feature_is_in_the_histogram_of_maxima():
    table = interval_mass.histogram(np.array([0.1, 2.0, 2.0, 8.0]))
    assert table["count"].sum() == 4
    assert table["high"].iloc[-1] == 8.0
