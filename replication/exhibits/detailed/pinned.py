"""Samples with a context's feature pinned at its maximum and without, and the share of their tokens that lies in the context."""

import json

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.detailed import samples
from replication.exhibits.study import Drawing, Study

SIZE = 6.3
LINE = 1.05 * samples.ROW * SIZE / 72  # inches
TITLES = {"free": "Nothing pinned", "pinned": "{feature} pinned at {value:.1f}", "most": "The same, the sample with most of the context"}
FIRST = {"free": 2, "pinned": 4}  # samples shown in the order in which they were drawn
CONDITIONS = {"free": ("nothing\npinned", style.REST, "s", "free_share"), "random": ("random live\nfeatures pinned", style.PARTS["dead"], "^", "random_share"),
              "pinned": ("the feature\npinned", style.CONTEXT, "o", "pinned_share")}
CHARACTERS = 138  # of a line, an estimate for the height of the figure; lines are wrapped to the real width


def draw(study: Study) -> Drawing:
    """Texts above, tokens in the context marked; below, a dot per sample for each condition, with mean and interval."""
    texts, shares = (study.data[study.data["kind"] == kind] for kind in ("sample", "share"))
    feature, value = str(study.data["feature"].iloc[0]), float(study.data["pinned_at"].iloc[0])
    shown = {name: texts[texts["condition"] == name].head(count) for name, count in FIRST.items()}
    furthest = texts[texts["condition"] == "pinned"].nlargest(1, "share")
    if furthest["share"].iloc[0] > 0 and furthest.index[0] not in shown["pinned"].index:
        shown["most"] = furthest
    lines = sum(len(list(samples.wrapped(json.loads(tokens), CHARACTERS))) + 0.35 for some in shown.values() for tokens in some["tokens"])
    height = LINE * (lines + 1.4 * len(shown))
    figure = style.figure(1.75 + height)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[height, 1.5])[:, 0]
    reading, strip = above.subplots(), below.subplots()
    reading.set_axis_off()
    dots(strip, study, shares)
    figure.draw_without_rendering()
    write(reading, shown, feature, value)
    count = int((shares["condition"] == "pinned").sum())
    length = len(json.loads(texts["tokens"].iloc[0]))
    return Drawing(figure, f"n = {count} samples of {length} tokens for each condition",
                   {"feature": feature, "label": study.label, "samples": str(count), "length": str(length), "maximum": f"{value:.2f}"})


def write(axes: Axes, shown: dict[str, pd.DataFrame], feature: str, value: float) -> None:
    """The samples, each wrapped, with a gap between samples."""
    step, cells = samples.step(axes, SIZE), samples.cells_in(axes, SIZE)
    y = 1 - step / 2
    for name, rows in shown.items():
        axes.text(0, y, TITLES[name].format(feature=feature, value=value), fontsize=8, fontweight="bold", va="center", transform=axes.transAxes,
                  in_layout=False)
        y -= step
        for row in rows.itertuples():
            tokens, on = json.loads(str(row.tokens)), json.loads(str(row.values))
            for some in samples.wrapped(tokens, cells):
                samples.marked(axes, 0, y, tokens[some], on[some], SIZE)
                y -= step
            y -= 0.35 * step
        y -= 0.3 * step


def dots(axes: Axes, study: Study, shares: pd.DataFrame) -> None:
    """Share of each sample's tokens in the context, by condition; a diamond for the mean, with its interval where there is one."""
    for place, (name, (_, kind, marker, key)) in enumerate(CONDITIONS.items()):
        values = 100 * shares.loc[shares["condition"] == name, "share"].to_numpy(float)
        height = place + 0.5 * (np.arange(len(values)) % 7 - 3) / 7
        axes.plot(values, height, marker, markersize=3.4, markerfacecolor=kind["facecolor"], markeredgecolor=kind["edgecolor"], markeredgewidth=0.5,
                  alpha=0.75, clip_on=False)
        low, high = (study.get(key, end) for end in ("low", "high"))
        if low is not None and high is not None:
            axes.plot([100 * low, 100 * high], [place, place], color=style.BLACK, linewidth=1.4, zorder=4)
        axes.plot(values.mean(), place, "D", markersize=5, color=style.BLACK, markeredgecolor="white", markeredgewidth=0.6, zorder=5, clip_on=False)
    axes.set_yticks(range(len(CONDITIONS)), [label for label, *_ in CONDITIONS.values()])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=f"sampled tokens in the context: {study.label} (% of a sample; diamond: mean, line: its 95% interval)", ylim=(-0.5, len(CONDITIONS) - 0.5))
    axes.set_xlim(0, max(5.0, 1.05 * 100 * float(shares["share"].max())))
    style.grid(axes, "x")
