"""Dictionaries whose features are known to recur or not: every key number is found again."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.directions import unit
from replication.studies.questions import dictionary_similarity, recurrence
from replication.studies.questions.recurrence import Live
from tests.planted import raw

FEATURES, D_IN, CONTEXTS, N_CTX = 120, 64, 40, 16
SHARED = 90  # of each dictionary's features recur, on one token in ten; the others are its own, on one token in a hundred or so


@pytest.fixture(scope="module")
def settings():
    return STUDIES["dictionary_similarity"].settings(resolve(raw(bootstrap=40)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Three seeds: directions and firing tokens of the first SHARED features are the same, in another order."""
    rng, folder, tokens = np.random.default_rng(0), tmp_path_factory.mktemp("planted"), CONTEXTS * N_CTX
    shared, on = unit(rng.normal(size=(SHARED, D_IN))), rng.random((tokens, SHARED)) < 0.1
    live, matrices = {}, {}
    for seed in ("A/1", "A/1-r1", "A/1-r2"):
        order = rng.permutation(FEATURES)
        rows = np.concatenate([shared + 0.01 * rng.normal(size=shared.shape), rng.normal(size=(FEATURES - SHARED, D_IN))])[order]
        alone = np.zeros((tokens, FEATURES - SHARED))
        alone[np.argsort(rng.random((FEATURES - SHARED, tokens)), axis=1)[:, :6].T, np.arange(FEATURES - SHARED)] = 1
        values = np.concatenate([on, alone], axis=1)[:, order] * (1 + rng.random((tokens, FEATURES)))
        with MatrixWriter(path := folder / seed.replace("/", ""), n_features=FEATURES, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=20, dense=False) as writer:
            for start in (0, tokens // 2):
                writer.append(sparse.csr_array(values[start : start + tokens // 2].astype(np.float32)))
        moved = order < SHARED
        live[seed] = Live.of(pd.DataFrame({"feature": range(FEATURES), "density": (values > 0).mean(0), "part": np.where(moved, "other", "ultralow"), "moved": moved}),
                             rows)
        matrices[seed] = EvaluationMatrix(path)
    return live, matrices


@pytest.fixture(scope="module")
def anchors(planted):
    live, matrices = planted
    return [recurrence.look(live, name, [other for other in live if other != name], matrices) for name in live]


def test_numbers_of_planted_dictionaries(anchors, settings):
    chance = [dictionary_similarity.controls(item.live, item.live.rows, settings, index) for index, item in enumerate(anchors)]
    found = dictionary_similarity.headline(anchors, chance, [], settings)
    assert (found["modes"].value, found["density_modes"].value) == (2, 2)
    share = SHARED / FEATURES
    for key in ("recurring", "consensus", "upper_share"):
        assert found[key].value == pytest.approx(share)
    assert found["density_difference"].value == pytest.approx(1, abs=0.1)  # a tenth of the tokens against a hundredth
    assert found["density_auc"].value == found["moved_auc"].value == 1
    assert found["consensus_above_density"].value == pytest.approx(0)  # density tells all
    assert found["consensus_learned"].value == 1
    assert found["moved_median"].value > 0.95 > 0.6 > found["unmoved_median"].value
    assert found["activation_same_median"].value > 0.85 > 0.1 > abs(found["shuffled_median"].value)
    assert found["above_chance"].low > 0
    assert found["above_chance"].replicates == 3
    assert found["mmcs_seeds"].value > found["mmcs_moments"].value


def test_what_recurs_beyond_density_is_told_from_what_density_explains(anchors, settings):
    blurred = []  # the same with density drawn anew, so that it says nothing
    for index, item in enumerate(anchors):
        density = np.random.default_rng(index).permutation(item.live.table["density"].to_numpy())
        blurred.append(recurrence.Anchor(Live(item.live.table.assign(density=density, part="other"), item.live.rows), item.cosine, item.match, item.activation, item.shuffled))
    found = dictionary_similarity.headline(blurred, [{"random": x.mean, "moments": x.mean} for x in blurred], [], settings)
    share = SHARED / FEATURES
    assert found["consensus_above_density"].value == pytest.approx(share - share**2, abs=0.02)
    assert found["within_density"].value > 0.5
    assert found["within_density"].low > 0


def test_a_smaller_dictionary_lies_in_a_larger_one(planted, settings):
    live, _ = planted
    large = live["A/1"]
    chosen = np.flatnonzero(large.learned)[:20]
    small = Live(large.table.iloc[chosen].reset_index(drop=True), large.rows[chosen])
    found = dictionary_similarity.between([(small, large)], settings, "0_1")
    assert found["smaller_in_larger"].value == pytest.approx(1 - recurrence.nearest(large.rows[large.learned], small.rows)[0].mean(), abs=0.25)  # less what chance gives
    assert found["smaller_in_larger"].low > 0
    assert found["mmcs"].value == pytest.approx((1 + recurrence.nearest(large.rows, small.rows)[0].mean()) / 2, abs=1e-6)


def test_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    cosine, place = recurrence.nearest(rows, np.array([[0.6, 0.8], [-1.0, 0.0], [0.8, 0.6]]))
    assert cosine == pytest.approx([0.8, 0.8])
    assert place.tolist() == [2, 0]
    recurs = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]], bool)  # of the first four half in each
    assert recurrence.independent(recurs, np.array([0, 0, 0, 0, 1])).tolist() == [0.25] * 4 + [1]
    assert recurrence.strata(np.array([5.0, 1.0, 3.0, 2.0]), 2).tolist() == [1, 0, 1, 0]
    assert recurrence.within(np.array([1.0, 3.0, 7.0]), np.array([0, 0, 1])).tolist() == [-1, 1, 0]
    assert dictionary_similarity.gap(np.array([1.0, 2.0, 6.0]), np.array([False, False, True])) == 4.5


def test_the_control_keeps_mean_and_covariance():
    rng = np.random.default_rng(1)
    rows = unit(np.array([4.0, 0.0, 0.0]) + rng.normal(size=(4000, 3)) * [0.1, 1.0, 0.3])
    drawn = recurrence.crowded(rows, np.random.default_rng(2))
    assert drawn.mean(0) == pytest.approx(rows.mean(0), abs=0.03)
    assert np.cov(drawn, rowvar=False) == pytest.approx(np.cov(rows, rowvar=False), abs=0.01)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(4000))
