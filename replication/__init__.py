"""A reproducible replication of *Towards Monosemanticity* (Bricken et al. 2023).

The stages follow the data: corpus, model, activations, sae, features, interpretability, studies, exhibits, claims, browser.
A stage imports only from the stages above it and from the ground floor (`config`, `artifacts`, `provenance`, `randomness`,
`progress`). From a notebook: ``from replication import Run``.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from replication.run import Run as Run

__all__ = ["Run", "__version__"]


def __getattr__(name: str) -> Any:
    """`Run` is imported on first use, because the command line's `--help` should not wait for pandas."""
    if name == "Run":
        from replication.run import Run

        return Run
    raise AttributeError(f"module 'replication' has no attribute {name!r}")
