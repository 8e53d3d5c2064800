"""How final features come about along the training, which kind is early, what dictionaries are like on the way; and the two layers of larger models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

PERCENT = 100
COLUMNS = ("kind", "start", "share", "layer", "what", "value", "low", "high", "n")
STARTS: Mapping[str, dict[str, Any]] = {"fresh": dict(style.MAIN), "chain": {"color": style.BLUE, "linestyle": (0, (5, 1.5)), "marker": "s"}}
LINES: Mapping[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("fresh", "found"): ("final features, found in a fresh dictionary", STARTS["fresh"]),
    ("chain", "kept"): ("final features, themselves along a chain", STARTS["chain"]),
    ("fresh", "reproduced"): ("that point's features in another fit there", {"color": style.GREY, "linestyle": (0, (1, 1.2)), "marker": "D",
                                                                           "markerfacecolor": "white"})}
LEVELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "found_twin": ("in another seed's model", {"color": style.BLACK, "linestyle": (0, (4, 2))}),
    "found_neurons": ("in single neurons", {"color": style.RED, "linestyle": (0, (1, 1))}),
    "found_chance": ("on other texts", {"color": style.LIGHT, "linestyle": "-"})}
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "single": ("single-token features", {"color": "#2B7A4B", "marker": "o"}), "other": ("other features", {"color": "#5B3A8C", "marker": "^"})}
ALIKE: Mapping[str, tuple[str, float]] = {
    "recovered": ("loss recovered (%)", PERCENT), "l0": ("L0", 1), "live": ("live features", 1), "single": ("single-token (%)", PERCENT)}
PLACES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "last": ("own model, last point", {"color": style.ORANGE, "linestyle": "-"}),
    "twin": ("another seed's model", {"color": style.BLACK, "linestyle": (0, (4, 1.5))}),
    "first": ("1st of two layers", {"color": style.BLUE, "linestyle": "-"}),
    "second": ("2nd of two layers", {"color": "#A65A8B", "linestyle": (0, (3, 1, 1, 1))}),
    "neurons": ("own neurons", {"color": style.RED, "linestyle": (0, (1, 1))})}
LAYERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "one": ("one", {"color": style.ORANGE, "marker": "o"}), "first": ("1st", {"color": style.BLUE, "marker": "s"}),
    "second": ("2nd", {"color": "#A65A8B", "marker": "^"})}
OF_LAYERS: Mapping[str, tuple[str, float]] = {
    "recovered": ("loss recovered (%)", PERCENT), "l0": ("L0", 1), "single": ("single-token (%)", PERCENT), "settled": ("token's share (%)", PERCENT)}
SECOND_FIT: Mapping[str, Any] = {**STARTS["fresh"], "linestyle": "none", "markerfacecolor": "white", "markersize": 5}
SAME = 0.7  # correlation from which the study counts two features as one


def draw(study: Study) -> Drawing:
    """Above the training, below the layers, as far as the run has them."""
    data = study.data.reindex(columns=list(dict.fromkeys([*study.data, *COLUMNS])))
    points, layers = data[data["kind"] == "point"], data[data["kind"] == "layer"]
    figure = style.figure(3.2 * (len(points) > 0) + 2.8 * (len(layers) > 0))
    grid = figure.add_gridspec(1 + (len(points) > 0 < len(layers)), 3, width_ratios=[1.2, 1, 1.35])
    if len(points):
        through_training(figure.add_subplot(grid[0, 0]), points, study)
        births(figure.add_subplot(grid[0, 1]), data[data["kind"] == "born"])
        on_the_way(figure, grid[0, 2], points)
        figure.legend(handles=handles(points, study), loc="outside upper left", ncols=3, columnspacing=1.4, fontsize=6.5, handlelength=2.6)
    if len(layers):
        matches(figure.add_subplot(grid[-1, 0]), data[data["kind"] == "bin"])
        of_layers(figure, grid[-1, 1:], layers)
    counts = [study.numbers[key]["n"] for key in ("found_growth", "first_minus_second") if key in study.numbers]
    features = style.count(min(counts))
    return Drawing(figure, f"n = {features} features of {study.main} a fit; same feature: correlation of at least {SAME:g}; bars are 95% intervals",
                   {"features": features, "dictionary": study.main, **({"points": str(points["share"].nunique())} if len(points) else {}),
                    **({"one_layer": study.main} if len(layers) else {})})


def handles(points: pd.DataFrame, study: Study) -> list[Any]:
    """What the lines and marks of the upper row are."""
    there = set(zip(points["start"], points["what"], strict=True))
    lines = [style.handle(**kind, markersize=4, linewidth=1.3, label=label) for place, (label, kind) in LINES.items() if place in there]
    levels = [style.handle(**kind, linewidth=1, label=label) for key, (label, kind) in LEVELS.items() if key in study.numbers]
    kinds = [style.handle(**kind, markersize=4, linewidth=1.3, label=label) for label, kind in KINDS.values()]
    second = [style.handle(**SECOND_FIT, label="final features in a second fit at the end")] if "found_ceiling" in study.numbers else []
    return [*lines, *second, *levels, *kinds]


def by_share(axes: Axes, shares: list[float]) -> None:
    """The share of the training on a log axis, each point named as far as there is room."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    axes.set_xlim(shares[0] / 1.25, shares[-1] * 1.25)


def line(axes: Axes, rows: pd.DataFrame, scale: float, kind: Mapping[str, Any]) -> None:
    """A line with intervals over the share of training, as far as they are possible: a share (`scale` 100) lies between 0 and 1."""
    rows = rows.sort_values("share")
    ends = rows[["low", "high"]].clip(0, 1 if scale == PERCENT else None)
    reach = np.stack([np.abs(ends[end] - rows["value"]).fillna(0) for end in ends])
    axes.errorbar(rows["share"], scale * rows["value"], yerr=scale * reach, elinewidth=0.8, **{"markersize": 3.8, "linewidth": 1.3, **kind})


def through_training(axes: Axes, points: pd.DataFrame, study: Study) -> None:
    """Which of the final features are there at each point; what a second fit finds at the end is a mark of its own."""
    for (start, what), (_, kind) in LINES.items():
        rows = points[(points["start"] == start) & (points["what"] == what)]
        line(axes, rows[rows["share"] < 1], PERCENT, kind)
    line(axes, points[(points["what"] == "found") & (points["share"] == 1)], PERCENT, SECOND_FIT)
    for key, (_, kind) in LEVELS.items():
        if key in study.numbers:
            axes.axhline(100 * study.numbers[key]["value"], linewidth=0.9, **kind, zorder=1)
    by_share(axes, sorted(points["share"].unique()))
    axes.set(ylim=(-2, 102), xlabel="share of training (%)", ylabel="features that are there (%)", title="Through training")
    style.grid(axes)


def births(axes: Axes, rows: pd.DataFrame) -> None:
    """Share of single-token features and of the others that are born by each point."""
    for (start, what), some in rows.groupby(["start", "what"]):
        _, kind = KINDS[str(what)]
        line(axes, some, PERCENT, {**kind, "linestyle": STARTS[str(start)]["linestyle"], "markerfacecolor": kind["color"] if start == "fresh" else "white"})
    if len(rows):
        by_share(axes, sorted(rows["share"].unique()))
    axes.set(ylim=(-2, 104), xlabel="share of training (%)", ylabel="born by then (%)", title="Which are first")
    style.grid(axes)


def on_the_way(figure: Figure, place: SubplotSpec, points: pd.DataFrame) -> None:
    """What the dictionaries at each point are like."""
    inner = place.subgridspec(2, 2)
    for index, (what, (label, scale)) in enumerate(ALIKE.items()):
        axes = figure.add_subplot(inner[index // 2, index % 2])
        for start, kind in STARTS.items():
            rows = points[(points["start"] == start) & (points["what"] == what)]
            if len(rows):
                line(axes, rows, scale, {**kind, "markersize": 2.6, "linewidth": 1.0})
        shares = sorted(points["share"].unique())
        by_share(axes, shares)
        axes.xaxis.set_major_locator(FixedLocator([shares[0], shares[len(shares) // 2], shares[-1]]))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=6)
        axes.set_title(label, fontsize=6.5, fontweight="normal", loc="center")
        style.grid(axes)


def matches(axes: Axes, rows: pd.DataFrame) -> None:
    """How many of the one-layer model's features have a best match of at least so much, in each place where it is looked for."""
    for what, (label, kind) in PLACES.items():
        some = rows[rows["what"] == what].sort_values("low")
        if len(some):
            above = 100 * some["n"].to_numpy()[::-1].cumsum()[::-1] / some["n"].sum()
            axes.plot(some["low"], above, linewidth=1.4, **kind, label=label)
    axes.axvline(SAME, color=style.LIGHT, linewidth=0.8, zorder=0)
    axes.set(xlim=(0, 1), ylim=(0, 100), xlabel="correlation with the best match, at least", ylabel="features (%)", title="One layer's features elsewhere")
    axes.legend(fontsize=5.8, handlelength=2.4, labelspacing=0.25, loc="lower left", frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.2)
    style.grid(axes)


def of_layers(figure: Figure, place: SubplotSpec, rows: pd.DataFrame) -> None:
    """What the dictionaries of the one-layer model and of either layer are like."""
    inner = place.subgridspec(1, len(OF_LAYERS))
    for index, (what, (label, scale)) in enumerate(OF_LAYERS.items()):
        axes = figure.add_subplot(inner[0, index])
        some = rows[rows["what"] == what].set_index("layer")
        for at, (layer, (_, kind)) in enumerate(LAYERS.items()):
            if layer in some.index and np.isfinite(some.loc[layer, "value"]):
                of = some.loc[layer]
                axes.plot([at, at], [scale * of["low"], scale * of["high"]], color=kind["color"], linewidth=1.2)
                axes.plot([at], [scale * of["value"]], markersize=5, linestyle="none", **kind)
        axes.set_xticks(range(len(LAYERS)), [name for name, _ in LAYERS.values()])
        axes.set(xlim=(-0.6, 2.6))
        bottom, top = axes.get_ylim()
        axes.set_ylim(min(0.0, bottom), top + 0.06 * (top - min(0.0, bottom)))
        axes.tick_params(labelsize=6.5)
        axes.set_title(label, fontsize=6.8, fontweight="normal", loc="center")
        style.grid(axes)
