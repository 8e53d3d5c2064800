"""Training of the dictionaries: loss, L0 and dead features over vectors."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

PANELS = {"loss": "loss", "l0": "L0: active features per token", "dead": "silent in the window (%)"}


def draw(study: Study) -> Drawing:
    """Three panels, a line per dictionary; the main one's resamplings are marked."""
    data = study.data.assign(dead=100 * study.data["dead"] / study.data["d_sae"], vectors=study.data["vectors"] / 1e6)
    home = study.main
    names = sorted(dict.fromkeys(data["group"]), key=lambda name: name != home)
    kinds = style.series(names, home)
    figure = style.figure(2.75)
    panels = figure.subplots(1, 3)
    at = data[(data["dictionary"] == home) & (data["resampled"] > 0)]["vectors"]
    for axes, (column, label) in zip(panels, PANELS.items(), strict=True):
        for x in at:
            axes.axvline(x, color=style.LIGHT, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
        for name in reversed(names):
            curves(axes, data[data["group"] == name], column, kinds[name])
        axes.set(xlabel="vectors (millions)", ylabel=label)
        axes.set_xlim(0, data["vectors"].max() * 1.01)
        style.grid(axes)
    panels[0].set_yscale("log")
    log_limits(panels[0], data["loss"])
    panels[1].set_yscale("log")
    log_limits(panels[1], data["l0"])
    panels[2].set_ylim(0, max(1.0, 1.05 * data["dead"].max()))
    sizes = data.groupby("group").first()
    labels = {name: f"{name}: {style.count(sizes.loc[name, 'd_sae'])}, {style.l1(sizes.loc[name, 'l1_final'])}" for name in names}
    handles = [style.handle(color=kinds[name]["color"], linestyle=kinds[name]["linestyle"], label=labels[name]) for name in names]
    if len(at):
        handles.append(style.handle(color=style.GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), label=f"{home} resampled"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, columnspacing=1.6)
    vectors = style.count(1e6 * data["vectors"].max())
    note = f"n = {vectors} vectors a dictionary; a row of the log is the mean since the row before"
    return Drawing(figure, note, {"vectors": vectors})


def curves(axes: Axes, data: pd.DataFrame, column: str, kind: dict[str, Any]) -> None:
    """The first replicate in full, the others thin."""
    for name, rows in data.groupby("dictionary", sort=False):
        first = name == rows["group"].iloc[0]
        axes.plot(rows["vectors"], rows[column], color=kind["color"], linestyle=kind["linestyle"], linewidth=1.2 if first else 0.6,
                  alpha=1 if first else 0.6, zorder=3 if kind["color"] == style.ORANGE else 2)


def log_limits(axes: Axes, values: pd.Series) -> None:
    """Limits that the first rows of a log do not decide."""
    axes.set_ylim(values.min() / 1.1, min(values.max(), 20 * values.median()) * 1.1)
    style.plain_log(axes.yaxis, *((1, 2, 5) if values.max() / values.min() > 8 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
