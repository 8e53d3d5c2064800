import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.directions import unit
from replication.studies.phenomenology import feature_umap
from replication.studies.phenomenology.feature_umap import clustered, clusters, contexts_near, drawn, embed, named, neighbours, similar_near, strongest
from tests.planted import raw


@pytest.fixture(scope="module")
def settings():
    return STUDIES["feature_umap"].settings(resolve(raw(bootstrap=200)))


@pytest.fixture(scope="module")
def bundles():
    """Directions in four tight bundles of twelve, and which."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(4), 12)
    return unit(rng.normal(size=(4, 24))[of] + 0.15 * rng.normal(size=(48, 24))), of


def test_planted_bundles_are_the_clusters_and_lie_together_on_the_map(bundles):
    directions, of = bundles
    near = neighbours(directions)
    found = clusters(embed(directions, near, 10, 0.1, 0))
    assert all(len(set(found[of == k])) == 1 for k in range(4)) or pd.crosstab(of, found).gt(0).sum().max() == 1  # none holds two bundles
    places = embed(directions, near, 2, 0.05, 0)
    np.testing.assert_array_equal(places, embed(directions, near, 2, 0.05, 0))  # the same seed, the same map
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (of[distance.argmin(1)] == of).all()


def test_neighbours_are_those_of_the_cosine(bundles):
    directions, _ = bundles
    near, distance = neighbours(directions)
    cosine = directions @ directions.T
    expected = np.argsort(-cosine, axis=1)[:, : near.shape[1]]
    np.testing.assert_array_equal(near, expected)
    np.testing.assert_allclose(distance, 1 - np.take_along_axis(cosine, expected, axis=1), atol=1e-6)


def test_a_context_is_nearer_by_the_difference_of_mean_cosines(settings):
    directions = np.eye(4)[[0, 0, 1, 2]]
    directions[1] = [0.6, 0.8, 0, 0]
    context = np.array(["arabic", "arabic", None, "dna"], object)  # one feature of dna has no other to be near to
    near = contexts_near(directions, context, settings)["context_nearer"]
    assert (near.value, near.n) == (pytest.approx(np.mean([0.6 - 0.0, 0.6 - 0.4])), 2)
    assert contexts_near(directions, np.array([None] * 4, object), settings) == {}


def test_features_that_fire_alike_are_compared_with_all_others(settings, tmp_path):
    rng = np.random.default_rng(1)
    base = rng.random((400, 2)) < 0.2
    dense = np.zeros((400, 5), np.float32)
    dense[:, 0], dense[:, 1], dense[:, 2], dense[:, 3] = base[:, 0], 2 * base[:, 0], base[:, 1], 2 * base[:, 1]
    with MatrixWriter(tmp_path / "m", n_features=5, contexts=40, n_ctx=10, shard_contexts=20, dense=False) as writer:
        writer.append(sparse.csr_array(dense[:200]))
        writer.append(sparse.csr_array(dense[200:]))
    W_dec = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 0.6, 0.8], [1, 1, 1]], np.float32)
    number = similar_near(EvaluationMatrix(tmp_path / "m"), W_dec, np.arange(4), settings)["similar_nearer"]
    cosine = W_dec[:4] @ W_dec[:4].T
    far = (cosine.sum(1) - 1) / 3
    assert (number.value, number.n) == (pytest.approx(np.mean([0.6, 0.6, 0.8, 0.8] - far), rel=1e-6), 4)


def test_a_feature_belongs_to_the_context_that_it_follows_most_on_both_halves():
    rows = [("A/1", "hex", 3, 0.9, 0.5), ("A/1", "base64", 3, 0.4, 0.6), ("A/1", "dna", 4, 0.9, 0.1), ("A/1", "dna", 5, 0.1, 0.9), ("A/1/random", "dna", -1, 0.9, 0.9)]
    found = named(pd.DataFrame(rows, columns=["dictionary", "context", "feature", "correlation_chosen", "correlation"]))
    assert found[["feature", "context"]].to_numpy().tolist() == [[3, "base64"]]


def test_a_cluster_is_a_contexts_own_by_half_of_its_features():
    table = pd.DataFrame({"cluster": [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3],
                          "context": ["hex", "hex", None, "dna", None, None, "html", "dna", "latex", "latex", None, None, None]})
    assert clustered(table) == {"hex"}


def test_a_sample_keeps_features_of_contexts(monkeypatch):
    monkeypatch.setattr(feature_umap, "LARGEST", 10)
    kept = np.zeros(50, bool)
    kept[[7, 30]] = True
    chosen = drawn(kept, np.random.default_rng(0))
    assert (chosen.sum(), chosen[[7, 30]].all()) == (10, True)
    assert drawn(kept[:10], np.random.default_rng(0)).all()


def test_the_strongest_tokens_come_first():
    mass = sparse.csr_array(np.array([[0, 3.0, 1, 2, 9], [0, 0, 0, 0, 0]]))
    assert strongest(mass, np.array([0, 1])) == [[4, 1, 3], []]
