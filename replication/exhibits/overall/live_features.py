"""Dead, ultralow and live features of every dictionary, and how the live ones grow with size."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.config import model_of
from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

PARTS = ("other", "ultralow", "dead")
PUBLISHED_L1 = 0.004  # of A/1 (paper)


def draw(study: Study) -> Drawing:
    """Bars of shares with counts beside them; live features against size."""
    data = study.data
    groups = data.groupby("group", sort=False)
    means = pd.concat([groups[["d_sae", "l1", *PARTS]].mean().assign(replicates=groups.size()), published(study)])
    figure = style.figure(1.15 + 0.3 * len(means))
    bars, growth = figure.subplots(1, 2, width_ratios=[2.1, 1])
    shares(bars, means)
    sizes(growth, data, model_of(study.main), published(study))
    figure.legend(*bars.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.6, handlelength=1.8)
    rule = ", ".join(dict.fromkeys(data["ultralow_rule"]))
    tokens = style.count(data["tokens"].iloc[0])
    return Drawing(figure, f"n = {tokens} evaluation tokens; counts are means over replicates",
                   {"tokens": tokens, "rule": rule.replace("below 1e-6", "fires on fewer than one token in a million")})


def published(study: Study) -> pd.DataFrame:
    """The paper's A/1 as one more row, where its parts are known."""
    if not set(PARTS) <= study.published.keys():
        return pd.DataFrame()
    row = {part: study.published[part] for part in PARTS}
    return pd.DataFrame([{**row, "d_sae": sum(row.values()), "l1": PUBLISHED_L1, "replicates": 1}], index=["A/1 as published"])


def shares(axes: Axes, means: pd.DataFrame) -> None:
    """One bar per dictionary, all of its features; the counts stand right of it."""
    y = np.arange(len(means))[::-1]
    left = np.zeros(len(means))
    for part in PARTS:
        width = (means[part] / means["d_sae"]).to_numpy()
        axes.barh(y, width, left=left, height=0.62, **style.PARTS[part])
        left += width
    columns = {"other": 1.15, "ultralow": 1.33, "dead": 1.45}
    for part, x in columns.items():
        heading = "live" if part == "other" else part
        axes.text(x, 1.005, heading, ha="right", va="bottom", fontsize=6.5, color=style.GREY, transform=axes.get_xaxis_transform())
        weight = "bold" if part == "other" else "normal"
        for height, value in zip(y, means[part], strict=True):
            axes.text(x, height, style.count(value), ha="right", va="center", fontsize=6.5, fontweight=weight)
    axes.set_yticks(y, [style.dictionary(str(name), row) for name, row in means.iterrows()])
    axes.set_ylim(-0.6, len(means) - 0.4)
    axes.set_xlim(0, 1.46)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.set_xlabel("share of features (%)", x=0.5 / 1.46)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)
    axes.tick_params(axis="y", length=0)


def sizes(axes: Axes, data: pd.DataFrame, model: str, published: pd.DataFrame) -> None:
    """Live features of A/0, A/1, A/2, ... against all features of the dictionary, and the paper's A/1."""
    ladder = data[data["group"].str.fullmatch(rf"{model}/\d+")].sort_values("d_sae")
    means = ladder.groupby("group", sort=False)[["d_sae", "other"]].mean()
    reach = np.array([ladder["d_sae"].min() / 1.6, ladder["d_sae"].max() * 1.6])
    axes.plot(reach, reach, color=style.GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    points: dict[str, Any] = {"textcoords": "offset points"}
    axes.annotate("every feature live", (reach[1], reach[1]), xytext=(-6, -1), fontsize=6.5, color=style.GREY, ha="right", va="center",
                  **points)
    axes.plot(means["d_sae"], means["other"], color=style.ORANGE)
    axes.plot(ladder["d_sae"], ladder["other"], "o", color=style.ORANGE, markersize=3.6, markeredgecolor="white", markeredgewidth=0.5)
    for name, row in pd.concat([means, published]).iterrows():
        axes.annotate(str(name).replace(" as ", "\n"), (row["d_sae"], row["other"]), xytext=(4, -5), fontsize=7, va="top", **points)
    for _, row in published.iterrows():
        axes.plot(row["d_sae"], row["other"], "D", color=style.DARK, markerfacecolor="white", markersize=4)
    axes.set(xscale="log", yscale="log", xlim=reach, xlabel="features in the dictionary", ylabel="live features")
    decades = np.log10(reach[1] / reach[0])
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_log(axis, *((1, 2, 5) if decades < 1.4 else (1, 3) if decades < 2.5 else ()))
    style.grid(axes, "both")
    axes.set_title("Growth with size")
