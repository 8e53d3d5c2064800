"""How specific a feature is: its activations coloured by the proxy, the share of the context at each level, and examples."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.detailed.samples import around, cells_in, step
from replication.exhibits.study import Drawing, Study

WEAK: dict[str, Any] = {"facecolor": "#A9D3B7", "edgecolor": style.CONTEXT["facecolor"], "hatch": "...."}
STRENGTHS: dict[str, tuple[str, dict[str, Any]]] = {  # from below
    "strong": ("proxy strongly on", dict(style.CONTEXT)), "weak": ("proxy weakly on", WEAK), "off": ("proxy off", dict(style.REST))}
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
SIZE, LINE = 6.3, 0.158  # of the text in points, and inches from line to line
LABEL = 0.185  # share of the width that labels of examples take


def draw(study: Study) -> Drawing:
    """Above: tokens, summed activation and share of the context by activation; below: random windows from four levels."""
    bins, levels, shown = (study.data[study.data["kind"] == kind] for kind in ("bin", "level", "example"))
    feature = str(study.data["feature"].iloc[0])
    lines = LINE * (len(shown) + 1)
    figure = style.figure(3.3 + lines)
    grid = figure.add_gridspec(2, 3, height_ratios=[2.0, lines])
    counts, weighted, shares = (figure.add_subplot(grid[0, column]) for column in range(3))
    stacked(counts, bins, "count", 1.0)
    stacked(weighted, bins, "activation", 100 / max(float(bins["activation"].sum()), 1e-9))
    share(shares, levels, study)
    counts.set(title="By count", ylabel="tokens", xlabel="activation")
    weighted.set(title="By expected value", ylabel="summed activation (% per bin)", xlabel="activation")
    shares.set(title="Share in the context", ylabel="% of tokens on which it fires")
    handles = [style.patch({**kind, "label": label}) for label, kind in reversed(STRENGTHS.values())]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    figure.suptitle(f"{feature}: {study.label}", x=0.012, ha="left", fontsize=8.5, fontweight="bold")
    panel = figure.add_subplot(grid[1, :])
    panel.set_axis_off()
    panel.set_title("Random windows from each quarter of the activation's range", loc="left")
    figure.draw_without_rendering()
    examples(panel, shown, float(bins["high"].max()))
    active = style.count(bins["count"].sum())
    tokens = style.count(study.get("density", "n") or 0)
    return Drawing(figure, f"n = {active} tokens on which {feature} fires, of {tokens}", {
        "active": active, "tokens": tokens, "feature": feature, "label": study.label})


def stacked(axes: Axes, bins: pd.DataFrame, column: str, scale: float) -> None:
    """Bars in three parts, the context below."""
    edges = style.edges(bins)
    base = np.zeros(len(edges) - 1)
    for strength, (_, kind) in STRENGTHS.items():
        height = scale * bins.loc[bins["proxy"] == strength, column].to_numpy(float)
        if height.any():
            axes.stairs(base + height, edges, baseline=base, fill=True, linewidth=0.4, **{**kind, "label": None})
        base = base + height
    axes.set(xlim=(0, edges[-1]), ylim=(0, 1.05 * max(base.max(), 1e-9)))
    style.grid(axes)


def share(axes: Axes, levels: pd.DataFrame, study: Study) -> None:
    """The share at each level with its interval, beside the context's share of all tokens; published shares as dashed lines."""
    fired = levels[levels["count"] > 0]
    middle, value = (fired["low"] + fired["high"]) / 2, 100 * fired["share"]
    reach = np.clip([value - 100 * fired["share_low"], 100 * fired["share_high"] - value], 0, None)
    axes.errorbar(middle, value, yerr=reach, color=style.CONTEXT["facecolor"], marker="o", markersize=3.5, linewidth=1.1, elinewidth=0.8,
                  capsize=1.8)
    base = 100 * (study.get("context_share") or 0)
    axes.axhline(base, color=style.BLACK, linewidth=0.9, linestyle=(0, (1, 1.2)))
    axes.set_xlabel(f"activation (dotted: all tokens, {base:.2g}%)", fontsize=6.8)
    for key, what, dashes in (("active_share", "when on", (0, (4, 2))), ("barely_on_share", "when barely on", (0, (6, 2, 1, 2)))):
        if key in study.published:
            published = 100 * study.published[key]
            axes.axhline(published, label=f"published,\n{what}: {published:.0f}%", **{**style.PUBLISHED, "linestyle": dashes})
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.45), fontsize=6.5)
    axes.set(xlim=(0, levels["high"].max()), ylim=(-2, 104))
    style.grid(axes)


def examples(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    """A line each: level, activation, whether the proxy is on (filled square), and the window with the activations behind it."""
    down = min(step(axes, SIZE), 1 / (len(rows) + 0.25 * len(QUARTERS)))
    room = int((1 - LABEL) * cells_in(axes, SIZE))
    small: dict[str, Any] = {"transform": axes.transAxes, "fontsize": SIZE, "va": "center_baseline", "in_layout": False}
    mark: dict[str, Any] = {"marker": "s", "markersize": 3.4, "markeredgewidth": 0.5, "markeredgecolor": style.CONTEXT["edgecolor"]}
    y = 1.0 - 0.5 * down
    for quarter in reversed(range(len(QUARTERS))):
        for rank, row in enumerate(rows[rows["quarter"] == quarter].itertuples()):
            if not rank:
                axes.text(0, y, QUARTERS[quarter], color=style.GREY, **small)
            axes.text(LABEL - 0.035, y, f"{row.activation:.2f}", ha="right", **small)
            axes.plot(LABEL - 0.02, y, markerfacecolor=style.CONTEXT["facecolor"] if row.inside else "white", transform=axes.transAxes,
                      clip_on=False, in_layout=False, **mark)
            strings, values, centre = json.loads(str(row.tokens)), json.loads(str(row.values)), int(row.centre)
            some = around(strings, centre, room)
            text.line(axes, LABEL, y, strings[some], values[some], size=SIZE, centre=centre - some.start, limit=limit)
            y -= down
        y -= 0.25 * down
