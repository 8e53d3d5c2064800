"""Rates: what the jobs of a finished run took, and what its machine's steps take, as a small table that can be committed.

A job's CPU seconds are what its own metadata tell. For runs older than that, and jobs without metadata, Snakemake's benchmark is read:
it samples a job each half second for fifteen seconds and each thirty after, and writes what the last sample saw, so a job of 38
seconds is given with what it had taken at 15. That number is scaled to the job's end (`sampled`).
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from replication import artifacts
from replication.config import Config, UserError, model_of, to_dict
from replication.planning import steps, work
from replication.planning.steps import Rung

TABLE, ABOUT = "rates.csv", "rates.json"
OFTEN, RARELY, AT_ONCE = 0.5, 30.0, 31  # Snakemake's sampling: seconds between the first samples, between the later ones, and how many are first
DENSE_FROM = 0.3  # `replication.sae.gradients`: the share of fired pairs from which dense products are taken
CORPUS_FILES = (artifacts.DOCUMENTS, "train.safetensors")  # that grow with the text


@dataclass(frozen=True)
class Measured:
    """A job that was run: CPU seconds in all and before its work began, largest resident set in MB, and the counts of its `work.Job`."""

    name: str
    kind: str
    seconds: float
    startup: float
    memory_mb: float
    items: float
    arrays: float
    terms: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Rates:
    """Everything that was measured for one run on one machine. `about` says which device, processor, versions, commits, threads, and sizes on disk."""

    about: Mapping[str, Any]
    jobs: Sequence[Measured]
    rungs: Sequence[Rung]
    courses: Sequence[work.Course]

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return str(self.about["device"])

    def of(self, kind: str) -> list[Measured]:
        """The jobs of a kind."""
        return [job for job in self.jobs if job.kind == kind]


def sampled(wall: float, cpu: float) -> float:
    """CPU seconds of a whole job from Snakemake's sample of it: the last sample lies before the end, and the rest ran at the same rate."""
    first = OFTEN * (AT_ONCE - 1)
    last = first + RARELY * ((wall - first) // RARELY) if wall > first else wall
    return cpu * wall / last if last else cpu


def measure(config: Config, run: Path, rungs: Sequence[Rung]) -> Rates:
    """Rates of a finished run of `config`. Raises UserError when the folder holds no benchmark of it."""
    courses = list(_courses(config, run))
    planned = {job.name: job for job in work.jobs(config, courses)}
    found: list[Measured] = []
    metas: list[tuple[work.Job, Mapping[str, Any]]] = []
    for name, job in planned.items():
        path = artifacts.Layout(run).benchmark(f"{name}.tsv")
        if not path.is_file():
            continue
        sample = _benchmark(path)
        meta = artifacts.read_json(run / job.meta) if job.meta and (run / job.meta).is_file() else {}
        metas.append((job, meta))
        wall = float(sample["s"])
        cpu = sampled(wall, _number(sample["cpu_time"]))
        if "cpu_seconds" in meta:
            startup = float(meta["startup_seconds"])
            cpu = startup + float(meta["cpu_seconds"])
        elif "wall_seconds" in meta:  # the same share of the CPU before its stopwatch as after it
            startup = cpu * max(0.0, 1 - float(meta["wall_seconds"]) / wall)
        elif name.startswith("corpus/"):  # its metadata went with its outputs when the parts were joined, so start-up as of the jobs before it
            startup = min(cpu, median([each.startup for each in found] or [cpu]))
        else:  # it only draws or lists, and is start-up through and through
            startup = cpu
        memory = max(_number(sample["max_rss"]), float(meta.get("peak_memory_mb", 0.0)))
        found.append(Measured(name, job.kind, round(cpu, 2), round(startup, 2), round(memory, 1), job.items, round(job.memory), job.terms))
    if not found:
        raise UserError(f"{run} holds no benchmark of a job of run {config.run}; run it first: snakemake --cores all --configfile config/{config.run}.yaml")
    return Rates(_about(config, run, metas, found), found, rungs, courses)


def write(rates: Rates, folder: Path) -> None:
    """`rates.csv` and `rates.json` of a folder."""
    rows = [{"what": "job", "name": job.name, "kind": job.kind, "seconds": job.seconds, "startup": job.startup, "memory_mb": job.memory_mb,
             "work": json.dumps({"items": job.items, "arrays": job.arrays, "terms": to_dict(job.terms)})} for job in rates.jobs]
    rows += [{"what": "step", "name": "", "kind": rung.law, "seconds": rung.seconds, "startup": 0.0, "memory_mb": 0.0, "work": json.dumps(dict(rung.terms))}
             for rung in rates.rungs]
    artifacts.write_rows(folder / TABLE, rows)
    artifacts.write_json(folder / ABOUT, {**rates.about, "courses": rates.courses})


def read(folder: Path) -> Rates:
    """Rates that were written. Raises UserError when the folder has none, ArtifactError when a file is broken."""
    table = folder / TABLE
    if not table.is_file():
        raise UserError(f"{folder} holds no {TABLE}; measure a finished run with: python -m replication plan config/<run>.yaml --measure results/<run>")
    about = artifacts.read_json(folder / ABOUT)
    try:
        courses = [work.Course(**course) for course in about.pop("courses")]
        with table.open(newline="", encoding="utf-8") as stream:
            rows = [(row, json.loads(row["work"])) for row in csv.DictReader(stream)]
        jobs = [Measured(row["name"], row["kind"], float(row["seconds"]), float(row["startup"]), float(row["memory_mb"]), **counts)
                for row, counts in rows if row["what"] == "job"]
        rungs = [Rung(row["kind"], counts, float(row["seconds"])) for row, counts in rows if row["what"] == "step"]
    except (KeyError, TypeError, ValueError):
        raise artifacts.ArtifactError(f"{table} or {ABOUT} beside it is not what was written; measure again with `plan --measure`") from None
    return Rates(about, jobs, rungs, courses)


def _courses(config: Config, run: Path) -> Iterable[work.Course]:
    """The courses of a run's dictionaries, the mean of those that start alike."""
    alike: dict[tuple[bool, bool, str], list[tuple[float, float, float]]] = {}
    for name, sae in config.dictionaries.items():
        log = artifacts.Layout(run).sae(name) / artifacts.TRAINING_LOG
        if not log.is_file():
            continue
        with log.open(newline="", encoding="utf-8") as stream:
            rows = [(int(row["step"]), float(row["l0"])) for row in csv.DictReader(stream)]
        key = bool(config.models[model_of(name)].shuffle_of), sae.l1_warmup > 0, sae.init
        alike.setdefault(key, []).append(course(rows, lr=sae.lr, d_sae=sae.d_sae))
    for (shuffled, warmup, init), found in alike.items():
        yield work.Course(shuffled, warmup, init, *(float(f"{median(column):.6g}") for column in zip(*found, strict=True)))


def course(rows: Sequence[tuple[int, float]], *, lr: float, d_sae: int) -> tuple[float, float, float]:
    """`dense`, `excess` and `late` of `work.Course` from rows of (step, L0 since the row before)."""
    lasting = [step - before for before, (step, _) in zip([0, *(step for step, _ in rows)], rows, strict=False)]
    late = median([l0 for step, l0 in rows if step > rows[-1][0] / 2])
    dense = sum(steps for steps, (_, l0) in zip(lasting, rows, strict=True) if l0 >= DENSE_FROM * d_sae)
    excess = sum(steps * max(0.0, l0 - late) / d_sae for steps, (_, l0) in zip(lasting, rows, strict=True) if l0 < DENSE_FROM * d_sae)
    return lr * dense, lr * excess, late


def _benchmark(path: Path) -> Mapping[str, str]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if not rows or not {"s", "cpu_time", "max_rss"} <= set(rows[0]):
        raise artifacts.ArtifactError(f"{path} is not a benchmark of Snakemake; delete it and run the job again")
    return rows[0]


def _number(text: str) -> float:
    """A number of a benchmark; a job that ended before its first sample has none, and took next to nothing."""
    return 0.0 if text in ("NA", "-") else float(text)


def _about(config: Config, run: Path, metas: Sequence[tuple[work.Job, Mapping[str, Any]]], found: Sequence[Measured]) -> dict[str, Any]:
    written = [meta for _, meta in metas if meta]
    # of the jobs that take a GPU where there is one: a shuffled or loaded model is made on the CPU in any run, and where torch is not loaded no GPU is seen
    placed = [meta for job, meta in metas if job.gpu and "device" in meta]
    devices = {str(meta["device"]).partition(":")[0] for meta in placed} or {"cpu"}
    if len(devices) > 1:
        raise UserError(f"the jobs of {run} ran on {' and '.join(sorted(devices))}; rates of one device never serve another, so measure a run that used one")
    latest = (placed or written or [{}])[-1]
    return {
        "run": config.run, "device": devices.pop(), "machine": latest.get("machine", {}), "versions": latest.get("versions", {}),
        "commits": sorted({commit for meta in written for commit in (meta["commit"], *meta.get("commits", []))}),
        "threads": config.compute.threads, "jobs": len(found),
        "jobs_with_cpu_seconds": sum("cpu_seconds" in meta for meta in written),
        "bytes": {stage: _size(run / stage) for stage in work.STAGES if (run / stage).is_dir()} | {"claims": _files(run)},
        "corpus_bytes": {name: sum(path.stat().st_size for path in (run / "corpus").rglob(name)) / config.corpus.max_bytes for name in CORPUS_FILES},
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def together(found: Sequence[Rates]) -> Rates:
    """Several runs' rates as one. Raises UserError when they are of different devices or processors."""
    first, *others = found
    for other in others:
        for key in ("device", "machine"):
            if other.about[key] != first.about[key]:
                raise UserError(f"the rates of {first.about['run']} and {other.about['run']} are of different machines "
                                f"({first.about[key]}, {other.about[key]}); name runs of one machine with --rates")
    commits = sorted({commit for each in found for commit in each.about["commits"]})
    jobs, rungs, courses = ([one for each in found for one in getattr(each, part)] for part in ("jobs", "rungs", "courses"))
    return Rates({**first.about, "run": ", ".join(str(each.about["run"]) for each in found), "commits": commits}, jobs, rungs, courses)


def laws(rates: Rates) -> dict[str, dict[str, float]]:
    """Every law fitted to the rungs. Raises UserError when no steps were timed."""
    if not rates.rungs:
        raise UserError(f"the rates of {rates.about['run']} hold no timed steps; measure without --jobs-only")
    return {law: steps.fit(rates.rungs, law) for law in steps.LAWS}
