"""Activation vectors: which tokens are read, how they are shuffled, and how a dictionary's training gets them."""

from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings

if TYPE_CHECKING:
    import torch

    from replication.activations.stream import Stream


def open_stream(settings: Settings, *, model: Path, tokens: Path, folder: Path, device: "torch.device") -> "Stream":
    """The shuffled vectors of a model, read from disk or recomputed as the config says; the batches are the same."""
    from replication.activations.stream import open_stream

    return open_stream(settings, model=model, tokens=tokens, folder=folder, device=device)
