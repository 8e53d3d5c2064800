"""The training loop: it follows the recipe, resumes exactly, and stops when it must."""

import csv
from dataclasses import replace

import pytest
import torch

from replication import sae as stage
from replication.activations import open_stream
from replication.artifacts import ArtifactError, read_json, read_tensors
from replication.config import UserError
from replication.sae.dictionary import start
from replication.sae.fit import fit
from replication.sae.gradients import Gradients
from replication.sae.median import geometric_median
from replication.sae.schedule import resampling_steps


def run(settings, world, out, state=None, progress=None):
    fit(settings=settings, name="A/1", out=out, state=state or out.with_name(out.name + "-state"), progress=progress, **world)
    return out


def rows(folder):
    return list(csv.DictReader((folder / "log.csv").open()))


def test_a_dictionary_learns_and_keeps_unit_directions(tiny, world, tmp_path):
    out = run(tiny, world, tmp_path / "sae")
    found, log = stage.load(out), rows(out)
    torch.testing.assert_close(found.W_dec.norm(dim=1), torch.ones(64))
    assert int(log[-1]["step"]) == 32 and int(log[-1]["vectors"]) == 4096
    assert float(log[-1]["loss"]) < 0.7 * float(log[0]["loss"])
    assert not (tmp_path / "sae-state").exists()


def test_the_first_steps_equal_a_slow_reference(tiny, world, tmp_path):
    short = replace(tiny, sae=replace(tiny.sae, vectors=3 * 128, resamplings=0))
    out = run(short, world, tmp_path / "sae")
    stream = open_stream(short, folder=world["activations"], model=world["model"], tokens=world["tokens"], device=torch.device("cpu"))
    x = [batch.double() for batch in stream.batches(start=0, batch=128, steps=3)]
    made = start(short.sae, 32, geometric_median(torch.cat(x)[:256]).float(), seed=0)
    held = {name: tensor.double() for name, tensor in made.tensors().items()}
    moments = {name: (torch.zeros_like(tensor), torch.zeros_like(tensor)) for name, tensor in held.items()}
    for step in range(1, 4):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in held.items()}
        f = torch.relu((x[step - 1] - leaves["b_dec"]) @ leaves["W_enc"] + leaves["b_enc"])
        ((x[step - 1] - f @ leaves["W_dec"] - leaves["b_dec"]).square().mean() + 0.01 * f.sum(1).mean()).backward()
        for name, leaf in leaves.items():
            gradient = leaf.grad
            if name == "W_dec":
                gradient = gradient - (gradient * held[name]).sum(1, keepdim=True) * held[name]
            first, second = moments[name]
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            moments[name] = (first, second)
            held[name] = held[name] - 3e-3 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        held["W_dec"] = held["W_dec"] / held["W_dec"].norm(dim=1, keepdim=True)
    for name, tensor in read_tensors(out / "sae_weights.safetensors").items():
        torch.testing.assert_close(tensor.double(), held[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("step", [6, 8, 20, 31])
def test_killed_and_resumed_is_equal_bit_for_bit(tiny, world, tmp_path, step, kill_at):
    whole = run(tiny, world, tmp_path / "whole")
    with pytest.raises(kill_at.Killed):
        run(tiny, world, tmp_path / "killed", progress=kill_at(step))
    assert not (tmp_path / "killed" / "meta.json").exists()
    resumed = run(tiny, world, tmp_path / "killed")
    for name in ("sae_weights.safetensors", "start.safetensors", "log.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_fit_that_resumes_under_changed_source_is_the_same_and_names_both_commits(tiny, world, tmp_path, kill_at, monkeypatch):
    monkeypatch.setattr("replication.provenance.commit", lambda: "first")
    whole = run(tiny, world, tmp_path / "whole")
    with pytest.raises(kill_at.Killed):
        run(tiny, world, tmp_path / "killed", progress=kill_at(20))
    monkeypatch.setattr("replication.provenance.commit", lambda: "second")
    resumed = run(tiny, world, tmp_path / "killed")
    assert read_json(resumed / "meta.json")["commits"] == ["first", "second"] and "commits" not in read_json(whole / "meta.json")
    assert (resumed / "sae_weights.safetensors").read_bytes() == (whole / "sae_weights.safetensors").read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(tiny, world, tmp_path, kill_at):
    with pytest.raises(kill_at.Killed):
        run(tiny, world, tmp_path / "sae", progress=kill_at(10))
    with pytest.raises(ArtifactError, match="was written with other settings or from other inputs; delete"):
        run(replace(tiny, sae=replace(tiny.sae, l1=0.02)), world, tmp_path / "sae")


def test_dead_features_are_resampled_and_said_to_be(tiny, world, tmp_path):
    out = run(replace(tiny, sae=replace(tiny.sae, l1=10.0, lr=0.3, min_window=1280)), world, tmp_path / "sae")
    log = rows(out)
    counted = sum(int(row["resampled"]) for row in log)
    assert counted > 0
    assert counted == int(read_tensors(out / "start.safetensors")["resampled"].sum())
    at = next(index for index, row in enumerate(log) if int(row["resampled"]))
    assert int(log[at]["dead"]) == int(log[at]["resampled"])  # those that were silent are those that were resampled
    assert int(log[at + 1]["step"]) == int(log[at]["step"]) + 1  # the step after it has a row of its own, which shows the spike


def test_l1_warmup_rises_linearly_and_stays(tiny, world, tmp_path):
    out = run(replace(tiny, sae=replace(tiny.sae, l1_warmup=0.5, log_every=1)), world, tmp_path / "sae")
    coefficients = [float(row["l1_coefficient"]) for row in rows(out)]
    assert coefficients[:16] == pytest.approx([0.01 * (step + 1) / 16 for step in range(16)])
    assert coefficients[16:] == pytest.approx([0.01] * 16)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tiny, world, tmp_path, monkeypatch):
    calls, gradients = [], Gradients.__call__

    def poisoned(self, dictionary, x, l1):
        calls.append(1)
        return gradients(self, dictionary, x * (float("nan") if len(calls) > 12 else 1), l1)

    monkeypatch.setattr(Gradients, "__call__", poisoned)
    with pytest.raises(UserError, match="the loss is not finite between steps 11 and 14; lower sae.lr"):
        run(tiny, world, tmp_path / "sae")
    held = read_tensors(tmp_path / "sae-state" / "checkpoint.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in held.values())
    assert not (tmp_path / "sae").exists() or not list((tmp_path / "sae").glob("*.safetensors"))


def test_a_loss_that_is_not_finite_when_features_are_resampled_says_the_same(tiny, world, tmp_path, monkeypatch):
    """Inputs are drawn by their loss, which has to be a number."""
    settings = replace(tiny, sae=replace(tiny.sae, l1=10.0, lr=0.3, min_window=1280, log_every=10_000, checkpoint_every=10_000))
    first, gradients, calls = resampling_steps(settings.sae)[0], Gradients.__call__, []

    def poisoned(self, dictionary, x, l1):
        calls.append(1)
        return gradients(self, dictionary, x * (float("nan") if len(calls) == first else 1), l1)

    monkeypatch.setattr(Gradients, "__call__", poisoned)
    with pytest.raises(UserError, match=f"the loss is not finite between steps 1 and {first}; lower sae.lr .there is no checkpoint yet"):
        run(settings, world, tmp_path / "sae")


def test_replicates_differ_in_start_only(tiny, world, tmp_path):
    one, other = (stage.load(run(replace(tiny, sae=replace(tiny.sae, seed=seed)), world, tmp_path / str(seed))) for seed in (0, 1))
    assert not torch.equal(one.W_dec, other.W_dec)
