"""Two texts token by token: how many features are on, and which of the strongest, with what ablating them does to the token after."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from replication.exhibits import style, text
from replication.exhibits.labels import label
from replication.exhibits.study import Drawing, Study

DNA = "dna"
GAP = 1.5  # columns between the beginning and the end of a text that is drawn in two pieces
LONGEST, SIZE = 7, 5.4  # characters of a token, points
SOME: Mapping[str, Any] = {"color": style.LIGHT, "width": 0.8}
LATER: Mapping[str, Any] = {"color": style.GREY, "width": 0.8}


def draw(study: Study) -> Drawing:
    """A panel for each text: bars of active features above, a row for each of the strongest features below."""
    data = study.data
    texts, tokens, on = (data[data["row"] == row] for row in ("text", "token", "on"))
    names = list(tokens["text"].unique())
    rows = [max(1, on.loc[on["text"] == name, "feature"].nunique()) for name in names]
    figure = style.figure(0.35 + sum(1.15 + 0.125 * count for count in rows))
    grid = figure.subplots(2 * len(names), 1, height_ratios=[part for count in rows for part in (4.2, count)], squeeze=False)[:, 0]
    for place, name in enumerate(names):
        bars, cells = grid[2 * place], grid[2 * place + 1]
        of, own, about = tokens[tokens["text"] == name], on[on["text"] == name], texts[texts["text"] == name].iloc[0]
        columns = places(of["pos"].to_numpy(int))
        counted(bars, columns, of["active"].to_numpy(), about)
        matrix(cells, columns, of, own, int(about["leading"]))
        if name == DNA and "active_at_end_of_dna" in study.published:
            expected(bars, columns, about, study.published["active_at_end_of_dna"])
    handles = [style.patch({"facecolor": style.ORANGE, "label": "activation, relative to the text's largest"}),
               style.handle(**text.HURT, linewidth=1.6, label="ablating hurts this token"),
               style.handle(**text.HELPED, linewidth=1.6, label="ablating helps it")]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.6)
    return Drawing(figure, f"n = {len(texts)} texts, {style.count(texts['tokens'].sum())} tokens; {len(names)} of them shown",
                   {"dictionary": str(texts["dictionary"].iloc[0]), "features": str(max(rows)), "tokens": style.count(texts["tokens"].sum())})


def places(pos: np.ndarray) -> dict[int, float]:
    """The column of each position, with a gap where positions are left out."""
    return dict(zip(pos.tolist(), np.arange(len(pos)) + GAP * np.cumsum(np.diff(pos, prepend=pos[0] - 1) > 1), strict=True))


def counted(axes: Axes, columns: dict[int, float], active: np.ndarray, about: pd.Series) -> None:
    """A bar for each token; late ones are darker."""
    first = int(about["tokens"] - about["late"])
    for kind, wanted in ((SOME, False), (LATER, True)):
        chosen = [(column, count) for (pos, column), count in zip(columns.items(), active, strict=True) if (pos >= first) == wanted]
        axes.bar([column for column, _ in chosen], [count for _, count in chosen], **kind)
    late = f", {about['active_late']:.1f} on the last {about['late']:.0f} (dark)"
    axes.set_title(f"{about['dictionary']} on the text \u201c{about['title']}\u201d: {about['active']:.1f} features on a token of {about['tokens']:.0f}{late}",
                   loc="left")
    axes.set(xlim=limits(columns), xticks=[])
    axes.set_ylabel("features on", fontsize=6.5)
    axes.locator_params(axis="y", nbins=3, integer=True)


def limits(columns: dict[int, float]) -> tuple[float, float]:
    """Of the columns."""
    return -0.6, max(columns.values()) + 0.6


def expected(axes: Axes, columns: dict[int, float], about: pd.Series, value: float) -> None:
    """What the paper says of the end of the text."""
    late = [column for pos, column in columns.items() if pos >= about["tokens"] - about["late"]]
    axes.plot([min(late) - 0.5, max(late) + 0.5], [value] * 2, marker="", **style.PUBLISHED)
    axes.set_title(f"dashed: {value:g} in the paper", loc="right", fontsize=6.5, fontweight="normal")


def matrix(axes: Axes, columns: dict[int, float], tokens: pd.DataFrame, on: pd.DataFrame, leading: int) -> None:
    """A row for each feature, strongest first: activation behind its token, effect under the token after; tokens below."""
    strength = on.groupby("feature")["activation"].sum().sort_values(ascending=False, kind="stable")
    features = {int(feature): y for y, feature in enumerate(strength.index)}
    largest, most = on["activation"].max(), on["effect"].abs().max()
    for row in on.itertuples():
        x, y = columns[int(row.pos)], features[int(row.feature)]
        colour = 1 - text.STRONGEST * row.activation / largest * (1 - np.array(to_rgb(style.ORANGE)))
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, linewidth=0))
        if (after := columns.get(int(row.pos) + 1)) is not None and abs(row.effect) > text.LEAST * most:
            thick = 0.6 + 1.4 * abs(row.effect) / most
            axes.plot([after - 0.4, after + 0.4], [y + 0.38] * 2, marker="", linewidth=thick, **(text.HURT if row.effect < 0 else text.HELPED))
    for column, string in zip(columns.values(), tokens["string"], strict=True):
        axes.text(column, len(features) - 0.3, label(json.loads(string), LONGEST), fontsize=SIZE, family=text.FONTS, rotation=90, ha="center", va="top")
    axes.set(xlim=limits(columns), ylim=(len(features) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(features)), [str(feature) for feature in features], fontsize=6.2)
    axes.tick_params(axis="y", length=0)
    for feature, tick in zip(features, axes.get_yticklabels(), strict=True):
        tick.set_fontweight("bold" if feature == leading else "normal")
    for y in range(1, len(features)):
        axes.axhline(y - 0.5, color=style.PALE, linewidth=0.4, zorder=0)
    for side in axes.spines.values():
        side.set_visible(False)
