"""Causes of MLP features in the stream before the MLP: attribution against ablation, then the causes themselves, with examples."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from replication.exhibits import labels, style
from replication.exhibits.study import Drawing, Study

METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {  # from the cheapest to the dearest
    "weights": ("weights", dict(style.SERIES[4])), "mean_gates": ("mean gates", dict(style.SERIES[1])),
    "frozen": ("scale held", dict(style.SERIES[2])), "gradient": ("gradient", dict(style.MAIN)),
    "integrated": ("integrated", dict(style.SERIES[0])),
}
CONTROLS = {"random": "random\ndirections", "other": "another\nfeature"}
CURVES = ("weights", "frozen", "gradient", "integrated")
REACH = (-0.75, 1.75)  # shares of the activation in the scatter
BUDGET: Mapping[str, tuple[str, dict[str, Any]]] = {
    "budget_features": ("dictionary's features", {"color": style.ORANGE, "linestyle": "-"}),
    "budget_error": ("its error", {"color": style.BLACK, "linestyle": (0, (1, 1))})}
EDGES = np.linspace(-3, 8, 45)
SIZE, CAUSE = 6.3, 0.29  # type of the examples, and where in the width the causes begin


def draw(study: Study) -> Drawing:
    """Six panels, and examples in words below them."""
    rows = {str(name): part for name, part in study.data.groupby("row", sort=False)}
    told = rows.get("example", pd.DataFrame())
    count = told["place"].nunique() if len(told) else 0
    room = 0.22 + 0.15 * count
    figure = style.figure(4.2 + room)
    (upper,), (lower,) = figure.subfigures(2, 1, height_ratios=(4.2, room), squeeze=False)
    panels = upper.subplots(2, 3)
    scatter(panels[0, 0], rows["pair"])
    methods(panels[0, 1], study)
    curves(panels[0, 2], rows["size"], 100, "pairs with the right sign (%)")
    edges = [*rows["size"]["low"].iloc[1:]]
    panels[0, 2].set_xticks(np.arange(len(edges)) + 0.5, [f"{100 * edge:g}" for edge in edges])
    panels[0, 2].set(xlabel="effect (% of the activation)", title="By size of the effect", ylim=(40, 102))
    panels[0, 2].axhline(50, **style.PUBLISHED)
    curves(panels[1, 0], rows["fifth"], 1, "rank correlation")
    panels[1, 0].set_xticks(range(len(rows["fifth"])), ["weakest", *[""] * (len(rows["fifth"]) - 2), "strongest"])
    panels[1, 0].set(xlabel="fifth of a feature's activation", title="By strength of the feature", ylim=(min(0, panels[1, 0].get_ylim()[0]), 1.04))
    budget(panels[1, 1], rows["feature"])
    concentration(panels[1, 2], rows["rank"])
    handles = [style.handle(**METHODS[name][1], label=METHODS[name][0]) for name in reversed(CURVES)]
    panels[1, 0].legend(handles=handles, loc="center", bbox_to_anchor=(0.5, 0.46), fontsize=6.3)
    examples(lower.subplots(), told, room)
    features, pairs = style.count(len(rows["feature"])), style.count(rows["size"]["count"].sum())
    replicates = int(study.get("spearman_gradient", "replicates") or 1)
    note = f"n = {features} features of the MLP in each of {replicates} replicates, {pairs} pairs"
    return Drawing(figure, note, {"features": features, "pairs": pairs, "replicates": str(replicates)})


def scatter(axes: Axes, pairs: pd.DataFrame) -> None:
    """Attribution against effect, both in shares of the activation."""
    x, y = (np.clip(pairs[name], *REACH) for name in ("gradient", "effect"))
    axes.plot(REACH, REACH, **style.PUBLISHED)
    axes.axhline(1, color=style.GREY, linewidth=0.6)
    axes.plot(x, y, linestyle="none", marker=".", markersize=1.6, color=style.ORANGE, markeredgewidth=0, alpha=0.6)
    axes.annotate("turned off", (REACH[0], 1), xytext=(2, 2), textcoords="offset points", fontsize=6.3, color=style.GREY)
    axes.set(xlim=REACH, ylim=REACH, xlabel="activation × gradient", ylabel="effect of ablation", title="One pair, one point")
    axes.set_xticks([-0.5, 0, 0.5, 1, 1.5])
    axes.set_yticks([-0.5, 0, 0.5, 1, 1.5])


def methods(axes: Axes, study: Study) -> None:
    """Rank correlation with ablation of each method, and of the controls."""
    names = [*METHODS, *CONTROLS]
    for place, name in enumerate(names):
        number = study.numbers.get(f"spearman_{name}")
        if number is None:
            continue
        kind = METHODS[name][1] if name in METHODS else {"color": style.GREY, "marker": "o"}
        reach = [[max(0, number["value"] - number.get("low", number["value"]))], [max(0, number.get("high", number["value"]) - number["value"])]]
        axes.errorbar(number["value"], -place, xerr=reach, marker=kind["marker"], color=kind["color"], markersize=4.5, linestyle="none", elinewidth=0.9,
                      capsize=2, markerfacecolor="white" if name in CONTROLS else kind["color"])
    axes.axhline(0.5 - len(METHODS), color=style.LIGHT, linewidth=0.6)
    axes.set_yticks(-np.arange(len(names)), [METHODS[name][0] if name in METHODS else CONTROLS[name] for name in names], fontsize=6.3,
                    linespacing=0.95)
    axes.set(xlim=(min(-0.05, axes.get_xlim()[0]), 1.04), xlabel="rank correlation", title="Agreement with ablation")
    axes.set_xticks([0, 0.5, 1])
    style.grid(axes, "x")


def curves(axes: Axes, rows: pd.DataFrame, scale: float, label: str) -> None:
    """One line for each method over the rows in turn."""
    for name in CURVES:
        axes.plot(range(len(rows)), scale * rows[name], **METHODS[name][1], markersize=3.2, linewidth=1.1)
    axes.set_ylabel(label)
    style.grid(axes)


def budget(axes: Axes, features: pd.DataFrame) -> None:
    """What features and error contribute to a feature's activation."""
    for name, (label, kind) in BUDGET.items():
        values = features[name].dropna()
        counts, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)
        axes.stairs(100 * counts / max(1, len(values)), EDGES, linewidth=1.3, **kind, label=label)
    axes.axvline(1, **style.PUBLISHED)
    axes.axvline(0, color=style.LIGHT, linewidth=0.6, zorder=0)
    axes.set(xlim=(EDGES[0], EDGES[-1]), xlabel="part of the activation (1: all of it)", ylabel="features (%)", title="What adds up to the activation")
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])
    axes.legend(loc="upper right", fontsize=6.3)


def concentration(axes: Axes, ranks: pd.DataFrame) -> None:
    """Share of raising effects in the first causes."""
    borrowed = {"color": style.GREY, "linestyle": (0, (1, 1)), "marker": "^"}
    for name, label, kind in (("share", "its own causes", style.MAIN), ("borrowed", "another feature's causes", borrowed)):
        axes.plot(ranks["rank"], 100 * ranks[name], **kind, markersize=3.5, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ranks["rank"].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(ylim=(min(0, 105 * float(ranks[["share", "borrowed"]].min().min())), 116), yticks=range(0, 101, 20), xlabel="first causes, by the other half",
             ylabel="raising effect (%)", title="How many causes")
    style.grid(axes)
    axes.legend(loc="upper left", fontsize=6.3)


def examples(axes: Axes, told: pd.DataFrame, height: float) -> None:
    """A line for each feature: its tokens, and its first causes with their tokens and their share."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, height))
    axes.text(0.0, height, "MLP feature, its tokens", fontsize=7, fontweight="bold", va="top")
    axes.text(CAUSE, height, "First causes in the stream: their tokens, and share of the raising effect", fontsize=7, fontweight="bold", va="top")
    for line, (_, rows) in enumerate(told.groupby("place", sort=True) if len(told) else ()):
        y = height - 0.2 - 0.15 * line
        axes.text(0.0, y, f"{rows['feature'].iloc[0]:.0f}", fontsize=SIZE, va="top", color=style.GREY)
        axes.text(0.06, y, words(rows["tokens"].iloc[0]), fontsize=SIZE, va="top")
        for place, (_, row) in enumerate(rows.sort_values("rank").iterrows()):
            axes.text(CAUSE + 0.235 * place, y, f"{words(row['cause_tokens'])}  ({100 * row['share']:.0f}%)", fontsize=SIZE, va="top", color=style.BLUE)


def words(tokens: str) -> str:
    """Tokens of a JSON list, as short labels."""
    return "  ".join(labels.label(token, 8) for token in json.loads(tokens))
