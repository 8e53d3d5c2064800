"""A machine of four GPUs, as far as its nvidia-smi says, and a job that claims some of them."""

from itertools import pairwise
from pathlib import Path

UUIDS = [f"GPU-{number}{number}aa0000-0000-0000-0000-000000000000" for number in range(4)]
# A job without torch, so that a dozen are cheap: how many GPUs and for how many seconds. It says which it had, from when to when.
JOB = """
import os, sys, time
from replication import gpus
from replication.progress import Progress
gpus.FOLDER, gpus.RETRY_S = os.environ["LOCKS"], 0.02
names = gpus.claim(int(sys.argv[1]), Progress("job", streams=[sys.stderr]))
assert names == os.environ["CUDA_VISIBLE_DEVICES"].split(",") == gpus.claim()
start = time.monotonic()
print("has", *names, flush=True)
time.sleep(float(sys.argv[2]))
print("had", start, time.monotonic(), *names)
"""


def make(folder: Path) -> Path:
    """Write the program nvidia-smi; returns its folder, for PATH."""
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n[ \"$*\" = '--query-gpu=uuid --format=csv,noheader' ] || exit 1\n" + "".join(f"echo {uuid}\n" for uuid in UUIDS))
    program.chmod(0o755)
    return program.parent


def spans(said: list[str]) -> list[tuple[str, float, float]]:
    """GPU, from and to (seconds), of all that jobs said, by GPU and time."""
    lines = [line.split() for text in said for line in text.splitlines() if line.startswith("had ")]
    return sorted((name, float(start), float(end)) for _, start, end, *names in lines for name in names)


def shared(held: list[tuple[str, float, float]]) -> list[tuple]:
    """Pairs of neighbours in `spans` that had one GPU at the same time."""
    return [(former, later) for former, later in pairwise(held) if former[0] == later[0] and later[1] < former[2]]
