"""One binary neuron and four exclusive features: a drawn table of the cases with their losses; then layers of one-hot neurons."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

FEATURES = "ABCD"
HELD = {1: "one", 2: "two"}
TRAINED: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.5,
                           "color": style.DARK}
EDGE = "#8A4C00"
UNAVOIDABLE: dict[str, Any] = {"color": style.BLUE, "linestyle": (0, (4, 2)), "linewidth": 1.1}
SQUARE, LEFT = 0.62, -3.4  # side of a feature's square in rows; where the squares begin, in widths of one


def draw(study: Study) -> Drawing:
    """Left: cases; right: share of polysemantic neurons and loss against features per neuron."""
    data = study.data
    cases, restarts, layers = (data[data["table"] == kind].dropna(axis=1, how="all") for kind in ("case", "restart", "layer"))
    figure = style.figure(3.3)
    parts = figure.subplot_mosaic([["cases", "share"], ["cases", "loss"]], width_ratios=[1.75, 1])
    table(parts["cases"], cases, restarts)
    over_ratio(parts["share"], layers, "polysemantic", "unavoidable", 100)
    parts["share"].set(ylim=(-4, 104), ylabel="polysemantic (%)", title="One neuron on at a time")
    parts["share"].tick_params(labelbottom=False)
    over_ratio(parts["loss"], layers, "loss", "loss_monosemantic", 1)
    parts["loss"].set(xlabel="features for each neuron", ylabel="loss (nats)")
    neurons, tries = int(layers["neurons"].iloc[0]), int((layers["ratio"] == layers["ratio"].max()).sum())
    handles = [style.patch({"facecolor": style.ORANGE, "edgecolor": EDGE, "label": "turns the neuron on"}),
               style.handle(**TRAINED, label="trained from random starts"),
               style.handle(**style.MAIN, markersize=4, label="mean of trained layers"),
               style.handle(**UNAVOIDABLE, label="one feature a neuron, the rest on the last")]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, columnspacing=1.2, handletextpad=0.5)
    per_case = style.count(len(restarts) / restarts["case"].nunique())
    return Drawing(figure, f"n = {per_case} restarts a case; {tries} restarts a layer of {neurons} neurons",
                   {"restarts": per_case, "neurons": str(neurons), "layers": str(tries), "ratio": f"{layers['ratio'].max():.0f}"})


def table(axes: Axes, cases: pd.DataFrame, restarts: pd.DataFrame) -> None:
    """A row per number of features that turn the neuron on, and one for free training; bars are exact losses."""
    rows = cases.sort_values("features_on")
    longest = rows["loss"].max()
    axes.set(xlim=(LEFT * longest / 4, 1.16 * longest), ylim=(-0.75, len(rows) + 0.65))
    unit = longest / 8.5
    for y, on, loss in zip(range(len(rows), 0, -1), rows["features_on"].astype(int), rows["loss"], strict=True):
        chosen = on == len(FEATURES) // 2
        squares(axes, y, on, unit)
        axes.text(unit * -2.35, y, said(on), fontsize=6.4, va="center", ha="left", linespacing=1.25)
        face, hatch, weight = (style.ORANGE, None, "bold") if chosen else (style.PALE, "////", "normal")
        axes.barh(y, loss, height=0.62, facecolor=face, edgecolor=style.DARK, linewidth=0.7, hatch=hatch)
        axes.text(loss + 0.02 * longest, y, f"{loss:.3f}", fontsize=7, va="center", ha="left", fontweight=weight)
        if on in HELD:
            axes.plot(restarts.loc[restarts["case"] == HELD[on], "loss"].mean(), y, **TRAINED)
    free = restarts[restarts["case"] == "free"]
    axes.text(unit * -2.75, 0, "trained freely", fontsize=7, va="center", ha="right", fontweight="bold")
    axes.text(unit * -2.35, 0, "count of\nrestarts", fontsize=6.4, va="center", ha="left", linespacing=1.25)
    for _, ended in free.groupby((free["features_on"] - len(FEATURES) / 2).abs()):
        axes.plot(ended["loss"].mean(), -0.12, **TRAINED)
        axes.text(ended["loss"].mean(), 0.08, style.count(len(ended)), fontsize=6.4, va="bottom", ha="center")
    ends = f"lowest {free['loss'].min():.3f}, mean {free['loss'].mean():.3f}"
    axes.text(free["loss"].max() + 0.05 * longest, 0, ends, fontsize=7, va="center", ha="left")
    axes.axhline(0.5, color=style.LIGHT, linewidth=0.7)
    axes.set_yticks([])
    axes.set_xticks(np.arange(0, longest, 0.5))
    axes.set_xlabel("loss (nats)", x=0.72)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, longest)
    axes.set_title("One binary neuron, four features of which one is there at a time")


def squares(axes: Axes, y: float, on: int, unit: float) -> None:
    """Four squares with the features' names; those that turn the neuron on are filled."""
    for place, name in enumerate(FEATURES):
        face, edge, letter, weight = (style.ORANGE, EDGE, "white", "bold") if place < on else ("white", style.GREY, style.GREY, "normal")
        x = unit * (-6.4 + 0.95 * place)
        axes.add_patch(Rectangle((x, y - SQUARE / 2), 0.82 * unit, SQUARE, facecolor=face, edgecolor=edge, linewidth=0.8, clip_on=False))
        axes.text(x + 0.41 * unit, y - 0.02, name, fontsize=7, ha="center", va="center", color=letter, fontweight=weight)


def said(on: int) -> str:
    """What the model knows from the neuron alone."""
    groups = ("on", FEATURES[:on]), ("off", FEATURES[on:])
    listed = {state: " or ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}" for state, names in groups if names}
    return "\n".join(f"{state}: {names}" for state, names in listed.items())


def over_ratio(axes: Axes, layers: pd.DataFrame, key: str, bound: str, factor: float) -> None:
    """Restarts and their mean, beside the layer in which as many neurons as possible serve one feature."""
    means = layers.groupby("ratio")[[key, bound]].mean()
    axes.plot(layers["ratio"], factor * layers[key], **TRAINED, zorder=2)
    axes.plot(means.index, factor * means[key], **style.MAIN, markersize=4, zorder=3)
    axes.plot(means.index, factor * means[bound], **UNAVOIDABLE)
    axes.set_xscale("log", base=2)
    axes.set_xticks(means.index, [f"{ratio:g}" for ratio in means.index])
    axes.minorticks_off()
    style.grid(axes)
