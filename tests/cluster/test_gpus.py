"""Snakemake on a machine of four GPUs: it counts them, and each job takes its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.four_gpus import JOB, UUIDS, make, shared, spans

pytestmark = pytest.mark.cluster
PROJECT = Path(__file__).parents[2]


def test_nine_jobs_use_four_gpus_and_never_share_one(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    environment = os.environ | {"LOCKS": str(tmp_path / "locks"), "PYTHONPATH": str(PROJECT),
                                "PATH": os.pathsep.join([str(make(tmp_path)), str(Path(sys.executable).parent), os.environ["PATH"]])}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    subprocess.run([sys.executable, "-m", "snakemake", "--snakefile", Path(__file__).with_name("four_gpus.smk"), "--directory", tmp_path, "--cores", "9",
                    "--resources", "gpu=4", "--quiet", "all"], env=environment, check=True, timeout=600)
    held = spans([(tmp_path / f"{job}.txt").read_text() for job in range(9)])
    first = min(start for _, start, _ in held)
    for uuid in UUIDS:
        print(uuid[:6], *(f"{start - first:5.1f} to {end - first:4.1f} s" for name, start, end in held if name == uuid), sep="   ")
    assert len(held) == 10 and shared(held) == [] and {name for name, _, _ in held} == set(UUIDS)
    assert max(sum(start <= moment < end for _, start, end in held) for _, moment, _ in held) == 4
