"""The paper's alternatives: each against plain autograd on its own parameters, and through a whole training."""

from dataclasses import replace

import pytest
import torch

from replication import sae as stage
from replication.activations import open_stream
from replication.config import Sae
from replication.sae import resampling
from replication.sae.dictionary import Dictionary, start, unit
from replication.sae.fit import Training, fit, whole_step
from replication.sae.gradients import Gradients
from replication.sae.variants import Variant

CHANGES = [{"pre_bias": False}, {"tied": True}, {"pre_bias": False, "tied": True}, {"projection": False}, {"tied": True, "projection": False}]
OTHERS = [*CHANGES, {"lr_decay": 0.5}, {"repeats": 4}, {"per_context": 4, "vectors": 2048}, {"resampling": "kaiming", "l1": 10.0, "lr": 0.3, "min_window": 1280}]


def by_autograd(sae, own, batches):
    """The recipe in float64, its parameters those of the variant and nothing folded."""
    held = {name: tensor.double() for name, tensor in own.tensors().items() if not (sae.tied and name == "W_enc")}
    moments = {name: (torch.zeros_like(tensor), torch.zeros_like(tensor)) for name, tensor in held.items()}
    for step, x in enumerate(batches, start=1):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in held.items()}
        encoder = leaves["W_dec"].T if sae.tied else leaves["W_enc"]
        f = torch.relu((x.double() - (leaves["b_dec"] if sae.pre_bias else 0)) @ encoder + leaves["b_enc"])
        ((x - f @ leaves["W_dec"] - leaves["b_dec"]).square().mean() + sae.l1 * f.sum(1).mean()).backward()
        for name, leaf in leaves.items():
            gradient = leaf.grad
            if name == "W_dec" and sae.projection:
                gradient = gradient - (gradient * held[name]).sum(1, keepdim=True) * held[name]
            first, second = moments[name]
            first, second = moments[name] = (0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2)
            held[name] = held[name] - sae.lr * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        held["W_dec"] = unit(held["W_dec"])
    return held


@pytest.mark.parametrize("step", ["dense", "sparse"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_variant_trains_as_plain_autograd_does(change, step):
    draw = torch.Generator().manual_seed(0)
    sae, batches = Sae(d_sae=40, l1=0.05, lr=0.01, step=step, **change), [torch.randn(64, 12, generator=draw) + 1 for _ in range(6)]
    variant = Variant(pre_bias=sae.pre_bias, tied=sae.tied)
    own = start(sae, 12, torch.ones(12), seed=0)
    variant.settle(own)
    begun = Dictionary(**{name: tensor.clone() for name, tensor in own.tensors().items()})
    _, take = whole_step(own, sae, variant, threads=1)
    for x in batches:
        take(x, sae.l1)
    expected = by_autograd(sae, begun, batches)
    for name, tensor in expected.items():
        assert (tensor - begun.tensors()[name]).abs().max() > 0.01  # it moved
        torch.testing.assert_close(own.tensors()[name].double(), tensor, atol=2e-4, rtol=1e-3)
    encoder = expected["W_dec"].T if sae.tied else expected["W_enc"]
    f = torch.relu((batches[0].double() - (expected["b_dec"] if sae.pre_bias else 0)) @ encoder + expected["b_enc"])
    torch.testing.assert_close(variant.standard(own).encode(batches[0]).double(), f, atol=1e-3, rtol=1e-2)


def run(settings, world, out, progress=None):
    fit(settings=settings, name="A/1", out=out, state=out.with_name(out.name + "-state"), progress=progress, **world)
    return out


@pytest.mark.parametrize("change", OTHERS)
def test_killed_and_resumed_is_equal_bit_for_bit(tiny, world, tmp_path, change, kill_at):
    settings = replace(tiny, sae=replace(tiny.sae, **change))
    whole = run(settings, world, tmp_path / "whole")
    with pytest.raises(kill_at.Killed):
        run(settings, world, tmp_path / "killed", kill_at(12))
    resumed = run(settings, world, tmp_path / "killed")
    for name in ("sae_weights.safetensors", "start.safetensors", "log.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    assert (whole / "sae_weights.safetensors").read_bytes() != (run(tiny, world, tmp_path / "paper") / "sae_weights.safetensors").read_bytes()


def test_a_tied_dictionary_is_written_with_equal_matrices_and_one_without_pre_bias_in_the_papers_form(tiny, world, tmp_path):
    found = stage.load(run(replace(tiny, sae=replace(tiny.sae, tied=True)), world, tmp_path / "tied"))
    assert torch.equal(found.W_enc.T, found.W_dec)
    own = start(Sae(d_sae=30), 8, torch.ones(8), seed=0)
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Variant(pre_bias=False).standard(own).encode(x), torch.relu(x @ own.W_enc + own.b_enc))
    assert Variant(tied=True).standard(own) is own


def test_a_restart_gives_dead_features_new_draws_and_leaves_the_others(tiny):
    own, fresh = (start(Sae(d_sae=6), 4, torch.ones(4), seed=0, restart=step) for step in (0, 5))
    before = Dictionary(**{name: tensor.clone() for name, tensor in own.tensors().items()})
    which = torch.tensor([False, True, False, False, True, False])
    resampling.restart(own, which, fresh)
    for name, axis in (("W_dec", 0), ("W_enc", 1), ("b_enc", 0)):
        now, old, new = (d.tensors()[name].movedim(axis, 0) for d in (own, before, fresh))
        assert torch.equal(now[which], new[which]) and torch.equal(now[~which], old[~which])
        assert not torch.equal(new[which], old[which])


def test_the_learning_rate_falls_linearly_to_nothing(tiny):
    training = Training.__new__(Training)
    training.sae, training.steps = replace(tiny.sae, lr=2.0, lr_decay=0.25), 8
    assert [training.lr_at(step) for step in range(8)] == [2.0] * 7 + [1.0]
    training.sae = replace(training.sae, lr_decay=0.0)
    assert {training.lr_at(step) for step in range(8)} == {2.0}


def test_repeated_vectors_come_again_in_the_same_order(tiny, world, tmp_path, monkeypatch):
    seen, gradients = [], Gradients.__call__
    monkeypatch.setattr(Gradients, "__call__", lambda self, dictionary, x, l1: (seen.append(x.clone()), gradients(self, dictionary, x, l1))[1])
    run(replace(tiny, sae=replace(tiny.sae, repeats=3)), world, tmp_path / "sae")  # 32 steps: 11, 11, 10
    stream = open_stream(tiny, folder=world["activations"], model=world["model"], tokens=world["tokens"], device=torch.device("cpu"))
    first = list(stream.batches(start=0, batch=128, steps=11))
    assert len(seen) == 32 and all(torch.equal(x, first[step % 11]) for step, x in enumerate(seen))
