"""The low-density cluster: density through training for each start, what happens late, and what its encoders have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

STARTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "paper": ("paper's start", style.MAIN), "warmup": ("l1 warm-up", style.SERIES[0]), "transpose": ("transpose start", style.SERIES[1]),
    "both": ("transpose, l1 warm-up", style.SERIES[2])}
CLUSTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lower": ("low-density cluster", {"facecolor": "#C9D8EA", "edgecolor": style.BLUE, "hatch": "////"}),
    "upper": ("other cluster", {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"})}
SHADES = LinearSegmentedColormap.from_list("shades", ["white", "#F6D7AE", style.ORANGE, "#5A2E00"])
RARE, NONE = -4.0, -5.5  # log10 share of vectors: the bound of rare, and the lower edge of the bin of features that fire on none
RELEASED = (("as_it_is", "as it\nis"), ("without_random", "random\nquarter"), ("without_weak", "weak\nquarter"))
SMALL = 6.6


def draw(study: Study) -> Drawing:
    """Rows of panels: density through training and what happens late, where dictionaries are watched; then the encoders."""
    data = study.data
    watched = [start for start in STARTS if (data[data["kind"] == "density"]["start"] == start).any()]
    figure = style.figure(6.6 if watched else 2.5)
    rows = list(figure.subfigures(3, 1, squeeze=False, height_ratios=[2.0, 2.0, 2.3])[:, 0]) if watched else [figure]
    if watched:
        maps = rows[0].subplots(1, len(watched), sharey=True, squeeze=False)[0]
        for axes, start in zip(maps, watched, strict=True):
            density(axes, data[(data["kind"] == "density") & (data["start"] == start)], STARTS[start][0])
        maps[0].set_ylabel("density (log$_{10}$)")
        late: Sequence[Callable[[Axes, pd.DataFrame, list[str]], None]] = (share, followed, flow)
        for axes, panel in zip(rows[1].subplots(1, 3), late, strict=True):
            panel(axes, data, watched)
    first = data["start"].iloc[0]
    below = rows[-1].subplots(1, 4)
    histogram(below[0], data, first, "start_cosine", "cosine with its start", "Moved")
    histogram(below[1], data, first, "weak_share", "norm² on weak neurons", "Weak neurons")
    below[1].axvline(0.25, **style.PUBLISHED)
    release(below[2], study)
    alignment(below[3], data)
    features = int(data[(data["kind"] == "weak_share") & (data["start"] == first)].groupby("dictionary")["value"].sum().max())
    fits = data.groupby("start")["dictionary"].nunique()
    facts = {"features": style.count(features), "start": STARTS[first][0], "fits": str(int(fits[first])), "encoders": "Below" if watched else "From the left"}
    if watched:
        facts |= {"watched": "each start" if len(watched) > 1 else STARTS[watched[0]][0], "first": STARTS[watched[0]][0]}
    return Drawing(figure, f"n = {facts['features']} features that fired; {fits.sum()} fits", facts)


def progress(axes: Axes) -> None:
    """A logarithmic axis of training in percent."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training (%)")


def density(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    """Share of features in each bin of density at each step, of one fit; ticks at the top are resamplings."""
    rows = rows[rows["dictionary"] == rows["dictionary"].iloc[0]]
    points = rows.drop_duplicates("point")
    resampled = points["step"][points["step"].duplicated()]
    rows = rows[rows["point"].isin(points.drop_duplicates("step", keep="last")["point"])]
    table = rows.pivot_table(index="low", columns="step", values="value", fill_value=0)
    steps, last = table.columns.to_numpy(float), float(rows["last"].iloc[0])
    bounds = np.concatenate([[0.35], [0.7], np.sqrt(steps[1:-1] * steps[2:]), [last]])[-len(steps) - 1 :]
    low = np.arange(NONE, 0.01, 0.25)
    share = table.reindex(np.round(low[:-1], 6), fill_value=0).to_numpy(float)
    axes.pcolormesh(100 * bounds / last, low, share / share.sum(0), cmap=SHADES, norm=PowerNorm(0.5, 0, 0.5), rasterized=True)
    axes.axhline(RARE, **{**style.PUBLISHED, "linewidth": 0.7})
    for step in resampled:
        axes.plot([100 * step / last] * 2, [0.96, 1.0], transform=axes.get_xaxis_transform(), color=style.BLUE, linewidth=1)
    progress(axes)
    axes.set(ylim=(NONE, 0), yticks=[NONE + 0.125, -5, -4, -3, -2, -1, 0], yticklabels=["none", "-5", "-4", "-3", "-2", "-1", "0"], title=title)


def share(axes: Axes, data: pd.DataFrame, watched: list[str]) -> None:
    """Share of rare features through training, a line for each fit."""
    for start in watched:
        rows = data[(data["kind"] == "share") & (data["start"] == start) & (data["step"] > 0)]
        label, kind = STARTS[start]
        for number, (_, fit) in enumerate(rows.groupby("dictionary")):
            axes.plot(100 * fit["step"] / fit["last"], 100 * fit["value"], color=kind["color"], linestyle=kind["linestyle"], linewidth=1.1,
                      label=label if not number else None)
    progress(axes)
    axes.set(ylabel="features (%)", title="Rare features", ylim=(-2, 102))
    axes.legend(loc="upper left", fontsize=SMALL, handlelength=2.4)


def followed(axes: Axes, data: pd.DataFrame, watched: list[str]) -> None:
    """Mean density after the middle of training, relative to the first point there: rare features as points, others as thin lines."""
    for start in watched:
        kind = STARTS[start][1]
        for which, shape in (("rare", {"linewidth": 1.3, "marker": kind["marker"], "markersize": 3.2}), ("common", {"linewidth": 0.8, "alpha": 0.7})):
            rows = data[(data["kind"] == "followed") & (data["start"] == start) & (data["set"] == which)]
            if rows.empty:
                continue
            rows = rows.assign(value=rows["value"] / rows.groupby("dictionary")["value"].transform("first"), at=100 * rows["step"] / rows["last"])
            mean = rows.groupby("at")["value"].mean()
            axes.plot(mean.index, mean, color=kind["color"], linestyle=kind["linestyle"], **shape)
    axes.axhline(1, color=style.GREY, linewidth=0.6)
    axes.set(xlabel="training (%)", ylabel="relative density", title="Rare at the middle, later")
    axes.set_ylim(0, max(1.15, axes.get_ylim()[1]))
    handles = [style.handle(color=style.DARK, marker="o", markersize=3.2, linewidth=1.3, label="rare"),
               style.handle(color=style.DARK, linewidth=0.8, label="others")]
    axes.legend(handles=handles, loc="lower left", fontsize=SMALL)


def flow(axes: Axes, data: pd.DataFrame, watched: list[str]) -> None:
    """Births and deaths of the first start that is watched, in percent of all features for each percent of the training."""
    rows = data[(data["kind"] == "flow") & (data["start"] == watched[0])]
    sums = rows.groupby("step").agg({"length": "first", "last": "first", "rare": "sum", "common": "sum", "born": "sum", "died": "sum"})
    at = 100 * np.concatenate([[0.5], sums.index.to_numpy(float)]) / sums["last"].iloc[0]
    scale = 100 / (sums["rare"] + sums["common"]) / (100 * sums["length"] / sums["last"])
    axes.stairs(scale * sums["born"], at, color=style.ORANGE, fill=True, label="become common", alpha=0.9)
    axes.stairs(-scale * sums["died"], at, color=style.BLUE, fill=True, label="become rare", alpha=0.9)
    axes.axhline(0, color=style.DARK, linewidth=0.6)
    axes.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    reach = max(float(scale.mul(sums[which]).max()) for which in ("born", "died"))
    top = 10 ** np.ceil(np.log10(max(reach, 0.02)))
    decades = [10.0**power for power in range(-2, int(np.log10(top)) + 1)][:: 2 if top > 1 else 1]
    axes.set(ylim=(-2 * top, 2 * top), yticks=[*(-value for value in reversed(decades)), *decades])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    progress(axes)
    axes.set(ylabel="features (%) for each %", title="Births and deaths")
    axes.legend(loc="upper right", fontsize=SMALL)


def histogram(axes: Axes, data: pd.DataFrame, start: str, kind: str, label: str, title: str) -> None:
    """A quantity of the encoders of both clusters, in percent of the features of each."""
    rows = data[(data["kind"] == kind) & (data["start"] == start)]
    for cluster, (_, look) in CLUSTERS.items():
        some = rows[rows["set"] == cluster]
        if not some.empty:
            at = style.edges(some)
            axes.stairs(100 * style.counts(some, "value", at) / some["value"].sum(), at, fill=True, linewidth=0.6, alpha=0.75, **look)
    axes.set(xlabel=label, ylabel="features (%)", title=title, ylim=(0, None), xlim=(0 if kind == "weak_share" else None, 1))
    if kind == "start_cosine":
        axes.set_xlim(min(-0.25, float(rows["low"].min())), 1)
        axes.set_ylim(top=1.35 * axes.get_ylim()[1])  # room for the legend
        axes.set_yticks(range(0, 101, 20 if axes.get_ylim()[1] > 70 else 10))
        axes.legend(handles=[style.patch({**look, "label": name}) for name, look in CLUSTERS.values()], loc="upper center", fontsize=SMALL)


def release(axes: Axes, study: Study) -> None:
    """How often both clusters fire as they are, and without the tied bias through some neurons."""
    for cluster, marker in (("lower", "s"), ("upper", "o")):
        look = CLUSTERS[cluster][1]
        found = [(place, key) for place, (key, _) in enumerate(RELEASED) if (study.get(f"{key}_{cluster}") or 0) > 0]
        value = np.array([study.get(f"{key}_{cluster}") or 0.0 for _, key in found])
        ends = [[study.get(f"{key}_{cluster}", end) or at for (_, key), at in zip(found, value, strict=True)] for end in ("low", "high")]
        reach = np.maximum([value - np.maximum(ends[0], value / 10), np.array(ends[1]) - value], 0)
        axes.errorbar([place for place, _ in found], value, reach, color=look["edgecolor"], marker=marker, markersize=4, markerfacecolor=look["facecolor"],
                      linewidth=1, elinewidth=0.9)
    axes.set(yscale="log", ylabel="density", title="Tied bias taken off", xticks=range(len(RELEASED)), xlim=(-0.4, len(RELEASED) - 0.6))
    axes.set_xticklabels([label for _, label in RELEASED], fontsize=SMALL)


def alignment(axes: Axes, data: pd.DataFrame) -> None:
    """Pairs of fits: cosine of the clusters' directions against cosine of the tied biases, on weak neurons."""
    rows = data[data["kind"] == "direction"]
    for start, (label, kind) in STARTS.items():
        some = rows[rows["start"] == start]
        if not some.empty:
            axes.plot(some["low"], some["value"], linestyle="none", marker=kind["marker"], markersize=4.5, color=kind["color"], label=label)
    if rows.empty:
        axes.text(0.5, 0.5, "one fit of each start", transform=axes.transAxes, ha="center", va="center", color=style.GREY)
    else:
        axes.plot([-1, 1], [-1, 1], **{**style.PUBLISHED, "linewidth": 0.7})
        axes.legend(loc="upper left", fontsize=SMALL)
    least = min(0.0, *rows[["low", "value"]].min()) - 0.08 if len(rows) else 0.0
    axes.set(xlim=(least, 1.03), ylim=(least, 1.03), xlabel="cosine of b_dec", ylabel="cosine of directions", title="Two fits")
