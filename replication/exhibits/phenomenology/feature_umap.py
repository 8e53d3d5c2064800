"""Maps of features by their directions: two sizes of dictionary, then three; clusters outlined, features of contexts marked."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Polygon
from scipy.spatial import ConvexHull, QhullError

from replication.exhibits import style, text
from replication.exhibits.labels import label
from replication.exhibits.study import Drawing, Study

DICTIONARIES: tuple[dict[str, Any], ...] = (
    {"marker": "o", "s": 9, "facecolor": "white", "edgecolor": style.DARK, "linewidth": 0.5, "zorder": 3},
    {"marker": "o", "s": 2.2, "color": style.ORANGE, "linewidth": 0, "zorder": 2},
    {"marker": "x", "s": 2.2, "color": style.LIGHT, "linewidth": 0.4, "zorder": 1},
)
OUTLINE: dict[str, Any] = {"facecolor": "none", "edgecolor": style.GREY, "linewidth": 0.45, "zorder": 1.5}
WIDEST = 0.18  # share of the map that a cluster's outline may span; a cluster that the plane tears apart gets none
LETTERS = "abcdefghij"
APART = 0.09  # of the map's side, between lettered clusters
SMALLEST = 4  # features of a lettered cluster
SHOWN_TOKENS = 4
TOP, MAP, ROW = 0.42, 3.3, 0.155  # inches: above the maps, their height, a row of the list or of what clusters hold


def draw(study: Study) -> Drawing:
    """Left the map of two sizes, right with the third; labels between them; below the list and what some clusters hold."""
    data = study.data.assign(dictionary=study.data["name"].str.rpartition("/")[0])
    names, contexts = sorted(data["dictionary"].unique()), named(data)
    mapped = {name: DICTIONARIES[place] for name, place in zip(names, places(names), strict=True)}
    first = data.dropna(subset=["x"])
    grouped = together(first)
    lettered = apart(grouped, reach(first))
    strip, held_by = 0.42 + ROW * max(1, len(contexts)), ROW * -(-len(lettered) // 2)
    height = TOP + MAP + 0.12 + strip + 0.1 + held_by + style.PRINT
    figure = style.canvas(Figure(figsize=(style.WIDTH, height)))
    both = bool(data["x_large"].notna().any())
    low, tall = (height - TOP - MAP) / height, MAP / height
    small = figure.add_axes((0.012, low, 0.405 if both else 0.81, tall))
    scatter(small, first, ("x", "y"), mapped, contexts)
    outlined(small, grouped, lettered)
    small.set_title(" + ".join(name for name in names if name in set(first["dictionary"])) + ", clusters outlined")
    maps = [(small, "x", "y")]
    if both:
        large = figure.add_axes((0.583, low, 0.405, tall))
        scatter(large, data, ("x_large", "y_large"), mapped, contexts)
        large.set_title(" + ".join(names))
        maps.append((large, "x_large", "y_large"))
    labels(figure, maps, data, contexts, 0.5 if both else 0.905, (low + 0.06 * tall, low + 0.94 * tall))
    sizes = {name: style.count((data["dictionary"] == name).sum()) for name in names}
    legend(figure, mapped, sizes)
    ordered(figure.add_axes((0.13, (style.PRINT + 0.1 + held_by + 0.38) / height, 0.855, (strip - 0.42) / height)), first, contexts)
    if lettered:
        held(figure.add_axes((0.012, (style.PRINT + 0.02) / height, 0.976, held_by / height)), lettered)
    counted = ", ".join(f"{size} of {name}" for name, size in sizes.items())
    facts = {"features": counted, "marked": style.count(data["context"].notna().sum())}
    return Drawing(figure, f"n = {counted}; neither dead nor ultralow", facts)


def legend(figure: Figure, mapped: dict[str, dict[str, Any]], sizes: dict[str, str]) -> None:
    """The marks of dictionaries and how many features of each are shown."""
    handles = [style.handle(linestyle="none", marker=kind["marker"], markersize=4.5 if kind["s"] > 5 else 3, markeredgewidth=0.7,
                            markerfacecolor=kind.get("facecolor", kind.get("color")),
                            markeredgecolor=kind.get("edgecolor", kind.get("color")),
                            label=f"{name} ({sizes[name]})") for name, kind in mapped.items()]
    figure.legend(handles=handles, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 0.998))


def places(names: list[str]) -> list[int]:
    """Which style a dictionary has: by its place among the sizes; a main dictionary alone is in the middle."""
    return [1] if len(names) == 1 else list(range(len(names)))


def named(data: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and marker of each context that has a feature, by its place among the run's contexts."""
    found = data.dropna(subset=["context"]).drop_duplicates("context").sort_values("place")
    return {context: dict(style.CONTEXTS[int(place) % len(style.CONTEXTS)])
            for context, place in zip(found["context"], found["place"], strict=True)}


def scatter(axes: Axes, data: pd.DataFrame, at: tuple[str, str], mapped: dict[str, dict[str, Any]],
            contexts: dict[str, dict[str, Any]]) -> None:
    """Features by dictionary, those of contexts on top; the axes of such a map mean nothing and go without ticks."""
    x, y = at
    for name, kind in mapped.items():
        part = data[(data["dictionary"] == name) & data["context"].isna()]
        axes.scatter(part[x], part[y], **kind)
    for context, kind in contexts.items():
        part = data[data["context"] == context]
        coarse = (part["dictionary"] == min(mapped)) if len(mapped) > 1 else pd.Series(False, index=part.index)
        for some, size, edge in ((part[coarse], 30, style.BLACK), (part[~coarse], 15, "white")):
            axes.scatter(some[x], some[y], marker=kind["marker"], s=size, color=kind["color"], edgecolor=edge, linewidth=0.5, zorder=4)
    axes.set(xticks=[], yticks=[])
    axes.margins(0.03)
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color(style.LIGHT)


def reach(data: pd.DataFrame) -> float:
    """Width of the map, or its height where that is larger."""
    return max(float(np.ptp(data["x"])), float(np.ptp(data["y"])), 1e-9)


def together(data: pd.DataFrame) -> list[pd.DataFrame]:
    """The clusters that lie together on the map, largest first."""
    groups = [part for _, part in data[data["cluster"] >= 0].groupby("cluster")]
    close = [part for part in groups if np.ptp(part[["x", "y"]].to_numpy(float), axis=0).max() <= WIDEST * reach(data)]
    return sorted(close, key=lambda part: -len(part))


def apart(groups: list[pd.DataFrame], width: float) -> dict[str, pd.DataFrame]:
    """The largest of some clusters that lie apart from one another, by letter."""
    found: list[tuple[np.ndarray, pd.DataFrame]] = []
    for part in groups:
        centre = part[["x", "y"]].median().to_numpy(float)
        crowded = any(np.abs(centre - other).max() < APART * width for other, _ in found)
        if len(part) >= SMALLEST and not crowded and len(found) < len(LETTERS):
            found.append((centre, part))
    return {letter: part for letter, (_, part) in zip(LETTERS, found, strict=False)}


def outlined(axes: Axes, groups: list[pd.DataFrame], lettered: dict[str, pd.DataFrame]) -> None:
    """The hull of each cluster, and letters on some."""
    for part in groups:
        points = part[["x", "y"]].to_numpy(float)
        try:
            axes.add_patch(Polygon(points[ConvexHull(points).vertices], closed=True, **OUTLINE))
        except QhullError:  # on one line
            continue
    for letter, part in lettered.items():
        x, y = part[["x", "y"]].median()
        axes.text(x, y, letter, fontsize=8, fontweight="bold", ha="center", va="center", zorder=6, bbox={**style.BEHIND, "pad": 0.6})


def labels(figure: Figure, maps: list[tuple[Axes, str, str]], data: pd.DataFrame, contexts: dict[str, dict[str, Any]], centre: float,
           span: tuple[float, float]) -> None:
    """Names of contexts in a column beside the maps, each with a line to its strongest feature on either map."""
    anchors: dict[str, list[tuple[Axes, float, float]]] = {}
    for context in contexts:
        for axes, x, y in maps:
            part = data[data["context"] == context].dropna(subset=[x])
            if len(part):
                best = part.loc[part["correlation"].idxmax()]
                anchors.setdefault(context, []).append((axes, float(best[x]), float(best[y])))
    heights = {context: np.mean([axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1] for axes, x, y in found])
               for context, found in anchors.items()}
    for place, context in enumerate(sorted(heights, key=lambda context: heights[context])):
        middle = span[0] + (span[1] - span[0]) * (place + 0.5) / len(heights)
        kind = contexts[context]
        figure.add_artist(Line2D([centre - 0.053], [middle], marker=kind["marker"], color=kind["color"], markersize=5, linestyle="none"))
        said = f"{context} ({(data['context'] == context).sum()})"
        figure.text(centre - 0.043, middle, said, fontsize=6.8, va="center", color=kind["color"], fontweight="bold")
        for axes, *end in anchors[context]:
            side = -0.065 if axes is maps[0][0] else 0.065
            figure.add_artist(ConnectionPatch((centre + side, middle), (end[0], end[1]), "figure fraction", axes.transData,
                                              color=kind["color"], linewidth=0.6, alpha=0.85))


def ordered(axes: Axes, data: pd.DataFrame, contexts: dict[str, dict[str, Any]]) -> None:
    """Where the features of each context stand in the list that the one-dimensional map orders."""
    for row, (context, kind) in enumerate(contexts.items()):
        part = data[data["context"] == context]
        axes.plot(part["order"], np.full(len(part), -row), linestyle="none", marker="|", markersize=6.5, color=kind["color"])
    axes.set(yticks=-np.arange(len(contexts)), yticklabels=list(contexts), ylim=(0.4 - max(len(contexts), 1), 0.6))
    axes.set(xlim=(-0.01 * len(data), 1.01 * len(data)), xlabel="place in the list (one-dimensional map)")
    axes.tick_params(axis="y", length=0, labelsize=6.3)
    style.grid(axes, "x")
    if not contexts:
        axes.text(0.5, 0.5, "no feature follows a named context", transform=axes.transAxes, ha="center", va="center", color=style.GREY)


def held(axes: Axes, lettered: dict[str, pd.DataFrame]) -> None:
    """What the lettered clusters hold: the tokens on which most of their features fire."""
    axes.set_axis_off()
    rows = -(-len(lettered) // 2)
    for place, (letter, part) in enumerate(lettered.items()):
        x, y = 0.505 * (place // rows), 1 - (place % rows + 0.5) / rows
        commonest = Counter(token for some in part["tokens"] for token in json.loads(some)).most_common(SHOWN_TOKENS)
        free: dict[str, Any] = {"va": "center_baseline", "transform": axes.transAxes, "fontsize": 6.5}
        axes.text(x, y, letter, **{**free, "fontsize": 7.5, "fontweight": "bold"})
        axes.text(x + 0.022, y, f"{len(part)} features:", color=style.GREY, **free)
        axes.text(x + 0.115, y, "  ".join(label(token) for token, _ in commonest), family=text.FONTS, **free)
