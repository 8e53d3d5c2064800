"""Sparse autoencoders: the paper's recipe, from activation vectors to a dictionary and its training log."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replication.sae.dictionary import Dictionary


def load(folder: Path, device: str = "cpu") -> "Dictionary":
    """The dictionary of a folder. Raises ArtifactError when its weights are missing or not what was written."""
    from replication.sae.dictionary import load

    return load(folder, device)
