"""What each choice of the recipe does, as a forest plot: a row per pair of dictionaries, a panel per measure, the paper's direction shaded."""

import math
import textwrap
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study


class Panel(NamedTuple):
    """A measure: its heading, the factor to the unit shown (None: percent of the loss without the choice), and where its axis turns from linear to log."""

    measure: str
    heading: str
    factor: float | None
    linear: float


PANELS = (Panel("loss", "loss (%)", None, 0.3), Panel("dead", "dead features", 1, 10), Panel("live", "live features", 1, 10),
          Panel("l0", "L0", 1, 0.3), Panel("recovered", "recovered (%)", 100, 0.3))
NOT_RUN = "Not run, because no two dictionaries of this run differ in it alone (those of the config `full` do): "
SAID = {"facecolor": style.PALE, "edgecolor": "none"}
KINDS: dict[str, dict[str, Any]] = {
    "as the paper says": {"marker": "o", "color": style.ORANGE, "markerfacecolor": style.ORANGE},
    "the other way": {"marker": "X", "color": style.RED, "markerfacecolor": style.RED},
    "different; the paper says nothing": {"marker": "D", "color": style.DARK, "markerfacecolor": style.DARK},
    "undecided: 0 in the interval, or a lone fit": {"marker": "o", "color": style.GREY, "markerfacecolor": "white"},
}


def draw(study: Study) -> Drawing:
    """Differences with 95 % intervals of every pair that the run has; below, the choices that it has none for."""
    rows = study.data[study.data["run"]]
    pairs = list(rows.groupby(["made", "not_made"], sort=False))
    lacking = study.data.loc[~study.data["run"], "label"].tolist()
    text = textwrap.wrap(NOT_RUN + "; ".join(lacking) + ".", 150) if lacking else []
    height = 1.05 + 0.3 * max(len(pairs), 1) + 0.13 * len(text)
    figure = style.figure(height)
    if pairs:
        panels = figure.subplots(1, len(PANELS), sharey=True, width_ratios=[1.25, 1, 1, 1, 1])
        for axes, panel in zip(panels, PANELS, strict=True):
            forest(axes, panel, [frame.set_index("measure").loc[panel.measure] for _, frame in pairs])
        panels[0].set_yticks(range(len(pairs)), [name(frame.iloc[0]) for _, frame in pairs], fontsize=6.2, linespacing=1.15)
        panels[0].set_ylim(len(pairs) - 0.5, -0.5)
        handles = [style.handle(linestyle="none", label=label, markersize=4, **kind) for label, kind in KINDS.items()]
        figure.legend(handles=[*handles, style.patch({**SAID, "label": "where the paper puts it"})], loc="outside upper center", ncols=5, fontsize=6.2,
                      columnspacing=1.0, handletextpad=0.2, handlelength=1.4)
    below(figure, text, height)
    fits = f"{int(rows['replicates'].min())}" if len(rows) else "0"
    tokens = style.count(rows["tokens"].iloc[0]) if len(rows) else "0"
    note = f"n = {tokens} evaluation tokens, {fits} or more fits a side; bars are 95% intervals; axes are linear near 0 and logarithmic outside"
    resampled = rows.loc[rows["choice"] == "resampling", "vectors"]
    facts = {"tokens": tokens, "pairs": str(len(pairs))} | ({"lacking": "; ".join(lacking)} if lacking else {})
    return Drawing(figure, note, facts | ({"vectors": style.count(resampled.iloc[0])} if len(resampled) else {}))


def name(row: Any) -> str:
    """The choice and what it is held against; the dictionaries and how many fits each has."""
    return f"{row['label']} vs {row['against']}\n{row['made']} − {row['not_made']}, {row['fits_made']:.0f} + {row['fits_not_made']:.0f} fits"


def below(figure: Figure, text: list[str], height: float) -> None:
    """What was not run, in the room under the panels."""
    if not text:
        return
    room = (0.13 * len(text) + 0.1 + style.PRINT) / height
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, room, 1, 1 - room))  # type: ignore[call-arg]
    figure.text(0.012, (style.PRINT + 0.06) / height, "\n".join(text), fontsize=6.2, color=style.DARK, va="bottom", linespacing=1.3)


def forest(axes: Axes, panel: Panel, rows: list[Any]) -> None:
    """One measure of every pair."""
    shown = [scaled(row, panel) for row in rows]
    ends = [abs(value) for row in shown for value in row if math.isfinite(value)]
    reach = max([*ends, panel.linear]) * 2.5
    axes.set_xscale("symlog", linthresh=panel.linear, linscale=0.8)
    axes.set_xlim(-reach, reach)
    for y, (row, (value, low, high)) in enumerate(zip(rows, shown, strict=True)):
        if not math.isnan(row["says"]):
            edge = -reach if row["says"] < 0 else reach
            axes.fill_betweenx([y - 0.42, y + 0.42], 0, edge, facecolor=SAID["facecolor"], edgecolor=SAID["edgecolor"], zorder=0)
        if not math.isfinite(value):
            continue
        kind = KINDS[verdict(row["says"], row["replicates"], value, low, high)]
        if math.isfinite(low):
            axes.plot([low, high], [y, y], color=kind["color"], linewidth=1.2, zorder=2, solid_capstyle="butt")
        axes.plot([value], [y], linestyle="none", markersize=4, zorder=3, **kind)
    axes.axvline(0, color=style.DARK, linewidth=0.7, zorder=1)
    decades = [10.0**k for k in range(math.ceil(math.log10(panel.linear)), math.floor(math.log10(reach)) + 1)]
    last = next((mark for mark in decades[::-1] if mark < reach / 2), panel.linear)
    axes.set_xticks([-last, 0, last], [f"−{last:,g}", "0", f"+{last:,g}"], fontsize=6.2)
    axes.set_xticks([sign * mark for mark in decades for sign in (-1, 1)], minor=True)
    axes.tick_params(axis="y", length=0)
    axes.set_title(panel.heading, fontsize=7)
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color=style.LIGHT, linewidth=0.4, zorder=1)


def scaled(row: Any, panel: Panel) -> tuple[float, float, float]:
    """Difference and ends of its interval in the unit shown."""
    factor = 100 / row["without"] if panel.factor is None else panel.factor
    value, low, high = (float(row[key]) * factor for key in ("value", "low", "high"))
    return value, low, high


def verdict(says: float, replicates: float, value: float, low: float, high: float) -> str:
    """Which kind of mark a difference gets; "does not help" (0) is as said unless the loss falls."""
    agrees, contrary, neither, undecided = KINDS
    if replicates < 2 or not math.isfinite(low) or low <= 0 <= high:
        return undecided
    if math.isnan(says):
        return neither
    return agrees if value * (says or 1) > 0 else contrary
