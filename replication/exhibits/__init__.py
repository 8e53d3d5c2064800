"""The exhibits: every figure and table, in the paper's order. A registry that imports nothing heavy.

An exhibit reads its study's `data.csv` and `numbers.json`, the published values and its caption, and draws; it never computes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from replication.provenance import code


@dataclass(frozen=True)
class Exhibit:
    """One figure or table: where in the paper it stands, what it is called, which study it draws, and the module that does."""

    id: str
    section: str
    title: str
    kind: Literal["figure", "table"]
    study: str
    module: str


def _figure(name: str, section: str, title: str) -> Exhibit:
    return Exhibit(name, section, title, "figure", name, f"replication.exhibits.{name}")


EXHIBITS: Mapping[str, Exhibit] = {exhibit.id: exhibit for exhibit in (
    _figure("live_features", "Global analysis", "Dead, ultralow and live features"),
    _figure("loss_recovered", "Global analysis", "Loss recovered"),
    _figure("universality_histogram", "Phenomenology", "Universality: best matches between two models"),
    _figure("density_histograms", "Appendices", "Feature density"),
    _figure("ultralow_cluster", "Appendices", "The ultralow cluster"),
    _figure("tradeoff", "Appendices", "Sparsity against loss recovered"),
    _figure("neuron_basis", "Appendices", "Features in the neuron basis"),
    _figure("training_curves", "Appendices", "Training curves"),
    _figure("cost_scaling", "Beyond the paper", "What a training step costs"),
)}


def suffixes(exhibit: Exhibit) -> tuple[str, ...]:
    """Of the files that an exhibit writes: its pictures or tables, and its caption as text."""
    return (".png", ".pdf", ".txt") if exhibit.kind == "figure" else (".csv", ".md", ".txt")


def sources(exhibit: Exhibit) -> list[str]:
    """Source files that the picture depends on."""
    return sorted({*code(exhibit.module), *code("replication.exhibits.draw")})
