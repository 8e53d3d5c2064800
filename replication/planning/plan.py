"""The estimate: a config's work times measured rates, job by job; then the schedule, the stages and what is to be said about them.

A time is None where nothing that was measured can tell it: jobs that run on a GPU have no time without rates of a GPU.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from replication.config import Config, UserError, d_in, model_of
from replication.planning import rates as measured
from replication.planning import work
from replication.planning.rates import Measured, Rates
from replication.planning.work import STAGES, Job
from replication.progress import duration

MB = 1e6
Laws = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Priced:
    """A job with its CPU (or GPU) seconds, of all its ranks, and its memory in MB: of all ranks on a CPU, else of each GPU. None where not known."""

    job: Job
    seconds: float | None
    memory_mb: float | None


@dataclass(frozen=True)
class Stage:
    """Sums over a stage: seconds (None when a job's are unknown), the longest job, memory in MB, bytes that stay on disk, and operations."""

    name: str
    jobs: int
    seconds: float | None
    longest: float | None
    memory_mb: float | None
    disk: float
    flops: float


@dataclass(frozen=True)
class Estimate:
    """What a run takes on one machine. `wall` are seconds on its cores and GPUs, `path` those of the longest chain of jobs; money in the unit of the price."""

    run: str
    device: str
    cores: int
    gpus: int
    stages: Sequence[Stage]
    wall: float | None
    path: float | None
    checkpoints: float
    download: float
    money: float | None
    notes: Sequence[str]

    @property
    def seconds(self) -> float | None:
        """Seconds of all jobs, one after the other."""
        return _sum(stage.seconds for stage in self.stages)


def estimate(
    config: Config, rates: Rates, *, device: str, cores: int, gpus: int | None = None, flops: float | None = None, price: float | None = None,
) -> Estimate:
    """The estimate of a run on `device` (`cpu` or `cuda`).

    `gpus`: those of the machine, by default as many as one job wants; `flops`: a sustained rate of one in operations a second that the user assumes for jobs
    on a device that was not measured; `price`: money for an hour. Raises UserError when a job wants more GPUs than there are.
    """
    priced = price_jobs(config, rates, device=device, flops=flops)
    widest = max((each.job for each in priced), key=lambda job: job.ranks)
    there = (gpus or widest.ranks) if device == "cuda" else 0
    if there and there < widest.ranks:
        raise UserError(f"{widest.name} wants {widest.ranks} GPUs at a time (its `ranks`), but --gpus is {there}")
    wall = path = None
    if all(each.seconds is not None for each in priced):
        endless = len(priced) * widest.ranks
        wall, path = schedule(priced, cores=cores, gpus=there), schedule(priced, cores=endless * 256, gpus=endless if there else 0)
    stages = [_stage(name, [each for each in priced if each.job.stage == name], _disk(config, rates, name)) for name in STAGES]
    return Estimate(
        config.run, device, cores, there, stages, wall, path, _checkpoints(config),
        float(config.corpus.max_bytes) if config.corpus.source == "hub" else 0.0, None if price is None or wall is None else price * wall / 3600,
        list(_notes(config, rates, stages, priced, device=device, flops=flops)))


def price_jobs(config: Config, rates: Rates, *, device: str, flops: float | None = None) -> list[Priced]:
    """Every job with its time and memory. Rates of one device price jobs of that device only; jobs that take no GPU run on the CPU on any machine.

    A kind of job that was not measured takes what the median job of its stage took, and the notes name it.
    """
    laws = measured.laws(rates)
    found = []
    for job in work.jobs(config, rates.courses):
        own = _alike(job, rates)
        mates = own or [each for each in rates.jobs if each.name.partition("/")[0] == job.stage]
        if job.gpu and device != rates.device:
            found.append(Priced(job, job.flops / flops if flops else None, job.memory / MB))
            continue
        seconds = _seconds(job, own, laws) if own else median(each.seconds for each in mates) if mates else None
        memory = max(max(0.0, each.memory_mb - each.arrays / MB) for each in mates) + job.memory / MB if mates else None
        found.append(Priced(job, seconds, memory * (job.ranks if device == "cpu" else 1) if memory else None))
    return found


def _alike(job: Job, rates: Rates) -> list[Measured]:
    """The measured jobs of its kind; of one with items those that had some, because the others say nothing of what an item costs."""
    return [each for each in rates.of(job.kind) if each.items or not job.items]


def _seconds(job: Job, own: Sequence[Measured], laws: Laws) -> float:
    """Start-up as in the other run, counted terms by their laws, and for each item what its jobs took beside both."""
    startup = median(each.startup for each in own)
    item = median(max(0.0, each.seconds - each.startup - _counted(each.terms, laws)) / max(1.0, each.items) for each in own)
    return startup + _counted(job.terms, laws) + (item * max(1.0, job.items) if job.items else 0.0)


def _counted(terms: Mapping[str, Mapping[str, float]], laws: Laws) -> float:
    return sum(laws[law][term] * count for law, counts in terms.items() for term, count in counts.items())


def schedule(priced: Sequence[Priced], *, cores: int, gpus: int) -> float:
    """Seconds until the last job ends on so many cores, and on so many GPUs where there are any; whoever is ready starts, the longest first."""
    waiting = {each.job.name: len(each.job.after) for each in priced}
    of = {each.job.name: each for each in priced}
    followers: dict[str, list[str]] = {name: [] for name in of}
    for each in priced:
        for name in each.job.after:
            followers[name].append(each.job.name)

    def asked(job: Job) -> tuple[int, int]:
        return min(job.threads * job.ranks, cores), job.ranks if gpus and job.gpu else 0

    ready = [each for each in priced if not each.job.after]
    running: list[tuple[float, str]] = []
    free, free_gpus, now = cores, gpus, 0.0
    while ready or running:
        for each in sorted(ready, key=lambda each: -(each.seconds or 0.0)):
            threads, wanted = asked(each.job)
            if threads <= free and wanted <= free_gpus:
                ready.remove(each)
                free, free_gpus = free - threads, free_gpus - wanted
                heapq.heappush(running, (now + (each.seconds or 0.0) / (wanted or threads), each.job.name))
        now, name = heapq.heappop(running)
        threads, wanted = asked(of[name].job)
        free, free_gpus = free + threads, free_gpus + wanted
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(of[follower])
    return now


def _stage(name: str, priced: Sequence[Priced], disk: float) -> Stage:
    seconds = [each.seconds for each in priced]
    known = [each.memory_mb for each in priced if each.memory_mb is not None]
    longest = None if None in seconds else max((each for each in seconds if each is not None), default=0.0)
    memory = max(known) if len(known) == len(priced) and known else None
    return Stage(name, len(priced), _sum(seconds), longest, memory, disk, sum(each.job.flops for each in priced))


def _sum(values: "Sequence[float | None] | Iterator[float | None]") -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _disk(config: Config, rates: Rates, stage: str) -> float:
    """Bytes of a stage that stay: by arithmetic where tensors lie there, else as in the measured run."""
    d_vocab, tokens = config.corpus.d_vocab, work.evaluation_tokens(config)
    if stage == "corpus":
        return float(config.corpus.max_bytes * sum(rates.about["corpus_bytes"].values()))
    if stage == "model":
        return float(sum(work.FLOAT * work.parameters(model, d_vocab) for model in config.models.values()))
    if stage == "activations":
        return float(sum(map(config.bytes_of, work.sites_read(config))))
    if stage == "sae":  # encoder, decoder and the decoder's start
        return 3.0 * sum(_weights(config))
    if stage == "features":  # a fired pair has a value and a column; neurons are dense and half as wide
        neurons = sum(work.HALF * tokens * config.models[model].d_mlp for model in {model_of(name) for name in config.dictionaries})
        late = (work.most_alike(config, name, rates.courses).late for name in config.dictionaries) if rates.courses else ()
        return neurons + sum((work.FLOAT + work.INDEX) * tokens * fired for fired in late)
    return float(rates.about["bytes"].get(stage, 0))


def _checkpoints(config: Config) -> float:
    """Bytes of the largest state between checkpoints, twice: the new one is written before the old one goes."""
    trainings = [3 * work.FLOAT * work.parameters(config.models[name], config.corpus.d_vocab) for name in config.trained_models()]
    return 2.0 * max([7 * size for size in _weights(config)] + trainings)  # of a dictionary: both weights, their moments, and the start


def _weights(config: Config) -> list[int]:
    """Bytes of the encoder of each dictionary, or of its decoder."""
    return [work.FLOAT * sae.d_sae * d_in(config.models[model_of(name)], sae.site) for name, sae in config.dictionaries.items()]


def _notes(config: Config, rates: Rates, stages: Sequence[Stage], priced: Sequence[Priced], *, device: str, flops: float | None) -> Iterator[str]:
    about, machine = rates.about, rates.about["machine"]
    yield (f"Rates: run {about['run']}, {rates.device}, {machine.get('cpu', 'unknown processor')}, torch {about['versions'].get('torch', 'unknown')}, "
           f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}, commit {', '.join(about['commits']) or 'unknown'}.")
    if device != rates.device:
        on = sum(each.job.gpu for each in priced)
        where = "a GPU" if device == "cuda" else "a CPU"
        yield (f"No rates of {where} were measured, and those of {'a CPU' if device == 'cuda' else 'a GPU'} do not serve it: {on} jobs "
               + (f"are given by their arithmetic at the {flops:g} operations a second that --flops assumes, start-up and memory traffic left out."
                  if flops else "have no time; --flops 2e14 assumes a sustained rate, and a run there gives rates with --measure.")
               + " Their memory is that of their arrays alone.")
    unknown = sorted({each.job.kind for each in priced if not _alike(each.job, rates) and not (each.job.gpu and device != rates.device)})
    if unknown:
        yield f"Not measured in any of these runs, so taken as the median job of their stage, however much they go through: {', '.join(unknown)}."
    by_time = sorted((stage for stage in stages if stage.seconds), key=lambda stage: -(stage.seconds or 0.0))
    if by_time and all(stage.seconds is not None for stage in stages):
        longest = max(priced, key=lambda each: each.seconds or 0.0)
        yield f"{by_time[0].name} takes the most time; the longest job is {longest.job.name}, {duration(longest.seconds or 0.0)}."
    yield ("Memory counts the arrays of models, activations, dictionaries and the tables of features; other jobs are given what they took in the measured run, "
           "though some hold a number for each token of evaluation.")
    if rates.courses:
        yield "How many features fire cannot be known before: dictionaries take the course of those of the measured run that start most alike."
    if config.compute.threads != about["threads"] and device == "cpu":
        yield (f"The config uses {config.compute.threads} threads where the rates had {about['threads']}: wall time divides CPU time evenly, "
               "which no machine quite does.")
    shared = [each.job.name for each in priced if each.job.ranks > 1]
    if shared:
        yield f"Shared evenly by their ranks, as if these had nothing to tell each other, which was not measured: {', '.join(shared)}."
    if config.corpus.source == "hub":
        yield ("Download is the size of the text; what the Hub sends is compressed, by an unknown factor. With a larger vocabulary text has fewer tokens, "
               "so takes less disk than given.")


def table(found: Estimate) -> list[tuple[str, ...]]:
    """The estimate as lines of cells: a heading, the stages, and their total."""
    lines: list[tuple[str, ...]] = [("stage", "jobs", "time, one after the other", "longest job", "memory", "disk", "operations")]
    for stage in found.stages:
        memory = None if stage.memory_mb is None else stage.memory_mb * MB
        lines.append((stage.name, str(stage.jobs), _time(stage.seconds), _time(stage.longest), _bytes(memory), _bytes(stage.disk),
                      f"{stage.flops:.1e}" if stage.flops else ""))
    memories = [stage.memory_mb for stage in found.stages]
    most = None if None in memories else max(memory for memory in memories if memory is not None) * MB
    lines.append(("total", str(sum(stage.jobs for stage in found.stages)), _time(found.seconds), _time(found.path), _bytes(most),
                  _bytes(sum(stage.disk for stage in found.stages)), f"{sum(stage.flops for stage in found.stages):.1e}"))
    return lines


def sentences(found: Estimate) -> list[str]:
    """What stands under the table."""
    where = f"{found.cores} core{'s' if found.cores > 1 else ''}" + (f" and {found.gpus} GPU{'s' if found.gpus > 1 else ''}" if found.gpus else "")
    wall = f"Wall time on {where}: {_time(found.wall)}" if found.wall is not None else f"Wall time on {where}: unknown"
    chain = f"; the longest chain of jobs, which no more cores shorten: {_time(found.path)}" if found.path is not None else ""
    money = f" Money at the given price an hour: {found.money:,.2f}." if found.money is not None else ""
    download = _bytes(found.download) if found.download else "none"
    return [f"{wall}{chain}.{money}", f"Disk while it runs: up to {_bytes(found.checkpoints)} more for a checkpoint. Download: {download}.", *found.notes]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    days = seconds / 86_400
    return f"{days:,.1f} days" if days >= 2 else duration(seconds)


def _bytes(size: float | None) -> str:
    """Bytes as a person reads them."""
    if size is None:
        return "?"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
