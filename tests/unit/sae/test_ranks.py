"""Features dealt to ranks: the same training as with one, to rounding; and processes that start, die and go on together."""

import contextlib
import csv
import functools
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from replication.artifacts import check, read_tensors
from replication.cli import main
from replication.config import ConfigError, Settings, UserError
from replication.progress import Progress
from replication.resolution import resolve
from replication.sae import fit as fitting
from replication.sae import launch
from replication.sae.dictionary import Dictionary, unit
from replication.sae.fit import fit
from replication.sae.gradients import Gradients
from replication.sae.ranks import Lost
from replication.sae.step import add_up, dense, losses
from replication.sae.variants import Variant

CPU = torch.device("cpu")
FILES = ("sae_weights.safetensors", "start.safetensors", "watch.safetensors", "log.csv")


@pytest.fixture
def dying(tiny):
    """32 steps with two resamplings at which some of the features are dead, and with watched ones."""
    return replace(tiny, sae=replace(tiny.sae, l1=1.0, lr=0.1, min_window=900, vectors=3072, watch_vectors=1000, watch_points=6))


def change(settings, **values):
    return replace(settings, sae=replace(settings.sae, **values))


def run(settings, world, out, ranks=1, in_threads=None, progress=None, warm=None):
    """A training by the threads of this process, or, as `fit` does it, by processes."""
    state = out.with_name(out.name + "-state")
    if in_threads is None:
        fit(settings=change(settings, ranks=ranks), name="A/1", out=out, state=state, progress=progress, warm=warm, **world)
    else:
        train = functools.partial(fitting._train, settings=settings, name="A/1", out=out, state=state, warm=warm, **world)
        in_threads(ranks, lambda some: train(some, CPU, progress if some.first and progress else Progress()))
    return out


def rows(folder):
    return list(csv.DictReader((folder / "log.csv").open()))


def assert_same(found, expected, rounding=1e-5):
    """Two trainings to rounding: dead and resampled features exactly, each tensor and column of the log by the norm of the difference in its own."""
    mine, theirs = (read_tensors(folder / "start.safetensors") for folder in (found, expected))
    assert torch.equal(mine["resampled"], theirs["resampled"]) and torch.equal(mine["last_fired"], theirs["last_fired"])
    for file in FILES[:3]:
        mine, theirs = (read_tensors(folder / file) for folder in (found, expected))
        assert mine.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert mine[name].shape == tensor.shape
            assert float((mine[name].double() - tensor.double()).norm()) <= rounding * float(tensor.double().norm()), f"{file}: {name}"
    for mine, theirs in zip(rows(found), rows(expected), strict=True):
        assert [mine[name] for name in ("step", "dead", "resampled")] == [theirs[name] for name in ("step", "dead", "resampled")]
        assert [float(number) for number in mine.values()] == pytest.approx([float(number) for number in theirs.values()], rel=10 * rounding)


@pytest.mark.parametrize(("how", "pre_bias"), [("dense", True), ("sparse", True), ("mixed", False)])
@given(ranks=st.integers(2, 4), size=st.integers(1, 30), batch=st.integers(1, 90), d_in=st.integers(1, 40), bias=st.sampled_from([-5.0, -1.0, 2.0]), seed=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_shares_of_ranks_add_up_to_the_whole_gradient(in_threads, how, pre_bias, ranks, size, batch, d_in, bias, seed):
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw)
    d_sae = ranks * size
    whole = Dictionary(W_enc=normal(d_sae, d_in).T, b_enc=normal(d_sae) + bias, W_dec=unit(normal(d_sae, d_in)), b_dec=normal(d_in))
    x, variant = normal(batch, d_in), Variant(pre_bias=pre_bias)

    def share(some):
        part = whole.part(some.features(d_sae), CPU)
        # each rank may take its own way: what goes between them is the same
        found = Gradients(("dense", "sparse")[some.rank % 2] if how == "mixed" else how, ranks=some)(variant.standard(part), x, 0.3)
        variant.pull_back(part, found)
        add_up(found, some)
        return found, losses(variant.standard(part), x, 0.3, some)

    exact = Dictionary(**{name: tensor.double() for name, tensor in whole.tensors().items()})
    expected, of_each = dense(variant.standard(exact), x.double(), 0.3), losses(variant.standard(exact), x.double(), 0.3)
    variant.pull_back(exact, expected)
    found = in_threads(ranks, share)
    for step, loss in found:
        for name in ("mse", "l1", "l0", "b_dec"):
            wanted = getattr(expected, name)
            torch.testing.assert_close(getattr(step, name).double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()) + 1e-6)
        assert torch.equal(step.b_dec, found[0][0].b_dec)  # the same bits with each, or the copies of b_dec would drift apart
        torch.testing.assert_close(loss.double(), of_each, rtol=1e-4, atol=1e-5)
    for name, axis in (("W_enc", 1), ("b_enc", 0), ("W_dec", 0), ("fired", 0)):
        wanted = getattr(expected, name).double()
        torch.testing.assert_close(torch.cat([getattr(step, name) for step, _ in found], axis).double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()) + 1e-6)


def test_a_batch_of_several_parts_is_added_up_part_by_part(in_threads, monkeypatch):
    monkeypatch.setattr("replication.sae.step.DENSE_ELEMENTS", 10 * 8)  # ten of 32 vectors at a time
    test_shares_of_ranks_add_up_to_the_whole_gradient.hypothesis.inner_test(in_threads, "mixed", True, 2, 8, 32, 6, -1.0, 0)


@pytest.mark.parametrize("change_", [
    {}, {"step": "dense", "projection": False}, {"resampling": "kaiming", "leave": 0.3}, {"tied": True}, {"pre_bias": False}])
def test_four_ranks_equal_one(dying, world, tmp_path, in_threads, change_):
    one = run(change(dying, **change_), world, tmp_path / "one")
    four = run(change(dying, **change_), world, tmp_path / "four", 4, in_threads)
    resampled = read_tensors(one / "start.safetensors")["resampled"].view(4, 16).sum(1)
    assert (resampled > 0).sum() > 1
    # a rank's share of b_dec's gradient through the encoder is large, and without the bias before the encoder all of it cancels again:
    # what rounding leaves, Adam makes a step of where the gradient is small
    assert_same(four, one, 1e-2 if change_ == {"pre_bias": False} else 1e-5)


@pytest.mark.parametrize(("low", "high"), [(0, 16), (24, 50), (0, 64)])
def test_dead_features_of_one_rank_of_some_and_of_all(tiny, world, tmp_path, in_threads, monkeypatch, low, high):
    """The order of features says which one gets which input, and the scale is that of all live ones, wherever they lie."""
    begin = fitting.start

    def silent(*arguments, **rest):
        begun = begin(*arguments, **rest)
        begun.b_enc[low:high] = -1e6
        return begun

    monkeypatch.setattr(fitting, "start", silent)
    one, four = (run(change(tiny, resamplings=1), world, tmp_path / str(ranks), ranks, in_threads) for ranks in (1, 4))
    assert read_tensors(one / "start.safetensors")["resampled"].nonzero().flatten().tolist() == list(range(low, high))
    assert_same(four, one)


class KillRank(Progress):
    """Kills a rank, as a machine that is out of memory would, when a step is reported."""

    def __init__(self, rank, step):
        super().__init__()
        self.rank, self.step = rank, step

    def __call__(self, done, total, note=""):
        if done == self.step:
            os.kill(next(process.pid for process in multiprocessing.active_children() if process.name == f"rank {self.rank}"), signal.SIGKILL)


def test_processes_that_are_killed_go_on_bit_for_bit_and_by_any_number(dying, world, tmp_path, in_threads, capfd):
    """Two processes equal two threads, whose sums are made by hand; one is killed after the first resampling, and two go on, or one."""
    dying = change(dying, watch_vectors=0)  # so that there is a tensor without elements to gather
    whole = run(dying, world, tmp_path / "whole", 2, in_threads)
    with pytest.raises(UserError, match="rank 1 of 2 was ended by SIGKILL, and no other can go on without its features; .* the same command goes on from the last checkpoint"):
        run(dying, world, tmp_path / "killed", 2, progress=KillRank(1, 12))
    assert not multiprocessing.active_children() and not (tmp_path / "killed").exists()
    shutil.copytree(tmp_path / "killed-state", tmp_path / "alone-state")
    with safe_open(tmp_path / "killed-state" / "checkpoint.safetensors", framework="pt") as held:
        assert held.get_slice("W_enc").get_shape() == [64, 32] and held.get_slice("b_dec.first").get_shape() == [32]

    command = ["sae", "fit", "--settings", change(dying, ranks=2).json(), "--name", "A/1", "--out", str(tmp_path / "killed"), "--state", str(tmp_path / "killed-state"),
               "--log", str(tmp_path / "log"), *(text for name, path in world.items() for text in (f"--{name}", str(path)))]
    assert main(command) == 0 and "100 %, loss" in (tmp_path / "log").read_text()
    for name in FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (tmp_path / "killed-state").exists() and check(tmp_path / "killed")["config_hash"] == check(whole)["config_hash"]
    assert_same(run(dying, world, tmp_path / "alone"), whole)


def test_a_rank_that_fails_on_its_way_out_leaves_the_checkpoint(dying, world, tmp_path, in_threads, monkeypatch):
    """All is written then, but the job fails, and Snakemake deletes what a failed job wrote."""
    def together(work, count, progress):
        in_threads(count, lambda ranks: work.args[0](ranks, CPU, Progress()))
        raise UserError("rank 1 of 2 ended with status 1")

    monkeypatch.setattr(fitting, "together", together)
    with pytest.raises(UserError, match="rank 1 of 2"):
        run(dying, world, tmp_path / "out", 2)
    assert (tmp_path / "out" / "meta.json").exists() and (tmp_path / "out-state" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(("ends", "error", "match"), [
    ({1: UserError("the thing; the remedy")}, UserError, "^the thing; the remedy$"),  # and not what it did to the other
    ({0: Lost("connection closed"), 1: ZeroDivisionError()}, RuntimeError, "rank 1 of 3:(.|\n)*ZeroDivisionError"),
    ({0: Lost("timed out"), 2: Lost("timed out")}, RuntimeError, "rank [02] of 3:(.|\n)*timed out"),
    ({2: 9}, UserError, "^rank 2 of 3 was ended by SIGKILL, .*out of memory"),
    ({2: 15}, UserError, "^rank 2 of 3 was ended by SIGTERM, and no other"),
    ({0: SystemExit(3)}, UserError, "^rank 0 of 3 ended with status 3, and no other"),
    ({}, None, "")])
def test_ranks_end_together(monkeypatch, ends, error, match):
    """One ends badly while the others wait without end, as in a collective; forked here, because that is quick."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: multiprocessing.context.ForkContext())
    monkeypatch.setattr(launch, "GRACE", 0.5)

    def work(rank, count, meeting, progress):
        progress(rank, count)
        progress.say("goes on")
        assert not meeting.exists()
        if isinstance(ends.get(rank), int):
            os.kill(os.getpid(), ends[rank])
        if rank in ends:
            raise ends[rank]
        time.sleep(60 if ends else 0)

    class Told(Progress):
        def __call__(self, *said):
            told.append(said)

        def say(self, text):
            told.append(text)

    told, began = [], time.monotonic()
    with pytest.raises(error, match=match) if error else contextlib.nullcontext():
        launch.together(work, 3, Told())
    assert not multiprocessing.active_children() and time.monotonic() - began < 30
    assert told == [(0, 3, ""), "goes on"]


def test_ranks_end_with_the_process_that_started_them(monkeypatch, tmp_path):
    context = multiprocessing.context.ForkContext()
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # which a killed process leaves

    def work(rank, count, meeting, progress):
        (tmp_path / f"{os.getpid()}.pid").touch()
        time.sleep(60)

    parent = context.Process(target=launch.together, args=(work, 2, Progress()))
    parent.start()
    until = time.monotonic() + 30
    while len(children := list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    parent.kill()
    parent.join()
    alive = lambda child: Path("/proc", child.stem).exists() and " Z " not in Path("/proc", child.stem, "stat").read_text()
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(children) == 2 and not any(map(alive, children))


def test_ranks_must_divide_the_features_and_change_no_hash():
    raw = yaml.safe_load(Path("config/smoke.yaml").read_text())
    before = resolve(raw)
    raw["dictionaries"]["A/1"]["ranks"] = 4
    after = resolve(raw)
    assert after.dictionaries["A/1"].ranks == after.dictionaries["A/1-r2"].ranks == 4 and after.dictionaries["B/1"].ranks == 1
    assert after.hash() == before.hash() and after.settings(dictionary="A/1").hash() == before.settings(dictionary="A/1").hash()
    assert Settings.parse(after.settings(dictionary="A/1").json()).sae.ranks == 4
    raw["dictionaries"]["A/1"]["ranks"] = 3
    with pytest.raises(ConfigError, match=r"dictionaries.A/1.ranks is 3, but must divide d_sae, 512, so that each holds as many features"):
        resolve(raw)
