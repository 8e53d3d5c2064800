"""Weights that others trained: where they lie, on disk or on the Hugging Face Hub, and their tensors, read without running anything."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.config import UserError

if TYPE_CHECKING:
    from torch import Tensor

HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<folder>[\w./-]+))?")
INFINITE = ("IGNORE",)  # a mask of TransformerLens's attention, which is minus infinity
PICKLED = (".pth", ".pt", ".bin")  # of these only the tensors are read


class ForeignError(UserError):
    """Foreign weights that cannot be had, read, or held by our architecture."""


def local_files(source: str) -> list[str]:
    """The files of a source that is a folder here; none of one that is not. Rules take them as inputs, so that a job reruns when one changed."""
    return sorted(str(path) for path in Path(source).glob("*") if path.suffix in (".json", ".safetensors", *PICKLED)) if Path(source).is_dir() else []


def locate(source: str, wanted: Sequence[str]) -> Path:
    """The folder that `source` names, its files (patterns `wanted`) downloaded where it is one of the Hub.

    A source is a folder here, or `owner/repository` of the Hub with or without `@revision` and `:folder`. With HF_HUB_OFFLINE=1 the cache under
    HF_HOME is asked alone. Raises ForeignError.
    """
    if Path(source).is_dir():
        return Path(source)
    found = HUB.fullmatch(source)
    if not found:
        raise ForeignError(f"{source} is no folder here and no name on the Hugging Face Hub, such as owner/repository or owner/repository@revision:folder")
    import huggingface_hub

    inside = found["folder"] or "."
    try:
        root = huggingface_hub.snapshot_download(found["repository"], revision=found["revision"],
                                                 allow_patterns=[name if inside == "." else f"{inside.rstrip('/')}/{name}" for name in wanted])
    except Exception as error:  # a missing network, name or revision comes as one of a dozen types
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ForeignError(f"{source} is no folder here and cannot be had from the Hugging Face Hub ({type(error).__name__}: {reason[:200]}); "
                           "without a network name a folder, or copy a filled HF_HOME here and set HF_HUB_OFFLINE=1") from error
    folder = Path(root, inside)
    if not folder.is_dir():
        raise ForeignError(f"{found['repository']} on the Hugging Face Hub has no folder {inside} with {' or '.join(wanted)}")
    return folder


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ForeignError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ForeignError(f"{path} is missing; it says what the weights beside it are") from None
    except (OSError, ValueError):
        raise ForeignError(f"{path} cannot be read as JSON") from None
    if not isinstance(found, dict):
        raise ForeignError(f"{path} holds no JSON object")
    return found


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Tensors by name, of a safetensors file or of a state dict saved by torch, weights only: nothing else in it is ever unpickled. Raises ForeignError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ForeignError(f"{path} is missing") from None
    except SafetensorError as error:
        raise ForeignError(f"{path} is truncated or not safetensors ({error})") from None
    except Exception:  # of a pickle: UnpicklingError, RuntimeError, EOFError and more
        raise ForeignError(f"{path} is truncated, or holds more than tensors, which is never unpickled; save its state_dict() as safetensors") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()):
        raise ForeignError(f"{path} is not a state dict of tensors by name; save the model's state_dict() as safetensors")
    for name, tensor in found.items():
        if not bool(torch.isfinite(tensor).all()) and not name.endswith(INFINITE):
            raise ForeignError(f"{path}: {name} holds numbers that are not finite, so these weights compute nothing; take another copy")
    return found
