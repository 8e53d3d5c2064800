"""How features lie in the neuron basis: carriers, largest weight, kurtosis, encoder against decoder, the lower cluster."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

PAIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "lower_encoder": ("pairs of encoders", {"color": style.RED, "linestyle": "-"}),
    "lower_decoder": ("pairs of decoders", {"color": style.BLACK, "linestyle": (0, (1, 1))}),
}
CARRIED = {"one neuron": (0, 1.5), "two to ten": (1.5, 10.5), "more than ten": (10.5, np.inf)}


def draw(study: Study) -> Drawing:
    """Five panels over all replicates, and the legend in the place of a sixth."""
    figure = style.figure(3.9)
    panels = figure.subplots(2, 3)
    fired = study.data[study.data["quantity"] == "cosine"]["count"].sum()
    draws: list[Callable[[Axes, Study], None]] = [carriers, top_weight, kurtosis, cosine, cluster]
    for axes, panel in zip(panels.flat, draws, strict=False):
        panel(axes, study)
    legend = panels[1, 2]
    legend.axis("off")
    handles = [style.patch(style.PARTS["other"]), style.patch(style.PARTS["ultralow"]),
               *(style.handle(**kind, label=label) for label, kind in PAIRS.values()),
               style.handle(**style.PUBLISHED, label="published"), style.handle(color=style.BLUE, linewidth=1.2, label="our median")]
    legend.legend(handles=handles, loc="center left", labelspacing=0.9)
    dictionaries = study.data["dictionary"].nunique()
    features = style.count(fired)
    note = f"n = {features} features that fired, in {dictionaries} replicates"
    return Drawing(figure, note, {"features": features, "replicates": str(dictionaries)})


def histogram(axes: Axes, study: Study, quantity: str) -> None:
    """A stacked histogram of one quantity, in percent of all features that fired."""
    rows = study.data[study.data["quantity"] == quantity]
    at = style.edges(rows)
    scale = 100 / rows["count"].sum()
    style.stacked(axes, at, {part: scale * style.counts(rows[rows["part"] == part], "count", at) for part in ("other", "ultralow")})
    axes.set_ylabel("features (%)")


def carriers(axes: Axes, study: Study) -> None:
    """Shares carried by one, two to ten, more neurons."""
    rows = study.data[study.data["quantity"] == "neurons"]
    base = np.zeros(len(CARRIED))
    for part in ("other", "ultralow"):
        inside = [(rows["part"] == part) & (rows["high"] > low) & (rows["low"] < high) for low, high in CARRIED.values()]
        height = np.array([100 * rows.loc[chosen, "count"].sum() / rows["count"].sum() for chosen in inside])
        axes.bar(range(len(CARRIED)), height, 0.62, bottom=base, **{**style.PARTS[part], "label": None})
        base += height
    for x, (top, key) in enumerate(zip(base.tolist(), ("share_one_neuron", "share_two_to_ten", "share_dense"), strict=True)):
        mark = 100 * study.published.get(key, 0.0)
        axes.text(x, (max(top, mark) if abs(top - mark) < 18 else top) + 2, f"{top:.0f}%", ha="center", va="bottom", fontsize=7)
        if key in study.published:
            axes.plot([x - 0.38, x + 0.38], [mark] * 2, **style.PUBLISHED)
    axes.set_xticks(range(len(CARRIED)), [name.replace(" ", "\n", 1) for name in CARRIED])
    axes.set(ylim=(0, 112), ylabel="features (%)", xlabel="neurons that hold half of a decoder", title="Carriers")


def top_weight(axes: Axes, study: Study) -> None:
    """Largest weight of a unit direction."""
    histogram(axes, study, "top_weight")
    axes.set(xlim=(0, 1), xlabel="largest weight of a unit decoder", title="Largest weight")
    medians(axes, study, "top_weight_median")


def kurtosis(axes: Axes, study: Study) -> None:
    """Kurtosis of a direction's entries, with the 3 of a random direction."""
    axes.set_xscale("log")
    histogram(axes, study, "kurtosis")
    low, high = axes.get_xlim()
    axes.set(xlim=(min(low, 2.0), max(high, 20.0)), xlabel="kurtosis of the decoder (random: 3)", title="Kurtosis")
    axes.set_ylim(top=1.12 * axes.get_ylim()[1])
    style.plain_log(axes.xaxis, *((1, 2, 5) if high < 300 else ()))
    axes.axvline(3, color=style.GREY, linewidth=0.9, linestyle=(0, (1, 1)))
    median = study.get("kurtosis_median")
    if median is not None:
        axes.axvline(median + 3, color=style.BLUE, linewidth=1.2)


def cosine(axes: Axes, study: Study) -> None:
    """Encoder against decoder."""
    histogram(axes, study, "cosine")
    axes.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1], xlabel="cosine of encoder and decoder", title="Encoder and decoder")
    medians(axes, study, "cosine_median")


def cluster(axes: Axes, study: Study) -> None:
    """Cosines of pairs inside the lower cluster."""
    for quantity, (_, kind) in PAIRS.items():
        rows = study.data[study.data["quantity"] == quantity]
        if rows.empty:
            axes.text(0.5, 0.5, "no lower cluster", transform=axes.transAxes, ha="center", va="center", color=style.GREY)
            break
        at = style.edges(rows)
        axes.stairs(100 * style.counts(rows, "count", at) / rows["count"].sum(), at, linewidth=1.3, **kind)
    axes.set(xlim=(-1, 1), ylim=(0, None), xticks=[-1, -0.5, 0, 0.5, 1])
    axes.set(xlabel="cosine of two of its features", ylabel="pairs (%)", title="Inside the lower cluster")


def medians(axes: Axes, study: Study, key: str) -> None:
    """Our median and the published one."""
    value = study.get(key)
    if value is not None:
        axes.axvline(value, color=style.BLUE, linewidth=1.2)
    if key in study.published:
        axes.axvline(study.published[key], **style.PUBLISHED)
