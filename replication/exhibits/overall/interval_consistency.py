"""Scores by activation interval: a panel per explainer, headline first; below, how far down units read, and the range where in part."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import scores, style
from replication.exhibits.study import Drawing, Study

INTERVALS = 11
PEOPLE = "people"


def draw(study: Study) -> Drawing:
    """Means with bands; below, of the headline's scores, shares of units that read down to an interval and the range of features in part."""
    data = study.data
    means, depths = data[data["table"] == "mean"], data[data["table"] == "depth"]
    names = scores.explainers(data)
    columns = scores.columns(len(names))
    rows = -(-len(names) // columns)
    figure = style.figure(0.35 + 1.5 * rows + 1.75)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.5 * rows, 1.75])[:, 0]
    panels = upper.subplots(rows, columns, squeeze=False)
    automatic = means[means["explainer"] != PEOPLE]
    reach = (min(0.0, automatic["low"].min()), 1.08 * max(0.1, automatic["high"].max()))
    for axes, name in zip(panels.flat, names, strict=False):
        panel(axes, means[means["explainer"] == name], name, name == names[0])
        axes.set_ylim((0, 14) if name == PEOPLE else reach)
    for axes in panels.flat[len(names):]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("mean score")
    own = depths[depths["explainer"] == names[0]]
    left, right = lower.subplots(1, 2, width_ratios=[1.4, 1])
    survival(left, own)
    partial(right, own, study)
    handles = [*scores.handles(scores.roles(depths), scores.fits(depths)), style.handle(**style.PUBLISHED, label="published")]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    counts = {role: style.count(count) for role, count in own.groupby("role")["count"].sum().items()}
    note = ", ".join(f"{counts[role]} {label}" for role, (label, _) in scores.ROLES.items() if role in counts)
    return Drawing(figure, f"n = {note} (all fits); bands are 95% intervals", facts(names[0], own, counts))


def facts(headline: str, own: pd.DataFrame, counts: dict[str, str]) -> dict[str, str]:
    """Whose scores count, above what they read, and of how many units."""
    people = headline == PEOPLE
    reads = f"{own['above'].iloc[0]:g}" + (" points" if people else "")
    about = ("The numbers are of ratings by people." if people else
             "The numbers are of automatic scores, while the published statements are about people's; the weakest interval (shaded) rounds to "
             "zero on the scale of the protocol and does not count.")
    return {"headline": scores.NAMES.get(headline, headline), "reads": reads, "about": about, **{f"n_{role}": count for role, count in counts.items()}}


def panel(axes: Axes, means: pd.DataFrame, name: str, first: bool) -> None:
    """Mean scores by one judge over the intervals, strongest on the left; those that do not count are shaded."""
    for role, (_, kind) in scores.ROLES.items():
        rows = means[means["role"] == role].sort_values("interval")
        axes.fill_between(rows["interval"], rows["low"], rows["high"], color=kind["color"], alpha=0.15, linewidth=0)
        axes.plot(rows["interval"], rows["value"], markersize=3.2, linewidth=1.1, **kind)
    axes.axvspan(means["counted"].max() - 0.5, INTERVALS - 0.5, color=style.PALE, linewidth=0, zorder=0)
    axes.axhline(0, color=style.DARK, linewidth=0.6)
    axes.set_xticks(range(0, INTERVALS, 2))
    axes.set(xlim=(-0.5, INTERVALS - 0.5), xlabel="activation interval")
    axes.set_title(scores.NAMES.get(name, name) + (" (headline)" if first else ""))
    style.grid(axes)


def survival(axes: Axes, depths: pd.DataFrame) -> None:
    """Share of units that read down to each interval; thin lines are fits."""
    counted = int(depths["counted"].max())
    for role, (_, kind) in scores.ROLES.items():
        shares = []
        for _, fit in depths[depths["role"] == role].groupby("dictionary", sort=False):
            counts = fit.groupby("depth")["count"].sum()
            shares.append(np.array([100 * counts[counts.index > interval].sum() / counts.sum() for interval in range(counted)]))
            axes.plot(range(counted), shares[-1], color=kind["color"], linewidth=0.5, alpha=0.6)
        if shares:
            axes.plot(range(counted), np.mean(shares, axis=0), markersize=3.4, **kind)
    axes.set_xticks(range(counted))
    axes.set(xlim=(-0.5, counted - 0.5), ylim=(0, 103), xlabel="activation interval, 0 the strongest", ylabel="units (%)",
             title="Units that read down to an interval")
    style.grid(axes)


def partial(axes: Axes, depths: pd.DataFrame, study: Study) -> None:
    """Features that are consistent in part by the share of their range, over all fits."""
    counted = int(depths["counted"].max())
    rows = depths[(depths["role"] == "features") & (depths["depth"] > 0) & (depths["depth"] < counted)]
    counts = rows.groupby("depth")["count"].sum().reindex(range(1, counted), fill_value=0)
    if counts.sum():
        axes.bar(100 * counts.index.to_numpy() / INTERVALS, 100 * counts / counts.sum(), width=75 / INTERVALS, facecolor=style.ORANGE, alpha=0.85,
                 edgecolor="#8A4C00", linewidth=0.5)
    else:
        axes.text(0.5, 0.5, "no feature is consistent in part", transform=axes.transAxes, fontsize=7.5, color=style.GREY, ha="center", va="center")
    value = study.get("partial_range")
    if value is not None:
        axes.plot([100 * value], [0], marker="^", color=style.ORANGE, markersize=7, markeredgecolor="white", clip_on=False, zorder=5)
    if "partial_range" in study.published and counts.sum():
        style.rule(axes, 100 * study.published["partial_range"], "published, people's")
    axes.set(xlim=(0, 100), xlabel="range down to which it reads (%)", ylabel="features (%)", title="Features consistent in part")
    axes.set_ylim(top=1.2 * axes.get_ylim()[1])
    style.grid(axes)
