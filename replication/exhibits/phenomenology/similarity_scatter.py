"""Matched features of two models: activation against logit weights, and against attribution."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

PANELS = (("logits", "correlation of logit weights"), ("attribution", "correlation of attributions"))
BINS = np.linspace(-0.2, 1.0, 13)
FEWEST = 10  # pairs of a bin whose median is drawn
LINE = 0.17  # inches
MEDIAN: Mapping[str, Any] = {"color": style.BLACK, "linewidth": 1.2, "marker": "D", "markersize": 3.2}


def draw(study: Study) -> Drawing:
    """Two scatters, and below them what the extreme pair does."""
    pairs, extreme = (study.data[study.data["row"] == row] for row in ("pair", "extreme"))
    lines = said(extreme)
    figure = style.figure(3.6 + LINE * len(lines))
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[3.4, 0.2 + LINE * len(lines)])[:, 0]
    for axes, (measure, name) in zip(upper.subplots(1, 2, sharey=True), PANELS, strict=True):
        scatter(axes, pairs, measure, study)
        axes.set_ylabel(name)
        star(axes, study.get("extreme_activation"), study.get(f"extreme_{measure}"))
    handles = [style.handle(color=style.ORANGE, marker="o", markersize=3, linestyle="none"), style.handle(**MEDIAN),
               style.handle(color=style.GREY, linewidth=0.8)]
    upper.legend(handles, ["a feature and its best match", "median by bin", "equal"], loc="outside upper left", ncols=3)
    axes = lower.subplots()
    axes.axis("off")
    for k, line in enumerate(lines):
        axes.text(0, 1 - (k + 0.5) / len(lines), line, fontsize=6.5, va="center", transform=axes.transAxes)
    n, shown = style.count(study.get("activation_median", "n") or len(pairs)), style.count(len(pairs))
    return Drawing(figure, f"n = {n} pairs at least per fit; shown: {shown} of the main dictionary", {"pairs": shown})


def star(axes: Axes, x: float | None, y: float | None) -> None:
    """The extreme pair, if one was found."""
    if x is None or y is None:
        return
    axes.plot([x], [y], marker="*", markersize=11, color=style.RED, markeredgecolor="white", markeredgewidth=0.7, zorder=6)
    axes.annotate("extreme\npair", (x, y), xytext=(-9, -13), textcoords="offset points", fontsize=6.5, ha="right", va="center", zorder=6,
                  color=style.RED, bbox=style.BEHIND, arrowprops={"arrowstyle": "-", "color": style.RED, "linewidth": 0.7})


def scatter(axes: Axes, pairs: pd.DataFrame, measure: str, study: Study) -> None:
    """One panel: every pair, medians by bin, and both medians as marks at the rim."""
    x, y = pairs["activation"].to_numpy(float), pairs[measure].to_numpy(float)
    axes.plot([-1, 1], [-1, 1], color=style.GREY, linewidth=0.8)
    axes.plot(x, y, "o", color=style.ORANGE, markersize=1.9, markeredgewidth=0, alpha=0.45, rasterized=True)
    place = np.digitize(x, BINS)
    bins = [k for k in range(1, len(BINS)) if (place == k).sum() >= FEWEST]
    axes.plot([float(np.median(x[place == k])) for k in bins], [float(np.median(y[place == k])) for k in bins], zorder=4, **MEDIAN)
    for key, across in (("activation_median", True), (f"{measure}_median", False)):
        value = study.get(key)
        if value is not None:
            rim: dict[str, Any] = {"markersize": 6, "color": style.BLACK, "clip_on": False, "zorder": 5, "linestyle": "none"}
            axes.plot(*(([value], [0]) if across else ([0], [value])), marker="^" if across else ">", **rim,
                      transform=axes.get_xaxis_transform() if across else axes.get_yaxis_transform())
    axes.axhline(0, color=style.LIGHT, linewidth=0.6, zorder=0)
    axes.set(xlim=(min(-0.05, x.min() - 0.02), 1.02), ylim=(min(-0.25, pairs[["logits", "attribution"]].min().min() - 0.05), 1.02),
             xlabel="correlation of activations")
    style.grid(axes, "both")


def said(extreme: pd.DataFrame) -> list[str]:
    """A line per side of the extreme pair."""
    if extreme.empty:
        return ["No pair agrees closely enough in activation to look for one whose logit weights differ."]
    return [f"{row.dictionary}/{int(row.feature)}  fires on {quoted(row.tokens)};  raises {quoted(row.raised)}"
            for row in extreme.itertuples()]


def quoted(tokens: object) -> str:
    """Tokens with their spaces visible."""
    return "  ".join(text.show(token).replace(" ", "␣") for token in json.loads(str(tokens)))
