"""`python -m bench`: times everything, prints one table, writes `results/bench/`."""

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from replication.compute import limit_threads

if TYPE_CHECKING:
    from bench.cases import Case
    from bench.table import Row

BUDGETS = {2048: 60.0, 4096: 120.0, 16_384: 100.0}  # seconds for the rounds of a shape, by its features
RUN_BUDGET, MODEL_BUDGET, HARVEST_BUDGET, POINT_BUDGET = 30.0, 15.0, 10.0, 5.0
QUICK_ROUNDS = 3
DISTURBED = 0.03  # share of the processor that others took, from which it is said
PARTS = ("steps", "run", "models", "harvest", "memory", "scaling")
RUNS = (Path("results/laptop"), Path("results/smoke"))
OUT = Path("results/bench")  # what is committed; a run that leaves rows out goes into a folder below it


def main() -> None:
    """Parse, measure, write."""
    given = _parser().parse_args()
    limit_threads(given.threads)  # before torch, numba and the rest are imported
    import torch

    torch.set_num_threads(given.threads)
    # torch's own products may use TF32 on a GPU: the peers leave that to their user, and are faster so
    torch.set_float32_matmul_precision("high" if torch.cuda.is_available() else "highest")
    described, neighbours = machine.describe(given.threads), machine.Neighbours()
    devices = [given.device] if given.device != "all" else ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    rows = [row for device in devices for row in measure(given, device)]
    write(rows, described | {"share_of_others": neighbours.share(), "load_after": machine.load()}, given)


def measure(given: argparse.Namespace, device: str) -> "list[Row]":
    """All rows of a device."""
    import torch

    from bench import cases, groups, harvest, memory, models, scaling

    rounds = given.rounds or (QUICK_ROUNDS if given.quick else None)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    rows: list[Row] = []
    shapes, model_shapes = (cases.QUICK, [models.LAPTOP]) if given.quick else (cases.SHAPES, [models.LAPTOP, models.LARGER])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers' deprecations
        for shape in shapes if "steps" in given.parts else ():
            say(f"{device}: steps {shape.d_in} -> {shape.d_sae}")
            rows += groups.measure(groups.of_shape(shape, device), say=say, rounds=rounds, budget=BUDGETS[shape.d_sae], wait=wait)
        if "run" in given.parts and (case := _run(given, device)):
            say(f"{device}: steps on {case.data}, {case.d_in} -> {case.d_sae}")
            rows += groups.measure(groups.of_case(case), say=say, rounds=rounds, budget=RUN_BUDGET, wait=wait)
        for model_shape in model_shapes if "models" in given.parts else ():
            for threads in dict.fromkeys([1, given.threads]):  # a job of `laptop` has one
                say(f"{device}: model training, {model_shape}, threads {threads}")
                torch.set_num_threads(threads)
                found = models.measure(model_shape, device, rounds=rounds, budget=MODEL_BUDGET, wait=wait)
                rows += [row | {"threads": threads} for row in found]
        if "harvest" in given.parts:
            say(f"{device}: harvest")
            rows += harvest.measure(models.LAPTOP, device, rounds=rounds, budget=HARVEST_BUDGET, wait=wait)
    if "memory" in given.parts:
        whats = [what for what in dict.fromkeys(str(row["what"]) for row in rows) if not what.startswith("harvest")]
        say(f"{device}: peak memory")
        memory.children(whats, rows, say=say, arguments=["--device", device, "--threads", str(given.threads), *(["--quick"] if given.quick else [])])
    if "scaling" in given.parts:
        rows += scaling.measure(device, quick=given.quick, say=say, rounds=rounds, budget=POINT_BUDGET, wait=wait)
    return [{"threads": given.threads} | row for row in rows]


def write(rows: "list[Row]", described: dict[str, Any], given: argparse.Namespace) -> None:
    """Print the table; leave `bench.csv`, `scaling.csv` and `machine.json`."""
    from bench import table
    from replication import artifacts

    print(machine.in_words(described))
    print(table.to_text(rows))
    print("± is the interquartile range over rounds; see bench/README.md")
    if (described["share_of_others"] or 0) > DISTURBED:
        print(f"others took {described['share_of_others']:.0%} of the processor meanwhile: measure again when it is quiet")
    out = given.out or (OUT if not given.quick and given.parts == list(PARTS) else OUT / "partial")
    for name, of_sweep in (("bench", False), ("scaling", True)):
        if found := [row for row in rows if ("sweep" in row) == of_sweep]:
            with artifacts.atomic(out / f"{name}.csv") as temporary:
                temporary.write_text(table.to_csv(found))
    artifacts.write_json(out / "machine.json", described | {"quick": given.quick, "parts": given.parts})
    say(f"written to {out}")


def say(text: str) -> None:
    """A line of progress."""
    print(f"[bench {time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def _run(given: argparse.Namespace, device: str) -> "Case | None":
    from bench.cases import of_run

    for folder in [given.run] if given.run else RUNS:
        if case := of_run(folder, device=device):
            return case
        say(f"{folder} has no dictionary A/1 with activations or tokens; no rows on its data")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Times our steps beside those of the peers; see bench/README.md.")
    parser.add_argument("--rounds", type=int, help="rounds of each group; without it as many as fit the time meant for the group")
    parser.add_argument("--quick", action="store_true", help="small shapes, three rounds")
    parser.add_argument("--run", type=Path, help="results folder whose activations are used (default: results/laptop, else results/smoke)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these")
    parser.add_argument("--device", choices=("all", "cpu", "cuda"), default="all", help="default: the CPU, and the GPU where torch sees one")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="default: every core that this process may use")
    parser.add_argument("--out", type=Path, help=f"default: {OUT}, and {OUT}/partial for a run that leaves rows out")
    return parser


if __name__ == "__main__":
    main()
