"""Histograms of log10 feature density for every dictionary, small multiples by l1 and size."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.config import model_of
from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

COLUMNS = 4
HEADROOM = 1.2  # of the highest bar, for the line of text above it
FLOOR: dict[str, Any] = {"color": style.BLUE, "linestyle": (0, (1, 1.5)), "linewidth": 1}


def draw(study: Study) -> Drawing:
    """A panel per dictionary: live and ultralow stacked for the first replicate, the others as thin outlines."""
    data = study.data
    home = study.main
    groups = in_order(data, home)
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure = style.figure(0.45 + 1.45 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    fired = data.dropna(subset=["low"])
    reach = min(fired["low"].min(), np.log10(1 / data["tokens"].max())) - 0.3, max(fired["high"].max(), -0.9) + 0.05
    for axes, name in zip(panels.flat, groups, strict=False):
        panel(axes, data[data["group"] == name], reach)
        if name == home:
            outline(axes, study.distributions)
    for axes in panels.flat[len(groups):]:
        axes.set_visible(False)
    for column in range(columns):
        lowest = max(row for row in range(rows) if row * columns + column < len(groups))
        panels[lowest, column].tick_params(labelbottom=True)
        panels[lowest, column].set_xlabel("density (share of tokens)")
    for axes in panels[:, 0]:
        axes.set_ylabel("features\n(% per decade)")
    handles = [style.patch(style.PARTS["other"]), style.patch(style.PARTS["ultralow"]),
               style.handle(color=style.DARK, linewidth=0.7, label="other replicates"),
               style.handle(**style.PUBLISHED, label="A/1 as published"), style.handle(**FLOOR, label="one firing in all tokens")]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, columnspacing=1.6)
    tokens = style.count(data["tokens"].iloc[0])
    return Drawing(figure, f"n = {tokens} evaluation tokens; features that fired", {"tokens": tokens})


def in_order(data: pd.DataFrame, home: str) -> list[str]:
    """The main model first; in it the sizes of the paper, then other settings by l1; last what is not of the run."""
    def place(row: Any) -> tuple[object, ...]:
        model, _, short = row.group.partition("/")
        return np.isnan(row.l1), model != model_of(home), not short.isdigit(), row.l1, row.d_sae, row.group

    return list(dict.fromkeys(row.group for row in sorted(data.itertuples(), key=place)))


def panel(axes: Axes, data: pd.DataFrame, reach: tuple[float, float]) -> None:
    """One dictionary. Heights are percent of the features that fired, per decade, so that bins of any width compare."""
    first = data[data["dictionary"] == data["group"]]
    fired = first.dropna(subset=["low"])
    silent = int(first["features"].sum() - fired["features"].sum())
    at = style.edges(fired)
    style.stacked(axes, at, {part: per_decade(fired[fired["part"] == part], at, fired["features"].sum()) for part in ("other", "ultralow")})
    for name, rows in data.dropna(subset=["low"]).groupby("dictionary"):
        if name != first["dictionary"].iloc[0]:
            at = style.edges(rows)
            axes.stairs(per_decade(rows, at, rows["features"].sum()), at, color=style.DARK, linewidth=0.6, alpha=0.75)
    if np.isfinite(first["tokens"].iloc[0]):
        axes.axvline(np.log10(1 / first["tokens"].iloc[0]), **FLOOR)
    name, size, l1 = (first[column].iloc[0] for column in ("group", "d_sae", "l1"))
    axes.set_title(name)
    about = style.count(size) + (f", {style.l1(l1)}" if np.isfinite(l1) else "") + (f", {style.count(silent)} silent" if silent else "")
    axes.annotate(about, (0.08, 0.99), xycoords="axes fraction", fontsize=6.2, va="top", color=style.GREY)
    axes.set_ylim(top=HEADROOM * axes.get_ylim()[1])
    axes.set_xlim(*reach)
    axes.locator_params(axis="y", nbins=4)
    ticks = np.arange(np.ceil(reach[0]), reach[1] + 0.01, 2 if reach[1] - reach[0] > 4 else 1)
    axes.set_xticks(ticks, [f"$10^{{{tick:.0f}}}$" for tick in ticks])


def per_decade(rows: pd.DataFrame, at: np.ndarray, total: float) -> np.ndarray:
    """Percent of `total` features per bin, over the bin's width."""
    return 100 * style.counts(rows, "features", at) / total / np.diff(at)


def outline(axes: Axes, distributions: pd.DataFrame) -> None:
    """The published histogram of A/1."""
    bins = distributions.query("distribution == 'density' and dictionary == 'A/1' and kind == 'bin'")
    low, high, value = (bins[column].to_numpy(float) for column in ("low", "high", "value"))
    axes.stairs(100 * value / value.sum() / (high - low), np.append(low, high[-1]), **style.PUBLISHED)
