"""The paper's one-layer transformers: `load(folder)`, and `to_hooked(folder)` for TransformerLens."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replication.model.hooked import to_hooked as to_hooked
    from replication.model.store import load as load

__all__ = ["load", "to_hooked"]


def __getattr__(name: str) -> Any:
    """Imported on first use, because the command line should not wait for torch, nor training for TransformerLens."""
    if name == "load":
        from replication.model.store import load

        return load
    if name == "to_hooked":
        from replication.model.hooked import to_hooked

        return to_hooked
    raise AttributeError(f"module 'replication.model' has no attribute {name!r}")
