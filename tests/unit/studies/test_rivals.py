"""Ways to describe vectors by few numbers, on vectors of which the best description is known."""

import numpy as np
import pytest
import torch

from replication.config import Sae
from replication.sae.dictionary import Dictionary, start, unit
from replication.studies.overall import rivals


def identity(n=4):
    return Dictionary(W_enc=torch.eye(n), b_enc=torch.zeros(n), W_dec=torch.eye(n), b_dec=torch.zeros(n))


@pytest.mark.parametrize("k", [0.0, 0.25, 1.0, 2.4, 10.3])
def test_a_budget_has_its_mean_and_only_two_numbers(k):
    found = rivals.budget(1000, k)
    assert found.float().mean() == pytest.approx(k, abs=1e-3)
    assert set(found.tolist()) <= {int(k), int(k) + 1}


def test_the_most_active_neurons_are_kept_and_the_rest_is_at_its_mean():
    x = torch.tensor([[3.0, 1.0, 0.0], [3.0, 0.0, 2.0], [0.0, 5.0, 4.0], [0.0, 5.0, 1.0]])
    y, active = rivals.neurons(x, 1.0)(x)
    assert active.tolist() == [1, 1, 1, 1]
    # neuron 0 is left out in the last two, neuron 1 in the first two, neuron 2 always
    torch.testing.assert_close(y, torch.tensor([[3.0, 0.5, 1.75], [3.0, 0.5, 1.75], [0.0, 5.0, 1.75], [0.0, 5.0, 1.75]]))


def test_projection_is_least_squares():
    draws = np.random.default_rng(0)
    x, rows = (torch.from_numpy(draws.standard_normal(shape, dtype=np.float32)) for shape in ((6, 8), (20, 8)))
    places, kept = rivals.largest((x @ unit(rows).T).abs(), 2.5)
    found = rivals.project(x, unit(rows), places, kept)
    for token in range(6):
        chosen = unit(rows)[places[token][kept[token]]].numpy()
        weights, *_ = np.linalg.lstsq(chosen.T, x[token].numpy(), rcond=None)
        np.testing.assert_allclose(found[token], weights @ chosen, atol=2e-3)


def test_all_components_are_the_whole_vector_and_the_first_ones_the_nearest():
    draws = np.random.default_rng(1)
    x = torch.from_numpy(draws.standard_normal((400, 5), dtype=np.float32)) * torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1]) + 2
    rows = rivals.components(x)
    torch.testing.assert_close(rows @ rows.T, torch.eye(5), atol=1e-5, rtol=0)
    whole, active = rivals.directions(rows, x.mean(0), 5.0)(x)
    torch.testing.assert_close(whole, x, atol=1e-2, rtol=0)
    assert active.tolist() == [5] * 400
    nearest = rivals.directions(rows, x.mean(0), 1.0)(x)[0]
    one_of_each = torch.stack([x.mean(0) + ((x - x.mean(0)) @ row)[:, None] * row for row in rows])
    best = (one_of_each - x).square().sum(2).min(0).values
    torch.testing.assert_close((nearest - x).square().sum(1), best, atol=1e-2, rtol=0)


def test_topk_keeps_the_largest_that_fire():
    x = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    y, active = rivals.topk(identity(), 2.0, refit=False)(x)
    torch.testing.assert_close(y, torch.tensor([[4.0, 3.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))
    assert active.tolist() == [2, 1]


def test_refitting_undoes_shrinkage():
    shrunk = Dictionary(W_enc=torch.eye(4), b_enc=torch.full((4,), -0.5), W_dec=torch.eye(4), b_dec=torch.zeros(4))
    x = torch.tensor([[4.0, 3.0, 0.0, 0.0]])
    torch.testing.assert_close(rivals.topk(shrunk, 2.0, refit=False)(x)[0], torch.tensor([[3.5, 2.5, 0.0, 0.0]]))
    torch.testing.assert_close(rivals.topk(shrunk, 2.0, refit=True)(x)[0], x, atol=2e-3, rtol=0)


@pytest.mark.parametrize("cholesky", [True, False])
def test_the_untrained_encoder_has_the_wanted_l0_and_a_decoder_by_least_squares(cholesky, monkeypatch):
    monkeypatch.setattr(rivals, "CHOLESKY", 1000 if cholesky else 1)
    draws = np.random.default_rng(2)
    x = torch.from_numpy(np.maximum(draws.standard_normal((3000, 12), dtype=np.float32), 0))
    begun = start(Sae(d_sae=40), 12, x.mean(0), seed=0)
    y, active = rivals.untrained(begun, x, 6.0)(x)
    assert active.float().mean() == pytest.approx(6.0, abs=0.05)
    threshold = begun.pre_activations(x).flatten().sort(descending=True).values[round(6.0 * 3000)]
    codes = np.column_stack([(begun.pre_activations(x) - threshold).relu().numpy(), np.ones(3000)]).astype(np.float64)
    gram = codes.T @ codes + rivals.RIDGE * np.eye(41)
    np.testing.assert_allclose(y, codes @ np.linalg.solve(gram, codes.T @ x.numpy()), atol=0.02)
