"""Shares of tokens, activation and effect per activation interval, and how large the maxima are."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "tokens": ("firing tokens", {"color": style.BLACK, "linestyle": (0, (1, 1.2)), "marker": "^"}),
    "activation": ("summed activation", {"color": style.ORANGE, "linestyle": "-", "marker": "o"}),
    "effect": ("rise of the loss by ablation", {"color": style.RED, "linestyle": (0, (5, 1.5)), "marker": "s"}),
    "effect_absolute": ("the same, no sign", {"color": style.GREY, "linestyle": (0, (4, 1.2, 1, 1.2)), "marker": "D"}),
}
QUANTILES = {0.05: "5%", 0.5: "median", 0.95: "95%"}


def draw(study: Study) -> Drawing:
    """Left: a line per quantity over the intervals, strongest on the right; right: histogram of maxima with the published quantiles."""
    data = study.data
    figure = style.figure(2.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    lines(left, data[data["table"] == "interval"])
    fired = maxima(right, study, data[data["table"] == "maximum"])
    handles, labels = left.get_legend_handles_labels()
    handles.append(style.handle(**style.PUBLISHED, label="A/1 as published"))
    figure.legend(handles, [*labels, "A/1 as published"], loc="outside upper center", ncols=5, columnspacing=1.0, handlelength=2.4)
    features = style.count(data["features"].iloc[0])
    return Drawing(figure, f"n = {features} live features (left), {fired} that fired (right); bands are 95% intervals over features",
                   {"features": features, "fired": fired, "dictionary": str(data["dictionary"].iloc[0])})


def lines(axes: Axes, rows: pd.DataFrame) -> None:
    """Shares in percent with bands."""
    middle = 100 * (rows["low"] + rows["high"]) / 2
    for key, (label, kind) in KINDS.items():
        axes.fill_between(middle, 100 * rows[f"{key}_low"], 100 * rows[f"{key}_high"], color=kind["color"], alpha=0.15, linewidth=0)
        axes.plot(middle, 100 * rows[key], label=label, markersize=3.6, linewidth=1.2, **kind)
    axes.axhline(0, color=style.DARK, linewidth=0.6)
    axes.set_xticks(100 * np.append(rows["low"], 1.0), [f"{100 * edge:.0f}" for edge in np.append(rows["low"], 1.0)])
    axes.set(xlim=(0, 100), xlabel="activation (% of the feature's maximum)", ylabel="share of the whole (%)",
             title="In each activation interval")
    top = axes.secondary_xaxis("top")
    top.set_xticks(middle.to_list(), [f"{interval:.0f}" for interval in rows["interval"]])
    top.tick_params(length=0, pad=-1, labelsize=6, labelcolor=style.GREY)
    top.spines["top"].set_visible(False)
    style.grid(axes)


def maxima(axes: Axes, study: Study, rows: pd.DataFrame) -> str:
    """Histogram of maximum activations; returns the number of features."""
    total = rows["count"].sum()
    edges = np.append(rows["low"].to_numpy(), rows["high"].iloc[-1])
    height = 100 * rows["count"].to_numpy() / total
    axes.stairs(height, edges, fill=True, color=style.ORANGE, alpha=0.35)
    axes.stairs(height, edges, color=style.ORANGE, linewidth=1)
    median = study.get("maximum_median")
    if median is not None:
        axes.plot([median], [0], marker="^", color=style.ORANGE, markersize=7, markeredgecolor="white", clip_on=False, zorder=5)
    published = study.distributions.query("distribution == 'maximum activation' and dictionary == 'A/1' and kind == 'quantile'")
    for at, value in zip(published["low"], published["value"], strict=True):
        style.rule(axes, value, QUANTILES[at], y=0.99, linewidth=0.7)
    axes.set(xlim=(0, max(edges[-1], published["value"].max() if len(published) else 0) * 1.06), ylim=(0, 1.15 * height.max()),
             xlabel="maximum activation", ylabel="features (% per bin)", title="Maxima")
    return style.count(total)
