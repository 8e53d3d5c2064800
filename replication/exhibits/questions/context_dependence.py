"""Token or context: what is left of an activation without its text, by unit, by distance, by pairs of tokens, and four clear cases."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

KINDS: Mapping[str, Mapping[str, Any]] = {
    "features": {"color": style.ORANGE, "linestyle": "-", "marker": "o", "label": "features"},
    "rare neurons": {"color": style.BLUE, "linestyle": (0, (5, 1.5)), "marker": "s", "label": "neurons, as rare as features"},
    "neurons": {"color": style.GREY, "linestyle": (0, (1, 1)), "marker": "^", "label": "neurons"}}
LEFT = {"alone": "text\nremoved", "token": "text\nreplaced", "context": "token\nreplaced", "neither": "both\nreplaced"}
CASES = {"token": "the token alone", "one": "one earlier token", "both": "two tokens, both needed", "either": "two tokens, either enough"}
QUADRANTS = {"token_enough": ("token enough", 0.98, 0.61, "right"), "text_enough": ("text enough", 0.03, 0.97, "left"),
             "both_matter": ("both matter", 0.03, 0.61, "left")}
MOST = 1.25  # share of the activation at which axes end; more is drawn at the rim
HALF = 0.5


def draw(study: Study) -> Drawing:
    """Six panels and the four cases."""
    rows = {str(row): of for row, of in study.data.groupby("row")}
    units = rows["unit"]
    units = units[units["drawn"].astype(bool) | (units["kind"] == "features")]
    examples = rows.get("example", pd.DataFrame())
    figure = style.figure(5.1 + 0.2 * len(examples))
    grid = figure.add_gridspec(3, 3, height_ratios=[1, 1, 0.1 + 0.11 * len(examples)])
    panels = [[figure.add_subplot(grid[row, column]) for column in range(3)] for row in range(2)]
    enough(panels[0][0], units, study)
    medians(panels[0][1], study)
    alone(panels[0][2], units)
    distance(panels[1][0], rows["distance"])
    kept(panels[1][1], rows["kept"])
    together(panels[1][2], units)
    shown = [kind for kind in KINDS if (units["kind"] == kind).any()]
    handles = [style.handle(**{**KINDS[kind], "markersize": 4, "linewidth": 1.3}) for kind in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    below = figure.add_subplot(grid[2, :])
    below.set_axis_off()
    figure.draw_without_rendering()
    cases(below, examples)
    counts = {kind: style.count((units["drawn"].astype(bool) & (units["kind"] == kind)).sum()) for kind in KINDS}
    facts = {"features": counts["features"], "neurons": counts["neurons"], "rare": counts["rare neurons"], "main": study.main}
    return Drawing(figure, f"n = {counts['features']} features, {counts['neurons']} neurons", facts)


def enough(axes: Axes, units: pd.DataFrame, study: Study) -> None:
    """Own token after another text against another token after the own text."""
    main = units[(units["kind"] != "features") | (units["dictionary"] == study.main)]
    for kind in ("neurons", "features"):
        of = main[main["kind"] == kind]
        axes.plot(of["token"].clip(0, MOST), of["context"].clip(0, MOST), color=KINDS[kind]["color"], marker=KINDS[kind]["marker"], linestyle="none",
                  markersize=2.6, markeredgewidth=0, alpha=0.6, clip_on=False)
    following = main[main["family"].fillna("") != ""].sort_values("context")
    axes.plot(following["token"].clip(0, MOST), following["context"].clip(0, MOST), marker="o", color="none", markeredgecolor=style.BLACK, markersize=4.5,
              markeredgewidth=0.8, linestyle="none", clip_on=False)
    for place, row in enumerate(following.itertuples()):
        axes.annotate(str(row.family), (min(row.token, MOST), min(row.context, MOST)), xytext=(0.44, 0.05 + 0.09 * place), textcoords="axes fraction",
                      fontsize=5.8, bbox=style.BEHIND, arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": style.DARK}, va="center")
    for draw_line in (axes.axvline, axes.axhline):
        draw_line(HALF, **style.PUBLISHED)
    for key, (said, x, y, ha) in QUADRANTS.items():
        share = study.get(key)
        if share is not None:
            axes.text(x, y, f"{said}\n{100 * share:.0f}%", transform=axes.transAxes, ha=ha, va="top", fontsize=6.8, color="#8A4C00", fontweight="bold",
                      linespacing=1.1, zorder=1)
    for axis in ("x", "y"):
        getattr(axes, f"set_{axis}scale")("function", functions=(root, np.square))  # most lie near 0
        getattr(axes, f"set_{axis}lim")(0, MOST)
        getattr(axes, f"set_{axis}ticks")([0, 0.05, 0.2, 0.5, 1], ["0", "0.05", "0.2", "0.5", "1"])
    axes.set(xlabel="left after another text (share)", ylabel="left with another token (share)", title="Token or text?")


def root(values: np.ndarray) -> np.ndarray:
    """Square root, 0 below 0."""
    return np.asarray(np.sqrt(np.maximum(values, 0)))


def medians(axes: Axes, study: Study) -> None:
    """Medians of what is left, with intervals; neurons beside features."""
    for place, (kind, look) in enumerate(KINDS.items()):
        prefix = "" if kind == "features" else f"{kind.replace(' ', '_')}_"
        for x, key in enumerate(LEFT):
            value, low, high = (study.get(prefix + key, field) for field in ("value", "low", "high"))
            if value is None:
                continue
            at = x + 0.26 * (place - 1)
            axes.bar(at, 100 * value, 0.24, color=look["color"], hatch=("", "////", "....")[place], edgecolor="white", linewidth=0.3)
            if low is not None and high is not None:
                axes.plot([at, at], [100 * max(0.0, low), 100 * max(0.0, high)], color=style.DARK, linewidth=0.8)
    axes.set_xticks(range(len(LEFT)), LEFT.values(), fontsize=6.5)
    axes.set(ylim=(0, None), ylabel="activation left (%), median", title="What is left")
    style.grid(axes)


def alone(axes: Axes, units: pd.DataFrame) -> None:
    """Share of units by what is left on the token alone, cumulative."""
    for kind, look in KINDS.items():
        values = np.sort(units.loc[(units["kind"] == kind) & units["drawn"].astype(bool), "alone"].clip(0, MOST).to_numpy(float))
        if len(values):
            axes.step(100 * np.concatenate([[0], values, [MOST]]), 100 * np.concatenate([[0], np.arange(1, len(values) + 1), [len(values)]]) / len(values),
                      where="post", color=look["color"], linestyle=look["linestyle"], linewidth=1.4)
    axes.axvline(100 * HALF, **style.PUBLISHED)
    axes.set(xlim=(0, 100 * MOST), ylim=(0, 102), xlabel="activation left on the token alone (%)", ylabel="units with at most this (%)",
             title="All earlier tokens removed")
    style.grid(axes, "both")


def distance(axes: Axes, table: pd.DataFrame) -> None:
    """Mean effect of one earlier token by distance: removed, and replaced."""
    for kind, look in KINDS.items():
        of = table[table["kind"] == kind].groupby("distance")[["removed", "replaced"]].mean()
        if len(of):
            axes.plot(of.index, 100 * of["removed"], **{**look, "label": None}, markersize=3, linewidth=1.3)
            axes.plot(of.index, 100 * of["replaced"], color=look["color"], linestyle="none", marker=look["marker"], markersize=3.6, markerfacecolor="white",
                      markeredgewidth=0.7)
    axes.axhline(0, color=style.GREY, linewidth=0.6)
    axes.set(xlabel="tokens back", ylabel="activation lost (%), mean", title="One earlier token", xticks=range(1, 11))
    both = {"removed": {"linestyle": "-", "markersize": 3}, "replaced": {"linestyle": "none", "markersize": 3.6, "markerfacecolor": "white"}}
    axes.legend(handles=[style.handle(marker="o", color=style.DARK, label=label, **kind) for label, kind in both.items()], loc="upper right")
    style.grid(axes)


def kept(axes: Axes, table: pd.DataFrame) -> None:
    """What the last tokens give back: median over units, quartiles of features."""
    for kind, look in KINDS.items():
        of = table[table["kind"] == kind].groupby("last")[["low", "median", "high"]].mean()
        if len(of):
            axes.plot(of.index, 100 * of["median"], **{**look, "label": None}, markersize=3, linewidth=1.3, zorder=3)
        if kind == "features":
            axes.fill_between(of.index, 100 * of["low"], 100 * of["high"], color=style.ORANGE, alpha=0.18, linewidth=0)
    axes.axhline(100 * HALF, **style.PUBLISHED)
    axes.set_xscale("symlog", linthresh=2, linscale=0.6)
    axes.set_xticks([0, 1, 2, 3, 5, 10, 20, 50], ["0", "1", "2", "3", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set(xlim=(-0.1, 55), ylim=(0, 112), xlabel="earlier tokens kept, nearest first", ylabel="activation left (%), median")
    axes.set_title("Only the last ones kept")
    style.grid(axes, "both")


def together(axes: Axes, units: pd.DataFrame) -> None:
    """By how much the strongest pair of tokens exceeds the sum of its two."""
    at = np.linspace(-0.5, 0.5, 41)
    for kind in ("neurons", "rare neurons", "features"):
        values = units.loc[(units["kind"] == kind) & units["drawn"].astype(bool), "interaction"].to_numpy(float)
        if len(values):
            counts, _ = np.histogram(np.clip(values, at[0], at[-1]), at)
            axes.stairs(100 * counts / len(values), 100 * at, color=KINDS[kind]["color"], linestyle=KINDS[kind]["linestyle"], linewidth=1.3,
                        fill=False, zorder=3 if kind == "features" else 2)
    axes.axvline(0, color=style.GREY, linewidth=0.6)
    top = axes.get_ylim()[1]
    axes.set(xlim=(-50, 50), ylim=(0, 1.18 * top), xlabel="both less the sum of each (%)", ylabel="units (%)", title="Two earlier tokens")
    axes.text(0.02, 0.98, "both needed", transform=axes.transAxes, ha="left", va="top", fontsize=6.5)
    axes.text(0.98, 0.98, "either enough", transform=axes.transAxes, ha="right", va="top", fontsize=6.5)


def cases(axes: Axes, examples: pd.DataFrame) -> None:
    """A line of text for each clear case: the last token is the one on which the feature fires; underlined is what removing a token does."""
    free: dict[str, Any] = {"va": "center_baseline", "transform": axes.transAxes, "in_layout": False}
    for place, row in enumerate(examples.itertuples()):
        y = 0.92 - place / max(1, len(examples))
        axes.text(0, y, CASES[str(row.case)], fontsize=6.8, fontweight="bold", **free)
        axes.text(0.235, y, f"{row.dictionary}/{int(row.feature)}", fontsize=6.3, color=style.GREY, **free)
        strings, effects = json.loads(str(row.tokens)), json.loads(str(row.effects))
        on = [0.0] * (len(strings) - 1) + [1.0]
        text.line(axes, 0.335, y, [string.replace(" ", "␣") for string in strings], on, effects, centre=len(strings) - 1, effect_limit=1.0)
