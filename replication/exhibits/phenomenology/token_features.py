"""How many features serve one token, against dictionary size and token by token; what the features of one token look like."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.exhibits import style, text
from replication.exhibits.labels import label
from replication.exhibits.study import Drawing, Study

NAMED = {" the": style.SERIES[0], " a": style.SERIES[1], " of": style.SERIES[4], ".": style.SERIES[3]}
BEHIND: dict[str, Any] = {"color": style.LIGHT, "linewidth": 0.7, "marker": ""}
LINE = 0.158  # inches, a line of text
NAME, SHARE, WINDOW, PREDICTS, COLUMN = 0.01, 0.078, 0.112, 0.352, 0.502  # where parts of a line of text begin, as a share of the width
SIZE = 5.8
WIDEST, LONGEST = 34, 19  # characters of a window, of what is predicted


def draw(study: Study) -> Drawing:
    """Growth with size and counts by token above; below windows of the features of one token, and of trigram features."""
    data = study.data
    counts, windows, trigrams = (data[data["row"] == kind].dropna(axis=1, how="all") for kind in ("count", "window", "trigram"))
    blocks = written(windows, trigrams)
    columns = [[line for block in blocks[place::2] for line in block] for place in (0, 1)]
    upper, lower = 3.1, LINE * max(map(len, columns)) + 0.1
    height = upper + lower + style.PRINT
    figure = style.canvas(Figure(figsize=(style.WIDTH, height)))
    low, tall = (height - upper + 0.42) / height, (upper - 0.42 - 0.28) / height
    growth(figure.add_axes((0.075, low, 0.335, tall)), counts, study)
    by_token(figure.add_axes((0.60, low, 0.385, tall)), counts)
    below = figure.add_axes((0.0, style.PRINT / height, 1.0, lower / height))
    below.set_axis_off()
    for column, lines in enumerate(columns):
        for place, line in enumerate(lines):
            said(below, column * COLUMN, 1 - LINE * (place + 0.5) / lower, line)
    common = counts[counts["rank"] >= 0]
    sizes = counts.sort_values("d_sae", kind="stable").groupby("group", sort=False)["live"].first()
    live = ", ".join(f"{style.count(value)} of {name}" for name, value in sizes.items())
    tokens = str(common["token"].nunique())
    return Drawing(figure, f"n = {tokens} tokens; live features: {live}", {"tokens": tokens, "live": live})


def growth(axes: Axes, counts: pd.DataFrame, study: Study) -> None:
    """Features for each common token against the size of the dictionary: replicates averaged, the mean in orange with each replicate."""
    means = counts.groupby(["token", "d_sae"])["count"].mean().reset_index()
    common = set(counts.loc[counts["rank"] >= 0, "token"])
    for _, rows in means[means["token"].isin(common - set(NAMED))].groupby("token"):
        axes.plot(rows["d_sae"], rows["count"], **BEHIND)
    for token, kind in NAMED.items():
        rows = means[means["token"] == token]
        if len(rows):
            axes.plot(rows["d_sae"], rows["count"], **{**kind, "linewidth": 1.1, "markersize": 3.5}, label=f'"{label(token)}"')
    fits = counts[counts["rank"] >= 0].groupby(["dictionary", "d_sae"])["count"].mean().reset_index()
    middle = fits.groupby("d_sae")["count"].mean()
    axes.plot(middle.index, middle, **{**style.MAIN, "linewidth": 2, "markersize": 0}, label="mean of the\ncommonest", zorder=4)
    axes.plot(fits["d_sae"], fits["count"], linestyle="none", marker="o", markersize=4, color=style.ORANGE, markeredgecolor="white",
              markeredgewidth=0.5, zorder=5)
    axes.set(xscale="log", xlabel="features in the dictionary", ylabel="features that serve one token")
    axes.set_yscale("symlog", linthresh=1, linscale=0.5)
    style.plain_log(axes.xaxis, *((1, 3) if np.ptp(np.log10(counts["d_sae"])) < 2.5 else ()))
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000) if tick <= 1.5 * max(1, counts["count"].max())]
    axes.set(yticks=ticks, yticklabels=[style.count(tick) for tick in ticks], ylim=(-0.15, 1.35 * max(2, counts["count"].max())))
    axes.minorticks_off()
    style.grid(axes)
    axes.plot([], [], **BEHIND, label="another one")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6.5, handlelength=2.0)
    axes.set_title("Growth with size")


def by_token(axes: Axes, counts: pd.DataFrame) -> None:
    """A row for each common token, a mark for each dictionary."""
    common = counts[counts["rank"] >= 0]
    tokens = common.sort_values("rank")["token"].drop_duplicates().tolist()
    order = common.groupby("group", sort=False)["d_sae"].first().sort_values(kind="stable").index.tolist()
    middle = order[min(1, len(order) - 1)]
    kinds = style.series(order, middle)
    for group in order:
        mean = common[common["group"] == group].groupby("token")["count"].mean()
        kind = {**kinds[group], "linestyle": "none", "markersize": 4, "markeredgewidth": 0.8}
        axes.plot([mean[token] for token in tokens], -np.arange(len(tokens)), label=group, clip_on=False,
                  markerfacecolor=kind["color"] if group == middle else "white", **kind)
    axes.set(yticks=-np.arange(len(tokens)), ylim=(0.6 - len(tokens), 0.6), xlabel="features that serve the token")
    axes.set_yticklabels([label(token) for token in tokens], family=text.FONTS, fontsize=6)
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000) if tick <= 1.5 * max(1, counts["count"].max())]
    axes.set(xticks=ticks, xticklabels=[style.count(tick) for tick in ticks], xlim=(-0.12, 1.35 * max(2, counts["count"].max())))
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    style.grid(axes, "both")
    axes.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)
    axes.set_title("The commonest tokens of the text")


def written(windows: pd.DataFrame, trigrams: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """Blocks of lines, one for each token and one for trigrams: a heading, and a line for each feature that has a window."""
    blocks = {f'Features for "{label(str(token))}"': rows for token, rows in windows.groupby("token", sort=False)} if len(windows) else {}
    found = []
    for heading, rows in (*blocks.items(), ("Features for a trigram", trigrams)):
        texts = rows.dropna(subset=["tokens"]) if "tokens" in rows else rows.iloc[:0]
        if len(texts):
            found.append([{"heading": heading}, *texts.sort_values("dictionary", kind="stable").to_dict("records")])
    return found


def said(axes: Axes, x: float, y: float, line: dict[str, Any]) -> None:
    """A heading, or a feature with the share of its activation on the token, a window of text and what it predicts."""
    free: dict[str, Any] = {"transform": axes.transAxes, "va": "center_baseline", "fontsize": SIZE}
    if "heading" in line:
        axes.text(x + NAME, y, line["heading"], **{**free, "fontsize": 7, "fontweight": "bold"})
        axes.text(x + PREDICTS, y, "predicts", color=style.GREY, **free)
        return
    axes.text(x + NAME, y, f"{line['dictionary']}/{line['feature']:.0f}", **free)
    axes.text(x + SHARE, y, f"{100 * line['share']:.0f}%", color=style.GREY, **free)
    strings, values, centre = windowed(json.loads(line["tokens"]), json.loads(line["values"]), int(line["centre"]))
    text.line(axes, x + WINDOW, y, strings, values, size=SIZE, centre=centre)
    logits = [label(token, 9) for token in json.loads(line["logits"])]
    while len(logits) > 1 and sum(map(text.cells, logits)) + 2 * (len(logits) - 1) > LONGEST:
        logits.pop()
    axes.text(x + PREDICTS, y, "  ".join(logits), family=text.FONTS, **free)


def windowed(strings: list[str], values: list[float], centre: int) -> tuple[list[str], list[float], int]:
    """As much of a window around its centre as a line holds."""
    strings = [label(string, 16) if string.strip() == "" else string for string in strings]
    start, stop = centre, centre + 1
    while True:
        wider = [(a, b) for a, b in ((start - 1, stop), (start, stop + 1)) if a >= 0 and b <= len(strings)]
        wider = [(a, b) for a, b in wider if sum(text.cells(text.show(string)) for string in strings[a:b]) <= WIDEST]
        if not wider:
            return strings[start:stop], values[start:stop], centre - start
        start, stop = min(wider, key=lambda ends: abs(ends[0] + ends[1] - 1 - 2 * centre))
