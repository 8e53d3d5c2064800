import numpy as np
import pytest
import torch
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.phenomenology.splitting_graph import Layer, articles, choose, collisions, grown, is_technical, leaning, matched, narrower, predicted
from replication.studies.token_sums import Sums
from tests.planted import raw

STRINGS = [" the", " a", "x", "y", "z", "w"]
THE, A = 0, 1


def layer(mass, name="A/0"):
    """A dictionary of which the same is known on either half."""
    table = sparse.csr_array(np.array(mass, float))
    half = Sums(table, table, np.ones(table.shape[1], np.int64))
    n = table.shape[0]
    return Layer(name, np.arange(n), half, half, [["p"]] * n, np.ones(n, np.float32))


def test_the_and_a_are_apart_below_a_feature_that_fires_on_both():
    coarse = layer([[5, 4, 1, 0, 0, 0], [0, 0, 9, 1, 0, 0], [9, 0, 1, 0, 0, 0]])  # both, none, "the" alone
    fine = layer([[9, 1, 0, 0, 0, 0], [1, 9, 2, 0, 0, 0], [5, 5, 0, 0, 0, 0], [0, 1, 99, 0, 0, 0]], "A/1")  # the, a, both, hardly any
    np.testing.assert_array_equal(leaning(coarse, [np.array([THE]), np.array([A])])[0], [True, False, False])
    edges = sparse.csr_array(np.array([[0.5, 0.6, 0.7, 0.5], [0.9, 0.9, 0, 0], [0.9, 0.9, 0, 0]]))
    assert articles(coarse, fine, edges, STRINGS)["the_and_a_apart"].value == 1
    assert articles(coarse, fine, sparse.csr_array(edges.toarray() * [1, 0, 1, 1]), STRINGS)["the_and_a_apart"].value == 0
    assert articles(coarse, fine, edges, ["q"] * 6) == {}


def test_families_have_most_of_their_own_then_most_in_common():
    few = np.eye(6)
    coarse = layer([few[2], few[3], few[4], few[2], np.full(6, 1.0)])  # the fourth has the first one's token; six tokens are few enough
    edges = np.zeros((5, 9))
    edges[0, :4] = 0.9  # four of its own
    edges[1, 4:7], edges[1, 0] = 0.8, 0.5  # three of its own, one in common
    edges[2, 7], edges[2, :3] = 0.8, 0.5  # one of its own, three in common
    edges[3, 8], edges[3, :4] = 0.8, 0.5  # four in common, but the same token
    assert choose(coarse, sparse.csr_array(edges)) == [0, 2, 1]


def test_a_name_of_many_tokens_comes_last():
    coarse = layer([np.full(20, 1.0), np.eye(20)[3], np.eye(20)[4]])
    edges = np.zeros((3, 6))
    edges[0, :5], edges[1, 5] = 0.9, 0.9
    assert choose(coarse, sparse.csr_array(edges))[0] == 1


def test_the_graph_grows_by_the_best_matches_and_what_families_share():
    first = np.zeros((2, 7))
    first[0, :6], first[1, [0, 6]] = (0.6, 0.9, 0.8, 0.7, 0.65, 0.5), (0.55, 0.9)
    second = np.zeros((7, 3))
    second[1, 2], second[1, 0], second[1, 1] = 0.9, 0.8, 0.5
    halves = [(sparse.csr_array(first),) * 2, (sparse.csr_array(second),) * 2]
    assert grown([0, 1], halves) == [[0, 1], [1, 2, 3, 4, 6, 0], [2, 0]]


def test_matches_and_merges_by_hand():
    settings = STUDIES["splitting_graph"].settings(resolve(raw(bootstrap=50)))
    real = sparse.csr_array(np.array([[0.9, 0.5, 0, 0], [0, 0.6, 0.7, 0], [0, 0.5, 0, 0]]))
    numbers = matched(np.diff(real.indptr), np.array([0, 1, 0]), real, settings, "0_1")
    assert numbers["matches_above_one"].value == pytest.approx(2 / 3)
    assert numbers["matches_above_null"].value == pytest.approx(4 / 3)
    assert (numbers["merges"].value, numbers["unmatched"].value) == (1, 0.25)


def test_the_mean_over_matches_and_none_without_a_match():
    table = narrower(np.array([3.0, 3.0, 3.0]), np.array([1.0, 2.0]), sparse.csr_array(np.array([[0.5, 0.9], [0, 0.6], [0, 0]])))
    np.testing.assert_allclose(table["finer"], [1.5, 2.0, np.nan])


def test_the_chance_of_two_alike_is_unbiased(tmp_path):
    contexts, n_ctx, chance = 400, 20, (0.5, 0.3, 0.2)
    rng = np.random.default_rng(0)
    following = rng.choice(3, size=contexts * n_ctx, p=chance)
    dense = np.zeros((contexts * n_ctx, 60), np.float32)
    for feature in range(60):  # few tokens each, so that a plain estimate would be far off
        dense[rng.choice(np.flatnonzero(np.arange(contexts * n_ctx) // n_ctx % 2), 5, replace=False), feature] = 1
    with MatrixWriter(tmp_path / "m", n_features=60, contexts=contexts, n_ctx=n_ctx, shard_contexts=contexts, dense=False) as writer:
        writer.append(sparse.csr_array(dense))

    class Reader:
        def matrix(self, name):
            return EvaluationMatrix(tmp_path / "m")

    of = layer(np.ones((60, 3)))
    found = collisions(Reader(), of, following, 3)
    expected = sum(p * p for p in chance)
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(60)
    place = np.flatnonzero(dense[:, 0])
    by_hand = np.mean([following[a] == following[b] for a in place for b in place if a != b])
    assert found[0] == pytest.approx(by_hand)


def test_entropies_are_those_of_a_softmax(run, config):
    from replication.config import model_of
    from replication.features.logit_weights import Readout, written
    from replication.studies.tables import Reader

    settings, reader = STUDIES["splitting_graph"].settings(config), Reader(run)
    of = Layer("A/1", np.array([3, 7]), None, None, [], np.array([2.0, 0.5], np.float32))
    model = reader.model(model_of("A/1"))
    readout = Readout.of(model, reader.vocabulary().counts, rare_token=settings.features.rare_token)
    rows = torch.from_numpy(reader.weights("A/1")["W_dec"][[3, 7]])
    for pinned, scale in ((True, of.largest[:, None]), (False, 1.0)):
        p = torch.softmax(readout(written(model, "mlp_act", rows)).detach() * torch.as_tensor(scale), dim=1)
        np.testing.assert_allclose(predicted(reader, settings, of, pinned=pinned), -(p * p.log()).sum(1), rtol=1e-4)


def test_technical_text_has_signs_that_prose_does_without():
    strings = ["word ", "x_y = [1]; ", "\\xd8", '"Yes," (he) said. ', "élan "]
    tokens = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [2, 2, 2, 2], [3, 3, 0, 0], [4, 4, 4, 4]], np.int32)
    np.testing.assert_array_equal(is_technical(tokens, strings), [False, True, False, False, False])
