"""Snakemake's own rounds of planning."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from replication.scheduling import spare_rounds

WORKFLOW = """
from replication.scheduling import spare_rounds

onstart:
    {hook}

rule all:
    input: expand("{{i}}.txt", i=range(4))

rule one:
    output: "{{i}}.txt"
    shell: "sleep 1.2; touch {{output}}"
"""


def rounds(folder, hook):
    folder.mkdir()
    (folder / "Snakefile").write_text(WORKFLOW.format(hook=hook))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--verbose", "--scheduler", "greedy"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stderr.count("Ready jobs: ")


def test_jobs_are_planned_when_one_ends_and_not_all_the_time(tmp_path):
    assert rounds(tmp_path / "spared", "spare_rounds(workflow)") <= 5 < rounds(tmp_path / "as_it_is", "pass")


@pytest.mark.parametrize(("limit", "stays"), [((100, 1), False), ((5, 1), True), ((100, 60), True)])
def test_a_limit_that_was_asked_for_stays(limit, stays):
    limiter = SimpleNamespace(max_jobs=limit[0], timespan=limit[1])
    scheduler = SimpleNamespace(job_rate_limiter=limiter)
    spare_rounds(SimpleNamespace(scheduler=scheduler))
    assert (scheduler.job_rate_limiter is limiter) == stays
