"""The losses of every dictionary and the share of the MLP's contribution that it recovers, by both baselines."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

LOSSES = {"loss_reconstructed": ("reconstructed", "o", style.ORANGE, style.ORANGE), "loss_mean": ("mean-ablated", "D", "white", style.RED),
          "loss_zero": ("zeroed", "s", style.RED, style.RED)}
SHARES = {"recovered": ("zeroing", "o", style.ORANGE, style.ORANGE, 0.13),
          "recovered_mean": ("mean ablation", "D", "white", style.BLUE, -0.15)}


def draw(study: Study) -> Drawing:
    """Left: how far each loss lies above the model's own. Right: shares with 95 % intervals."""
    data = study.data
    grouped = data.groupby("group", sort=False)
    means = grouped.mean(numeric_only=True).assign(replicates=grouped.size())
    figure = style.figure(1.2 + 0.27 * len(means))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    losses(left, data, means)
    shares(right, study, data, means)
    (marks, names), (more, others) = left.get_legend_handles_labels(), right.get_legend_handles_labels()
    figure.legend(marks + more, names + others, loc="outside upper center", ncols=5, columnspacing=1.2, handletextpad=0.3, handlelength=1.4)
    tokens, contexts = style.count(data["tokens"].iloc[0]), style.count(data["contexts"].iloc[0])
    note = f"n = {tokens} predicted tokens in {contexts} contexts; bars are 95% intervals"
    return Drawing(figure, note, {"tokens": tokens, "contexts": contexts})


def heights(means: pd.DataFrame) -> dict[str, int]:
    """Rows from the top."""
    return {str(name): len(means) - 1 - index for index, name in enumerate(means.index)}


def losses(axes: Axes, data: pd.DataFrame, means: pd.DataFrame) -> None:
    """Dumbbells of losses above the loss of the untouched model, which stands beside the name."""
    y = heights(means)
    for name, row in means.iterrows():
        ends = row["loss_reconstructed"] - row["loss"], row["loss_zero"] - row["loss"]
        axes.plot(ends, [y[str(name)]] * 2, color=style.LIGHT, linewidth=2, zorder=1, solid_capstyle="butt")
    for key, (label, marker, face, edge) in LOSSES.items():
        axes.plot(data[key] - data["loss"], [y[group] for group in data["group"]], **mark(marker, face, edge), label=label)
    axes.axvline(0, color=style.DARK, linewidth=0.8)
    axes.set_yticks(list(y.values()), [style.dictionary(str(name), row, f", L0 {row['l0']:.1f}") for name, row in means.iterrows()])
    axes.set_ylim(-0.6, len(means) - 0.4)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.set_xlabel("loss above the model's own (nats per token)")
    axes.tick_params(axis="y", length=0)
    style.grid(axes, "x")
    axes.set_title("Losses with the MLP's activations ...")


def mark(marker: str, face: str, edge: str) -> dict[str, Any]:
    """A point."""
    return {"marker": marker, "linestyle": "none", "color": edge, "markerfacecolor": face, "markersize": 4.2, "markeredgewidth": 0.9}


def shares(axes: Axes, study: Study, data: pd.DataFrame, means: pd.DataFrame) -> None:
    """Means over replicates with intervals, replicates as dots."""
    y = heights(means)
    for key, (label, marker, face, edge, shift) in SHARES.items():
        axes.plot(100 * data[key], [y[group] + shift for group in data["group"]], ".", markersize=3, color=style.GREY, zorder=2)
        for name in y:
            number = f"{key}_{name.replace('/', '_')}"
            value, low, high = (study.get(number, field) for field in ("value", "low", "high"))
            if value is None:
                continue
            if low is not None and high is not None:
                axes.plot([100 * low, 100 * high], [y[name] + shift] * 2, color=edge, linewidth=1.1, zorder=3)
            axes.plot(100 * value, y[name] + shift, **mark(marker, face, edge), zorder=4)
        axes.plot([], [], **mark(marker, face, edge), label=f"recovered of {label}")
    shown = data[["recovered", "recovered_mean"]].to_numpy(float)
    lowest = float(np.nanmin([*shown.ravel(), study.published.get("recovered_A_1", 1.0)]))
    axes.set_xlim(max(100 * lowest - 8, -20) if lowest > 0 else 100 * max(lowest, -0.5) - 5, 102)
    for name in y:
        if lacking := [label for key, (label, *_) in SHARES.items() if study.get(f"{key}_{name.replace('/', '_')}") is None]:
            axes.text(0.03, y[name] - 0.32, f"not defined of {' and '.join(lacking)}: it does no harm", fontsize=6.5, color=style.GREY, va="center", zorder=5,
                      transform=axes.get_yaxis_transform(), bbox=style.BEHIND)
        elif 100 * (value := study.get(f"recovered_{name.replace('/', '_')}") or 0.0) > axes.get_xlim()[1]:
            axes.text(0.98, y[name], f"{100 * value:.0f}% of zeroing \u25b8", fontsize=6.5, color=style.DARK, ha="right", va="center",
                      zorder=5, transform=axes.get_yaxis_transform(), bbox=style.BEHIND)
    l0 = f",\nL0 {study.published['l0_A_1']:.1f}" if "l0_A_1" in study.published else ""
    for key, label in (("recovered_A_1", f"A/1 as\npublished{l0}"), ("recovered_A_5", "A/5")):
        if key in study.published:
            style.rule(axes, 100 * study.published[key], label, y=0.3)
    axes.set_xlabel("loss recovered (%)")
    axes.tick_params(axis="y", length=0)
    style.grid(axes, "x")
    axes.set_title("Share recovered")
