"""What the rest of the network cannot see: of single directions, of the activations and the error, and of every dictionary."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from replication.config import model_of
from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

FEATURE: dict[str, Any] = {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"}
CONTROL: dict[str, Any] = {"facecolor": style.PALE, "edgecolor": style.GREY}
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random directions", CONTROL), "neuron": ("single neurons", CONTROL),
    "data_like": ("drawn with the\nactivations' covariance", CONTROL), "decoder": ("decoders", FEATURE),
    "encoder": ("encoders", {"facecolor": "#C5D8EE", "edgecolor": style.BLUE}),
    "ultralow": ("ultralow decoders", {"facecolor": "#F6D7AE", "edgecolor": "#8A4C00", "hatch": "////"})}
POINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "data": ("activations", {"marker": "|", "color": style.BLACK, "markersize": 8, "markeredgewidth": 1.4}),
    "decoder": ("decoders", {"marker": "o", "color": style.ORANGE, "markersize": 4.5}),
    "encoder": ("encoders", {"marker": "s", "color": style.BLUE, "markerfacecolor": "white", "markersize": 4}),
    "error": ("error", {"marker": "D", "color": style.RED, "markersize": 3.8})}
CHANCE: dict[str, Any] = {"color": style.GREY, "linewidth": 0.9, "linestyle": (0, (1, 1))}
TALL = 0.85  # of a row, the highest bar
ROOM = 0.85  # left of the histograms for their names, in widths of the axis
LEAST = 0.08  # height of a part of the mosaic that holds a line of text
ROWS = 8  # dictionaries shown at most


def draw(study: Study) -> Drawing:
    """Left: distributions over directions; middle: variance explained of each part; right: means of every dictionary."""
    figure = style.figure(3.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 0.85, 1.0])
    histograms, shares = (study.data[study.data["kind"] == kind] for kind in ("histogram", "share"))
    distributions(left, histograms[histograms["dictionary"] == study.main], shares, study)
    mosaic(middle, study)
    dictionaries(right, shares, study.main)
    figure.legend(handles=[style.handle(linestyle="none", label=label, **{"markeredgewidth": 0.9, **kind}) for label, kind in POINTS.values()]
                  + [style.handle(**CHANCE, label="a random direction")], loc="outside upper right", ncols=5, columnspacing=1.2, handletextpad=0.3)
    contexts = int(study.numbers["error_invisible_share"]["n"])
    features = style.count(study.numbers.get("decoder_invisible_share", {}).get("n", 0))
    note = f"n = {features} live features of {study.main}, {contexts} contexts; bars are 95% intervals"
    return Drawing(figure, note, {"features": features, "contexts": style.count(contexts), "dictionary": study.main})


def distributions(axes: Axes, rows: pd.DataFrame, shares: pd.DataFrame, study: Study) -> None:
    """A histogram for each set of directions, one above the other, with its mean."""
    shown = [what for what in SETS if what in set(rows["what"])]
    for place, what in enumerate(reversed(shown)):
        label, kind = SETS[what]
        some = rows[rows["what"] == what].sort_values("low")
        at = np.linspace(0, 1, 101)
        heights = np.histogram(some["low"] + 0.005, at, weights=some["count"])[0]
        axes.stairs(place + TALL * heights / heights.max(), 100 * at, baseline=place, fill=True, linewidth=0.5, **kind)
        mean = np.average((some["low"] + some["high"]) / 2, weights=some["count"])
        axes.plot([100 * mean] * 2, [place, place + TALL], color=style.DARK, linewidth=1.1)
        axes.text(0.0, place + 0.32, label, transform=axes.get_yaxis_transform(), fontsize=6.8, va="center", linespacing=1.05)
        axes.text(1.0, place + 0.32, f"{100 * mean:.0f}%", transform=axes.get_yaxis_transform(), fontsize=7, va="center", ha="right",
                  fontweight="bold" if kind is FEATURE else "normal")
    chance = study.get("chance") or 0.0
    axes.axvline(100 * chance, **CHANCE, zorder=0)
    lowest = 10 * np.floor(10 * min(quantile(some, 0.01) for _, some in rows.groupby("what")))
    axes.set(xlim=(lowest - ROOM * (100 - lowest), 100), ylim=(-0.05, len(shown)), yticks=[], xticks=np.arange(lowest, 101, 10 if lowest > 30 else 20))
    axes.set_xlabel("in the null space (%)", x=(1 + ROOM / (1 + ROOM)) / 2)
    axes.set_title("Directions")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(lowest, 100)


def quantile(rows: pd.DataFrame, share: float) -> float:
    """A quantile of a histogram."""
    ordered = rows.sort_values("low")
    return float(ordered["low"].iloc[int(np.searchsorted(ordered["count"].cumsum() / ordered["count"].sum(), share))])


def mosaic(axes: Axes, study: Study) -> None:
    """Variance as area: visible and invisible part side by side, explained below and left over above, with each part's share of the error."""
    invisible, error = study.get("data_invisible_share") or 0.0, study.get("error_invisible_share") or 0.0
    start = 0.0
    for width, key, name, of_error, shade in ((1 - invisible, "explained_visible", "visible", 1 - error, 0.9),
                                              (invisible, "explained_invisible", "invisible", error, 0.5)):
        explained, middle = max(study.get(key) or 0.0, 0.0), start + width / 2
        axes.add_patch(Rectangle((start, 0), width, explained, facecolor=style.ORANGE, edgecolor="white", alpha=shade))
        axes.add_patch(Rectangle((start, explained), width, 1 - explained, facecolor=style.RED, edgecolor="white", alpha=shade))
        wide = width >= 0.5
        if explained > 2 * LEAST:
            axes.text(middle, explained / 2, f"{100 * explained:.0f}%\nexplained", ha="center", va="center", fontsize=6.8, linespacing=1.2)
        if 1 - explained > LEAST:
            axes.text(middle, (1 + explained) / 2, f"{100 * of_error:.0f}%" + (" of the error" if wide else ""), ha="center", va="center",
                      fontsize=6.8, color="white" if name == "visible" else style.DARK)
        axes.text(middle, -0.02, f"{name}\n{100 * width:.0f}%", ha="center", va="top", fontsize=7, linespacing=1.15)
        start += width
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[0, 0.5, 1], yticklabels=["0", "50", "100"], ylabel="explained (%)", title="Variance explained")
    axes.set_xlabel("variance of the activations", labelpad=22)
    for spine in axes.spines.values():
        spine.set_visible(False)


def dictionaries(axes: Axes, shares: pd.DataFrame, main: str) -> None:
    """Means of decoders, encoders, error and activations for every dictionary."""
    names = in_order(shares, main)[:ROWS]
    for place, name in enumerate(reversed(names)):
        rows = shares[shares["group"] == name].set_index("what")
        axes.plot([100 * rows["chance"].iloc[0]] * 2, [place - 0.45, place + 0.45], **CHANCE)
        for what, (_, kind) in POINTS.items():
            if what in rows.index:
                row = rows.loc[what]
                axes.plot([100 * row["low"], 100 * row["high"]], [place] * 2, color=kind["color"], linewidth=1, zorder=3)
                axes.plot(100 * row["value"], place, linestyle="none", zorder=4, **{"markeredgewidth": 0.9, **kind})
    axes.set_yticks(range(len(names)), list(reversed(names)))
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == main else "normal")
    axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="in the null space (%)", title="Dictionaries")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    style.grid(axes, "x")


def in_order(shares: pd.DataFrame, main: str) -> list[str]:
    """The main model first; in it the sizes of the paper, then other settings by l1; then other models."""
    def place(row: Any) -> tuple[object, ...]:
        model, _, short = row.group.partition("/")
        return model != model_of(main), not short.isdigit(), row.d_sae, row.l1, row.group

    return list(dict.fromkeys(row.group for row in sorted(shares.itertuples(), key=place)))
