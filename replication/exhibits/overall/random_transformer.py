"""The main dictionary beside one of a shuffled model: single-token share, how far down the token stays the same, examples."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

SIDES = {"A": ("main model", {**style.MAIN}), "random": ("shuffled model", {**style.SERIES[0]})}
KINDS = {"single": "single-token features", "other": "other features"}
LINE, SIZE = 0.135, 5.6  # inches of a line of text, and its size in points
TOP, FOOT = 2.1, 0.35  # inches of the panels above the examples, and of what lies below those
GAP = re.compile(" {6,}")  # indentation that would push a window out of its column


def draw(study: Study) -> Drawing:
    """Above: shares, intervals, variance; below: windows of features drawn at random, with a weak interval's below the strongest."""
    data = study.data
    dictionaries, intervals, examples = (data[data["table"] == kind] for kind in ("dictionary", "interval", "example"))
    sides = {"A": dictionaries[dictionaries["main"]]["group"].iloc[0]}
    others = dictionaries.loc[~dictionaries["main"], "group"]
    if len(others):
        sides["random"] = others.iloc[0]
    lines = max((len(of) for _, of in examples.groupby("group")), default=0) + len(KINDS) + 1
    below = LINE * lines + FOOT
    figure = style.figure(TOP + below)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[TOP, below])[:, 0]
    share, depth, variance = upper.subplots(1, 3, width_ratios=[1, 1.7, 1])
    shares(share, study, dictionaries, sides)
    survival(depth, intervals, sides)
    bars(variance, study, "token_variance", "variance between tokens (%)", sides)
    variance.set_title("MLP activations")
    panels = lower.subplots(1, 2)
    for axes in panels:
        axes.set_axis_off()
    handles = [style.handle(**SIDES[side][1], markersize=4, label=f"{SIDES[side][0]} ({name})") for side, name in sides.items()]
    figure.legend(handles=[*handles, style.handle(**style.PUBLISHED, label="A/1 as published")], loc="outside upper center", ncols=3)
    figure.draw_without_rendering()
    for axes, name in zip(panels, sides.values(), strict=False):
        cards(axes, name, examples[examples["group"] == name])
    means = dictionaries.groupby("group")[["features", "l0"]].mean()
    sizes = ", ".join(f"{style.count(means.loc[name, 'features'])} features of {name}" for name in sides.values())
    facts = {f"features_{side}": style.count(means.loc[name, "features"]) for side, name in sides.items()}
    facts |= {f"l0_{side}": f"{means.loc[name, 'l0']:.1f}" for side, name in sides.items()}
    return Drawing(figure, f"n = {sizes} that fire on 20 tokens or more; bars are 95% intervals", facts)


def shares(axes: Axes, study: Study, dictionaries: pd.DataFrame, sides: dict[str, str]) -> None:
    """Shares of single-token features; fits as dots, the published one across."""
    bars(axes, study, "single_token_share", "single-token features (%)", sides)
    for place, name in enumerate(sides.values()):
        values = dictionaries.loc[dictionaries["group"] == name, "single_token"]
        if len(values) > 1:
            axes.plot(place + np.linspace(-0.2, 0.2, len(values)), 100 * values, "o", markersize=2.4, color="white",
                      markeredgecolor=style.DARK, markeredgewidth=0.5)
    published = study.published.get("single_token_share_A")
    if published is not None:
        axes.axhline(100 * published, **style.PUBLISHED)
        axes.annotate(f"{100 * published:.0f}%", (1, 100 * published), xycoords=("axes fraction", "data"), xytext=(-1, 2),
                      textcoords="offset points", fontsize=6.5, ha="right", va="bottom")
        axes.set_ylim(top=max(axes.get_ylim()[1], 115 * published))
    axes.set_title("One token only")


def bars(axes: Axes, study: Study, key: str, label: str, sides: dict[str, str]) -> None:
    """A bar per side with its interval."""
    for place, side in enumerate(sides):
        value, low, high = (study.get(f"{key}_{side}", field) for field in ("value", "low", "high"))
        if value is None:
            continue
        axes.bar(place, 100 * value, width=0.62, color=SIDES[side][1]["color"], alpha=0.85, hatch="" if side == "A" else "////",
                 edgecolor="white", linewidth=0)
        if low is not None and high is not None:
            axes.plot([place] * 2, [100 * low, 100 * high], color=style.DARK, linewidth=1)
        axes.annotate(f"{100 * value:.0f}%", (place, 100 * max(value, high or 0)), xytext=(0, 2), textcoords="offset points",
                      fontsize=6.5, ha="center", va="bottom", bbox=style.BEHIND)
    axes.set_xticks(range(len(sides)), [SIDES[side][0].replace(" ", "\n") for side in sides])
    axes.set(xlim=(-0.6, len(sides) - 0.4), ylabel=label)
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.tick_params(axis="x", length=0)
    style.grid(axes)


def survival(axes: Axes, intervals: pd.DataFrame, sides: dict[str, str]) -> None:
    """Share of single-token features that are still on their token at each interval, strongest on the left."""
    for side, name in sides.items():
        rows = intervals[intervals["group"] == name]
        for _, fit in rows.groupby("dictionary"):
            axes.plot(fit["interval"], 100 * fit["share"], color=SIDES[side][1]["color"], linewidth=0.5, alpha=0.6)
        mean = rows.groupby("interval")["share"].mean()
        axes.plot(mean.index, 100 * mean, markersize=3.6, **SIDES[side][1])
    if intervals["share"].isna().all():
        axes.text(0.5, 0.5, "no single-token features", transform=axes.transAxes, fontsize=7.5, color=style.GREY, ha="center", va="center")
    axes.set_xticks(range(11))
    axes.set(ylim=(-3, 103), xlabel="activation interval, 0 the strongest", ylabel="still on one token (%)",
             title="Single-token features downwards")
    style.grid(axes)


def cards(axes: Axes, name: str, examples: pd.DataFrame) -> None:
    """Windows of one dictionary's features, shaded by activation."""
    step, y = LINE / (axes.get_window_extent().height / axes.figure.dpi), 1.0
    kind: dict[str, Any] = {"transform": axes.transAxes, "va": "center_baseline", "in_layout": False}
    axes.text(0, y, f"{name}: features drawn at random", fontsize=7.5, fontweight="bold", **kind)
    for which, label in KINDS.items():
        y -= step
        rows = examples[examples["kind"] == which]
        axes.text(0, y, label if len(rows) else f"no {label}", fontsize=6.5, color=style.GREY, style="italic", **kind)
        for feature, group in rows.groupby("feature", sort=False):
            shown = group.sort_values("interval")
            values = [json.loads(found) for found in shown["values"]]
            strongest = max(map(max, values))
            axes.text(0, y - step, f"{feature:.0f}", fontsize=SIZE, **kind)
            for row, activations in zip(shown.itertuples(), values, strict=True):
                y -= step
                about = "strongest" if row.interval < 0 else f"interval {row.interval:.0f}"
                axes.text(0.1, y, about, fontsize=SIZE, color=style.GREY, **kind)
                strings = [GAP.sub("  ⋯  ", token) for token in json.loads(row.tokens)]
                text.line(axes, 0.24, y, strings, activations, size=SIZE, centre=int(row.centre), limit=strongest)
