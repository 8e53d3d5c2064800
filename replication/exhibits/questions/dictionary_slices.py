"""A dictionary's weights seen from a feature and from a neuron, and how many features carry a neuron where it is strongly on."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "own": ("as it is", {"color": style.ORANGE, "linestyle": "-", "linewidth": 1.8}),
    "rotated": ("neurons rotated", {"color": style.BLUE, "linestyle": (0, (5, 1.5)), "linewidth": 1.2}),
    "shuffled": ("entries shuffled", {"color": style.BLACK, "linestyle": (0, (1, 1.1)), "linewidth": 1.2})}
ENCODER: dict[str, Any] = {"color": style.RED, "linestyle": (0, (4, 1.2, 1, 1.2)), "linewidth": 1.1}
AXES = {"feature": ("Seen from a feature", "neurons, largest weight first"), "neuron": ("Seen from a neuron", "features, largest weight first")}
CARRIED: dict[str, tuple[str, dict[str, Any]]] = {
    "own": ("neurons", {"color": style.ORANGE, "linestyle": "-"}), "rotated": ("random directions", {"color": style.BLUE, "linestyle": (0, (5, 1.5))})}
MARKED = 10  # largest weights whose share is written beside the line
LEAST = 0.2  # percent in a bin of kurtosis for which the axis reaches there


def draw(study: Study) -> Drawing:
    """Left: how much the largest weights hold; middle: kurtosis; right: contributors of neurons and of random directions."""
    figure = style.figure(4.6)
    panels = figure.subplots(2, 3)
    main = study.data[study.data["dictionary"] == study.main]
    for row, axis in enumerate(AXES):
        held(panels[row, 0], main[(main["kind"] == "curve") & (main["axis"] == axis)], axis)
        kurtosis(panels[row, 1], main[(main["kind"] == "histogram") & (main["axis"] == axis)], axis)
    carried(panels[0, 2], main[main["kind"] == "carried"], study)
    needed(panels[1, 2], study)
    handles = [style.handle(**kind, label=label) for label, kind in BASES.values()] + [style.handle(**ENCODER, label="encoder (kurtosis)")]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, title="Decoder weights:", title_fontsize=7, alignment="left")
    features, neurons = (style.count(study.numbers.get(key, {}).get("n", 0)) for key in ("kurtosis", "neuron_kurtosis"))
    return Drawing(figure, f"n = {features} live features and {neurons} neurons of {study.main}", {"features": features, "neurons": neurons,
                                                                                                    "dictionary": study.main})


def held(axes: Axes, rows: pd.DataFrame, axis: str) -> None:
    """Median share of the L1 norm that the largest weights hold, with the share of the ten largest."""
    title, label = AXES[axis]
    said = []
    for basis, (_, kind) in BASES.items():
        line = rows[rows["basis"] == basis]
        if line.empty:
            continue
        axes.plot(line["rank"], 100 * line["share"], **kind, zorder=3 if basis == "own" else 2)
        if basis != "shuffled":
            share = 100 * float(np.interp(np.log(MARKED), np.log(line["rank"]), line["share"]))
            axes.plot(MARKED, share, marker="o", markersize=3.5, color=kind["color"], zorder=4)
            said.append(f"{MARKED} hold {share:.0f}%" if basis == "own" else f"rotated {share:.0f}%")
    axes.text(0.04, 0.95, "\n".join(said), transform=axes.transAxes, va="top", fontsize=6.8, linespacing=1.3, bbox=style.BEHIND)
    axes.set(xscale="log", xlabel=label, ylabel="of the absolute weight (%)", ylim=(0, 102), xlim=(1, None), title=title)
    style.plain_log(axes.xaxis)
    style.grid(axes, "both")


def kurtosis(axes: Axes, rows: pd.DataFrame, axis: str) -> None:
    """Distributions of kurtosis, with the 3 of a normal distribution."""
    tops, ends = [], [20.0]
    for side, basis, kind in [("decoder", basis, kind) for basis, (_, kind) in BASES.items()] + [("encoder", "own", ENCODER)]:
        some = rows[(rows["side"] == side) & (rows["basis"] == basis)]
        if some.empty:
            continue
        at = np.logspace(0, 4, 49)
        counts = np.histogram(np.sqrt(some["low"] * some["high"]), at, weights=some["count"])[0]
        share = 100 * counts / counts.sum()
        fill = basis == "own" and side == "decoder"
        if fill:
            axes.stairs(share, at, fill=True, facecolor=style.ORANGE, edgecolor="#8A4C00", linewidth=0.5, alpha=0.85)
        else:
            axes.stairs(share, at, **kind)
        ends.append(float(at[1:][share > LEAST].max()))
        tops.append(share.max() if basis != "rotated" else 0.0)  # the narrow peak of the rotated basis may leave the panel
    axes.axvline(3, color=style.GREY, linewidth=0.8, zorder=0)
    plural = "features" if axis == "feature" else "neurons"
    axes.set(xscale="log", xlim=(2, 1.1 * max(ends)), ylim=(0, 1.3 * max(tops, default=1.0)), xlabel="kurtosis (normal: 3)", ylabel=f"{plural} (% per bin)")
    axes.set_title(f"Tails over {'neurons' if axis == 'feature' else 'features'}")
    style.plain_log(axes.xaxis, 1, 2, 5)


def carried(axes: Axes, rows: pd.DataFrame, study: Study) -> None:
    """Median share of a coordinate's reconstruction that the first features carry, with the middle half of coordinates."""
    for basis, (label, kind) in CARRIED.items():
        line = rows[rows["basis"] == basis]
        axes.plot(line["rank"], 100 * line["share"], **kind, label=label)
        axes.fill_between(line["rank"], 100 * line["low"], 100 * line["high"], color=kind["color"], alpha=0.15, linewidth=0)
    for basis, key, ha, x in (("own", "contributors", "right", -4), ("rotated", "contributors_rotated", "left", 5)):
        value, colour = study.get(key), CARRIED[basis][1]["color"]
        if value is not None:
            axes.plot(value, 50, marker="o", markersize=3.5, color=colour)
            axes.annotate(f"{value:.0f}", (value, 50), xytext=(x, 3), textcoords="offset points", ha=ha, va="bottom", fontsize=7, color=colour)
    axes.axhline(50, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 1)))
    axes.set(xscale="log", ylim=(0, 112), xlim=(1, None), xlabel="features, ranked on other tokens", ylabel="of what is reconstructed (%)")
    axes.set_title("Who carries a neuron")
    if not rows.empty:
        axes.legend(loc="lower right")
    style.plain_log(axes.xaxis)
    style.grid(axes, "both")


def needed(axes: Axes, study: Study) -> None:
    """How many features carry half, by dictionary: over all strong tokens and on single ones."""
    sizes = study.data[study.data["kind"] == "needed"].drop_duplicates("group")["group"]
    names = sorted(sizes, key=lambda name: (len(name), name))
    kinds = (("contributors", "o", True), ("token_contributors", "s", False))
    for place, name in enumerate(names):
        suffix = "" if name == study.main else "_" + name.replace("/", "_")
        for key, marker, filled in kinds:
            for basis, shift in (("", -0.12), ("_rotated", 0.12)):
                colour = style.ORANGE if not basis else style.BLUE
                value, low, high = (study.get(f"{key}{basis}{suffix}", field) for field in ("value", "low", "high"))
                if value is not None:
                    ends = [low, high] if low is not None and high is not None else [value, value]
                    axes.plot(ends, [place + shift] * 2, color=colour, linewidth=1)
                    axes.plot(value, place + shift, marker=marker, color=colour, markersize=4.2, markerfacecolor=colour if filled else "white",
                              markeredgewidth=0.9)
    axes.set_yticks(range(len(names)), names)
    axes.set(xscale="log", ylim=(len(names) - 0.45, -1.05), xlabel="features that carry half")
    axes.set_title("One token, many tokens")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.85), max(high * 1.2, 12))
    style.plain_log(axes.xaxis, 1, 2, 5)
    axes.tick_params(axis="y", length=0)
    style.grid(axes, "x")
    handles = [style.handle(marker="s", linestyle="none", color=style.DARK, markerfacecolor="white", label="on one token"),
               style.handle(marker="o", linestyle="none", color=style.DARK, label="over all")]
    axes.legend(handles=handles, loc="upper center", ncols=2, columnspacing=1.0, handletextpad=0.2)
