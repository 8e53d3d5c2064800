"""Peak memory of a step, in a process of its own: ``python -m bench.memory WHAT`` prints a json list with one entry a case.

What counts is what a subject adds to a process that holds the libraries and the batches: weights, moments, buffers, temporaries.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import cases, groups, models
from bench.table import Row

STEPS = 2  # the first makes Adam's moments, so the second is the one that needs everything


def children(whats: list[str], rows: list[Row], *, say: Callable[[str], None], arguments: list[str]) -> None:
    """Measure each `what` in a child and enter `peak_mib` into the rows that it belongs to."""
    for what in whats:
        done = subprocess.run([sys.executable, "-m", "bench.memory", what, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"no peak memory of {what}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            continue
        for entry in json.loads(done.stdout.splitlines()[-1]):
            peak = entry.pop("peak_mib")
            for row in rows:
                if row["data"] == "synthetic" and all(row.get(name) == value for name, value in entry.items()):
                    row["peak_mib"] = peak


def of_steps(what: str, shapes: tuple[cases.Shape, ...], device: str) -> Iterator[dict[str, Any]]:
    """Training steps of dictionaries, from small shapes to large ones, so that what is kept of one hides little of the next."""
    make = groups.MAKERS[what]
    _steps(make, cases.synthetic(32, 64, 4, batch=64, device=device))  # so that machine code and thread pools are there already
    for shape in shapes:
        # the other steps need the same at every L0, so theirs is taken once
        for l0 in shape.l0s if what == "ours" else (cases.MAIN_L0,):
            case = cases.synthetic(shape.d_in, shape.d_sae, l0, device=device)
            peak = peak_mib(lambda make=make, case=case: _steps(make, case), device)
            yield {"what": what, "d_in": shape.d_in, "d_sae": shape.d_sae, "peak_mib": peak} | ({"l0_nominal": l0} if what == "ours" else {})


def of_models(what: str, shapes: tuple[models.ModelShape, ...], device: str) -> Iterator[dict[str, Any]]:
    """Training steps of transformers."""
    for shape in shapes:
        batches = models.contexts(shape, device)

        def steps(shape: models.ModelShape = shape, batches: list[Any] = batches) -> None:
            step = models.MAKERS[what](shape, device)
            for number in range(STEPS):
                step(batches[number])

        yield {"what": what, "shape": str(shape), "peak_mib": peak_mib(steps, device)}


def peak_mib(work: Callable[[], object], device: str) -> float:
    """By how much memory rises above its level before `work`, at most: the resident set, or on a GPU what torch allocates."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    _give_back()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    work()
    return max(0, _status("VmHWM") - before) / 2**10


def _give_back() -> None:
    """Free memory that malloc holds goes back to the system, else the next subject would use it unseen."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass


def _status(name: str) -> int:
    """A line of this process's status, in KiB."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))


def _steps(make: groups.Maker, case: cases.Case) -> None:
    subject = make(case)
    for number in range(STEPS):
        subject.step(case.batches[number])


def main() -> None:
    """Measure one `what` and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    if given.what in models.MAKERS:
        found = of_models(given.what, (models.LAPTOP,) if given.quick else (models.LAPTOP, models.LARGER), given.device)
    else:
        found = of_steps(given.what, cases.QUICK if given.quick else cases.SHAPES, given.device)
    print(json.dumps(list(found)))


if __name__ == "__main__":
    main()
