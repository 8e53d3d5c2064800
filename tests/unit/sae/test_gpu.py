"""The step on a GPU against float64: in triton's interpreter on a CPU, and with compiled kernels where there is a GPU.

The interpreter shows that the kernels compute what they should; it says nothing about races between programs, about tensor cores or
about speed. That kernels compile for Hopper is tested without one.
"""

import importlib
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from replication.sae import step as reference
from replication.sae.dictionary import Dictionary, unit
from replication.sae.watch import fired

pytest.importorskip("triton", reason="triton is not installed; it comes with CUDA builds of torch, and with requirements.lock")
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="torch sees no GPU here; races, graphs, tensor cores and memory can only be tested on one")
needs_interpreter = pytest.mark.skipif(ON_GPU, reason="the same is tested on a GPU at a larger size")
PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")
RATES = {"lr": 1e-2, "betas": (0.9, 0.999)}


@pytest.fixture(scope="module", autouse=True)
def gpu():
    """The module under test. Without a GPU it gets a triton of its own that interprets, which is gone when these tests are over."""
    inside = lambda name: (name.split(".")[0] == "triton" and not name.startswith("triton._C")) or name in ("replication.sae.gpu", "replication.sae.triton_kernels")
    if ON_GPU:
        yield importlib.import_module("replication.sae.gpu")
        return
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if inside(name)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield importlib.import_module("replication.sae.gpu")
    for name in [name for name in sys.modules if inside(name)]:
        del sys.modules[name]
    for name in ("gpu", "triton_kernels"):
        vars(importlib.import_module("replication.sae")).pop(name, None)
    sys.modules.update(others)


@pytest.fixture
def small(gpu):
    """Tiles so small that tiny shapes fill several of each."""
    return gpu.Tiles(rows=16, columns=32, inner=16, ranges=2, room=64, elements=64, group=8, block=4)


def random_dictionary(d_in, d_sae, bias, seed=0):
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw).to(DEVICE)
    return Dictionary(W_enc=normal(d_sae, d_in).T, b_enc=normal(d_sae) + bias, W_dec=unit(normal(d_sae, d_in)), b_dec=normal(d_in)), normal


def twin(dictionary, dtype=torch.float32):
    return Dictionary(**{name: tensor.T.to(dtype, copy=True).T for name, tensor in dictionary.tensors().items() if tensor.dim() > 1}
                      | {name: tensor.to(dtype, copy=True) for name, tensor in dictionary.tensors().items() if tensor.dim() == 1})


def assert_same(found, expected, scale=1e-5):
    """Losses and gradients to float32 rounding: of each array, relative to its largest element; who fired exactly."""
    for name in ("mse", "l1", "l0", *PARAMETERS):
        wanted = getattr(expected, name).double()
        torch.testing.assert_close(getattr(found, name).double(), wanted, rtol=0, atol=scale * float(wanted.abs().max()) + 1e-12, msg=lambda text, name=name: f"{name}: {text}")
    assert torch.equal(found.fired.long(), expected.fired.long())


def in_float64(dictionary, x, l1):
    return reference.dense(twin(dictionary, torch.float64), x.double(), l1)


def support(step):
    """Which pairs fired: [batch, d_sae], from the list of pairs."""
    fired = step.found.fired.long()
    found = torch.zeros(step.batch, len(fired), dtype=torch.bool, device=DEVICE)
    found[step.vectors[: int(fired.sum())].long(), torch.repeat_interleave(torch.arange(len(fired), device=DEVICE), fired)] = True
    return found


@pytest.mark.parametrize(("batch", "d_in", "d_sae", "bias"), [
    (19, 10, 37, -6.0), (19, 10, 37, 0.0), (3, 17, 70, -4.0), (33, 5, 9, -1.0), (9, 4, 33, -100.0), (9, 4, 33, 100.0), (1, 1, 1, 3.0)])
def test_gradients_equal_float64_from_no_feature_to_all(gpu, small, batch, d_in, d_sae, bias):
    dictionary, normal = random_dictionary(d_in, d_sae, bias)
    x = normal(batch, d_in)
    expected = in_float64(dictionary, x, 0.3)
    if abs(bias) == 100:
        assert float(expected.l0) == (d_sae if bias > 0 else 0)
    step = gpu.GpuStep(dictionary, **RATES, batch=batch, dense_from=1.0, tiles=small)
    found = step.gradients(x, 0.3)
    assert found is step.found  # not by dense products
    assert_same(found, expected)


@pytest.mark.parametrize("dense_from", [(1.0, 1.0), (1.0, 0.0)])  # also where one rank takes the dense way
def test_ranks_that_hold_a_slice_each_take_the_steps_of_one(gpu, small, in_threads, dense_from):
    dictionary, normal = random_dictionary(6, 20, -1.0)
    batches, whole = [normal(9, 6), normal(9, 6)], twin(dictionary)
    expected, axis = in_float64(dictionary, batches[0], 0.3), {"W_enc": 1, "b_enc": 0, "W_dec": 0, "fired": 0}

    def some(ranks):
        own = dictionary.part(ranks.features(20), torch.device(DEVICE))
        step = gpu.GpuStep(own, **RATES, batch=9, dense_from=dense_from[ranks.rank], tiles=small, ranks=ranks)
        found = {name: tensor.clone() for name, tensor in vars(step(batches[0], 0.3)).items()}
        step(batches[1], 0.3)
        return found, own.tensors()

    one = gpu.GpuStep(whole, **RATES, batch=9, dense_from=1.0, tiles=small)
    for x in batches:
        one(x, 0.3)
    (found, left), (other, right) = in_threads(2, some)
    assert torch.equal(found["b_dec"], other["b_dec"]) and torch.equal(left["b_dec"], right["b_dec"])
    assert_same(reference.Step(**found | {name: torch.cat([found[name], other[name]], axis[name]) for name in axis}), expected)
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(torch.cat([left[name], right[name]], axis[name]) if name in axis else left[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_feature_that_falls_silent_has_no_gradient_left(gpu, small):
    dictionary, normal = random_dictionary(6, 20, -1.0)
    step = gpu.GpuStep(dictionary, **RATES, batch=12, dense_from=1.0, tiles=small)
    x = normal(12, 6)
    first = step.gradients(x, 0.1).fired.clone()
    dictionary.b_enc[:10] -= 100
    found = step.gradients(x, 0.1)
    assert (first[:10] > 0).any() and not found.fired[:10].any() and not found.W_dec[:10].any() and not found.W_enc[:, :10].any() and not found.b_enc[:10].any()
    assert_same(found, in_float64(dictionary, x, 0.1))


def test_features_that_are_equal_get_equal_gradients(gpu, small):
    dictionary, normal = random_dictionary(6, 40, -1.0)
    for name in ("W_enc", "b_enc", "W_dec"):
        rows = getattr(dictionary, name).T if name == "W_enc" else getattr(dictionary, name)
        rows[35] = rows[3]
    found = gpu.GpuStep(dictionary, **RATES, batch=12, dense_from=1.0, tiles=small).gradients(x := normal(12, 6), 0.1)
    assert found.fired[3] > 0
    # whole blocks of a feature's pairs begin where its list happens to begin, so sums may be grouped in another way
    torch.testing.assert_close(found.W_dec[35], found.W_dec[3])
    torch.testing.assert_close(found.W_enc[:, 35], found.W_enc[:, 3])
    assert_same(found, in_float64(dictionary, x, 0.1))


def test_a_dense_feature_is_summed_in_blocks(gpu, small):
    dictionary, normal = random_dictionary(4, 5, -100.0)
    dictionary.b_enc[2] = 100
    dictionary.b_enc[3] = 0
    step = gpu.GpuStep(dictionary, **RATES, batch=23, dense_from=1.0, tiles=small)
    x = normal(23, 4)
    found = step.gradients(x, 0.1)
    assert found.fired[2] == 23 and found.fired[3] > 4
    # the blocks that are one feature's, found by counting: of 4 pairs each
    feature = torch.repeat_interleave(torch.arange(5, device=DEVICE), found.fired.long())
    whole = [bool((feature[4 * block : 4 * block + 4] == feature[4 * block]).all()) for block in range(len(feature) // 4)]
    assert step.block_sums[0].any(1)[: len(whole)].tolist() == whole and sum(whole) >= 5
    assert_same(found, in_float64(dictionary, x, 0.1))


def whole_numbers(batch, d_in, d_sae, rounded):
    """Vectors and weights whose dot products are exact in float32 in any order, and biases that cancel one of them; float16 rounds one side."""
    draw = torch.Generator().manual_seed(1)
    draws = lambda high, *shape: torch.randint(1 - high, high, shape, generator=draw).float().to(DEVICE)
    x, W_enc = draws(4096 if rounded == "x" else 4, batch, d_in), draws(4096 if rounded == "W_enc" else 4, d_sae, d_in).T
    products, features = x @ W_enc, torch.arange(d_sae, device=DEVICE)
    assert products.abs().max() < 2**24
    b_enc = draws(2, d_sae) - products[features % batch, features]
    return x, Dictionary(W_enc=W_enc, b_enc=b_enc, W_dec=unit(draws(4, d_sae, d_in)), b_dec=torch.zeros(d_in, device=DEVICE))


@pytest.mark.parametrize(("screen", "rounded"), [("fp16", "x"), ("fp16", "W_enc"), ("ieee", "x")])
def test_support_is_that_of_float32_where_pre_activations_are_next_to_zero(gpu, small, screen, rounded):
    x, dictionary = whole_numbers(8, 20, 33, rounded)
    pre, features = x.double() @ dictionary.W_enc.double() + dictionary.b_enc.double(), torch.arange(33, device=DEVICE)
    assert set(pre[features % 8, features].tolist()) == {-1.0, 0.0, 1.0}
    of_halves = x.half().double() @ dictionary.W_enc.half().double() + dictionary.b_enc.double()
    assert ((of_halves > 0) != (pre > 0)).sum() > 5  # float16 alone says it wrong
    step = gpu.GpuStep(dictionary, **RATES, batch=8, screen=screen, dense_from=1.0, tiles=small)
    assert step.gradients(x, 0.0) is step.found
    assert torch.equal(support(step), pre > 0)


@pytest.mark.parametrize("screen", ["fp16", "ieee"])
def test_the_screen_follows_the_weights(gpu, small, screen):
    dictionary, normal = random_dictionary(9, 40, -1.0)
    x, settings = normal(4, 9), {**RATES, "batch": 4, "screen": screen, "tiles": small, "dense_from": 1.0}
    step = gpu.GpuStep(dictionary, **settings)
    step(x, 0.1)
    fresh = gpu.GpuStep(twin(dictionary), **settings)
    fresh._screened(x, 0.1)
    assert fresh.w_copies.any() and torch.equal(step.w_copies, fresh.w_copies)
    torch.testing.assert_close(step.w_marks, fresh.w_marks)


@pytest.mark.parametrize("size", [1e-30, 1e-4, 1e4])
def test_the_screen_keeps_its_digits_at_every_scale_of_vectors(gpu, small, size):
    dictionary, normal = random_dictionary(16, 60, -6.0)
    dictionary = replace(dictionary, b_enc=dictionary.b_enc * size, b_dec=dictionary.b_dec * size)
    step = gpu.GpuStep(dictionary, **RATES, batch=8, dense_from=1.0, tiles=small)
    x = normal(8, 16) * size
    assert step._screened(x, 0.1)
    candidates, fired = int(step.counts.sum()), int((in_float64(dictionary, x, 0.1).fired).sum())
    assert fired <= candidates <= fired + 5


@pytest.mark.parametrize("where", ["x", "W_enc", "b_enc", "W_dec", "b_dec"])
def test_what_is_no_number_shows_in_the_loss(gpu, small, where):
    dictionary, normal = random_dictionary(5, 8, -1.0)
    step = gpu.GpuStep(dictionary, **RATES, batch=3, tiles=small, dense_from=1.0)
    x = normal(3, 5)
    fired = int(step.gradients(x, 0.1).fired.argmax())
    {"x": x[2], "W_enc": dictionary.W_enc[:, fired], "b_enc": dictionary.b_enc[fired:], "W_dec": dictionary.W_dec[fired], "b_dec": dictionary.b_dec}[where][0] = math.nan
    assert not torch.isfinite(step.gradients(x, 0.1).mse)


@pytest.mark.parametrize("limits", [{"dense_from": 0.1}, {"tiles": {"room": 8}}, {"dense_from": 0.0}])
def test_a_batch_that_fires_too_much_is_done_by_dense_products(gpu, small, limits, monkeypatch):
    monkeypatch.setattr("replication.sae.step.DENSE_ELEMENTS", 100)  # two vectors at a time
    dictionary, normal = random_dictionary(6, 40, -1.0)
    tiles = replace(small, **limits.get("tiles", {}))
    step = gpu.GpuStep(dictionary, **RATES, batch=5, dense_from=limits.get("dense_from", 1.0), tiles=tiles)
    x = normal(5, 6)
    found = step.gradients(x, 0.2)
    assert found is not step.found
    assert_same(found, in_float64(dictionary, x, 0.2))


def test_sums_do_not_depend_on_the_order_in_which_programs_came(gpu, small):
    dictionary, normal = random_dictionary(5, 12, 0.0)
    step = gpu.GpuStep(dictionary, **RATES, batch=20, dense_from=1.0, tiles=small)
    step.gradients(normal(20, 5), 0.1)
    vectors, pairs = step.vectors.clone(), int(step.ends[-1])
    group = step.slots.long() * step.groups + torch.arange(20, device=DEVICE)[:, None] // 8
    there = torch.zeros_like(step.slots, dtype=torch.bool)
    for vector, counts in enumerate(step.counts.tolist()):
        for part, count in enumerate(counts):
            there[vector, part * 64 : part * 64 + count] = True
    there &= step.arrived >= 0
    assert int(there.sum()) == pairs and step.group_counts.max() > 4
    # as if the programs of each group had come in the reverse order
    step.arrived[there] = step.group_counts[group[there]] - 1 - step.arrived[there]
    step.vectors.zero_()
    step._order()
    assert torch.equal(step.vectors[:pairs], vectors[:pairs])
    begin = step.ends.view(12, -1)[:, -1].tolist()
    for low, high in zip([0, *begin], begin, strict=False):
        assert step.vectors[low:high].tolist() == sorted(set(step.vectors[low:high].tolist()))


def test_the_update_is_adam_between_a_projection_and_unit_norm(gpu, small):
    dictionary, normal = random_dictionary(7, 4, 0.0)
    step, other = gpu.GpuStep(dictionary, **RATES, batch=4, tiles=small), twin(dictionary, torch.float64)
    leaves = {name: getattr(other, name) for name in PARAMETERS}
    adam = torch.optim.Adam(leaves.values(), **RATES)
    for _ in range(30):
        fired = (normal(4) > 0).int()
        found = reference.Step(mse=normal(1)[0], l1=normal(1)[0], l0=normal(1)[0], W_enc=(normal(4, 7) * fired[:, None]).T, b_enc=normal(4) * fired,
                               W_dec=normal(4, 7) * fired[:, None], b_dec=normal(7), fired=fired)
        step.update(found)
        for name, leaf in leaves.items():
            leaf.grad = getattr(found, name).double()
        leaves["W_dec"].grad -= (leaves["W_dec"].grad * other.W_dec).sum(1, keepdim=True) * other.W_dec
        adam.step()
        other.W_dec.copy_(unit(other.W_dec))
    for name in PARAMETERS:
        torch.testing.assert_close(getattr(dictionary, name).double(), leaves[name], rtol=1e-5, atol=1e-6)
    firsts = {name: adam.state[leaf]["exp_avg"] for name, leaf in leaves.items()}
    for name, (first, _) in step.moments.items():
        torch.testing.assert_close(first.double(), firsts[name].T if name == "W_enc" else firsts[name], rtol=1e-5, atol=1e-6)


def test_whole_steps_equal_dense_steps_also_when_others_change_weights(gpu, small):
    dictionary, normal = random_dictionary(6, 14, -1.5)
    step, other = gpu.GpuStep(dictionary, **RATES, batch=9, dense_from=0.6, tiles=small), twin(dictionary, torch.float64)
    leaves = {name: getattr(other, name) for name in PARAMETERS}
    adam, ways = torch.optim.Adam(leaves.values(), **RATES), set()
    for number in range(7):
        x = normal(9, 6)
        if number == 3:  # so much that dense products are taken
            dictionary.b_enc.add_(8)
            other.b_enc.add_(8)
        if number == 4:
            dictionary.b_enc.sub_(8)
            other.b_enc.sub_(8)
        if number == 5:  # as resampling does
            for changed in (dictionary, other):
                changed.W_enc[:, 5] = torch.arange(6, device=DEVICE).to(changed.W_enc.dtype) / 3
            for moment in step.moments["W_enc"]:
                moment[5] = 0
            for kind in ("exp_avg", "exp_avg_sq"):
                adam.state[leaves["W_enc"]][kind][:, 5] = 0
        l1 = 0.1 * (number + 1)
        found, expected = step(x, l1), reference.dense(other, x.double(), l1)
        ways.add(found is step.found)
        assert_same(found, expected, 1e-4)
        for name, leaf in leaves.items():
            leaf.grad = getattr(expected, name)
        leaves["W_dec"].grad -= (leaves["W_dec"].grad * other.W_dec).sum(1, keepdim=True) * other.W_dec
        adam.step()
        other.W_dec.copy_(unit(other.W_dec))
    assert ways == {True, False} and step.step == 7
    for name in PARAMETERS:
        torch.testing.assert_close(getattr(dictionary, name).double(), leaves[name], rtol=1e-4, atol=1e-5)


def test_a_resumed_step_is_the_one_that_was_not_stopped(gpu, small):
    dictionary, normal = random_dictionary(5, 10, -1.0)
    batches = [normal(4, 5) for _ in range(4)]
    whole = gpu.GpuStep(dictionary, **RATES, batch=4, dense_from=1.0, tiles=small)
    for x in batches[:2]:
        whole(x, 0.1)
    resumed = gpu.GpuStep(twin(dictionary), **RATES, batch=4, dense_from=1.0, tiles=small)
    resumed.step, resumed.moments = whole.step, whole.moments
    for x in batches[2:]:
        whole(x, 0.1), resumed(x, 0.1)
    for name in PARAMETERS:
        assert torch.equal(whole.parameters[name], resumed.parameters[name])


def test_watching_sees_the_steps_weights_and_leaves_them(gpu, small):
    dictionary, normal = random_dictionary(6, 20, -1.0)
    step, x = gpu.GpuStep(dictionary, lr=0.3, betas=(0.9, 0.999), batch=12, dense_from=1.0, tiles=small), normal(12, 6)
    before = fired(dictionary, x)
    for _ in range(4):
        step(x, 0.1)
    version, after = dictionary.W_enc._version, fired(dictionary, x)
    assert not torch.equal(before, after) and dictionary.W_enc._version == version
    assert torch.equal(after, step.gradients(x, 0.1).fired)


def test_what_does_not_fit_is_refused(gpu):
    dictionary, normal = random_dictionary(4, 8, 0.0)
    with pytest.raises(ValueError, match="contiguous"):
        gpu.GpuStep(replace(dictionary, W_enc=dictionary.W_enc.contiguous()), **RATES, batch=4)
    with pytest.raises(ValueError, match=r"shape \[4, 4\]"):
        gpu.GpuStep(dictionary, **RATES, batch=4).gradients(normal(5, 4), 0.1)


def test_the_second_time_is_recorded_and_played_later(gpu, monkeypatch):
    events, capturing = [], []

    class Recording:
        def __enter__(self):
            capturing.append(True)

        def __exit__(self, *_):
            capturing.pop()

    class Graph:
        def replay(self):
            events.append("played")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    # another thread may allocate while this one records, so nothing but this one may be held to a recording's rules
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, *, capture_error_mode: {"thread_local": Recording()}[capture_error_mode])
    graphs, part = gpu._Graphs(), lambda: events.append("recorded" if capturing else "done")
    for _ in range(3):
        graphs.play("it", (part, part))
    assert events == ["done", "done", "recorded", "recorded", "played", "played"]


COMPILE = """
import re, sys
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

class Hopper:  # as much of a driver as a compilation asks for
    get_current_device = get_current_stream = lambda self, device=0: 0
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)

triton.runtime.driver.set_active(Hopper())
launch = JITFunction.run

def compile_only(kernel, *arguments, grid, warmup, **options):
    made = launch(kernel, *arguments, grid=grid, warmup=True, **options)
    print(kernel.__name__, "wgmma" if "wgmma" in made.asm["ptx"] else "-", made.metadata.shared, len(made.asm["cubin"]))

JITFunction.run = compile_only
from replication.sae.dictionary import Dictionary
from replication.sae.gpu import GpuStep

zeros = torch.zeros
dictionary = Dictionary(W_enc=zeros(4096, 512).T, b_enc=zeros(4096), W_dec=zeros(4096, 512), b_dec=zeros(512))
GpuStep(dictionary, lr=1e-3, betas=(0.9, 0.999), batch=8192)(zeros(8192, 512), 0.1)
"""


@needs_interpreter
def test_kernels_compile_for_hopper_with_its_tensor_cores(tmp_path):
    # in a process of its own, where triton compiles
    settings = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", COMPILE], env=settings, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert run.returncode == 0, run.stderr
    kernels = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines()}
    assert kernels.keys() == {"copy_weights", "centre", "screen", "decode", "gather_groups", "order_groups", "block_gradients", "feature_gradients",
                              "update_features", "update_vector"}
    assert kernels["screen"][0] == "wgmma"
    assert all(int(shared) <= 232_448 for _, shared, _ in kernels.values())  # what one block may have on Hopper


def trained_like(d_in, d_sae, batch, bias, seed=0):
    """A dictionary and vectors of which few features fire; vectors are sums of a few decoder rows."""
    draw = torch.Generator(DEVICE).manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw, device=DEVICE)
    W_dec = unit(normal(d_sae, d_in))
    dictionary = Dictionary(W_enc=W_dec.clone().T, b_enc=torch.full((d_sae,), bias, device=DEVICE), W_dec=W_dec, b_dec=0.1 * normal(d_in))
    vectors = lambda: W_dec[torch.randint(d_sae, (batch, 8), generator=draw, device=DEVICE)].sum(1) + 0.1 * normal(batch, d_in)
    return dictionary, vectors


def assert_equals_float64_on_its_support(gpu, x, dictionary, **settings):
    """A step's pairs are those of float64 but where float32 cannot tell, and given the pairs its gradients are those of float64."""
    step = gpu.GpuStep(dictionary, **RATES, batch=len(x), dense_from=1.0, **settings)
    found, double = step.gradients(x, 0.004), twin(dictionary, torch.float64)
    assert found is step.found and found.fired.any()
    x, on = x.double(), support(step)
    pre = (x - double.b_dec) @ double.W_enc + double.b_enc
    assert not (pre[on != (pre > 0)].abs() > 1e-5).any()
    f = pre * on
    residual = double.decode(f) - x
    d_xhat = residual * (2 / x.numel())
    d_pre = (d_xhat @ double.W_dec.T + 0.004 / len(x)) * on
    b_enc = d_pre.sum(0)
    assert_same(found, reference.Step(
        mse=residual.square().mean(), l1=f.sum() / len(x), l0=on.sum() / len(x), W_enc=(x - double.b_dec).T @ d_pre, b_enc=b_enc, W_dec=f.T @ d_xhat,
        b_dec=d_xhat.sum(0) - double.W_enc @ b_enc, fired=on.sum(0)), 2e-5)
    return step


def test_the_reference_for_a_gpu_holds_at_a_small_size(gpu, small):
    dictionary, vectors = trained_like(32, 20, 10, -0.3)
    assert_equals_float64_on_its_support(gpu, vectors(), dictionary, tiles=small)


@needs_gpu
@pytest.mark.parametrize("screen", ["fp16", "ieee"])
@pytest.mark.parametrize(("d_in", "d_sae", "bias"), [(512, 4096, -0.45), (512, 4096, -0.35), (500, 4097, -0.45), (256, 2048, -0.5), (2048, 4096, -0.35)])
def test_on_a_gpu_gradients_equal_float64(gpu, screen, d_in, d_sae, bias):
    dictionary, vectors = trained_like(d_in, d_sae, 8192, bias)
    step = assert_equals_float64_on_its_support(gpu, vectors(), dictionary, screen=screen)
    assert int(step.counts.sum()) < 1.2 * int(step.found.fired.sum())  # the screen names few that do not fire


@needs_gpu
def test_on_a_gpu_tensor_cores_lose_no_pair(gpu):
    dictionary, vectors = trained_like(512, 4096, 8192, -0.35)
    for _ in range(5):
        x, found = vectors(), []
        for screen in ("fp16", "ieee"):
            step = gpu.GpuStep(dictionary, **RATES, batch=8192, screen=screen, dense_from=1.0)
            assert step.gradients(x, 0.004) is step.found
            found.append(support(step))
        assert torch.equal(*found)


@needs_gpu
def test_on_a_gpu_graphs_and_second_runs_change_no_bit(gpu):
    ends = []
    for graphs in (True, False, True):
        dictionary, vectors = trained_like(512, 4096, 8192, -0.45)
        step = gpu.GpuStep(dictionary, lr=1e-4, betas=(0.9, 0.999), batch=8192, graphs=graphs)
        for number in range(8):
            dictionary.b_enc.add_({4: 1.0, 5: -1.0}.get(number, 0.0))  # one step by dense products
            found = step(vectors(), 0.001 * number)
            assert (found is step.found) == (number != 4)
        ends.append([tensor.clone() for tensor in (*step.parameters.values(), found.mse, found.fired)])
    for other in ends[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(ends[0], other, strict=True))


@needs_gpu
@pytest.mark.parametrize("bias", [-0.6, 0.0])
def test_on_a_gpu_131072_features_need_no_memory_of_batch_times_features(gpu, bias):
    d_in, d_sae, batch = 512, 131_072, 8192
    dictionary, vectors = trained_like(d_in, d_sae, batch, bias)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step = gpu.GpuStep(dictionary, lr=1e-4, betas=(0.9, 0.999), batch=batch)
    for _ in range(4):
        found = step(vectors(), 0.004)
    assert (found is step.found) == (bias < 0)
    own = 4 * d_in * d_sae * (4 + 2)  # moments and gradients
    dense = 4 * d_in * d_sae * 4 + 8 * 4 * reference.DENSE_ELEMENTS if bias == 0 else 0  # two more sets of gradients, and parts of the batch
    assert torch.cuda.max_memory_allocated() - before < own + dense + batch * d_sae * 4 / 6
