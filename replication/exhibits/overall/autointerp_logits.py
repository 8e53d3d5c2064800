"""Shares right in the logit test: a histogram per judge, headline first; below, means and medians beside chance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import scores, style
from replication.exhibits.study import Drawing, Study

REACH = (0.18, 1.02)
STRINGS = "judge of strings"  # which explainers without a language model share
PUBLISHED = {"mean": {"features": "feature_mean", "neurons": "neuron_mean"},
             "median": {"features": "feature_median", "neurons": "neuron_median", "random": "random_median"}}


def draw(study: Study) -> Drawing:
    """Above histograms, below the two summaries of every judge."""
    data = study.data
    bins, summary = data[data["table"] == "bin"], data[data["table"] == "summary"]
    names = scores.explainers(data)
    columns = scores.columns(len(names))
    rows = -(-len(names) // columns)
    below = 0.75 + 0.36 * len(names)
    figure = style.figure(0.35 + 1.7 * rows + below)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.7 * rows, below])[:, 0]
    panels = upper.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        panel(axes, bins[bins["explainer"] == name], name, name == names[0])
    for axes in panels.flat[len(names):]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("units (%)")
    for axes, which in zip(lower.subplots(1, 2, sharey=True), PUBLISHED, strict=True):
        summaries(axes, summary[summary["statistic"] == which], names, which, study)
    found = [*scores.roles(bins), "control"]
    handles = [*scores.handles(found, scores.fits(bins)), style.handle(color=style.GREY, linewidth=0.8, label="chance"),
               style.handle(**style.PUBLISHED, label="published, a language model's")]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1.2, handlelength=2.2)
    own = summary[(summary["explainer"] == names[0]) & (summary["statistic"] == "mean")].set_index("role")["n"]
    sizes = {role: style.count(own.get(role, 0)) for role in scores.ROLES}
    note = ", ".join(f"{size} {scores.ROLES[role][0]}" for role, size in sizes.items() if size != "0")
    return Drawing(figure, f"n = {note} (smallest fit); 100 tokens each; bars are 95% intervals",
                   {"headline": judge(names[0]), **{f"n_{role}": size for role, size in sizes.items()}})


def judge(name: str) -> str:
    """Who answered the test where an explainer is named."""
    return scores.NAMES.get(name, name) if name == "llm" else STRINGS


def panel(axes: Axes, bins: pd.DataFrame, name: str, first: bool) -> None:
    """One judge's shares right."""
    edges = style.edges(bins) if len(bins) else np.array([0.0, 1.0])
    top = max(scores.histogram(axes, bins[bins["role"] == role], role, edges) for role in scores.ROLES)
    axes.axvline(0.5, color=style.GREY, linewidth=0.8)
    axes.set(xlim=REACH, ylim=(0, 1.1 * max(top, 1e-9)), xlabel="share right")
    axes.set_title(judge(name) + (" (headline)" if first else ""))
    axes.xaxis.set_tick_params(labelbottom=True)
    style.grid(axes, "x")


def summaries(axes: Axes, rows: pd.DataFrame, names: list[str], which: str, study: Study) -> None:
    """Means or medians of every judge with 95 % intervals; the published ones across, of whom they are."""
    for place, name in enumerate(reversed(names)):
        for offset, role in enumerate(scores.EVERY):
            for _, row in rows[(rows["explainer"] == name) & (rows["role"] == role)].iterrows():
                scores.interval(axes, row, role, place + 0.27 - 0.18 * offset)
    axes.axvline(0.5, color=style.GREY, linewidth=0.8)
    for role, key in PUBLISHED[which].items():
        if key in study.published:
            axes.axvline(study.published[key], **{**style.PUBLISHED, "color": scores.ROLES[role][1]["color"]}, zorder=0)
    axes.set_yticks(range(len(names)), [judge(name) for name in reversed(names)])
    low, high = float(rows["low"].min()), float(rows["high"].max())
    axes.set(ylim=(-0.55, len(names) - 0.45), xlim=(min(0.45, low - 0.02), max(0.78, high + 0.02)), xlabel=f"{which} share right",
             title=f"{which[0].upper()}{which[1:]}s")
    axes.tick_params(axis="y", length=0)
    style.grid(axes, "x")
