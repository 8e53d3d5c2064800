"""Loss recovered by the dictionary and by what it must beat at equal L0."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

METHODS: dict[str, tuple[str, str]] = {
    "refit": ("strongest k features", "coefficients by least squares"), "trained": ("trained dictionary", "as it is"),
    "topk": ("strongest k features", "as they are"), "neurons": ("neurons", "the k most active"),
    "pca": ("principal components", "the k largest of each token"), "untrained": ("untrained encoder", "threshold and decoder fitted"),
    "random": ("random directions", "the k nearest of each token")}
SHARES: dict[str, tuple[str, str, str, str, float]] = {
    "recovered": ("against zeroing", "o", style.ORANGE, style.ORANGE, 0.12),
    "recovered_mean": ("against mean ablation", "D", "white", style.BLUE, -0.16)}
COLUMNS = (("l0", "L0", 1, "{:.1f}"), ("explained", "variance\nexplained", 100, "{:.0f}%"),
           ("recovered", "loss\nrecovered", 100, "{:.1f}%"))


def draw(study: Study) -> Drawing:
    """Left: shares recovered with intervals and the figures beside them; right: how far the dictionary is ahead."""
    data = study.data.set_index("method").loc[[name for name in METHODS if name in set(study.data["method"])]]
    figure = style.figure(0.95 + 0.37 * len(data))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.1, 1])
    y = {name: len(data) - 1 - place for place, name in enumerate(data.index)}
    shares(left, data, y)
    ahead(right, study, y)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    tokens, contexts = (style.count(data[key].iloc[0]) for key in ("tokens", "contexts"))
    note = f"n = {tokens} predicted tokens in {contexts} contexts on which nothing was fitted; bars are 95% intervals"
    facts = {"tokens": tokens, "contexts": contexts, "dictionary": str(data["dictionary"].iloc[0]), "l0_topk": f"{data.loc['topk', 'l0']:.1f}"}
    return Drawing(figure, note, facts)


def shares(axes: Axes, data: pd.DataFrame, y: dict[str, int]) -> None:
    """Points with intervals; columns of figures right of them."""
    shown = 100 * data[[f"{key}{end}" for key in SHARES for end in ("_low", "_high")]].to_numpy(float)
    low = max(-40.0, np.floor(np.nanmin(shown, initial=100) / 20) * 20)
    for key, (label, marker, face, edge, shift) in SHARES.items():
        kind: dict[str, Any] = {"marker": marker, "color": edge, "markerfacecolor": face, "markersize": 4.4, "markeredgewidth": 0.9}
        for name, row in data.iterrows():
            axes.plot([100 * row[f"{key}_low"], 100 * row[f"{key}_high"]], [y[str(name)] + shift] * 2, color=edge, linewidth=1.1, zorder=3)
        axes.plot(100 * data[key], [y[str(name)] + shift for name in data.index], linestyle="none", label=label, zorder=4, **kind)
        off = data[100 * data[key] < low]  # off the scale: an arrow at its end
        axes.plot([low] * len(off), [y[str(name)] + shift for name in off.index], linestyle="none", zorder=4, clip_on=False,
                  **{**kind, "marker": "<"})
    reach = 100 - low
    axes.axhspan(y["trained"] - 0.5, y["trained"] + 0.5, color=style.ORANGE, alpha=0.1, linewidth=0)
    for place, (key, heading, factor, form) in enumerate(COLUMNS):
        x = 100 + reach * (0.17 + 0.2 * place)
        axes.text(x, len(y) - 0.35, heading, ha="right", va="bottom", fontsize=6.3, color=style.GREY, linespacing=1.1)
        for name, value in data[key].items():
            text = form.format(factor * value) if np.isfinite(value) else "–"
            axes.text(x, y[str(name)], text, ha="right", va="center", fontsize=6.8, fontweight="bold" if name == "trained" else "normal")
    axes.set(xlim=(low, 100 + 0.6 * reach), ylim=(-0.6, len(y) - 0.4))
    ticks = np.arange(low, 101, 20 if reach > 50 else 10)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.set_yticks(list(y.values()), [f"{METHODS[name][0]}\n{METHODS[name][1]}" for name in y], linespacing=1.15)
    axes.spines["bottom"].set_bounds(low, 100)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("loss recovered (%)", x=0.31)
    axes.grid(True, axis="x")


def ahead(axes: Axes, study: Study, y: dict[str, int]) -> None:
    """Differences paired by text, with their intervals."""
    for name in y:
        sign, key = (-1, "refit_minus_trained") if name == "refit" else (1, f"trained_minus_{name}")
        value, *ends = (study.get(key, field) for field in ("value", "low", "high"))
        if value is not None and None not in ends:
            axes.plot([100 * sign * end for end in ends if end is not None], [y[name]] * 2, color=style.DARK, linewidth=1.1)
            axes.plot(100 * sign * value, y[name], marker="s", color=style.DARK, markersize=4)
    axes.axvline(0, color=style.DARK, linewidth=0.8)
    axes.axhspan(y["trained"] - 0.5, y["trained"] + 0.5, color=style.ORANGE, alpha=0.1, linewidth=0)
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("trained dictionary's lead (points)")
    style.grid(axes, "x")
