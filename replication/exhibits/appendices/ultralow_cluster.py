"""The ultralow cluster in density, encoder bias and decoder-encoder product: in three dimensions and in pairs."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

AXES = {"log10_density": "log$_{10}$ density", "bias": "encoder bias", "decoder_encoder": "decoder · encoder"}
PAIRS = (("log10_density", "bias"), ("log10_density", "decoder_encoder"), ("bias", "decoder_encoder"))
CLUSTERS: dict[str, dict[str, Any]] = {"upper": {"marker": "o", "facecolor": "none", "edgecolor": style.ORANGE, "linewidth": 0.45, "s": 5},
            "lower": {"marker": "x", "color": style.BLUE, "linewidth": 0.45, "s": 5}}
SHOWN = 1500  # points of a panel; more would only blacken it


def draw(study: Study) -> Drawing:
    """A row per start: the main dictionary, and the paper's start where the run has it."""
    first = study.data[study.data["dictionary"] == study.data["group"]]
    names = sorted(dict.fromkeys(first["group"]), key=lambda name: name != study.main)
    height = 0.45 + 2.05 * len(names)
    figure = Figure(figsize=(style.WIDTH, height))
    style.canvas(figure)
    for row, name in enumerate(names):
        low = (style.PRINT + 2.05 * (len(names) - 1 - row)) / height
        panels(figure, first[first["group"] == name], study, name, low, 2.05 / height)
    handles = [style.handle(marker="o", linestyle="none", markerfacecolor="none", color=style.ORANGE, label="upper cluster"),
               style.handle(marker="x", linestyle="none", color=style.BLUE, label="lower cluster")]
    figure.legend(handles=handles, loc="upper right", ncols=2, bbox_to_anchor=(0.985, 0.995))
    features = style.count(len(first[first["group"] == names[0]]))
    return Drawing(figure, f"n = {features} features of {names[0]} that fired; at most {SHOWN:,} drawn", {"features": features})


def panels(figure: Figure, data: pd.DataFrame, study: Study, name: str, low: float, height: float) -> None:
    """One dictionary: three dimensions left, pairs right."""
    shown = data.iloc[:: max(1, -(-len(data) // SHOWN))]
    suffix = "" if name == study.main else "_" + name.partition("/")[2]
    three, density = study.get(f"separation_auc{suffix}"), study.get(f"density_auc{suffix}")
    verdict = "no cluster with a direction of its own"
    if three is not None and density is not None:
        verdict = f"AUC {three:.3f} on three axes, {density:.3f} on density alone"
    lower = (data["cluster"] == "lower").mean()
    figure.text(0.012, low + height * 0.955, name, fontsize=8.5, fontweight="bold", va="top")
    clear = "a clear" if data["clear"].all() else "no clear"
    said = f"{100 * lower:.0f}% in the lower cluster, {clear} valley between; {verdict}"
    figure.text(0.16, low + height * 0.95, said, fontsize=7, va="top", color=style.GREY)
    space = figure.add_axes((-0.015, low + 0.02 * height, 0.27, 0.88 * height), projection="3d")
    assert isinstance(space, Axes3D)
    cloud(space, shown)
    for column, (x, y) in enumerate(PAIRS):
        axes = figure.add_axes((0.36 + 0.225 * column, low + 0.22 * height, 0.160, 0.60 * height))
        for cluster, kind in CLUSTERS.items():
            part = shown[shown["cluster"] == cluster]
            axes.scatter(part[x], part[y], **kind)
        axes.set_xlabel(AXES[x], labelpad=1)
        axes.set_ylabel(AXES[y], labelpad=1)
        axes.locator_params(nbins=4)


def cloud(space: Axes3D, data: pd.DataFrame) -> None:
    """The three axes at once."""
    for cluster, kind in CLUSTERS.items():
        part = data[data["cluster"] == cluster]
        solid: dict[str, Any] = {"marker": kind["marker"], "s": 3.5, "linewidth": 0.4, "alpha": 0.8, "depthshade": False}
        space.scatter(*(part[axis] for axis in AXES), color=kind.get("color", kind.get("edgecolor")), **solid)
    space.view_init(elev=18, azim=-62)
    space.set_box_aspect((1.1, 1, 0.9), zoom=1.0)
    for axis, label in zip((space.xaxis, space.yaxis, space.zaxis), AXES.values(), strict=True):
        axis.set_label_text(label, fontsize=6)
        axis.labelpad = -11.5
        axis.set_pane_color((1, 1, 1, 0))
        axis._axinfo["grid"].update(color=style.PALE, linewidth=0.4)
        axis.set_tick_params(labelsize=5, pad=-4)
    space.locator_params(nbins=4)
