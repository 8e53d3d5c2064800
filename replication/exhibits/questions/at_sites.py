"""How dictionaries at different sites are drawn: one style for each site, dashed where they have as many features for each element."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from replication.exhibits import style

SITES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp_act": ("MLP activations", {"color": style.ORANGE, "marker": "o"}),
    "mlp_out": ("MLP output", {"color": style.BLUE, "marker": "s"}),
    "logit_update": ("update as the logits see it", {"color": style.BLACK, "marker": "^"}),
    "resid_post": ("stream after the MLP", {"color": style.RED, "marker": "D"}),
}
TICKS = (2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)


def curves(axes: Axes, data: pd.DataFrame, column: str, l0: float, *, label_at: float) -> None:
    """A line for each site and size through its l1, in percent over L0; single fits as small points; a rule where they are compared.

    `label_at` is the height of the rule's label in the panel.
    """
    for site, sizing, rows in lines(data):
        _, kind = SITES[site]
        means = rows.groupby("l1")[["l0", column]].mean().sort_values("l0")
        full = sizing != "ratio"
        face = kind["color"] if full else "white"
        axes.plot(means["l0"], 100 * means[column], **kind, linestyle="-" if full else (0, (4, 2)), markersize=4, markerfacecolor=face, zorder=3)
        axes.plot(rows["l0"], 100 * rows[column], color=kind["color"], marker=".", linestyle="none", markersize=2.5, alpha=0.6, zorder=2)
    style.rule(axes, l0, f"L0 of A/1\n({l0:.1f})", y=label_at)
    axes.set(xscale="log", xlabel="L0: active features per token")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    style.grid(axes, "both")


def lines(data: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Rows of dictionaries by site and size, in a fixed order."""
    for site in SITES:
        for sizing in ("count", "ratio"):
            rows = data[(data["site"] == site) & (data["sizing"] == sizing)]
            if len(rows):
                yield site, sizing, rows


def legend(data: pd.DataFrame) -> list[Any]:
    """Handles of the sites and sizes that are there."""
    drawn = {site: rows for site, sizing, rows in lines(data)}
    handles = [style.handle(**SITES[site][1], linestyle="-", markersize=4, label=SITES[site][0]) for site in SITES if site in drawn]
    if any(sizing == "ratio" for _, sizing, _ in lines(data)):
        handles += [style.handle(color=style.GREY, linestyle="-", label="as many features as A/1"),
                    style.handle(color=style.GREY, linestyle=(0, (4, 2)), marker="o", markerfacecolor="white", markersize=4, label="as many for each element")]
    return handles
