"""How closely a feature follows its context's proxy, beside neurons and chance, and what fires where it does not."""

import json
import unicodedata
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.detailed.samples import cells_in
from replication.exhibits.study import Drawing, Study

BARS: dict[str, tuple[str, dict[str, Any]]] = {
    "feature": ("feature", {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"}),
    "neuron": ("best\nneuron", {"facecolor": "#9DBBE0", "edgecolor": style.BLUE, "hatch": "////"}),
    "random": ("best random\ndirection", {"facecolor": "white", "edgecolor": style.GREY, "hatch": "...."})}
GAP: dict[str, Any] = {"facecolor": style.ORANGE, "edgecolor": "#8A4C00", "linewidth": 0.6}
ELSEWHERE: dict[str, Any] = {"facecolor": "white", "edgecolor": style.GREY, "linewidth": 0.6}
SIZE, CIRCLE = 6.3, "\u25cc"


def draw(study: Study) -> Drawing:
    """Left: correlations with the proxy; middle: how often other features fire in gaps and elsewhere; right: on what."""
    bars, others = (study.data[study.data["kind"] == kind] for kind in ("bar", "other"))
    feature = str(study.data["feature"].iloc[0])
    figure = style.figure(2.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.0, 1.25, 1.45])
    correlations(left, bars, study)
    gaps(middle, others)
    right.set_axis_off()
    right.set_title("Gap tokens on which it fires")
    figure.suptitle(f"{feature}: {study.label}", x=0.012, ha="left", fontsize=8.5, fontweight="bold")
    if len(others):
        named = (GAP, "in gaps: proxy on, feature off"), (ELSEWHERE, "on all other tokens")
        figure.legend(handles=[style.patch({**kind, "label": label}) for kind, label in named], loc="outside upper right", ncols=2)
    figure.draw_without_rendering()
    listed(right, others)
    tokens, in_gaps = (style.count(study.get(key, "n") or 0) for key in ("correlation", "gaps_covered"))
    return Drawing(figure, f"n = {tokens} tokens, {in_gaps} gaps", {
        "tokens": tokens, "gaps": in_gaps, "feature": feature, "label": study.label, "neuron": str(study.data["neuron"].iloc[0])})


def correlations(axes: Axes, rows: pd.DataFrame, study: Study) -> None:
    """Upright bars with intervals; the published value as a dashed line."""
    for place, row in enumerate(rows.itertuples()):
        kind = BARS[str(row.name)][1]
        axes.bar(place, row.correlation, width=0.62, linewidth=0.7, **kind)
        if pd.notna(row.correlation_low):
            reach = [[max(0.0, row.correlation - row.correlation_low)], [max(0.0, row.correlation_high - row.correlation)]]
            axes.errorbar(place, row.correlation, yerr=reach, color=style.BLACK, linewidth=0.9, capsize=2.5)
        highest = max(row.correlation, row.correlation_high if pd.notna(row.correlation_high) else 0.0, 0.0)
        axes.annotate(f"{row.correlation:.2f}", (place, highest), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=6.8,
                      bbox=style.BEHIND, zorder=5)
    published = study.published.get("correlation")
    if published is not None:
        axes.axhline(published, **style.PUBLISHED)
        axes.set_xlabel(f"dashed: published feature, {published:.2f}", fontsize=6.8)
    most = max([*rows["correlation"], *rows["correlation_high"].dropna(), published or 0.0])
    axes.set(title="Correlation with the proxy", ylim=(min(0.0, 1.2 * rows["correlation"].min()), 1.18 * most))
    axes.set_xticks(range(len(rows)), [BARS[str(name)][0] for name in rows["name"]], fontsize=6.5)
    axes.axhline(0, color=style.DARK, linewidth=0.5)
    style.grid(axes)


def gaps(axes: Axes, rows: pd.DataFrame) -> None:
    """A pair of bars for each other feature; a star marks the one that stands for the context's other features."""
    axes.set_title("What else fires")
    if rows.empty:
        axes.set_axis_off()
        axes.text(0, 0.5, "nothing fires more often\nin gaps than elsewhere", transform=axes.transAxes, color=style.GREY)
        return
    for place, row in enumerate(rows.itertuples()):
        axes.barh(place - 0.19, 100 * row.in_gaps, height=0.36, **GAP)
        axes.barh(place + 0.19, 100 * row.elsewhere, height=0.36, **ELSEWHERE)
    labels = [f"{'★ ' if row.filler else ''}{row.other}" for row in rows.itertuples()]
    axes.set_yticks(range(len(rows)), labels, fontsize=6.5)
    most = float(rows[["in_gaps", "elsewhere"]].max().max())
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, max(1e-3, 108 * most)), xlabel="% of tokens on which it fires")
    style.grid(axes, "x")


def listed(axes: Axes, rows: pd.DataFrame) -> None:
    """The commonest gap tokens of each feature with their counts, beside its bars."""
    axes.set(xlim=(0, 1), ylim=(max(len(rows), 1) - 0.5, -0.5))
    room = cells_in(axes, SIZE)
    for place, row in enumerate(rows.itertuples()):
        said = ""
        for token, count in zip(json.loads(str(row.tokens)), json.loads(str(row.counts)), strict=True):
            carrier = CIRCLE if unicodedata.combining(token[:1] or " ") else ""  # a mark that sits on a letter needs one
            more = f"{text.show(carrier + token.replace(' ', '␣'))} ({count})  "
            if text.cells(said + more) > room and said:
                break
            said += more
        axes.text(0, place, said.rstrip() or "none on the reporting half", fontsize=SIZE, family=text.FONTS, va="center_baseline",
                  in_layout=False, color=style.DARK if said else style.GREY)
