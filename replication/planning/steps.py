"""What a step costs at any size: the project's own steps, timed at a ladder of sizes, and a law through them.

A small run says little about a large one, because its matrices are too thin to keep the processor busy. So the measuring of a run
also times the same steps at a few larger sizes, seconds in all, on made-up data; on a CPU as many at once as jobs of a run, which share its
caches and memory: alone a step takes a third less on two cores. A law is a sum of terms that are counted (`work.py`), each
with a cost of zero or more, fitted to the rungs by relative error. Source: ours.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from replication.config import Activations, Compute, Model, Sae, Settings
from replication.planning import work
from replication.progress import Progress
from replication.randomness import generator

if TYPE_CHECKING:
    import torch

LAWS: Mapping[str, tuple[str, ...]] = {  # the terms of each law
    "model step": ("steps", "logits", "flops"),
    "sparse step": ("steps", "screened", "flops", "pairs", "weights"),
    "dense step": ("steps", "elements", "flops"),
    "harvest": ("tokens", "flops", "elements"),
    "read block": ("elements",),
}
SECONDS, FEWEST, WARM = 0.8, 5, 2  # of each rung: seconds, steps at least, and steps before them that make buffers and machine code
# d_model, d_mlp, d_vocab, n_ctx, batch
MODELS = ((32, 64, 1024, 64, 32), (64, 128, 8192, 64, 16), (128, 512, 2048, 128, 8), (128, 512, 8192, 128, 16))
# d_in, d_sae, batch, fired features of a vector
SPARSE = ((64, 512, 2048, 10), (64, 4096, 1024, 10), (128, 1024, 1024, 60), (512, 1024, 1024, 10), (512, 4096, 1024, 20), (512, 4096, 512, 200),
          (32, 256, 1024, 10))
DENSE = ((64, 512, 2048), (64, 4096, 1024), (512, 1024, 1024), (512, 4096, 1024))
HARVESTS = ((32, 64, 64, 32), (64, 512, 64, 64), (128, 512, 256, 64), (128, 64, 128, 128))  # d_model, d_mlp, n_ctx, per_context


@dataclass(frozen=True)
class Rung:
    """Counts of the terms of one step, and the seconds that it took (the median)."""

    law: str
    terms: Mapping[str, float]
    seconds: float


def climb(device: "torch.device", threads: int, progress: Progress | None = None) -> list[Rung]:
    """Time every rung on a device: CPU seconds on a CPU, wall seconds on a GPU."""
    progress = progress or Progress()
    made = [*(_model(*sizes, device) for sizes in MODELS), *(_sparse(*sizes, device, threads) for sizes in SPARSE),
            *(_dense(*sizes, device, threads) for sizes in DENSE), *(_harvest(*sizes, device) for sizes in HARVESTS), _read_block(device)]
    return [Rung(law, terms, timed()) for law, terms, timed in progress.over(made, len(made))]


def climb_together(device: "torch.device", threads: int, jobs: int, progress: Progress | None = None) -> list[Rung]:
    """Time every rung in so many processes at once; of each the mean over them."""
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        others = [pool.submit(climb, device, threads) for _ in range(jobs - 1)]
        found = [climb(device, threads, progress), *(other.result() for other in others)]
    return [Rung(same[0].law, same[0].terms, fmean(rung.seconds for rung in same)) for same in zip(*found, strict=True)]


def fit(rungs: Sequence[Rung], law: str) -> dict[str, float]:
    """Seconds of each term of a law, none below zero, so that the relative errors at the rungs are least squares."""
    import numpy as np
    from scipy.optimize import nnls

    own = [rung for rung in rungs if rung.law == law]
    counts = np.array([[rung.terms[term] for term in LAWS[law]] for rung in own]) / np.array([[rung.seconds] for rung in own])
    scale = counts.max(axis=0)  # terms differ by ten orders of magnitude
    found, _ = nnls(counts / scale, np.ones(len(own)))
    return dict(zip(LAWS[law], (found / scale).tolist(), strict=True))


Timed = tuple[str, Mapping[str, float], Callable[[], float]]


def _clock(device: "torch.device") -> float:
    if device.type == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize(device)
    return time.perf_counter()


def _median(step: Callable[[], object], device: "torch.device") -> float:
    """Seconds of a call, the median of enough of them."""
    for _ in range(WARM):
        step()
    taken: list[float] = []
    while len(taken) < FEWEST or sum(taken) < SECONDS:
        before = _clock(device)
        step()
        taken.append(_clock(device) - before)
    return median(taken)


def _model(d_model: int, d_mlp: int, d_vocab: int, n_ctx: int, batch: int, device: "torch.device") -> Timed:
    """Steps of the trainer itself, by the times at which it reports them."""
    model = Model(d_model=d_model, d_mlp=d_mlp, n_heads=2, n_ctx=n_ctx, batch=batch, validation_contexts=1, validate_every=10**9, checkpoint_every=10**9)

    def timed() -> float:
        import dataclasses

        import torch

        from replication.model.train import Training

        steps = 24
        tokens = torch.from_numpy(generator(0, "planning.tokens").integers(d_vocab, size=(steps * batch + 2, n_ctx), dtype="int32"))
        times: list[float] = []

        class Watch(Progress):
            def __call__(self, done: float, total: float, note: str = "") -> None:
                times.append(_clock(device))

        with tempfile.TemporaryDirectory() as state:
            Training(Settings("planning", 0, compute=Compute(), model=dataclasses.replace(model, tokens=steps * batch * n_ctx)), identity="", tokens=tokens,
                     held_out=tokens[:8], d_vocab=d_vocab, state=Path(state), device=device).run(Watch())
        return median(after - before for before, after in zip(times[WARM:-1], times[WARM + 1 : -1], strict=False))

    return "model step", work.model_step(model, d_vocab, batch * n_ctx), timed


def _sparse(d_in: int, d_sae: int, batch: int, fired: int, device: "torch.device", threads: int) -> Timed:
    return ("sparse step", work.sparse_steps(d_sae, d_in, batch, 1, batch * fired),
            lambda: _dictionary_step(Sae(d_sae=d_sae, batch=batch, lr=1e-9, step="sparse"), d_in, fired, device, threads))


def _dense(d_in: int, d_sae: int, batch: int, device: "torch.device", threads: int) -> Timed:
    return ("dense step", work.dense_steps(d_sae, d_in, batch, 1),
            lambda: _dictionary_step(Sae(d_sae=d_sae, batch=batch, lr=1e-9, step="dense"), d_in, d_sae // 2, device, threads))


def _dictionary_step(sae: Sae, d_in: int, fired: int, device: "torch.device", threads: int) -> float:
    """A whole step with the trainer's bookkeeping, on unit features that fire equally often on standard normal vectors; its rate moves nothing."""
    import torch

    from replication.sae.dictionary import Dictionary, unit
    from replication.sae.fit import whole_step
    from replication.sae.variants import Variant

    draw = generator(0, "planning.dictionary", d_in, sae.d_sae)
    x, rows = (torch.from_numpy(draw.standard_normal(shape, dtype="float32")).to(device) for shape in ((sae.batch, d_in), (sae.d_sae, d_in)))
    rows = unit(rows)
    bias = torch.special.ndtri(torch.full((sae.d_sae,), fired / sae.d_sae, device=device))
    _, take = whole_step(Dictionary(W_enc=rows.clone().T, b_enc=bias, W_dec=rows, b_dec=torch.zeros(d_in, device=device)), sae, Variant(), threads=threads)
    last_fired, sums = torch.zeros(sae.d_sae, dtype=torch.int32, device=device), torch.zeros(4, dtype=torch.float64, device=device)

    def step() -> None:
        found = take(x, 1e-3)
        last_fired.masked_fill_(found.fired > 0, 1)
        sums.add_(torch.stack([found.mse + found.l1, found.mse, found.l1, found.l0]))

    return _median(step, device)


def _harvest(d_model: int, d_mlp: int, n_ctx: int, per_context: int, device: "torch.device") -> Timed:
    """A block of vectors: read off, measured, written and hashed, as the harvest does."""
    model = Model(d_model=d_model, d_mlp=d_mlp, n_heads=2, n_ctx=n_ctx)
    contexts = 256
    block = contexts * per_context

    def timed() -> float:
        import torch

        from replication.activations.plan import plan
        from replication.activations.stream import DTYPES, Recomputed
        from replication.artifacts import digest, write_tensors
        from replication.model.transformer import Architecture, Transformer

        settings = Activations(vectors=block, block=block, per_context=per_context, storage="stored")
        tokens = torch.from_numpy(generator(0, "planning.tokens").integers(256, size=(2 * contexts, n_ctx), dtype="int32"))
        transformer = Transformer(Architecture.of(model, 256)).initialise(0).to(device).eval()
        drawn = plan(settings, contexts=2 * contexts, n_ctx=n_ctx, seed=0, stream=0)
        source = Recomputed(drawn, transformer, tokens, "mlp_act", DTYPES[settings.dtype], device)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "block.safetensors")

            def step() -> None:
                vectors = source(0)
                norms = vectors.float().norm(dim=1).double()
                norms.sum().item(), norms.square().sum().item(), vectors.count_nonzero().item()
                write_tensors(path, {"vectors": vectors})
                digest(path)

            return _median(step, device)

    return "harvest", work.harvest(model, "mlp_act", block, per_context), timed


def _read_block(device: "torch.device") -> Timed:
    """A stored block: compared with its checksum, read, and widened batch by batch."""
    rows, width = 32_768, 256

    def timed() -> float:
        import torch

        from replication.artifacts import digest, read_tensors, write_tensors

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "block.safetensors")
            write_tensors(path, {"vectors": torch.zeros(rows, width, dtype=torch.float16)})

            def step() -> None:
                digest(path)
                for part in read_tensors(path)["vectors"].to(device).split(1024):
                    part.float()

            return _median(step, device)

    return "read block", {"elements": float(rows * width)}, timed


def spread(rungs: Sequence[Rung]) -> Iterator[tuple[str, float]]:
    """Of each law, how far it misses its own rungs: the mean relative error."""
    for law, terms in LAWS.items():
        costs = fit(rungs, law)
        own = [rung for rung in rungs if rung.law == law]
        yield law, sum(abs(sum(costs[term] * rung.terms[term] for term in terms) / rung.seconds - 1) for rung in own) / len(own)
