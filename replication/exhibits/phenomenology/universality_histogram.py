"""How well features of one model match features of another, beside neurons."""

from typing import Any

import numpy as np
import pandas as pd

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

COMPARISONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "features to features": ("features to features of the other model", "feature_median", {"color": style.ORANGE, "linestyle": "-"}),
    "neurons to neurons": ("neurons to neurons of the other model", "neuron_median", {"color": style.BLACK, "linestyle": (0, (5, 1.2))}),
    "features to own neurons": ("features to neurons of their own model", "feature_to_own_neuron_median",
                                {"color": style.BLUE, "linestyle": (0, (1, 1))}),
}


def draw(study: Study) -> Drawing:
    """Step histograms; our medians as marks below the axis line, the published ones as thin dashed lines."""
    figure = style.figure(3.2)
    axes = figure.subplots()
    top = 0.0
    sizes = {}
    for comparison, (label, key, kind) in COMPARISONS.items():
        rows = study.data[study.data["comparison"] == comparison]
        summed, sizes[comparison] = total(rows)
        edges = np.append(summed.index.to_numpy(), rows["high"].max())
        share = 100 * summed.to_numpy() / summed.sum()
        top = max(top, share.max())
        median = study.get(key)
        shown = "" if median is None else f", median {median:.2f}"
        axes.stairs(share, edges, linewidth=1.4, fill=False, label=label + shown, **kind)
        if comparison == "features to features":
            axes.stairs(share, edges, fill=True, color=style.ORANGE, alpha=0.18)
        if median is not None:
            axes.plot([median], [0], marker="^", markersize=7, color=kind["color"], markeredgecolor="white", markeredgewidth=0.6,
                      clip_on=False, zorder=5)
    for key, name in (("neuron_median", "neurons"), ("feature_median", "features")):
        if key in study.published:
            style.rule(axes, study.published[key], f"{name},\npublished\nmedian {study.published[key]:.2f}", y=0.99, linewidth=0.7)
    axes.set(xlabel="correlation of activations with the best match", ylabel="share (% per bin)", ylim=(0, 1.32 * top))
    occupied = study.data[study.data["count"] > 0]
    axes.set_xlim(min(0.0, occupied["low"].min()), 1.0)
    style.grid(axes)
    handles, labels = axes.get_legend_handles_labels()
    handles.append(style.handle(marker="^", linestyle="none", markersize=6, color=style.GREY))
    figure.legend(handles, [*labels, "our median"], loc="outside upper left", ncols=2, columnspacing=1.6)
    features, neurons = style.count(sizes["features to features"]), style.count(sizes["neurons to neurons"])
    return Drawing(figure, f"n = {features} live features over replicates, {neurons} neurons",
                   {"features": features, "neurons": neurons})


def total(rows: pd.DataFrame) -> tuple[pd.Series, int]:
    """Counts per bin over replicates, and their sum."""
    summed = rows.groupby("low")["count"].sum()
    return summed, int(summed.sum())
