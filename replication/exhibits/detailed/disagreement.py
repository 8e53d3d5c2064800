"""Random windows by activation level and proxy: where the two agree, and where they do not."""

import json

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.detailed.samples import around, cells_in, step
from replication.exhibits.study import Drawing, Study

LEVELS = ("off", "lower third", "middle third", "upper third")
PROXIES = ("proxy off", "proxy on")
SIZE, WINDOWS = 6.3, 4


def draw(study: Study) -> Drawing:
    """A grid of texts: proxy off left and on right, activation from off to the upper third downwards; frames of disagreement are thick."""
    cells, windows = (study.data[study.data["kind"] == kind] for kind in ("cell", "window"))
    feature = str(study.data["feature"].iloc[0])
    figure = style.figure(4.35)
    grid = figure.subplots(len(LEVELS), len(PROXIES))
    figure.suptitle(f"{feature}: {study.label}", x=0.012, ha="left", fontsize=8.5, fontweight="bold")
    for cell in cells.itertuples():
        head(grid[cell.level, cell.proxy], int(cell.level), int(cell.proxy), float(cell.low), float(cell.high), int(cell.count))
    figure.draw_without_rendering()
    limit = float(cells["high"].max())
    for cell in cells.itertuples():
        rows = windows[(windows["level"] == cell.level) & (windows["proxy"] == cell.proxy)]
        texts(grid[cell.level, cell.proxy], rows, limit)
    total = style.count(cells["count"].sum())
    disagree = style.count(cells.loc[(cells["level"] > 0) != (cells["proxy"] > 0), "count"].sum())
    return Drawing(figure, f"n = {total} tokens, feature and proxy disagree on {disagree}", {
        "tokens": total, "disagree": disagree, "feature": feature, "label": study.label})


def head(axes: Axes, level: int, proxy: int, low: float, high: float, count: int) -> None:
    """What a cell is, and how many tokens are of its kind; a thick frame marks disagreement."""
    where = "off" if level == 0 else f"{low:.2g}–{high:.2g}, {LEVELS[level]}"
    disagree = (level > 0) != (proxy > 0)
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.DARK if disagree else style.LIGHT, linewidth=1.2 if disagree else 0.6)
    tokens = f"{style.count(count)} token{'' if count == 1 else 's'}"
    axes.set_title(f"{PROXIES[proxy]}, activation {where}: {tokens}", fontsize=7, fontweight="bold" if disagree else "normal")


def texts(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    """The windows, one a line, with activations behind the tokens."""
    down = step(axes, SIZE)
    room = int(0.97 * cells_in(axes, SIZE))
    if rows.empty:
        axes.text(0.5, 0.5, "no such token", ha="center", va="center", color=style.GREY, transform=axes.transAxes, in_layout=False)
    for place, row in enumerate(rows.itertuples()):
        strings, values, centre = json.loads(str(row.tokens)), json.loads(str(row.values)), int(row.centre)
        some = around(strings, centre, room)
        text.line(axes, 0.015, 1 - (place + 0.75) * down, strings[some], values[some], size=SIZE, centre=centre - some.start, limit=limit)
