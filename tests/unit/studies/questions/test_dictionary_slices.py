"""Slices of matrices whose shape is known, and neurons of which it is known who carries them."""

import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.directions import unit
from replication.studies.questions import contributors, dictionary_slices
from replication.studies.questions.contributors import Contributions, Strong
from tests.planted import raw

N_CTX, CONTEXTS = 10, 40


@pytest.fixture(scope="module")
def settings():
    return STUDIES["dictionary_slices"].settings(resolve(raw()))


def numbers(settings, draw, replicates=1):
    """The numbers of dictionaries whose decoder is `draw(rng)` and whose encoder is normal."""
    sliced = []
    for index in range(replicates):
        rng = np.random.default_rng(index)
        sliced.append(dictionary_slices.slices({"decoder": unit(draw(rng)), "encoder": unit(rng.standard_normal((300, 32)))}, settings, index))
    return dictionary_slices.of_slices(sliced, settings, whole=True)


def test_measures_by_hand():
    found = dictionary_slices.measures(np.array([[1.0, -1, 1, -1], [0, 0, 2, 0], [0, 0, 0, 0]]))
    assert found["participation"].tolist() == pytest.approx([4, 1])
    assert found["top_1"].tolist() == pytest.approx([0.25, 1])
    assert found["top_3"].tolist() == pytest.approx([0.75, 1])
    assert found["top_10"].tolist() == pytest.approx([1, 1])
    assert found["kurtosis"].tolist() == pytest.approx([1, 7 / 3])  # (3 (1/2)^4 + (3/2)^4) / 4 over ((3 (1/2)^2 + (3/2)^2) / 4)^2


def test_controls_keep_what_they_promise():
    matrix = np.random.default_rng(0).laplace(size=(50, 8)) * np.arange(1, 9)
    made = {(axis, basis): dictionary_slices.controls(matrix, axis, basis, np.random.default_rng(1)) for axis in ("feature", "neuron")
            for basis in dictionary_slices.BASES}
    assert made["neuron", "own"][0].shape == (8, 50)
    for rotated in made["feature", "rotated"]:
        np.testing.assert_allclose(np.linalg.norm(rotated, axis=1), np.linalg.norm(matrix, axis=1))
    np.testing.assert_allclose(np.square(made["feature", "levelled"][0]).mean(axis=0), 1)
    np.testing.assert_allclose(made["feature", "levelled"][0][:, 2] * np.sqrt(np.square(matrix[:, 2]).mean()), matrix[:, 2])
    np.testing.assert_allclose(np.sort(made["feature", "shuffled"][0].ravel()), np.sort(matrix.ravel()))
    assert all(not np.allclose(found[0], made[axis, "own"][0]) for (axis, basis), found in made.items() if basis != "own")


def test_heavy_tails_are_found_in_the_neuron_basis_and_not_without_one(settings):
    heavy = numbers(settings, lambda rng: rng.laplace(size=(300, 32)) ** 3)
    assert heavy["kurtosis_above_rotated"].low > 1
    assert heavy["neuron_kurtosis_above_rotated"].low > 1
    assert heavy["participation"].value < heavy["participation_rotated"].value
    assert heavy["top_10"].value > heavy["top_10_rotated"].value
    assert heavy["neuron_dense_margin"].value == pytest.approx(0.5 - heavy["neuron_top_10"].value)
    assert abs(heavy["encoder_kurtosis_above_rotated"].value) < 0.3
    assert heavy["levelled_kurtosis_above_rotated"].low > 1
    plain = numbers(settings, lambda rng: rng.standard_normal((300, 32)))
    assert abs(plain["kurtosis_above_rotated"].value) < 0.3


def test_heavy_tails_of_louder_neurons_alone_are_gone_when_neurons_are_level(settings):
    found = numbers(settings, lambda rng: rng.standard_normal((300, 32)) * np.where(np.arange(32) < 3, 8, 1))
    assert found["kurtosis_above_rotated"].low > 2
    assert abs(found["levelled_kurtosis_above_rotated"].value) < 0.5


def matrix_of(path, values, dense):
    values = values.astype(np.float32)
    with MatrixWriter(path, n_features=values.shape[1], contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=CONTEXTS // 2, dense=dense) as writer:
        for part in np.split(values, 2):
            writer.append(part if dense else sparse.csr_array(part))
    return EvaluationMatrix(path)


def test_who_carries_a_neuron_is_chosen_on_one_half_and_told_on_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(contributors, "STRONG", 0.1)
    half = np.repeat(np.arange(CONTEXTS) % 2, N_CTX)
    strong = np.arange(CONTEXTS * N_CTX) % N_CTX == 3  # one token of every context
    turn = (np.arange(CONTEXTS * N_CTX) // N_CTX // 2) % 4  # in every half the contexts of each turn are as many
    f = np.zeros((len(half), 10))
    f[strong, 0], f[strong, 1] = 6, 4  # neuron 0: two features on every token, one of them more than half
    for k in range(4):
        f[strong & (turn == k), 2 + k] = 4 + k / 10  # neuron 1: four features in turn
    f[np.ix_(strong & (half == 0), [6, 8, 9])], f[strong & (half == 1), 7] = (2.2, 2, 2), 5  # neuron 2: three features on one half, another on the other
    decoder = np.zeros((10, 4), np.float32)
    decoder[[0, 1], 0], decoder[2:6, 1], decoder[6:, 2] = 1, 1, 1
    neurons = np.concatenate([f @ decoder[:, :3], np.zeros((len(half), 1))], axis=1)  # neuron 3 is never on
    on = Strong.of(matrix_of(tmp_path / "neurons", neurons, dense=True), np.array([[0.6], [0.8], [0], [0]]))
    np.testing.assert_array_equal(np.concatenate([part.toarray()[:, 0] for part in on.shards]), strong)
    assert np.concatenate([part.toarray()[:, 4] for part in on.shards]).sum() == strong.sum()  # the direction is on with neurons 0 and 1
    found = contributors.contributions(matrix_of(tmp_path / "features", f, dense=False), decoder, on, np.random.default_rng(0))
    np.testing.assert_allclose(found.means[:, 0, 0], 6)
    np.testing.assert_array_equal(found.order()[:4, 1], [5, 4, 3, 2])
    assert found.order()[0, 2] == 6  # what comes first on the choosing half carries nothing on the other
    np.testing.assert_array_equal(found.needed()[:4], [1, 2, found.order()[:, 2].tolist().index(7) + 1, np.nan])
    np.testing.assert_array_equal(found.per_token()[:4], [1, 1, 1, np.nan])
    assert [len(counts) for counts in found.on_tokens[:4]] == [16, 16, 16, 0]
    np.testing.assert_allclose(found.curve()[:2, 0], [0.6, 1.0])


def test_fewest_parts_that_carry_half():
    assert contributors.fewest(np.array([1.0, 3, 2])) == 1
    assert contributors.fewest(np.array([1.0, 1, 1, 1, 1])) == 3
    assert contributors.fewest(np.array([5.0, -4, 1])) == 1  # of a sum of 2
    assert contributors.fewest(np.array([1.0, -2])) == 0
    assert contributors.fewest(np.empty(0)) == 0


def test_fewer_features_carry_a_neuron_than_a_random_direction(settings):
    n = dictionary_slices.DIRECTIONS
    needs = np.r_[np.full(20, 2), np.full(n, 8)]  # equal contributions of so many features that half of them carry half
    means = np.zeros((2, 16, len(needs)))
    for coordinate, count in enumerate(needs):
        means[:, :2 * count, coordinate] = 1
    found = dictionary_slices.of_contributors([Contributions(means, [np.array([1, 2])] * len(needs))] * 2, settings)
    assert (found["contributors"].value, found["contributors_rotated"].value) == (2, 8)
    assert found["fewer_than_rotated"].value == pytest.approx(2)
    assert found["token_contributors"].value == pytest.approx(1.5)
