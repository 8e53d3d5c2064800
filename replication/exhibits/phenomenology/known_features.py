"""Features known from earlier work: a row for each thing, a column for each dictionary, beside the best neuron and chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

SORTS = {"script": "script", "language": "languages", "region": "countries and regions", "mathematics": "mathematics", "person": "persons",
         "emotion": "emotions"}
PERSON, ROW = "person", 0.185  # inches
FOUND: Mapping[str, Any] = {"facecolor": "#F3C48F", "edgecolor": style.BLACK, "linewidth": 1.3}
NOT_FOUND: Mapping[str, Any] = {"facecolor": "white", "edgecolor": style.LIGHT, "linewidth": 0.5}
ABSENT: Mapping[str, Any] = {"facecolor": style.PALE, "edgecolor": style.LIGHT, "hatch": "////", "linewidth": 0.0}
CHANCE = "chance"


def draw(study: Study) -> Drawing:
    """The matrix; persons that the text lacks share one row."""
    data = study.data
    neurons = next(name for name in data["group"].unique() if str(name).endswith("/neurons"))
    sizes = data[data["group"] != neurons].groupby("group", sort=False)["d_sae"].first().sort_values()
    columns = [*sizes.index, neurons, CHANCE]
    table = lines(data)
    figure = style.figure(1.0 + ROW * len(table))
    axes = figure.subplots()
    previous = ""
    for y, row in enumerate(reversed(list(table.itertuples()))):
        one_row(axes, data[data["known"].isin(str(row.known).split(","))], columns, y, row)
    for y, row in enumerate(table.itertuples()):
        if row.sort != previous:
            top = len(table) - y
            axes.plot([-4.75, len(columns)], [top, top], color=style.GREY, linewidth=0.6, clip_on=False)
            axes.text(-4.75, top - 0.5, SORTS[str(row.sort)], fontsize=6.5, color=style.GREY, va="center")
            previous = str(row.sort)
    for x, name in enumerate(columns):
        size = f"\n{style.count(sizes[name])}" if name in sizes else "\nbest" if name == neurons else "\nlargest"
        axes.text(x + 0.5, len(table) + 0.15, f"{name}{size}", ha="center", va="bottom", fontsize=7, linespacing=1.1)
    axes.text(-0.1, len(table) + 0.15, "share of\ntokens", ha="right", va="bottom", fontsize=6.5, color=style.GREY, linespacing=1.1)
    axes.set(xlim=(-4.8, len(columns) + 0.05), ylim=(-0.05, len(table) + 1.3))
    axes.axis("off")
    legend = {"found": FOUND, "not found": NOT_FOUND, "too few tokens in the text": ABSENT}
    handles = [style.patch({**kind, "label": name}) for name, kind in legend.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.6)
    things, present = data["known"].nunique(), int(data.groupby("known")["present"].max().sum())
    return Drawing(figure, f"n = {things} things, {present} of them in the text often enough; best correlation, mean over fits",
                   {"things": str(things), "present": str(present), "rare": rare(study)})


def rare(study: Study) -> str:
    """What became of emotions and persons, and how often the hexadecimal feature fires."""
    said = []
    for key, verdict in (("emotions", "found"), ("persons_outside_narrow_contexts", "found outside narrow contexts")):
        value, n, label = study.get(key), study.get(key, "n"), key.partition("_")[0]
        none = f"the text holds no {label} often enough"
        said.append(none if value is None else f"of {n:.0f} {label} in the text {value:.0f} were {verdict}")
    density = study.get("hexadecimal_density")
    return "; ".join([*said, *([] if density is None else [f"the hexadecimal feature of {study.main} fires on {density:.2%} of tokens"])])


def lines(data: pd.DataFrame) -> pd.DataFrame:
    """A row per thing: known (ids, joined), label, sort, share, present."""
    table = data.drop_duplicates("known")[["known", "label", "sort", "share", "present"]]
    rest = table[(table["sort"] == PERSON) & (table["present"] == 0)]
    if len(rest) < 2:
        return table
    others = (table["sort"] == PERSON).sum() > len(rest)
    joined = {"known": ",".join(rest["known"]), "label": f"{len(rest)} others" if others else f"any of {len(rest)}", "sort": PERSON,
              "share": rest["share"].sum(), "present": 0}
    kept = table.drop(rest.index)
    after = max((place for place, sort in enumerate(kept["sort"]) if sort in ("mathematics", PERSON)), default=-1) + 1
    return pd.concat([kept.iloc[:after], pd.DataFrame([joined]), kept.iloc[after:]], ignore_index=True)


def one_row(axes: Axes, rows: pd.DataFrame, columns: list[str], y: int, line: Any) -> None:
    """The scores of one thing."""
    axes.text(-1.15, y + 0.5, line.label, ha="right", va="center", fontsize=7)
    axes.text(-0.1, y + 0.5, share_of(line.share), ha="right", va="center", fontsize=6.5, color=style.GREY)
    for x, name in enumerate(columns):
        box = (x + 0.06, y + 0.08), 0.88, 0.84
        if not line.present:
            axes.add_patch(Rectangle(*box, **ABSENT))
            continue
        of = rows[rows["group"] == name] if name != CHANCE else rows
        value = of["score"].mean() if name != CHANCE else of["chance"].max()
        found = name != CHANCE and not str(name).endswith("/neurons") and (of["found"] > 0).any()
        shade = 0.8 * float(np.clip(np.nan_to_num(value), 0, 1))
        colour = tuple(1 - shade * (1 - np.array(to_rgb(style.ORANGE))))
        axes.add_patch(Rectangle(*box, **{**(FOUND if found else NOT_FOUND), "facecolor": "white" if name == CHANCE else colour}))
        axes.text(x + 0.5, y + 0.5, f"{value:.2f}" if np.isfinite(value) else "silent", ha="center", va="center", fontsize=6.5,
                  fontweight="bold" if found else "normal")


def share_of(value: float) -> str:
    """A share of tokens, in percent."""
    return "0" if value == 0 else f"{100 * value:.2g} %"
