"""L0 against loss recovered: a line per l1 over sizes, and at each size over l1."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

NEAR_L0, NEAR_RECOVERED = 0.12, 2.5  # in log L0 and points: labels nearer than this would cover each other
TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500)
REPLICATE: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6,
                             "color": style.DARK}


def draw(study: Study) -> Drawing:
    """One panel; replicates as small points around their mean."""
    data = study.data
    figure = style.figure(3.5, width=5.2)
    axes = figure.subplots()
    grouped = data.groupby("group", sort=False)
    means = grouped[["l0", "recovered"]].mean().assign(d_sae=grouped["d_sae"].first(), l1=grouped["l1"].first())
    lines = sorted(means["l1"].unique())
    main = max(lines, key=lambda l1: (means["l1"] == l1).sum())
    kinds = style.series([f"{l1:g}" for l1 in lines], f"{main:g}")
    at_one_size(axes, means)
    for l1 in lines:
        line, kind = means[means["l1"] == l1].sort_values("d_sae"), kinds[f"{l1:g}"]
        replicates = data[(data["l1"] == l1) & data.duplicated("group", keep=False)]
        axes.plot(line["l0"], 100 * line["recovered"], **kind, markersize=5.5, label=style.l1(l1), zorder=3)
        axes.plot(replicates["l0"], 100 * replicates["recovered"], **REPLICATE, zorder=4)
    labels(axes, means)
    for value in study.distributions.query("distribution == 'l0' and dictionary == 'A/1'")["value"]:
        style.rule(axes, value, f"L0 of A/1\nas published\n({value:.1f})")
    axes.set(xscale="log", xlabel="L0: active features per token", ylabel="loss recovered (%)")
    axes.margins(x=0.14, y=0.12)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    style.grid(axes, "both")
    handles, names = axes.get_legend_handles_labels()
    handles += [style.handle(color=style.LIGHT, linewidth=3), style.handle(**REPLICATE)]
    axes.legend(handles, [*names, "one size", "a replicate"], loc="lower right")
    tokens = style.count(data["tokens"].iloc[0])
    return Drawing(figure, f"n = {tokens} predicted tokens", {"tokens": tokens})


def labels(axes: Axes, means: pd.DataFrame) -> None:
    """Name and size right below each point, or left above it where the next point lies too near."""
    placed: list[tuple[float, float]] = []
    for name, row in means.sort_values("l0").iterrows():
        at = float(np.log(row["l0"])), 100 * float(row["recovered"])
        crowded = any(abs(at[0] - x) < NEAR_L0 and abs(at[1] - y) < NEAR_RECOVERED for x, y in placed)
        x, y, ha, va = (-7, 4, "right", "bottom") if crowded else (7, -2, "left", "top")
        axes.annotate(f"{name}\n{style.count(row['d_sae'])}", (row["l0"], at[1]), xytext=(x, y), textcoords="offset points", ha=ha, va=va,
                      fontsize=6.3, linespacing=1.15, bbox=style.BEHIND)
        placed.append(at)


def at_one_size(axes: Axes, means: pd.DataFrame) -> None:
    """A broad pale line through the dictionaries of one size."""
    for _, line in means.groupby("d_sae"):
        if len(line) > 1:
            ordered = line.sort_values("l1")
            axes.plot(ordered["l0"], 100 * ordered["recovered"], color=style.PALE, linewidth=5, solid_capstyle="round", zorder=1)
