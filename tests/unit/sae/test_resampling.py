"""The six steps of resampling, each alone, and the schedule."""

import numpy as np
import pytest
import torch

from replication.config import ConfigError, Sae
from replication.randomness import generator
from replication.sae import resampling
from replication.sae.dictionary import Dictionary, unit
from replication.sae.schedule import resampling_steps, resampling_window
from replication.sae.step import losses


@pytest.fixture
def dictionary():
    draw = torch.Generator().manual_seed(0)
    return Dictionary(W_enc=torch.randn(4, 6, generator=draw), b_enc=torch.randn(6, generator=draw),
                      W_dec=unit(torch.randn(6, 4, generator=draw)), b_dec=torch.randn(4, generator=draw))


def test_1_dead_is_silent_for_the_whole_window():
    # of steps 89..100 none fired: a feature that last fired at step 88 is dead, at step 89 not
    assert resampling.dead(torch.tensor([0, 88, 89, 100]), step=100, window=12).tolist() == [True, True, False, False]


def test_2_the_loss_of_an_input_is_the_current_dictionarys(dictionary):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    f = torch.relu((x - dictionary.b_dec) @ dictionary.W_enc + dictionary.b_enc)
    expected = ((f @ dictionary.W_dec + dictionary.b_dec - x) ** 2).mean(1) + 0.25 * f.sum(1)
    torch.testing.assert_close(losses(dictionary, x, 0.25), expected)


def test_3_an_input_is_drawn_in_proportion_to_the_square_of_its_loss():
    loss = torch.tensor([1.0, 2.0, 0.0, 3.0])
    drawn = [int(resampling.draw_inputs(loss, 1, generator(seed, "test"))) for seed in range(4000)]
    share = np.bincount(drawn, minlength=4) / len(drawn)
    # expected 1/14, 4/14, 0, 9/14; drawing in proportion to the loss itself would give 1/6, 2/6, 0, 3/6
    assert share == pytest.approx([1 / 14, 4 / 14, 0, 9 / 14], abs=0.03)
    assert share[2] == 0


def test_3_no_input_twice_while_there_are_enough():
    loss = torch.rand(50, generator=torch.Generator().manual_seed(0)) + 0.1
    assert len(set(resampling.draw_inputs(loss, 50, generator(0, "test")).tolist())) == 50
    assert len(resampling.draw_inputs(loss[:3], 10, generator(0, "test"))) == 10


def test_4_5_decoder_encoder_and_bias(dictionary):
    before = Dictionary(**{name: tensor.clone() for name, tensor in dictionary.tensors().items()})
    which = torch.tensor([False, True, False, False, True, False])
    inputs = torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    resampling.reset(dictionary, which, inputs)
    direction = torch.tensor([[0.6, 0.0, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0]])  # the raw inputs, not the inputs minus b_dec
    torch.testing.assert_close(dictionary.W_dec[which], direction)
    live_norm = before.W_enc[:, ~which].norm(dim=0).mean()
    torch.testing.assert_close(dictionary.W_enc[:, which], 0.2 * live_norm * direction.T)
    assert dictionary.b_enc[which].tolist() == [0.0, 0.0]
    for name in ("W_dec", "b_enc"):
        assert torch.equal(getattr(dictionary, name)[~which], getattr(before, name)[~which])
    assert torch.equal(dictionary.W_enc[:, ~which], before.W_enc[:, ~which]) and torch.equal(dictionary.b_dec, before.b_dec)


def test_6_adams_moments_of_touched_elements_are_zero_and_others_stay():
    which = torch.tensor([False, True, False])
    moments = {"W_enc": (torch.ones(3, 2), torch.ones(3, 2)), "b_enc": (torch.ones(3), torch.ones(3)), "W_dec": (torch.ones(3, 2), torch.ones(3, 2)), "b_dec": (torch.ones(2), torch.ones(2))}
    resampling.reset_moments(moments, which)
    for first_or_second in (0, 1):
        assert moments["W_enc"][first_or_second].tolist() == [[1, 1], [0, 0], [1, 1]]
        assert moments["b_enc"][first_or_second].tolist() == [1, 0, 1]
        assert moments["W_dec"][first_or_second].tolist() == [[1, 1], [0, 0], [1, 1]]
        assert moments["b_dec"][first_or_second].tolist() == [1, 1]


def test_the_papers_schedule():
    paper = Sae(d_sae=4096)
    assert paper.vectors // paper.batch == 1_000_000
    assert resampling_steps(paper) == (25_000, 50_000, 75_000, 100_000)
    assert resampling_window(paper) == 12_500


def test_a_short_run_has_a_window_of_min_window_vectors_and_four_resamplings_before_70_percent():
    short = Sae(d_sae=8, batch=1000, vectors=6_000_000, min_window=1_000_000)
    assert resampling_window(short) == 1000
    assert resampling_steps(short) == (1000, 2000, 3000, 4000)


def test_a_resampling_that_falls_too_late_is_refused():
    from replication.resolution import resolve

    raw = {"run": "x", "models": {"A": {"n_ctx": 128}}, "activations": {"per_context": 64, "block": 65536, "vectors": 1 << 20}, "studies": {"main": "A/1", "twin": "A/1"}}
    with pytest.raises(ConfigError, match=r"dictionaries\.A/1: the last of 4 resamplings would fall at step .*, after 70 % of the run"):
        resolve(raw | {"dictionaries": {"A/1": {"d_sae": 8, "batch": 1024, "vectors": 1 << 20, "min_window": 200_000}}})
