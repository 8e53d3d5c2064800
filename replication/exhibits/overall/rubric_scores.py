"""Scores by blind raters: their distribution, how they change with the activation interval, and what each question adds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.scores import ROLES
from replication.exhibits.study import Drawing, Study
from replication.features.examples import INTERVALS
from replication.rating.rubric import INTERPRETABLE, MOST, RUBRIC

NAMES = {"features": "feature", "neurons": "neuron", "random": "random"}  # of a role in the keys of numbers
UNITS = {"features": "features", "neurons": "neurons", "random": "features of the shuffled model"}
BANDS = (range(0, 4), range(4, 8), range(8, INTERVALS))  # of intervals whose scores are averaged


def draw(study: Study) -> Drawing:
    """Left, a histogram per role; right, means by interval and by question."""
    rows = study.data[study.data["table"] == "interval"]
    present = [role for role in ROLES if (rows["role"] == role).any()]
    figure = style.figure(3.9)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.15, 1])[0]
    panels = left.subplots(len(present), 1, sharex=True, squeeze=False)[:, 0]
    for axes, role in zip(panels, present, strict=True):
        histogram(axes, study, rows[rows["role"] == role], role)
    panels[0].set_title("Scores of intervals")
    panels[-1].set_xlabel(f"points, 0 to {MOST}; above {INTERPRETABLE} reads as interpretable")
    left.supylabel("intervals (%)", fontsize=8)
    over, asked = right.subplots(2, 1)
    by_interval(over, rows, present)
    by_question(asked, rows, present)
    handles = [style.handle(**ROLES[role][1], markersize=4.2, label=ROLES[role][0]) for role in present]
    figure.legend(handles=[*handles, style.handle(**style.PUBLISHED, label="published median")], loc="outside upper center", ncols=len(handles) + 1)
    counted = study.data[study.data["table"] == "role"].set_index("role")
    said = ", ".join(f"{style.count(counted.loc[role, 'intervals'])} intervals of {style.count(counted.loc[role, 'units'])} {UNITS[role]}"
                     for role in present)
    raters = study.get("raters") or 0
    return Drawing(figure, f"n = {said}; {style.count(raters)} rater{'' if raters == 1 else 's'}", {"rated_units": said})


def histogram(axes: Axes, study: Study, rows: pd.DataFrame, role: str) -> None:
    """Shares of intervals by whole points, their median, and the published one."""
    kind = ROLES[role][1]
    edges = np.arange(MOST + 2) - 0.5
    height = 100 * np.histogram(rows["total"], edges)[0] / len(rows)
    axes.axvspan(INTERPRETABLE + 0.5, MOST + 0.5, color=style.PALE, zorder=0, linewidth=0)
    axes.stairs(height, edges, fill=True, color=kind["color"], alpha=0.45)
    axes.stairs(height, edges, color=kind["color"], linestyle=kind["linestyle"])
    axes.set_ylim(0, 1.45 * height.max())
    value, low, high = (study.get(f"{NAMES[role]}_median", field) for field in ("value", "low", "high"))
    top = 1.1 * height.max()
    if value is not None:
        if low is not None and high is not None:
            axes.plot([low, high], [top, top], color=kind["color"], linewidth=1.4, solid_capstyle="butt")
        axes.plot([value], [top], marker=kind["marker"], color=kind["color"], markersize=4.2, linestyle="")
        ends, left = [end for end in (low, value, high) if end is not None], value > MOST / 2
        axes.annotate(f"median {value:g}", (min(ends) if left else max(ends), top), xytext=(-6 if left else 6, 0), textcoords="offset points",
                      fontsize=6.5, ha="right" if left else "left", va="center", bbox=style.BEHIND)
    published = study.published.get(f"{NAMES[role]}_median")
    if published is not None:
        axes.axvline(published, **style.PUBLISHED)
    axes.set(xlim=(-0.6, MOST + 0.6), xticks=range(0, MOST + 1, 2))
    style.grid(axes)


def by_interval(axes: Axes, rows: pd.DataFrame, present: list[str]) -> None:
    """Mean score of strong, middle and weak intervals, with two standard errors over units."""
    for place, role in enumerate(present):
        of = rows[rows["role"] == role]
        bands = [of[of["interval"].isin(band)].groupby(["dictionary", "feature"])["total"].mean() for band in BANDS]
        line(axes, np.arange(len(BANDS)), bands, place - (len(present) - 1) / 2, ROLES[role][1])
    axes.set_xticks(range(len(BANDS)), [f"{name}\n({band[0]} to {band[-1]})" for name, band in zip(("strong", "middle", "weak"), BANDS, strict=True)])
    axes.set(title="By activation interval", ylabel="mean points", ylim=(-0.3, MOST + 0.3), xlim=(-0.5, len(BANDS) - 0.5), yticks=(0, 4, 8, 12))
    style.grid(axes)


def by_question(axes: Axes, rows: pd.DataFrame, present: list[str]) -> None:
    """Mean share of the points that each question gives."""
    for place, role in enumerate(present):
        of = rows[rows["role"] == role]
        shares = [100 * of.groupby(["dictionary", "feature"])[item.key].mean() / item.most for item in RUBRIC]
        line(axes, np.arange(len(RUBRIC)), shares, place - (len(present) - 1) / 2, {**ROLES[role][1], "linestyle": ""})
    axes.set_xticks(range(len(RUBRIC)), [item.short.replace(" ", "\n") for item in RUBRIC])
    axes.tick_params(axis="x", labelsize=6.5)
    axes.set(title="By question", ylabel="points (% of the most)", ylim=(-3, 103), xlim=(-0.5, len(RUBRIC) - 0.5))
    style.grid(axes)


def line(axes: Axes, x: np.ndarray, values: list["pd.Series[Any]"], aside: float, kind: Any) -> None:
    """Means over units with two standard errors, a little aside of other roles'."""
    at = x + 0.12 * aside
    means = np.array([of.mean() if len(of) else np.nan for of in values])
    errors = np.array([2 * of.std(ddof=1) / np.sqrt(len(of)) if len(of) > 1 else np.nan for of in values])
    axes.errorbar(at, means, yerr=errors, **{"markersize": 4.2, "linewidth": 1.0, "elinewidth": 1.0, **kind})
