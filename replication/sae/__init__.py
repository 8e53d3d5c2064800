"""Sparse autoencoders: the paper's recipe, from activation vectors to a dictionary and its training log."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replication.sae.dictionary import Dictionary


def load(folder: Path, device: str = "cpu") -> "Dictionary":
    """The dictionary of a folder. Raises ArtifactError when its weights are missing or not what was written."""
    from replication.sae.dictionary import load

    return load(folder, device)


def site_of(folder: Path, n_layers: int = 1) -> str:
    """The site whose vectors a dictionary decomposes, in a model of so many layers. Raises ArtifactError when its `cfg.json` names none."""
    from replication.sae.dictionary import site_of

    return site_of(folder, n_layers)
