"""A model's folder: `architecture.json` and `weights.safetensors`, written together and checked when read."""

from pathlib import Path

import torch

from replication import artifacts
from replication.model.transformer import Architecture, Transformer
from replication.validation import build


def save(model: Transformer, folder: Path) -> dict[str, Path]:
    """Write architecture and weights (float32); returns the files by role, for the folder's metadata."""
    files = {"architecture": folder / artifacts.ARCHITECTURE, "weights": folder / artifacts.WEIGHTS}
    artifacts.write_json(files["architecture"], model.architecture)
    artifacts.write_tensors(files["weights"], model.state_dict())
    return files


def load(folder: Path, device: str | torch.device = "cpu") -> Transformer:
    """The model of a folder, in evaluation mode and without gradients.

    Raises ArtifactError when a file is missing, changed since it was written, or of another shape than the architecture.
    """
    folder = Path(folder)
    artifacts.check(folder, artifacts.ARCHITECTURE, artifacts.WEIGHTS)
    return read(folder, device)


def read(folder: Path, device: str | torch.device = "cpu") -> Transformer:
    """As `load`, for a folder that has no metadata, such as a foreign model's."""
    model = Transformer(architecture(folder))
    path = folder / artifacts.WEIGHTS
    tensors = artifacts.read_tensors(path)
    for name, expected in model.state_dict().items():
        if name not in tensors or tensors[name].shape != expected.shape:
            found = f"has shape {tuple(tensors[name].shape)}" if name in tensors else "is missing"
            raise artifacts.ArtifactError(f"{path}: {name} {found}, but {artifacts.ARCHITECTURE} asks for {tuple(expected.shape)}; make the model again")
    model.load_state_dict(tensors, strict=False)
    return model.to(device).eval().requires_grad_(False)


def architecture(folder: Path) -> Architecture:
    """The architecture of a model's folder. Raises ArtifactError when it is missing, ConfigError when a value is none of its kind."""
    path = folder / artifacts.ARCHITECTURE
    made: Architecture = build(Architecture, artifacts.read_json(path), str(path))
    return made
