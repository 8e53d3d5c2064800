"""Which features recur: maximum cosine with another seed by density, with controls; against density, seeds, activations, sizes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

QUARTERS: Mapping[int, Mapping[str, Any]] = {
    0: {"facecolor": "white", "hatch": "////", "label": "rarest quarter"}, 1: {"facecolor": "#F8DDB5", "label": "second"},
    2: {"facecolor": "#EFA64A", "label": "third"}, 3: {"facecolor": "#B35F00", "label": "densest quarter"}}
RIM = {"edgecolor": "#8A4C00", "linewidth": 0.4}
CHANCE: Mapping[str, Mapping[str, Any]] = {
    "random": {"color": style.GREY, "linestyle": (0, (1, 1)), "label": "random directions"},
    "moments": {"color": style.BLACK, "linestyle": "-", "label": "random, same covariance"},
    "other model": {"color": style.BLUE, "linestyle": (0, (5, 1.5)), "label": "another model's dictionary"}}
MOVED: dict[str, Any] = {"marker": "o", "color": style.ORANGE, "markersize": 2.0, "markeredgewidth": 0, "alpha": 0.5, "linestyle": "none"}
STUCK: dict[str, Any] = {"marker": "x", "color": style.BLUE, "markersize": 2.6, "markeredgewidth": 0.6, "linestyle": "none"}
ALL: dict[str, Any] = {"marker": "o", "color": style.ORANGE, "markersize": 3.5, "linewidth": 1.3}
CHANCED: dict[str, Any] = {"marker": "s", "color": style.BLACK, "markersize": 2.8, "linewidth": 1.0, "linestyle": (0, (4, 1.5))}
ONE: dict[str, Any] = {"marker": "^", "color": style.GREY, "markersize": 3.0, "linewidth": 0.9, "linestyle": (0, (1, 1))}
SAME = 0.7


def draw(study: Study) -> Drawing:
    """Six panels: two histograms, two scatters, seeds by density, sizes."""
    figure = style.figure(4.7)
    panels = figure.subplots(2, 3)
    rows = {kind: of for kind, of in study.data.groupby("row")}
    features = rows["feature"]
    seeds(panels[0, 0], rows["bin"], "seeds", "Another seed")
    if (rows["bin"]["panel"] == "paper start").any():
        seeds(panels[0, 1], rows["bin"], "paper start", "The paper's start")
    else:
        empty(panels[0, 1], "the run has no dictionary\nwith the paper's start", "The paper's start")
    against_density(panels[0, 2], features)
    by_tenth(panels[1, 0], rows["tenth"])
    against_activation(panels[1, 1], features)
    sizes(panels[1, 2], rows["pair"])
    points = ({**MOVED, "markersize": 4, "alpha": 1, "label": "moved from its start"}, {**STUCK, "markersize": 4, "label": "never moved"})
    handles = [*(style.patch({**kind, **RIM}) for kind in QUARTERS.values()), *(style.handle(**{**kind, "linewidth": 1.2}) for kind in CHANCE.values()),
               *(style.handle(**kind) for kind in points)]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize=6.5, columnspacing=1.4, handlelength=2.2)
    shown = style.count(len(features))
    return Drawing(figure, f"n = {shown} features of {study.main} that fired", {"features": shown, "main": study.main})


def empty(axes: Axes, why: str, title: str) -> None:
    """A panel that says why it is empty."""
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", fontsize=7, color=style.GREY, transform=axes.transAxes)


def seeds(axes: Axes, bins: pd.DataFrame, panel: str, title: str) -> None:
    """Maximum cosine, stacked by quarter of density; controls as lines, cut at the top where they are narrow."""
    rows = bins[bins["panel"] == panel]
    ours = rows[rows["kind"] == "found"]
    low, width = rows["low"].min(), float((rows["high"] - rows["low"]).median())
    at = np.round(np.arange(low, 1 + width / 2, width), 6)
    base, total = np.zeros(len(at) - 1), ours["count"].sum()
    for quarter, look in QUARTERS.items():
        height = 100 * heights(ours[ours["quarter"] == quarter], at) / total
        axes.stairs(base + height, at, baseline=base, fill=True, **{**look, **RIM, "label": None})
        base = base + height
    for name, look in CHANCE.items():
        chance = rows[rows["kind"] == name]
        if len(chance):
            axes.stairs(100 * heights(chance, at) / chance["count"].sum(), at, **{**look, "linewidth": 1.1, "label": None})
    axes.set(xlim=(0, 1.02), ylim=(0, 1.15 * base.max()), xlabel="largest decoder cosine", ylabel="features (%)", title=title)


def heights(rows: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    """Counts of bins by their lower edge."""
    found = np.zeros(len(at) - 1)
    np.add.at(found, np.searchsorted(at, rows["low"].to_numpy(float) + 1e-6) - 1, rows["count"].to_numpy(float))
    return found


def against_density(axes: Axes, features: pd.DataFrame) -> None:
    """Density against the maximum cosine."""
    moved = features["moved"].astype(bool)
    for kind, chosen in ((MOVED, moved), (STUCK, ~moved)):
        axes.plot(10 ** features["log10_density"][chosen], features["cosine"][chosen], **kind, rasterized=True)
    axes.axhline(SAME, color=style.DARK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="density (share of tokens)", ylabel="largest cosine", title="Against density")
    style.grid(axes, "both")


def by_tenth(axes: Axes, tenths: pd.DataFrame) -> None:
    """Shares found again in one other seed and in all, beside independence at equal density."""
    for column, kind, label in (("recurring", ONE, "in one other seed"), ("consensus", ALL, "in all other seeds"),
                                ("expected", CHANCED, "in all, if seeds were\nindependent at equal density")):
        axes.plot(10 ** tenths["log10_density"], 100 * tenths[column], label=label, **kind)
    axes.set(xscale="log", ylim=(0, 104), xlabel="density, tenths of the features", ylabel="found again (%)", title="Found again by density")
    axes.legend(loc="lower right", fontsize=6)
    style.grid(axes, "both")


def against_activation(axes: Axes, features: pd.DataFrame) -> None:
    """Maximum cosine against the correlation of the two activations."""
    moved = features["moved"].astype(bool)
    for kind, chosen in ((MOVED, moved), (STUCK, ~moved)):
        axes.plot(features["cosine"][chosen], features["activation"][chosen], **kind, rasterized=True)
    axes.axvline(SAME, color=style.DARK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xlim=(0, 1.02), ylim=(min(-0.05, features["activation"].min() - 0.02), 1.02), xlabel="largest decoder cosine",
             ylabel="correlation of activations", title="Same direction, same tokens?")
    style.grid(axes, "both")


def sizes(axes: Axes, pairs: pd.DataFrame) -> None:
    """Mean maximum cosine of rows' features in columns' dictionaries, above what chance gives in small print."""
    names = list(dict.fromkeys(pairs.sort_values("d_left")["left"]))
    table = np.full((len(names), len(names)), np.nan)
    for row in pairs.itertuples():
        place = names.index(str(row.left)), names.index(str(row.right))
        table[place] = row.mean
        dark = row.mean > 0.75
        axes.text(place[1], place[0], f"{row.mean:.2f}", ha="center", va="bottom", fontsize=8.5, color="white" if dark else style.BLACK)
        axes.text(place[1], place[0] + 0.06, f"chance {row.chance:.2f}", ha="center", va="top", fontsize=5.8, color="white" if dark else style.DARK)
    axes.imshow(table, cmap="Oranges", vmin=0.2, vmax=1.0, aspect="auto")
    for place in zip(*np.nonzero(np.isnan(table)), strict=True):
        axes.text(place[1], place[0], "one seed", ha="center", va="center", fontsize=6.3, color=style.GREY)
    size = pairs.groupby("left")["count"].first()
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), [f"{name}\n{style.count(size[name])}" for name in names])
    axes.tick_params(length=0)
    axes.set(xlabel="in the dictionary", ylabel="features of", title="Across sizes (mean)")
