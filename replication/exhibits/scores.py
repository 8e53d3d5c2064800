"""What the exhibits of explanations share: how features, neurons and the shuffled model are drawn, and histograms of their scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from replication.exhibits import style

ROLES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "features": ("features", style.MAIN),
    "neurons": ("neurons", style.SERIES[0]),
    "random": ("shuffled model's features", style.SERIES[1]),
}
CONTROL: tuple[str, Mapping[str, Any]] = ("features, explanation of another one", {"color": style.GREY, "linestyle": "-", "marker": "x"})
EVERY: Mapping[str, tuple[str, Mapping[str, Any]]] = {**ROLES, "control": CONTROL}
NAMES: Mapping[str, str] = {"lookup": "token lookup", "ngram": "n-gram", "trie": "context trie", "tree": "tree", "llm": "language model",
                            "people": "people"}


def explainers(rows: pd.DataFrame) -> list[str]:
    """The explainers of a study, the headline one first."""
    headline = str(rows["headline"].iloc[0])
    return [headline, *(name for name in dict.fromkeys(rows["explainer"].dropna()) if name != headline)]


def columns(panels: int) -> int:
    """How many panels stand side by side."""
    return panels if panels <= 4 else 3


def roles(rows: pd.DataFrame) -> list[str]:
    """Of the roles that are drawn, those that a study has."""
    return [role for role in EVERY if (rows["role"] == role).any()]


def histogram(axes: Axes, rows: pd.DataFrame, role: str, edges: np.ndarray) -> float:
    """A histogram in percent of one role's units, over all of its replicates; returns its highest bin. Features are filled."""
    counts = style.counts(rows, "count", edges)
    if not counts.sum():
        return 0.0
    height = 100 * counts / counts.sum()
    kind = EVERY[role][1]
    if role == "features":
        axes.stairs(height, edges, fill=True, color=kind["color"], alpha=0.3)
    axes.stairs(height, edges, color=kind["color"], linestyle=kind["linestyle"], linewidth=0.7 if role == "control" else 1.0)
    return float(height.max())


def interval(axes: Axes, row: Any, role: str, y: float, *, size: float = 4.2, hollow: bool = False, **more: Any) -> None:
    """A value with its 95 % interval, lying."""
    kind = EVERY[role][1]
    axes.plot([row["low"], row["high"]], [y, y], color=kind["color"], linewidth=1.0, solid_capstyle="butt", **more)
    axes.plot([row["value"]], [y], linestyle="", marker=kind["marker"], color=kind["color"], markersize=size,
              markerfacecolor="white" if hollow else kind["color"], markeredgewidth=0.9 if hollow or kind["marker"] == "x" else 0.5, **more)


def handles(found: list[str], replicates: Mapping[str, int]) -> list[Line2D]:
    """A line of the legend for each role, with its number of fits where there are several."""
    def label(role: str) -> str:
        fits = replicates.get(role, 1)
        return EVERY[role][0] + (f" ({fits} fits)" if fits > 1 else "")

    return [style.handle(**EVERY[role][1], markersize=4.2, label=label(role)) for role in found]


def fits(rows: pd.DataFrame) -> dict[str, int]:
    """The number of dictionaries of each role."""
    return {str(role): int(count) for role, count in rows.groupby("role")["dictionary"].nunique().items()}
