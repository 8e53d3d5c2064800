"""Time of a training step against the number of features and against L0, beside one encoder product and Adam's traffic."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

KINDS: dict[str, dict[str, Any]] = {
    "ours": {**style.MAIN, "label": "a whole step of ours"},
    "ours_dense": {**style.SERIES[0], "label": "the same by dense products"},
    "encoder_product": {"color": style.DARK, "linestyle": (0, (4, 2)), "label": "one float32 encoder product"},
    "adam_bytes": {"color": style.GREY, "linestyle": (0, (1, 1.2)), "label": "the bytes that Adam reads and writes"},
}
MARKS = ("encoder_product", "adam_bytes")


def draw(study: Study) -> Drawing:
    """A panel over features at one L0, and one over L0 at one size; a row of panels for each device."""
    data = study.data
    devices = list(dict.fromkeys(data["device"]))
    figure = style.figure(0.4 + 2.5 * len(devices))
    rows = figure.subplots(len(devices), 2, squeeze=False, sharey="row")
    for device, (sizes, densities) in zip(devices, rows, strict=True):
        found = data[data["device"] == device]
        over_sizes, over_l0 = (found[found["sweep"] == sweep] for sweep in ("features", "l0"))
        lines(sizes, over_sizes, "d_sae")
        lines(densities, over_l0, "l0")
        sizes.set(title=f"L0 {over_sizes['l0_nominal'].max():.0f}", xlabel="features", ylabel=f"seconds a step ({'GPU' if device == 'cuda' else 'CPU'})",
                  xscale="log", yscale="log")
        densities.set(title=f"{style.count(over_l0['d_sae'].max())} features", xlabel="L0: active features per vector", xscale="log")
        style.plain_log(densities.xaxis)
        for axes in (sizes, densities):
            style.grid(axes, "both")
        at = sorted(over_sizes["d_sae"].unique())
        sizes.set_xticks(at, [style.count(size) for size in at], rotation=30)
        sizes.minorticks_off()
    present = [what for what in KINDS if what in set(data["what"])]
    figure.legend(handles=[style.handle(**{"markersize": 4, **KINDS[what]}) for what in present], loc="outside upper center", ncols=2)
    batch, d_in, threads = (int(data[name].iloc[0]) for name in ("batch", "d_in", "threads"))
    rounds = f"{data['rounds'].min()} to {data['rounds'].max()}"
    note = f"n = {rounds} rounds a point; batch {style.count(batch)}, d_in {d_in}, {threads} CPU threads"
    return Drawing(figure, note, {"batch": style.count(batch), "d_in": str(d_in), "threads": str(threads), "rounds": rounds})


def lines(axes: Axes, data: pd.DataFrame, over: str) -> None:
    """A line per kind of step; what has no L0 is drawn across."""
    for what, kind in KINDS.items():
        rows = data[data["what"] == what]
        if what in MARKS and over == "l0":
            for value in rows["median_s"]:
                axes.axhline(value, color=kind["color"], linestyle=kind["linestyle"], linewidth=1)
            continue
        rows = rows.sort_values(over)
        axes.errorbar(rows[over], rows["median_s"], yerr=rows["spread"] / 2, **{"markersize": 4, "linewidth": 1.2, "capsize": 1.5, **kind})
