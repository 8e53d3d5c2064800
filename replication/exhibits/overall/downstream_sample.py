"""Logit weights, ablation and pinned samples of a random sample of features: how far they agree, against mismatched features."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

VIEWS = {"logits": "Logit weights", "ablation": "Most harmed by ablation", "pinned": "Most raised when pinned"}
PANELS = {"ablation": "With ablation", "pinned": "With pinned samples"}
MATCHED: dict[str, Any] = {"facecolor": style.ORANGE, "edgecolor": "#8A4C00", "label": "the feature's own"}
OTHERS: dict[str, Any] = {"facecolor": "white", "edgecolor": style.GREY, "hatch": "////", "label": "another feature's"}
EXTREMES: dict[str, dict[str, Any]] = {"largest": {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"},
                                       "smallest": {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "...."}}
SIZE, LONGEST = 6.2, 12  # of example tokens, and their characters


def draw(study: Study) -> Drawing:
    """Above two histograms of agreement and one of the extreme logit weights; below a few features' tokens by each view."""
    pairs, examples = (study.data[study.data["kind"] == kind] for kind in ("pair", "example"))
    shown = examples["feature"].nunique()
    figure = style.figure(2.85 + 0.2 * shown)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.35, 0.35 + 0.2 * shown])[:, 0]
    panels = above.subplots(1, 3)
    for axes, (measure, title) in zip(panels[:2], PANELS.items(), strict=True):
        agreement(axes, study, pairs[pairs["measure"] == measure], measure, title)
    extremes(panels[2], study)
    above.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, title="Agreement of logit weights:", title_fontsize=7,
                 alignment="left")
    handles, labels = panels[2].get_legend_handles_labels()
    handles += [style.handle(marker="^", linestyle="none", color=style.BLACK, markersize=5), style.handle(**style.PUBLISHED)]
    above.legend(handles, [*labels, "our median", "published median"], loc="outside upper right", ncols=2, columnspacing=1.2)
    listing = below.subplots()
    listing.set_axis_off()
    figure.draw_without_rendering()
    table(listing, examples)
    sampled, fired = pairs["other"].nunique(), int(study.data.loc[study.data["kind"] == "largest", "count"].sum())
    facts = {"sampled": style.count(sampled), "fired": style.count(fired)} | {
        f"published_{kind}": f"{study.published.get(f'{kind}_logit_weight_median', float('nan')):.2f}" for kind in ("largest", "smallest")}
    return Drawing(figure, f"n = {facts['sampled']} features drawn at random, {facts['fired']} features that fired", facts)


def agreement(axes: Axes, study: Study, rows: pd.DataFrame, measure: str, title: str) -> None:
    """Shares of features by rank correlation, with their own logit weights and with the others'."""
    edges = np.linspace(-1, 1, 31)
    own = rows["feature"] == rows["other"]
    for some, kind in ((rows[~own], OTHERS), (rows[own], MATCHED)):
        counts, _ = np.histogram(some["correlation"], edges)
        if counts.any():
            axes.stairs(100 * counts / counts.sum(), edges, fill=True, alpha=0.85, linewidth=0.5, **kind)
    axes.axvline(0, color=style.DARK, linewidth=0.5)
    value = study.get(f"{measure}_agreement")
    axes.set(xlabel="rank correlation over tokens", ylabel="share (% per bin)", xlim=(-1, 1))
    axes.set_title(title + ("" if value is None else f": mean {value:.2f}"))
    style.grid(axes)


def extremes(axes: Axes, study: Study) -> None:
    """Largest and smallest logit weight of each feature, with the published medians."""
    for kind, look in EXTREMES.items():
        rows = study.data[study.data["kind"] == kind]
        axes.stairs(rows["count"], [*rows["low"], rows["high"].iloc[-1]], fill=True, linewidth=0.5, label=f"{kind} of a feature", **look)
        key = f"{kind}_logit_weight_median"
        value = study.get(key)
        if value is not None:
            axes.plot([value], [0], marker="^", markersize=6, color=style.BLACK, markeredgecolor="white", clip_on=False, zorder=5)
        if key in study.published:
            axes.axvline(study.published[key], **style.PUBLISHED)
    axes.set(xlabel="logit weight", ylabel="features per bin")
    axes.set_title("Extreme logit weights")
    style.grid(axes)


def table(axes: Axes, examples: pd.DataFrame) -> None:
    """A line per feature: its number, its agreement, and its strongest tokens by each view."""
    box = axes.get_window_extent()
    width = text.ADVANCE * SIZE * axes.figure.dpi / 72 / box.width
    starts = np.linspace(0.125, 1, len(VIEWS) + 1)[:-1]
    line = 1 / (examples["feature"].nunique() + 1)
    free: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "in_layout": False}
    for x, title in zip((0, *starts), ("Feature", *VIEWS.values()), strict=True):
        axes.text(x, 1 - line / 2, title, fontsize=7, fontweight="bold", **free)
    cells = int((starts[1] - starts[0]) / width) - 1
    for place, (feature, rows) in enumerate(examples.groupby("feature", sort=False), start=1):
        y = 1 - (place + 0.5) * line
        axes.text(0, y, f"{rows['dictionary'].iloc[0]}/{feature:.0f} ({rows['agreement'].iloc[0]:.2f})", fontsize=7, **free)
        for x, view in zip(starts, VIEWS, strict=True):
            tokens = [token(str(string)) for string in rows.loc[rows["view"] == view, "token"]]
            text.line(axes, x, y, fitting(tokens, cells), size=SIZE)


def token(string: str) -> str:
    """A token with its spaces visible, cut where it is long."""
    shown = string.replace(" ", "␣")
    return shown if text.cells(text.show(shown)) <= LONGEST else shown[: LONGEST - 1] + "…"


def fitting(tokens: list[str], cells: int) -> list[str]:
    """As many tokens, with spaces between, as there is room for."""
    taken: list[str] = []
    for string in tokens:
        if sum(text.cells(text.show(each)) for each in (*taken, string)) > cells:
            break
        taken += [string, "  "]
    return taken[:-1]
