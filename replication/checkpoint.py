"""Training state between checkpoints: exact resume, or a refusal.

The state lies outside every declared output of a rule, because Snakemake deletes the outputs of a failed job. It holds
tensors, the step and the log so far; it needs no generator state, because every draw is made from seed, purpose and
step. An `identity` (of settings and inputs) says whose state it is. A training goes on under changed source, since that
loses nothing, but keeps the commits that it ran under.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import provenance
from replication.artifacts import CHECKPOINT, ArtifactError, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch


@dataclass
class Checkpoint:
    """State after `step` steps: tensors by name, the rows of the training log so far, and the source commits that made them, in order."""

    step: int
    tensors: dict[str, "torch.Tensor"]
    rows: list[dict[str, Any]]
    commits: list[str]


def save(folder: Path, identity: str, *, step: int, tensors: Mapping[str, "torch.Tensor"], rows: list[dict[str, Any]], commits: list[str]) -> None:
    """Replace the checkpoint of `folder` in one atomic move."""
    about = {"identity": identity, "step": str(step), "rows": json.dumps(rows), "commits": json.dumps(commits)}
    write_tensors(folder / CHECKPOINT, tensors, about)


def commits(saved: Checkpoint | None) -> list[str]:
    """The source commits of a training that starts now or resumes: those of its checkpoint, then the present one."""
    before, now = saved.commits if saved else [], provenance.commit()
    return before if before[-1:] == [now] else [*before, now]


def resumes(step: int, steps: int, commits: list[str]) -> str:
    """What a training says that resumes; under another commit than before that is a warning."""
    said = f"resumes after step {step} of {steps}"
    return f"warning: {said} under changed source ({', then '.join(commits)}); its metadata names all commits" if len(commits) > 1 else said


def load(folder: Path, identity: str, device: str = "cpu", part: "Callable[[str, torch.Tensor], torch.Tensor]" = lambda _, tensor: tensor) -> Checkpoint | None:
    """The checkpoint of `folder`, or None where there is none. `part(name, tensor)` is what is wanted of each tensor; no more of the file is read.

    Raises ArtifactError when it belongs to other settings or other inputs, or is truncated.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
    except SafetensorError:
        raise ArtifactError(f"{path} is truncated; delete {folder} to train from the start") from None
    if found.get("identity") != identity:
        raise ArtifactError(
            f"{path} was written with other settings or from other inputs; delete {folder} to train from the start, or restore the settings to resume")
    # copies, because tensors read from a file lie at any address, and the order of sums in a product depends on alignment
    tensors = {name: part(name, tensor).to(device, copy=True) for name, tensor in read_tensors(path).items()}
    return Checkpoint(step=int(found["step"]), tensors=tensors, rows=json.loads(found["rows"]), commits=json.loads(found.get("commits", "[]")))


def clear(folder: Path) -> None:
    """Remove the checkpoint of a training that has ended, and what was left of any that was killed while it wrote one."""
    for path in [folder / CHECKPOINT, *folder.glob(f".{Path(CHECKPOINT).stem}-*")]:
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
