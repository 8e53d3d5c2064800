"""Features that are left alone, watched through training, and started from another dictionary."""

from dataclasses import replace

import pytest
import torch

from replication import sae as stage
from replication.artifacts import ArtifactError, check, read_tensors
from replication.config import Sae, UserError
from replication.sae.fit import fit
from replication.sae.schedule import resampling_steps
from replication.sae.watch import steps

FILES = ("sae_weights.safetensors", "start.safetensors", "watch.safetensors", "log.csv")


@pytest.fixture
def watched(tiny):
    """24 steps of 128 vectors, of which many features die; the last 1,000 of 4,096 vectors are watched."""
    return replace(tiny, sae=replace(tiny.sae, vectors=3072, l1=1.0, lr=0.1, min_window=900, watch_vectors=1000, watch_points=6))


def run(settings, world, out, *, warm=None, progress=None):
    fit(settings=settings, name="A/1", out=out, state=out.with_name(out.name + "-state"), warm=warm, progress=progress, **world)
    return out


def change(settings, **values):
    return replace(settings, sae=replace(settings.sae, **values))


def last_vectors(world, count):
    blocks = [read_tensors(path)["vectors"] for path in sorted((world["activations"] / "blocks").iterdir())]
    return torch.cat(blocks)[-count:].double()


def counts(weights, x):
    """On how many vectors each feature fires, one feature at a time, in float64."""
    held = {name: tensor.double() for name, tensor in weights.items()}
    return [int(((x - held["b_dec"]) @ held["W_enc"][:, feature] + held["b_enc"][feature] > 0).sum()) for feature in range(len(held["b_enc"]))]


def test_watched_steps_by_hand():
    sae = Sae(d_sae=1, batch=10, vectors=10_000, min_window=1, watch_vectors=1, watch_points=7, resamplings=2)
    assert resampling_steps(sae) == (25, 50)
    assert steps(sae) == {0, 1, 10, 100, 1000, 333, 667, 25, 50}  # four rising, three even, two resamplings, the start
    assert steps(replace(sae, watch_points=2, resamplings=0)) == {0, 1, 1000}
    assert steps(replace(sae, watch_vectors=0)) == set()


def test_counts_are_those_of_the_weights_on_vectors_that_training_never_saw(watched, world, tmp_path):
    out = run(watched, world, tmp_path / "sae")
    found, weights, x = read_tensors(out / "watch.safetensors"), read_tensors(out / "sae_weights.safetensors"), last_vectors(world, 1000)
    begun, ended = run(change(watched, vectors=128, lr=1e-12, resamplings=0, median_vectors=128), world, tmp_path / "begun"), len(found["step"]) - 1
    assert found["step"].tolist() == sorted([*steps(watched.sae), *resampling_steps(watched.sae)])
    assert found["fired"].dtype == torch.int32 and found["fired"][ended].tolist() == counts(weights, x) and any(counts(weights, x))
    started = read_tensors(begun / "watch.safetensors")
    assert started["fired"][0].tolist() == counts(read_tensors(begun / "sae_weights.safetensors"), x)
    assert torch.equal(found["b_enc"][ended], weights["b_enc"])
    torch.testing.assert_close(found["folded_bias"][ended], weights["b_enc"] - weights["W_enc"].T @ weights["b_dec"])
    torch.testing.assert_close(found["encoder_norm"][ended], weights["W_enc"].norm(dim=0))
    begins = read_tensors(out / "start.safetensors")
    torch.testing.assert_close(found["cosine"][ended], (weights["W_dec"] * begins["W_dec"]).sum(1))
    torch.testing.assert_close(found["cosine"][0], torch.ones(64))
    assert torch.equal(found["resampled"][ended], begins["resampled"]) and not found["resampled"][0].any()


def test_resampling_lies_between_two_points(watched, world, tmp_path):
    found, step = read_tensors(run(watched, world, tmp_path / "sae") / "watch.safetensors"), resampling_steps(watched.sae)[1]
    before, after = (found["step"] == step).nonzero().flatten().tolist()
    new = found["resampled"][after] > found["resampled"][before]
    assert new.any() and not new.all() and found["fired"][after][new].sum() > 10 * found["fired"][before][new].sum()
    assert (found["cosine"][after][new] > 0.9999).all() and (found["cosine"][before][new] < 0.9999).any()
    for part in ("fired", "b_enc", "cosine"):
        assert torch.equal(found[part][before][~new], found[part][after][~new])


def test_watching_changes_no_bit_of_the_training(watched, world, tmp_path):
    seen, unseen = run(watched, world, tmp_path / "seen"), run(change(watched, watch_vectors=0), world, tmp_path / "unseen")
    for name in set(FILES) - {"watch.safetensors"}:
        assert (seen / name).read_bytes() == (unseen / name).read_bytes(), name
    nothing = read_tensors(unseen / "watch.safetensors")
    assert nothing["fired"].shape == (0, 64) and nothing["step"].shape == (0,) and not nothing["left"].any()
    assert "watch.safetensors" in check(unseen)["files"]


def test_features_that_are_left_are_never_resampled(watched, world, tmp_path):
    free, half = (read_tensors(run(change(watched, leave=share), world, tmp_path / str(share)) / "watch.safetensors") for share in (0.0, 0.5))
    left = half["left"].bool()
    assert left.sum() == 32 and not half["resampled"][:, left].any()
    point = int((free["step"] == resampling_steps(watched.sae)[1]).nonzero()[1])
    dead = free["resampled"][point].bool()
    assert (dead & left).any() and torch.equal(half["resampled"][point].bool(), dead & ~left)
    # the scale of a new encoder row is a share of what live features have, and those that are left dead are not live
    torch.testing.assert_close(half["encoder_norm"][point][dead & ~left], free["encoder_norm"][point][dead & ~left])
    other = read_tensors(run(change(watched, leave=0.5, seed=1), world, tmp_path / "other") / "watch.safetensors")["left"].bool()
    assert other.sum() == 32 and not torch.equal(other, left)


@pytest.mark.parametrize("step", [7, 13, 23])
def test_killed_and_resumed_is_equal_bit_for_bit(watched, world, tmp_path, step, kill_at):
    warm = run(change(watched, seed=3, watch_vectors=0), world, tmp_path / "warm")
    settings = change(watched, leave=0.3, warm_start="A/0")
    whole = run(settings, world, tmp_path / "whole", warm=warm)
    with pytest.raises(kill_at.Killed):
        run(settings, world, tmp_path / "killed", warm=warm, progress=kill_at(step))
    resumed = run(settings, world, tmp_path / "killed", warm=warm)
    for name in FILES:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize("variant", [{}, {"pre_bias": False}, {"tied": True}])
def test_a_warm_start_is_the_other_dictionary_about_the_new_median_with_adam_at_rest(watched, world, tmp_path, variant):
    other = run(change(watched, l1=0.01, lr=3e-3, **variant), world, tmp_path / "other")
    out = run(change(watched, vectors=128, lr=1e-3, l1=0.01, resamplings=0, warm_start="A/0", seed=5, **variant), world, tmp_path / "warm", warm=other)
    median = stage.load(run(change(watched, vectors=128, lr=1e-12, resamplings=0, seed=5), world, tmp_path / "cold")).b_dec
    was, found = replace(stage.load(other), b_dec=median), read_tensors(out / "watch.safetensors")
    assert found["step"].tolist() == [0, 1]
    assert torch.equal(read_tensors(out / "start.safetensors")["W_dec"], was.W_dec)
    torch.testing.assert_close(found["b_enc"][0], was.b_enc)
    torch.testing.assert_close(found["folded_bias"][0], was.folded_bias())
    assert found["fired"][0].tolist() == counts(was.tensors(), last_vectors(world, 1000))
    if not variant:  # one step of Adam from moments of zero: by the learning rate, or not at all
        moved = (found["b_enc"][1] - found["b_enc"][0]).abs()
        assert (torch.isclose(moved, torch.tensor(1e-3), rtol=1e-3) | (moved == 0)).all() and moved.any()
        torch.testing.assert_close((stage.load(out).b_dec - was.b_dec).abs(), torch.full((32,), 1e-3), rtol=1e-3, atol=0)


def test_what_does_not_fit_is_said(watched, world, tmp_path, kill_at):
    other = run(watched, world, tmp_path / "other")
    with pytest.raises(UserError, match="sae.warm_start is '', but --start is '.*other'; give both or neither"):
        run(watched, world, tmp_path / "sae", warm=other)
    settings = change(watched, warm_start="A/0")
    with pytest.raises(UserError, match="sae.warm_start is 'A/0', but --start is ''"):
        run(settings, world, tmp_path / "sae")
    with pytest.raises(UserError, match=r"holds features x elements \[64, 32\], but the dictionary that starts from it is \[65, 32\]; name one of the same shape"):
        run(change(settings, d_sae=65), world, tmp_path / "sae", warm=other)
    with pytest.raises(kill_at.Killed):
        run(settings, world, tmp_path / "sae", warm=other, progress=kill_at(20))
    with pytest.raises(ArtifactError, match="was written with other settings or from other inputs"):  # the same name, but another dictionary by now
        run(settings, world, tmp_path / "sae", warm=run(change(watched, seed=1), world, tmp_path / "another"))
    with pytest.raises(ArtifactError, match="is missing"):
        run(settings, world, tmp_path / "sae", warm=tmp_path / "nowhere")
