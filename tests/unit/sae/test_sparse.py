"""Gradients from fired pairs: which pairs fire is exact, whatever the screen, the threads and the scale of the data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.sae import kernels, screen
from replication.sae.adam import Adam
from replication.sae.dictionary import Dictionary, unit
from replication.sae.gradients import Gradients
from replication.sae.sparse import Sparse


def world(batch, d_in, d_sae, bias, seed, spread=0.0):
    """A dictionary and vectors; with `spread`, rows of weights and vectors differ in size by that many powers of ten."""
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw)
    size = lambda rows: 10 ** (spread * (torch.rand(rows, 1, generator=draw) - 0.5))
    encoder = normal(d_sae, d_in) * size(d_sae)
    return Dictionary(W_enc=encoder.T, b_enc=bias * encoder.norm(dim=1) + 0.01 * normal(d_sae), W_dec=unit(normal(d_sae, d_in)), b_dec=0.1 * normal(d_in)), normal(batch, d_in) * size(batch)


def support(dictionary, x):
    """Every float32 product of a centred vector and a feature, one by one."""
    xbar, encoder = (x - dictionary.b_dec).numpy(), dictionary.W_enc.T.numpy()
    bias = dictionary.b_enc.numpy()
    return torch.tensor([[bool(kernels._dot(vector, row) + bias[j] > 0) for j, row in enumerate(encoder)] for vector in xbar])


@pytest.mark.parametrize("bfloat16", [True, False])
@given(batch=st.integers(1, 30), d_in=st.integers(1, 70), d_sae=st.integers(1, 80), bias=st.sampled_from([-3.0, -1.0, 0.0, 1.0]), seed=st.integers(0, 99), spread=st.sampled_from([0.0, 3.0, 20.0]))
@settings(max_examples=30, deadline=None)
def test_no_pair_is_missed_and_none_is_made_up(bfloat16, batch, d_in, d_sae, bias, seed, spread):
    dictionary, x = world(batch, d_in, d_sae, bias, seed, spread)
    found = Sparse(batch, d_in, d_sae, bfloat16=bfloat16)(dictionary, x, 0.1)
    assert torch.equal(found.fired, support(dictionary, x).sum(0))


@pytest.mark.parametrize("bfloat16", [True, False])
def test_a_pair_a_hair_above_zero_fires_and_one_at_zero_does_not(bfloat16):
    dictionary, x = world(1, 48, 64, 0.0, seed=1)
    encoder, xbar = dictionary.W_enc.T.numpy(), (x - dictionary.b_dec).numpy()[0]
    edge = -torch.tensor([kernels._dot(xbar, row) for row in encoder])
    dictionary.b_enc.copy_(torch.where(torch.arange(64) % 2 == 0, edge, torch.nextafter(edge, torch.tensor(torch.inf))))
    found = Sparse(1, 48, 64, bfloat16=bfloat16)(dictionary, x, 0.1)
    assert found.fired.tolist() == [0, 1] * 32


def test_without_its_slack_the_bfloat16_screen_would_miss_pairs(monkeypatch):
    dictionary, x = world(300, 64, 128, 0.0, seed=2)
    exact = support(dictionary, x).sum(0)
    assert torch.equal(Sparse(300, 64, 128, bfloat16=True)(dictionary, x, 0.1).fired, exact)
    monkeypatch.setattr(screen.Rounded, "slack", lambda self, lost, vectors, d_in: 0 * self.norms[:vectors])
    assert not torch.equal(Sparse(300, 64, 128, bfloat16=True)(dictionary, x, 0.1).fired, exact)


def test_screen_and_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr(screen, "BLOCK_VECTORS", (8, 16))
    dictionary, x = world(203, 40, 300, -1.5, seed=3)
    results = [Sparse(203, 40, 300, threads=threads, bfloat16=bfloat16)(dictionary, x, 0.1) for threads in (1, 2, 3) for bfloat16 in (True, False)]
    assert int(results[0].fired.sum()) > 1000
    for other in results[1:]:
        for name in ("mse", "l1", "l0", "W_enc", "b_enc", "W_dec", "b_dec", "fired"):
            assert torch.equal(getattr(results[0], name), getattr(other, name)), name


def test_bfloat16_is_rounded_as_torch_rounds_it():
    rows = torch.cat([torch.randn(50, 33), torch.tensor([1.00390625, 1.01171875, -1.00390625, 0.0, 3.4e38] * 33).view(5, 33)])
    rounded = screen.Rounded.of(55, 33, torch.bfloat16)
    rounded.take(rows.numpy(), 0, 55)
    assert torch.equal(rounded.rows, rows.bfloat16())
    torch.testing.assert_close(torch.from_numpy(rounded.errors)[:50], (rows - rows.bfloat16().float()).norm(dim=1)[:50])


def test_a_batch_with_too_many_pairs_is_left_to_dense_products():
    dictionary, x = world(64, 16, 40, 0.0, seed=4)
    share = float((dictionary.encode(x) > 0).float().mean())
    ways = Sparse(64, 16, 40)
    assert ways(dictionary, x, 0.1, most=share - 0.01) is None
    assert ways(dictionary, x, 0.1, most=share + 0.01) is not None


def test_thousands_of_steps_end_where_dense_training_ends():
    """Rounding is amplified by training, so weights are compared while they are near, and the loss at the end."""
    draw = torch.Generator().manual_seed(5)
    directions = unit(torch.randn(24, 12, generator=draw))
    batches = [(torch.rand(64, 24, generator=draw) * (torch.rand(64, 24, generator=draw) < 0.1)) @ directions for _ in range(3000)]
    runs = {}
    for how in ("dense", "sparse"):
        dictionary, _ = world(1, 12, 32, 0.0, seed=6)
        gradients, adam, loss = Gradients(how), Adam(dictionary, lr=3e-3, betas=(0.9, 0.999)), []
        for step, x in enumerate(batches):
            found = gradients(dictionary, x, 0.01)
            loss.append(float(found.mse + 0.01 * found.l1))
            adam.update(found)
            if step == 300:
                early = {name: tensor.clone() for name, tensor in dictionary.tensors().items()}
        runs[how] = early, torch.tensor(loss)
    for name, tensor in runs["dense"][0].items():
        torch.testing.assert_close(runs["sparse"][0][name], tensor, rtol=1e-3, atol=1e-4)
    dense, found = runs["dense"][1], runs["sparse"][1]
    assert dense[-500:].mean() < 0.5 * dense[:50].mean()
    torch.testing.assert_close(found[-500:].mean(), dense[-500:].mean(), rtol=5e-3, atol=0)
