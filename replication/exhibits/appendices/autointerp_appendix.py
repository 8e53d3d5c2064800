"""Pearson and importance-weighted scores beside Spearman ones, shares of zeros, lengths of explanations, failures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import scores, style
from replication.exhibits.study import Drawing, Study

NEAR = 0.1
FAILURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "overlong": ("overlong", {"facecolor": style.LIGHT, "edgecolor": style.GREY, "hatch": "////"}),
    "errors": ("errors", {"facecolor": style.RED, "edgecolor": style.DARK}),
}


def draw(study: Study) -> Drawing:
    """Six panels."""
    data = study.data
    units, zeros, words, failed = (data[data["table"] == kind] for kind in ("unit", "zeros", "words", "failures"))
    figure = style.figure(4.6)
    panels = figure.subplots(2, 3)
    scatter(panels[0, 0], units, "pearson", "Pearson score")
    scatter(panels[0, 1], units, "weighted", "weighted Spearman score")
    weighted(panels[0, 2], units)
    silent(panels[1, 0], zeros, study)
    names = scores.explainers(data)
    lengths(panels[1, 1], words, names)
    failures(panels[1, 2], failed, names, study)
    panels[0, 0].set_title("Pearson")
    panels[0, 1].set_title("Weighted by importance")
    handles = [*scores.handles(scores.roles(units), scores.fits(zeros)), style.handle(**style.PUBLISHED, label="published"),
               *(style.patch({**look, "label": label, "linewidth": 0.5}) for label, look in FAILURES.values())]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, columnspacing=1.2, handlelength=2.0)
    sizes = {role: style.count((units["role"] == role).sum()) for role in scores.ROLES}
    note = ", ".join(f"{size} {scores.ROLES[role][0]}" for role, size in sizes.items() if size != "0")
    return Drawing(figure, f"n = {note} (above)", {"headline": scores.NAMES.get(names[0], names[0]), **{f"n_{role}": size for role, size in sizes.items()}})


def scatter(axes: Axes, units: pd.DataFrame, which: str, label: str) -> None:
    """One score against the Spearman score, a mark for each unit."""
    for role, (_, kind) in reversed(list(scores.ROLES.items())):
        rows = units[units["role"] == role]
        filled = kind["color"] if role == "features" else "none"
        axes.plot(rows["spearman"], rows[which], linestyle="", marker=kind["marker"], markersize=2.2, markerfacecolor=filled,
                  markeredgecolor=kind["color"], markeredgewidth=0.4, alpha=0.7, rasterized=True)
    low = min(-0.1, float(units[["spearman", which]].min().min())) - 0.03
    axes.plot([low, 1], [low, 1], color=style.DARK, linewidth=0.7, zorder=0)
    axes.set(xlim=(low, 1.03), ylim=(low, 1.03), xlabel="Spearman score", ylabel=label)
    style.grid(axes, "both")


def weighted(axes: Axes, units: pd.DataFrame) -> None:
    """Histograms of the weighted score; what is near 0 is shaded."""
    edges = np.arange(-1.025, 1.03, 0.05)
    for role, (_, kind) in scores.ROLES.items():
        values = units.loc[units["role"] == role, "weighted"].to_numpy(float)
        if not len(values):
            continue
        height = 100 * np.histogram(values, edges)[0] / len(values)
        if role == "features":
            axes.stairs(height, edges, fill=True, color=kind["color"], alpha=0.3)
        axes.stairs(height, edges, color=kind["color"], linestyle=kind["linestyle"], linewidth=1.0)
    axes.axvspan(-NEAR, NEAR, color=style.PALE, linewidth=0, zorder=0)
    axes.set(xlim=(-0.52, 1.03), xlabel="weighted Spearman score", ylabel="units (%)", title="Near 0 (shaded)")
    axes.set_ylim(bottom=0)


def silent(axes: Axes, zeros: pd.DataFrame, study: Study) -> None:
    """Shares of zeros on random windows; marks are means, and published ones stand in their colours."""
    edges = style.edges(zeros)
    for role, (_, kind) in scores.ROLES.items():
        scores.histogram(axes, zeros[zeros["role"] == role], role, edges)
        value, published = study.get(f"zero_share_{role}"), study.published.get(f"zero_share_{role}")
        if value is not None:
            axes.plot([value], [0], marker=kind["marker"], color=kind["color"], markersize=6, markeredgecolor="white", clip_on=False, zorder=5)
        if published is not None:
            axes.axvline(published, **{**style.PUBLISHED, "color": kind["color"]})
    axes.set(xlim=(-0.02, 1.02), ylim=(0, None), xlabel="share of zeros, random windows", ylabel="units (%)", title="True activations at 0")


def lengths(axes: Axes, words: pd.DataFrame, names: list[str]) -> None:
    """Words of explanations: middle half as a bar, 5 to 95 % as a line, median as a mark."""
    for place, name in enumerate(reversed(names)):
        for offset, (role, (_, kind)) in enumerate(scores.ROLES.items()):
            at = words[(words["explainer"] == name) & (words["role"] == role)].set_index("quantile")["value"]
            if len(at):
                y = place + 0.24 - 0.24 * offset
                axes.plot([at[0.05], at[0.95]], [y, y], color=kind["color"], linewidth=0.8)
                axes.plot([at[0.25], at[0.75]], [y, y], color=kind["color"], linewidth=3.0, alpha=0.5, solid_capstyle="butt")
                axes.plot([at[0.5]], [y], marker=kind["marker"], color=kind["color"], markersize=3.6)
    _rows(axes, names)
    axes.set(xlabel="words", title="Lengths of explanations", xlim=(0, None))
    style.grid(axes, "x")


def failures(axes: Axes, failed: pd.DataFrame, names: list[str], study: Study) -> None:
    """Shares of explanations that are overlong and of answers that are errors, by explainer and role."""
    for place, name in enumerate(reversed(names)):
        for offset, role in enumerate(scores.ROLES):
            y, left = place + 0.24 - 0.24 * offset, 0.0
            for row in failed[(failed["explainer"] == name) & (failed["role"] == role)].itertuples():
                for which, (_, look) in FAILURES.items():
                    width = 100 * getattr(row, which) / row.asked
                    axes.barh(y, width, left=left, height=0.2, linewidth=0.5, **look)
                    left += width
                axes.text(left + 0.5, y, f"{row.errors + row.overlong:.0f} of {row.asked:,.0f}", fontsize=5.5, va="center",
                          color=scores.ROLES[role][1]["color"])
    _rows(axes, names)
    axes.set(xlabel="explanations (%)", title="Overlong and failed", xlim=(0, max(30.0, 1.4 * axes.dataLim.x1)))


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [scores.NAMES.get(name, name) for name in reversed(names)])
    axes.set_ylim(-0.5, len(names) - 0.5)
    axes.tick_params(axis="y", length=0)
