"""The command `plan`: what a config will take, and the measuring of a finished run that the estimate rests on."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from replication import resolution
from replication.compute import limit_threads, wants_gpu
from replication.config import Config, UserError, to_dict
from replication.inspect import REFERENCES, aligned

if TYPE_CHECKING:
    from replication.inspect import Commands

MOST_JOBS = 8  # that are timed side by side: a DAG seldom has more trainings at a time


def register(commands: "Commands") -> None:
    """Plan."""
    parser = commands.add_parser("plan", help="time, memory, disk, download and money of a config before it is run, from measured rates",
                                 epilog="Rates of your own machine: run config/smoke.yaml, then plan config/smoke.yaml --measure results/smoke")
    parser.add_argument("file", type=Path, help="a config such as config/laptop.yaml")
    parser.add_argument("--rates", type=Path, nargs="+", help="folders with rates of one machine, such as results/smoke; the committed ones by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where it will run; by default what the config says")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores that jobs are scheduled on; this machine's by default")
    parser.add_argument("--gpus", type=int, help="GPUs of the machine; by default as many as one job wants")
    parser.add_argument("--flops", type=float, help="operations a second that you assume a GPU to sustain, such as 2e14, where none was measured")
    parser.add_argument("--price", type=float, help="money for an hour of the machine")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument("--measure", type=Path, metavar="RUN", help="write the rates of a finished run of the config instead, in its own folder or --out")
    parser.add_argument("--jobs-only", action="store_true", help="with --measure: do not time steps at a ladder of sizes")
    parser.add_argument("--out", type=Path, help="with --measure: folder to write")
    parser.set_defaults(plain=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Print the estimate of a config, or measure a run of it."""
    wanted = resolution.load(arguments.file)
    if arguments.measure:
        return _measure(wanted, arguments)
    from replication.planning import plan, rates

    for option in ("cores", "gpus", "flops", "price"):
        value = getattr(arguments, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option} is {value}, but must be above 0")
    folders = arguments.rates or sorted(path.parent for path in REFERENCES.glob(f"*/{rates.TABLE}"))
    if not folders:
        raise UserError(f"no rates are under {REFERENCES}; name a run that was measured with --rates")
    device = arguments.device or ("cuda" if wants_gpu(wanted.compute) else "cpu")
    found = plan.estimate(wanted, rates.together([rates.read(folder) for folder in folders]), device=device, cores=arguments.cores,
                          gpus=arguments.gpus, flops=arguments.flops, price=arguments.price)
    if arguments.json:
        print(json.dumps(to_dict(found), indent=1))
    else:
        print(aligned(plan.table(found)))
        print("\n" + "\n".join(plan.sentences(found)))
    return 0


def _measure(wanted: Config, arguments: argparse.Namespace) -> int:
    """Time the ladder of steps on this machine, and write it with the run's jobs."""
    limit_threads(wanted.compute.threads)
    from replication.planning import rates, steps
    from replication.progress import to_terminal_and_log

    rungs: list[steps.Rung] = []
    if not arguments.jobs_only:
        from replication import compute

        device, threads = compute.device(wanted.compute), wanted.compute.threads
        jobs = min(max(1, arguments.cores // threads), MOST_JOBS) if device.type == "cpu" else 1
        rungs = steps.climb_together(device, threads, jobs, to_terminal_and_log("plan", None))
    found = rates.measure(wanted, arguments.measure, rungs)
    out = arguments.out or arguments.measure
    rates.write(found, out)
    seconds, told = sum(job.seconds for job in found.jobs), found.about["jobs_with_cpu_seconds"]
    print(f"{out / rates.TABLE}: {len(found.jobs)} jobs, {seconds:,.0f} CPU seconds ({told} tell their own, the others as Snakemake sampled them), "
          f"{len(rungs)} timed steps")
    for law, error in steps.spread(rungs) if rungs else ():
        print(f"{law}: the law misses its own rungs by {100 * error:.0f} % on average")
    return 0
