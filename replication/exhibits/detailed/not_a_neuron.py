"""A feature beside the neuron basis: its coefficients, the most correlated neuron, and what that neuron does."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

LARGE = 0.1
FEW = 20  # tokens of a context; shares of fewer would mislead
GROUPS: dict[str, dict[str, Any]] = {
    "neither on": {"marker": "s", "color": style.GREY, "s": 6, "linewidth": 0},
    "only the feature on": {"marker": "x", "color": style.ORANGE, "s": 9, "linewidth": 0.6},
    "proxy on": {"marker": "o", "facecolor": "none", "edgecolor": style.CONTEXT["facecolor"], "s": 9, "linewidth": 0.6}}


def draw(study: Study) -> Drawing:
    """Coefficients, scatter of feature against neuron; below, the neuron's activations and logit weights by proxy."""
    kinds = {kind: study.data[study.data["kind"] == kind] for kind in ("coefficient", "spectrum", "logit", "point")}
    feature, neuron = (str(study.data[column].dropna().iloc[0]) for column in ("feature", "neuron"))
    figure = style.figure(4.6)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    coefficients(first, kinds["coefficient"], neuron, study)
    scatter(second, kinds["point"], feature, neuron, study)
    spectrum(third, kinds["spectrum"], neuron)
    logits(fourth, kinds["logit"], neuron)
    figure.suptitle(f"{feature}: {study.label}", x=0.012, ha="left", fontsize=8.5, fontweight="bold")
    figure.legend(handles=[style.patch(dict(style.CONTEXT)), style.patch(dict(style.REST))], loc="outside upper right", ncols=2)
    tokens, drawn = style.count(study.get("best_neuron_correlation", "n") or 0), style.count(len(kinds["point"]))
    return Drawing(figure, f"n = {tokens} tokens, {drawn} of them drawn", {
        "tokens": tokens, "drawn": drawn, "feature": feature, "neuron": neuron, "label": study.label})


def coefficients(axes: Axes, rows: pd.DataFrame, neuron: str, study: Study) -> None:
    """The largest coefficients with their signs; dashed lines at the size that counts as large."""
    axes.set(title="Largest coefficients of its direction", ylabel="coefficient", xlabel="neuron, by size of its coefficient")
    if rows.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "the dictionary's site is not neurons", ha="center", transform=axes.transAxes, color=style.GREY)
        return
    values = rows["coefficient"].to_numpy(float)
    best = rows["unit"].to_numpy(int) == int(neuron.rpartition("/")[2])
    negative = values < 0
    axes.bar(rows["rank"], values, width=0.8, facecolor=style.ORANGE, edgecolor="#8A4C00", linewidth=0.4)
    axes.bar(rows["rank"][negative], values[negative], width=0.8, facecolor="#9DBBE0", edgecolor=style.BLUE, linewidth=0.4, hatch="////")
    reach = float(np.abs(values).max())
    axes.plot(rows["rank"][best], values[best] + 0.06 * reach * np.sign(values[best]), linestyle="none", marker="*", markersize=6,
              color=style.BLACK)
    for level in (LARGE, -LARGE):
        axes.axhline(level, color=style.DARK, linewidth=0.6, linestyle=(0, (1, 1.2)))
    axes.axhline(0, color=style.DARK, linewidth=0.5)
    count = study.get("coefficients_above_0_1")
    published = study.published.get("coefficients_above_0_1")
    if count is not None:
        said = f"{count:.0f} of {study.get('coefficients_above_0_1', 'n'):.0f} of size {LARGE} or more"
        said += f"\n(published {published:.0f} of 512)" if published is not None else ""
        corner(axes, said + ("\n★ the most correlated neuron" if best.any() else ""))
    axes.set(xlim=(-0.8, len(rows) - 0.2), xticks=[], ylim=(min(1.2 * values.min(), -0.15), 1.3 * max(values.max(), 0.15)))
    style.grid(axes)


def scatter(axes: Axes, rows: pd.DataFrame, feature: str, neuron: str, study: Study) -> None:
    """A sample of tokens of three kinds."""
    axes.set(title="Feature and most correlated neuron", xlabel=f"activation of {feature}", ylabel=f"activation of {neuron}")
    for name, kind in GROUPS.items():
        part = rows[rows["group"] == name]
        if len(part):
            axes.scatter(part["x"], part["y"], label=f"{name} ({style.count(part['of'].iloc[0])})", **kind)
    found, published = study.get("best_neuron_correlation"), study.published.get("best_neuron_correlation")
    if found is not None:
        corner(axes, f"correlation {found:.2f}" + (f"\n(published {published:.2f})" if published is not None else ""))
    axes.set_ylim(top=1.5 * max(float(rows["y"].max()), 1e-3))
    axes.legend(loc="upper left", fontsize=6.3, handletextpad=0.2)
    style.grid(axes)


def spectrum(axes: Axes, rows: pd.DataFrame, neuron: str) -> None:
    """The neuron's positive activations by proxy, on a log scale, because the context is a small part."""
    outlines(axes, rows, 1.0, 1.0)
    axes.set(title="The neuron's activations", xlabel=f"activation of {neuron}", ylabel="tokens", yscale="log")
    style.plain_log(axes.yaxis)
    axes.set_ylim(0.6, 3 * max(rows["rest_count"].max(), rows["context_count"].max(), 1))


def logits(axes: Axes, rows: pd.DataFrame, neuron: str) -> None:
    """Shares of the context's own tokens and of the others by the neuron's logit weight; a few own tokens are marked one by one."""
    own, rest = float(rows["context_count"].sum()), float(rows["rest_count"].sum())
    outlines(axes, rows, 100 / own if own >= FEW else 0, 100 / max(rest, 1))
    if 0 < own < FEW:
        held = rows[rows["context_count"] > 0]
        axes.plot((held["low"] + held["high"]) / 2, 0 * held["low"], "^", color=style.CONTEXT["facecolor"], markersize=6, clip_on=False,
                  markeredgecolor="white", markeredgewidth=0.5, zorder=5)
    axes.set_ylim(top=1.35 * axes.get_ylim()[1])
    axes.set(title="The neuron's logit weights", xlabel=f"logit weight of {neuron} (median token at 0)", ylabel="% of tokens of the kind")
    corner(axes, f"{style.count(own)} tokens of the context,\n{style.count(rest)} others")
    style.grid(axes)


def corner(axes: Axes, said: str) -> None:
    """A remark in the upper right corner."""
    axes.annotate(said, (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=6.8, bbox=style.BEHIND)


def outlines(axes: Axes, rows: pd.DataFrame, own: float, rest: float) -> None:
    """The others filled, the context as a thick outline over them; each scaled by its factor."""
    edges = np.append(rows["low"], rows["high"].iloc[-1])
    axes.stairs(rest * rows["rest_count"].to_numpy(float), edges, fill=True, linewidth=0.4, **{**style.REST, "label": None})
    if own:
        axes.stairs(own * rows["context_count"].to_numpy(float), edges, fill=False, color=style.CONTEXT["facecolor"], linewidth=1.4)
