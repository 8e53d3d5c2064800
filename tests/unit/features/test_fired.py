"""Fired pairs: the ones of the dense encoder, whatever the way, the blocks and the threads."""

import pytest
import torch

from replication.features import fired
from replication.sae.dictionary import Dictionary


def problem(d_in, d_sae, tokens, bias):
    """A dictionary that fires more or less by its bias, and vectors."""
    draw = torch.Generator().manual_seed(d_in * 1000 + d_sae)
    sae = Dictionary(*(torch.randn(*shape, generator=draw) for shape in ((d_in, d_sae), (d_sae,), (d_sae, d_in), (d_in,))))
    sae.b_enc.add_(bias)
    return sae, torch.randn(tokens, d_in, generator=draw)


def ways(sae):
    return {"dense": fired.Dense(sae), "one thread": fired.Screened(sae, threads=1), "two threads": fired.Screened(sae, threads=2)}


@pytest.mark.parametrize(("d_in", "d_sae", "tokens", "bias"), [(6, 20, 31, 0.0), (64, 100, 1500, -12.0), (16, 33, 700, 1e4), (16, 8, 600, -1e4)])
def test_every_way_finds_what_the_dense_encoder_finds(d_in, d_sae, tokens, bias, monkeypatch):
    monkeypatch.setattr(fired, "DENSE", {"cpu": 60})  # a few tokens at a time
    sae, x = problem(d_in, d_sae, tokens, bias)
    exact = (x.double() - sae.b_dec.double()) @ sae.W_enc.double() + sae.b_enc.double()
    for name, way in ways(sae).items():
        counts, features, values = way(x)
        assert (counts.dtype, features.dtype, values.dtype) == (torch.int64, torch.int64, torch.float32), name
        found = torch.zeros_like(exact)
        found[torch.repeat_interleave(torch.arange(tokens), counts), features] = values.double()
        assert torch.allclose(found, exact.relu(), atol=1e-4, rtol=1e-6), name  # what one calls silent the other calls almost 0
        assert int(counts.sum()) == len(features) == len(values) and (values > 0).all(), name
        ends = counts.cumsum(0)
        assert all(part.diff().gt(0).all() for part in features.tensor_split(ends[:-1])), name


def test_values_do_not_depend_on_threads_blocks_or_the_screen(monkeypatch):
    sae, x = problem(64, 100, 1500, -12.0)
    expected = fired.Screened(sae, threads=1)(x)
    other = [fired.Screened(sae, threads=2)(x)]
    monkeypatch.setattr("replication.sae.screen.BLOCK_VECTORS", (7, 7))
    other.append(fired.Screened(sae, threads=1)(x))
    monkeypatch.setattr("replication.sae.screen.multiplies_bfloat16", lambda: False)
    other.append(fired.Screened(sae, threads=1)(x))
    for found in other:
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_the_screen_is_of_low_precision_where_the_cpu_is_fast_at_it(monkeypatch):
    sae, _ = problem(6, 20, 31, 0.0)
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("replication.sae.screen.multiplies_bfloat16", lambda fast=fast: fast)
        assert fired.Screened(sae, threads=1).screen.weights.rows.dtype == expected
