"""The real command line through a real Slurm: what a killed job leaves, what its retry makes of it, and what comes out."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from replication.artifacts import read_json
from tests.cluster.slurm import asked, missing, one_node
from tests.e2e.conftest import Workspace

pytestmark = pytest.mark.cluster
QUICK = bool(os.environ.get("QUICK"))  # a model and a dictionary, and not all of smoke
GROUPS = tuple(f"rule_{group}_" for group in ("studies", "exhibits", "interpretability", "browser", "claims"))  # how comments of group jobs begin
MODEL, DICTIONARY = "model/A", "sae/A/1"
WEIGHTS = [f"results/smoke/{MODEL}/weights.safetensors", f"results/smoke/{DICTIONARY}/sae_weights.safetensors"]


@dataclass
class Job:
    """A job as Slurm remembers it."""

    id: str
    state: str
    memory: str
    comment: str


class Killer(threading.Thread):
    """Waits for the first checkpoint of a training, stops its process where it is, and kills the job its way."""

    def __init__(self, workspace: Workspace, *, training: str, kill: Callable[["Killer"], None]) -> None:
        super().__init__(daemon=True)
        stage, _, name = training.partition("/")
        self.checkpoint = workspace.results / "state" / training / "checkpoint.safetensors"
        self.words, self.comment = {"replication", stage, "--name", name}, f"rule_{stage}_wildcards_{name.replace('/', '_')}"
        self.environment, self.kill, self.killed = workspace.environment, kill, ""
        self.start()

    def run(self) -> None:
        while not self.checkpoint.exists():
            time.sleep(0.02)
        self.process = next(int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if self.words <= set(arguments(path)))
        os.kill(self.process, signal.SIGSTOP)
        self.job = next(job.id for job in jobs(self.environment) if job.comment == self.comment)
        self.kill(self)
        self.killed = self.job


def arguments(path: Path) -> list[str]:
    """Of a process, from its `cmdline`; none when it has just ended."""
    try:
        return path.read_text(errors="replace").split("\0")
    except OSError:
        return []


def jobs(environment: dict[str, str]) -> list[Job]:
    """All jobs so far, by number."""
    return [Job(*line.split()) for line in asked(environment, "squeue", "--noheader", "--states=all", "--sort=i", "--format=%i %T %m %k").splitlines()]


def megabytes(job: Job) -> int:
    """Memory that it asked for."""
    return int(job.memory.removesuffix("M"))


def by_the_kernel(killer: Killer) -> None:
    os.kill(killer.process, signal.SIGKILL)


def by_slurm(killer: Killer) -> None:
    subprocess.run(["scancel", killer.job], env=killer.environment, check=True)


@dataclass
class Ran:
    """A run that has ended well, though two of its trainings were killed."""

    workspace: Workspace
    jobs: list[Job]
    killers: dict[str, Killer]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    if reason := missing():
        pytest.fail(reason)
    workspace = Workspace(tmp_path_factory.mktemp("cluster"))
    with one_node(workspace.environment) as workspace.environment:
        killers = {training: Killer(workspace, training=training, kill=kill) for training, kill in ((MODEL, by_the_kernel), (DICTIONARY, by_slurm))}
        workspace.run(
            sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", "--configfile", "config/smoke.yaml", "--cores", str(os.cpu_count()),
            "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3", *(["--", *WEIGHTS] if QUICK else []), check=True, timeout=7200)
        return Ran(workspace, jobs(workspace.environment), killers)


@pytest.mark.parametrize(("training", "state"), [(MODEL, "FAILED"), (DICTIONARY, "CANCELLED")])
def test_a_killed_training_is_retried_with_twice_the_memory_and_goes_on_from_its_checkpoint(ran, training, state):
    killer = ran.killers[training]
    first, second = [job for job in ran.jobs if job.comment == killer.comment]
    assert killer.killed == first.id and (first.state, second.state) == (state, "COMPLETED")
    assert 2000 < megabytes(first) < 2100 and megabytes(second) == 2 * megabytes(first)
    step = {MODEL: "100 of 195", DICTIONARY: "64 of 192"}[training]
    assert f"resumes after step {step}" in (ran.workspace.results / "logs" / f"{training}.log").read_text()


def test_every_other_job_ran_once(ran):
    killed = {killer.killed for killer in ran.killers.values()}
    assert {job.state for job in ran.jobs if job.id not in killed} == {"COMPLETED"}
    assert len({job.comment for job in ran.jobs if job.id in killed}) == 2
    # groups of the same rules share a comment; a rule and its wildcards have their own
    alone = Counter(job.comment for job in ran.jobs if job.id not in killed and not job.comment.startswith(GROUPS))
    assert alone and set(alone.values()) == {1}, alone


def test_what_came_out_equals_a_local_run_bit_for_bit(ran, tmp_path):
    local = Workspace(tmp_path / "local")
    local.snakemake("--", *WEIGHTS)
    for path in WEIGHTS:
        assert (ran.workspace.folder / path).read_bytes() == (local.folder / path).read_bytes()
    for folder in (MODEL, DICTIONARY):
        assert read_json(ran.workspace.results / folder / "meta.json")["files"] == read_json(local.results / folder / "meta.json")["files"]


@pytest.mark.skipif(QUICK, reason="only of a whole run")
def test_a_whole_run_is_whole_has_the_references_numbers_and_few_jobs(ran):
    for command in (["verify", "results/smoke"], ["claims", "results/smoke", "--check"]):
        done = ran.workspace.python(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert ran.workspace.jobs() == {}
    groups = {job.comment.split("_wildcards")[0] for job in ran.jobs}
    assert len(ran.jobs) < 80 and not {"rule_study", "rule_density_histograms", "rule_claims"} & groups
