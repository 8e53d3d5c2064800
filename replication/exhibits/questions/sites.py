"""Dictionaries at four sites: loss recovered over L0, features found at another site, and both scores of explanations."""

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.questions.at_sites import SITES, curves, legend
from replication.exhibits.study import Drawing, Study

SHORT = {"mlp_out": "output", "logit_update": "logit\nupdate", "resid_post": "stream"}
REFERENCES = {"seed": ("other\nseed", style.GREY), "twin": ("other\nmodel", style.LIGHT)}  # of activations
SCORES = {"input": "on inputs (median correlation)", "logits": "on logits (median share right)"}
LOWEST = 30  # percent: the stream falls far below


def draw(study: Study) -> Drawing:
    """Three panels below one legend."""
    data = study.data
    fits = data[data["table"] == "fit"]
    figure = style.figure(3.1)
    loss, found, scores = figure.subplots(1, 3, width_ratios=(1.25, 1, 0.9))
    curves(loss, fits, "value", float(study.get("l0") or 0), label_at=0.14)
    loss.set(ylabel="loss recovered (%)", title="equal L0", ylim=(LOWEST, None))
    matches(found, data)
    told(scores, data)
    figure.legend(handles=legend(fits), loc="outside upper center", ncols=3)
    tokens = style.count(study.get("l0", "n") or 0)
    return Drawing(figure, f"n = {tokens} predicted tokens, {fits['dictionary'].nunique()} fits", {"tokens": tokens, "fits": str(fits["dictionary"].nunique())})


def matches(axes: Axes, data: pd.DataFrame) -> None:
    """Bars: share of A/1's features with a match at each site, and of each site's features with one in A/1; what another seed and model give."""
    labels, x = [], 0.0
    for site, label in SHORT.items():
        kind = SITES[site][1]
        pair = [data[(data["table"] == what) & (data["site"] == site) & (data["sizing"] == "count")] for what in ("found", "finds")]
        if not len(pair[0]):
            continue
        for at, rows, hatch in zip((x - 0.2, x + 0.2), pair, ("", "////"), strict=True):
            bar(axes, at, rows.iloc[0], color=kind["color"] if not hatch else "white", edgecolor=kind["color"], hatch=hatch)
        labels.append((x, label))
        x += 1
    for what, (label, colour) in REFERENCES.items():
        rows = data[(data["table"] == "found") & (data["site"] == what)]
        if len(rows):
            bar(axes, x, rows.iloc[0], color=colour, edgecolor=style.GREY, hatch="")
            labels.append((x, label))
            x += 1
    axes.set_xticks([at for at, _ in labels], [label for _, label in labels])
    axes.set(ylabel="features with a match (%)", ylim=(0, 100), title="A/1 in it; hatched: it in A/1")
    style.grid(axes)


def bar(axes: Axes, x: float, row: "pd.Series[float]", **kind: str) -> None:
    """A bar with its interval."""
    value, low, high = (100 * float(row[key]) for key in ("value", "low", "high"))
    axes.bar(x, value, 0.38, linewidth=0.7, **kind)  # type: ignore[arg-type]
    axes.errorbar(x, value, yerr=[[max(0.0, value - low)], [max(0.0, high - value)]], color=style.DARK, linewidth=0.8, capsize=1.5)


def told(axes: Axes, data: pd.DataFrame) -> None:
    """A point for each site: how well its features are told from inputs, and from logits."""
    for site, (_, kind) in SITES.items():
        rows = {key: data[(data["table"] == key) & (data["site"] == site) & (data["sizing"] == "count")] for key in SCORES}
        if not all(map(len, rows.values())):
            continue
        (x, left, right), (y, low, high) = (of[["value", "low", "high"]].iloc[0].to_numpy(float) for of in rows.values())
        across, up = [[max(0.0, x - left)], [max(0.0, right - x)]], [[max(0.0, y - low)], [max(0.0, high - y)]]
        axes.errorbar(x, y, xerr=across, yerr=up, linestyle="none", markersize=5, linewidth=0.9, capsize=1.5, **kind)
    if not axes.has_data():
        axes.text(0.5, 0.5, "not scored", ha="center", transform=axes.transAxes, color=style.GREY)
    axes.set(xlabel=SCORES["input"], ylabel=SCORES["logits"], title="scores")
    axes.margins(0.15)
    style.grid(axes, "both")
