"""The share of the loss that transformers with small MLPs recover, against their width, beside the dictionaries' shares."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

NOT_RUN = "not run: this run trains no transformers\nwith smaller MLPs (the config `full` does)"


def draw(study: Study) -> Drawing:
    """Left: share against the width of the MLP. Right, on the same scale: the dictionaries of the main model."""
    data = study.data
    models, dictionaries = data[data["kind"] != "dictionary"], data[data["kind"] == "dictionary"].sort_values("width")
    figure = style.figure(2.7)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    widths(left, models)
    of_dictionaries(right, dictionaries)
    shown = 100 * pd.concat([data["share"], data["low"], data["high"]]).dropna()
    left.set_ylim(min(shown.min(), 100) - 6, max(shown.max(), 100) + 4)
    left.set_ylabel("loss recovered (%)")
    tokens = style.count(data["tokens"].iloc[0])
    facts = {"tokens": tokens} | ({"trained": style.count(models["trained_tokens"].iloc[0])} if len(models) else {})
    return Drawing(figure, f"n = {tokens} predicted tokens; bars are 95% intervals, over seeds where there are several", facts)


def widths(axes: Axes, models: pd.DataFrame) -> None:
    """Small models with their intervals; the reference is 100 % by definition."""
    axes.set_title("Transformers trained from scratch")
    axes.set_xlabel("neurons of the MLP")
    if models.empty:
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", fontsize=7.5, color=style.GREY)
        axes.set_xticks([])
        return
    style.grid(axes)
    x = np.arange(len(models))
    small = (models["kind"] == "model").to_numpy()
    points(axes, x[small], models[small], style.BLUE, "s")
    axes.plot(x[small], 100 * models.loc[small, "share"], color=style.BLUE, linewidth=0.9, linestyle=style.SERIES[0]["linestyle"], zorder=2)
    axes.plot(x[~small], 100 * models.loc[~small, "share"], linestyle="none", marker="s", markersize=4.5, markerfacecolor="white", color=style.BLUE)
    axes.annotate("all neurons:\n100 % by definition", (float(x[~small][0]), 100.0), xytext=(-4, -4), textcoords="offset points", ha="right", va="top",
                  fontsize=6.5)
    axes.set_xticks(x, [style.count(width) for width in models["width"]])
    axes.set_xlim(-0.5, len(models) - 0.5)


def of_dictionaries(axes: Axes, rows: pd.DataFrame) -> None:
    """The dictionaries' shares."""
    x = np.arange(len(rows))
    points(axes, x, rows, style.ORANGE, "o")
    axes.set_xticks(x, [f"{name}\n{style.count(width)}" for name, width in zip(rows["name"], rows["width"], strict=True)])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("dictionary and its features")
    axes.set_title("Dictionaries of the whole MLP")
    style.grid(axes)


def points(axes: Axes, x: np.ndarray, rows: pd.DataFrame, color: str, marker: str) -> None:
    """Shares with intervals and their values in words."""
    for at, row in zip(x, rows.itertuples(), strict=True):
        if np.isfinite(row.low):
            axes.plot([at, at], [100 * row.low, 100 * row.high], color=color, linewidth=1.2, zorder=3)
        axes.annotate(f"{100 * row.share:.0f}", (at, 100 * row.share), xytext=(5, -2), textcoords="offset points", fontsize=6.5, va="top", color=style.DARK)
    axes.plot(x, 100 * rows["share"], linestyle="none", marker=marker, markersize=4.5, color=color, zorder=4)
