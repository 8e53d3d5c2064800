"""What features split into: a graph from the smallest dictionary to the largest, how many matches there are, how narrow predictions are."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from replication.exhibits import style, text
from replication.exhibits.labels import label
from replication.exhibits.study import Drawing, Study

FAMILY: tuple[dict[str, Any], ...] = ({"color": style.ORANGE, "linestyle": "-"}, {"color": style.BLUE, "linestyle": (0, (5, 1.2))},
                                      {"color": style.BLACK, "linestyle": (0, (1.2, 0.9))})
BOX, NAME = 1.86, 0.53  # inches: width of a node, of its name in it
ROW, LOWEST = 0.272, 1.95  # inches: height of a node's row, of the panels below
FIRES = "#8A4C00"  # of tokens on which a feature fires
LONGEST = 9  # characters of a token in a node
READINGS = {"narrower_predictions": "logit weights,\nfeature at its maximum", "narrower_at_one": "logit weights,\nactivation 1",
            "narrower_followers": "tokens that follow"}
WIDEST_LINE = 1.9  # points, of an edge with a masked cosine of 1
STEP: tuple[dict[str, Any], ...] = ({"color": style.ORANGE, "linewidth": 1.5, "linestyle": "-"},
                                    {"color": style.BLUE, "linewidth": 1.2, "linestyle": (0, (5, 1.2))})


def draw(study: Study) -> Drawing:
    """The graph above; below how many coarse features have at least so many matches, and how narrow predictions are."""
    data = study.data
    nodes, edges = (data[data["row"] == kind].dropna(axis=1, how="all") for kind in ("node", "edge"))
    if nodes.empty:
        return lacking(str(data["name"].iloc[0]))
    edges = edges[edges["cosine"] > 0]
    nodes = nodes[nodes["name"].isin([*edges["name"], *edges["target"]]) | (nodes["layer"] == 0)]
    rows = int(nodes["layer"].value_counts().max())
    height = max(3.2, ROW * rows + 0.40) + LOWEST
    figure = style.canvas(Figure(figsize=(style.WIDTH, height)))
    graph = figure.add_axes((0, LOWEST / height, 1, 1 - LOWEST / height))
    layered(graph, nodes, edges, height - LOWEST)
    low, tall = 0.62 / height, 1.12 / height
    survival(figure.add_axes((0.105, low, 0.37, tall)), data[data["row"] == "matches"])
    narrower(figure.add_axes((0.70, low, 0.28, tall)), study)
    coarse = style.count(study.get("matches_above_null", "n") or 0)
    return Drawing(figure, f"n = {coarse} coarse features; masked cosines of half 1", {"coarse": coarse, "smallest": smallest(data)})


def smallest(data: pd.DataFrame) -> str:
    """The first step's name."""
    steps = data.loc[data["row"] == "matches", "name"]
    return str(steps.iloc[0]) if len(steps) else ""


def lacking(why: str) -> Drawing:
    """A picture that says what the run lacks."""
    figure = style.figure(1.6)
    axes = figure.subplots()
    axes.set_axis_off()
    said = f"No splitting to show: {why}.\nIt takes dictionaries of at least two sizes on the same model."
    axes.text(0.5, 0.5, said, ha="center", va="center", fontsize=9, linespacing=1.6)
    return Drawing(figure, "n = 0 coarse features", {"coarse": "0"})


def layered(axes: Axes, nodes: pd.DataFrame, edges: pd.DataFrame, height: float) -> None:
    """Nodes in a column for each dictionary, ordered so that edges cross little; an edge has the line of the family that it comes from."""
    axes.set(xlim=(0, style.WIDTH), ylim=(0, height))
    axes.set_axis_off()
    layers = [nodes[nodes["layer"] == depth] for depth in sorted(nodes["layer"].unique())]
    places = arranged(layers, edges, height - 0.30)
    left = np.linspace(0.06, style.WIDTH - BOX - 0.06, len(layers)) if len(layers) > 1 else np.array([0.06])
    family = families(layers, edges)
    for depth, layer in enumerate(layers):
        for node in layer.to_dict("records"):
            colour = FAMILY[family[node["name"]] % len(FAMILY)]["color"] if depth == 0 else style.LIGHT
            box(axes, left[depth], places[node["name"]], node, colour)
        name = str(layer["name"].iloc[0]).rpartition("/")[0]
        axes.text(left[depth] + BOX / 2, height - 0.15, name, fontsize=9, fontweight="bold", ha="center", va="center")
    column = {name: depth for depth, layer in enumerate(layers) for name in layer["name"]}
    for edge in edges.to_dict("records"):
        start = left[column[edge["name"]]] + BOX + 0.03, places[edge["name"]]
        end = left[column[edge["target"]]] - 0.03, places[edge["target"]]
        middle = (start[0] + end[0]) / 2
        path = Path([start, (middle, start[1]), (middle, end[1]), end], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        kind = FAMILY[family[edge["name"]] % len(FAMILY)]
        axes.add_patch(PathPatch(path, facecolor="none", edgecolor=kind["color"], linestyle=kind["linestyle"], zorder=1,
                                 linewidth=WIDEST_LINE * edge["cosine"] ** 2))


def arranged(layers: list[pd.DataFrame], edges: pd.DataFrame, height: float) -> dict[str, float]:
    """Height of each node in inches: the first column in the given order, others by the mean height of the nodes that point to one."""
    places: dict[str, float] = {}
    for layer in layers:
        wanted = {name: pulled(name, edges, places) for name in layer["name"]}
        for place, name in enumerate(sorted(wanted, key=lambda name: -wanted[name])):
            places[name] = 0.06 + height * (1 - (place + 0.5) / len(layer))
    return places


def pulled(name: str, edges: pd.DataFrame, places: dict[str, float]) -> float:
    """Mean height of the nodes that point to one, weighted by the masked cosine."""
    to = edges[(edges["target"] == name) & edges["name"].isin(places.keys())]
    weight = to["chosen"].to_numpy(float) ** 2
    return float((weight * np.array([places[source] for source in to["name"]])).sum() / weight.sum()) if len(to) else 0.0


def families(layers: list[pd.DataFrame], edges: pd.DataFrame) -> dict[str, int]:
    """The family of each node: of the coarse feature that it comes from most."""
    found = {name: place for place, name in enumerate(layers[0]["name"])}
    for layer in layers[1:]:
        for name in layer["name"]:
            to = edges[(edges["target"] == name) & edges["name"].isin(found.keys())]
            found[name] = found[str(to.loc[to["chosen"].idxmax(), "name"])] if len(to) else 0
    return found


def box(axes: Axes, left: float, y: float, node: dict[str, Any], colour: str) -> None:
    """A feature: its name, the tokens on which it fires, the tokens that it predicts."""
    tall = 0.235
    frame = FancyBboxPatch((left, y - tall / 2), BOX, tall, boxstyle="round,pad=0.012,rounding_size=0.03", facecolor="white",
                           edgecolor=colour, linewidth=0.8, zorder=2)
    axes.add_patch(frame)
    axes.text(left + 0.03, y, node["name"], fontsize=6, va="center", zorder=3)
    axes.text(left + NAME, y - 0.058, "→", fontsize=5.6, va="center_baseline", color=style.GREY, zorder=3)
    for key, at, colour, weight in (("tokens", y + 0.058, FIRES, "bold"), ("logits", y - 0.058, style.DARK, "normal")):
        said = " ".join(label(token, LONGEST) for token in json.loads(node[key]))
        axes.text(left + NAME + 0.1, at, said, fontsize=5.3, va="center_baseline", family=text.FONTS, color=colour, fontweight=weight,
                  zorder=3)


def survival(axes: Axes, data: pd.DataFrame) -> None:
    """Share of coarse features with at least so many matches, and under the null."""
    for place, (step, rows) in enumerate(data.groupby("name", sort=False)):
        kind = STEP[place % len(STEP)]
        for column, line, said in (("features", kind["linestyle"], step), ("null", (0, (1, 1)), "texts moved")):
            counts = rows[column].to_numpy(float)
            share = 100 * counts[::-1].cumsum()[::-1] / max(1.0, counts.sum())
            last = int(np.flatnonzero(share > 0).max(initial=0)) + 2
            shape: dict[str, Any] = {**kind, "linestyle": line, "marker": "", "drawstyle": "steps-mid"}
            axes.plot(np.arange(len(share))[:last], share[:last], label=said, **shape)
    axes.axvline(1, **style.PUBLISHED)
    axes.set(xlabel="matches: finer features with a masked cosine above 0.4", ylabel="coarse features with\nat least so many (%)")
    axes.set(ylim=(0, 104), xlim=(0, None))
    axes.legend(loc="upper right")
    style.grid(axes)


def narrower(axes: Axes, study: Study) -> None:
    """How much narrower predictions of finer features are, by three readings; right of zero the finer ones are narrower."""
    for place, key in enumerate(READINGS):
        value, low, high = (study.get(key, end) for end in ("value", "low", "high"))
        if value is None:
            axes.text(0, -place, "not measured", fontsize=6.5, va="center", ha="center", color=style.GREY, bbox=style.BEHIND)
            continue
        reach = [[value - low], [high - value]] if low is not None and high is not None else None
        axes.errorbar([value], [-place], xerr=reach, color=style.ORANGE, marker="o", markersize=4.5, capsize=2.5, linewidth=1.2, zorder=3)
        said = (f"{value:+.2f}" if abs(value) >= 0.05 else f"{value:+.3f}").replace("-", "−")
        axes.annotate(said, (value, -place), xytext=(0, 4.5), textcoords="offset points", fontsize=6.5, ha="center",
                      bbox={**style.BEHIND, "pad": 0.2})
    axes.axvline(0, **style.PUBLISHED)
    axes.set(yticks=-np.arange(len(READINGS)), yticklabels=list(READINGS.values()), ylim=(0.6 - len(READINGS), 0.7),
             xlabel="finer ones narrower by (nats)")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)
    style.grid(axes, "x")
