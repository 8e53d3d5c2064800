"""Ablation of a context's feature: texts of two activation levels with its effect on each token, and the mean harm by level."""

import json
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.detailed import samples
from replication.exhibits.study import Drawing, Study

SIZE = 6.3
LINE = 1.05 * samples.ROW * SIZE / 72  # inches
LEVELS = {0: "Texts of interval 0, about {share:.0%} of the largest activation", 5: "Texts of interval 5, about {share:.0%}"}
SERIES: dict[str, tuple[str, dict[str, Any], float]] = {
    "on": ("in the context", {"color": style.CONTEXT["facecolor"], "marker": "o", "linestyle": "-"}, -0.12),
    "off": ("elsewhere", {"color": style.GREY, "marker": "s", "markerfacecolor": "white", "linestyle": (0, (4, 1.5))}, 0.12)}


def draw(study: Study) -> Drawing:
    """Texts above; below, harm to the next token by interval, and how many tokens stand behind it."""
    texts, table = (study.data[study.data["kind"] == kind] for kind in ("text", "interval"))
    shown = [texts[texts["interval"] == level] for level in LEVELS]
    reading_height = LINE * (sum(map(len, shown)) + 1.6 * len(LEVELS))
    figure = style.figure(2.2 + reading_height)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[reading_height, 2.0])[:, 0]
    reading = above.subplots()
    reading.set_axis_off()
    left, right = below.subplots(1, 2, width_ratios=[1.6, 1])
    harm(left, table)
    behind(right, table)
    below.legend(*left.get_legend_handles_labels(), title="The next token lies", title_fontsize=7, loc="outside right upper", alignment="left")
    below.legend([style.patch({"facecolor": style.ORANGE, "alpha": 0.7}), *(style.handle(**{**kind, "linewidth": 1.8}) for kind in (text.HURT, text.HELPED))],
                 ["activation", "hurt by ablation", "helped by it"], title="In the texts", title_fontsize=7, loc="outside right lower", alignment="left")
    figure.draw_without_rendering()
    write(reading, shown, float(table["maximum"].iloc[0]))
    counted = int(table[["n_on", "n_off"]].sum().sum())
    feature = str(study.data["feature"].iloc[0])
    return Drawing(figure, f"n = {style.count(counted)} next tokens; bars are 95% intervals over texts",
                   {"feature": feature, "label": study.label, "tokens": style.count(counted)})


def write(axes: Axes, shown: list[pd.DataFrame], maximum: float) -> None:
    """Both blocks of texts, on one scale of activation and of effect."""
    step, cells = samples.step(axes, SIZE), samples.cells_in(axes, SIZE)
    parsed = [[(json.loads(row.tokens), json.loads(row.values), json.loads(row.effects), int(row.centre)) for row in some.itertuples(index=False)]
              for some in (rows[["tokens", "values", "effects", "centre"]] for rows in shown)]
    largest = max((abs(effect) for block in parsed for _, _, effects, _ in block for effect in effects), default=1.0)
    y = 1 - step / 2
    for (level, title), rows, block in zip(LEVELS.items(), shown, parsed, strict=True):
        share = float((rows["activation"] / maximum).mean()) if len(rows) else (10 - level) / 11
        axes.text(0, y, title.format(share=share), fontsize=8, fontweight="bold", va="center", transform=axes.transAxes, in_layout=False)
        y -= step
        for tokens, values, effects, centre in block:
            some = samples.around(tokens, centre, cells)
            text.line(axes, 0, y, tokens[some], values[some], effects[some], size=SIZE, centre=centre - some.start, limit=maximum, effect_limit=largest)
            y -= step
        y -= 0.6 * step


def harm(axes: Axes, table: pd.DataFrame) -> None:
    """Mean log-likelihood that the next token loses, by interval, weak to strong."""
    for name, (label, kind, shift) in SERIES.items():
        rows = table[table[f"n_{name}"] > 0].reindex(columns=["low", name, f"{name}_low", f"{name}_high"])  # a column without any value was left out
        x = rows["low"] * 100 + 100 / 22 + shift * 10
        axes.errorbar(x, rows[name], [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]], capsize=1.5, elinewidth=0.8, label=label, **kind)
    axes.axhline(0, color=style.DARK, linewidth=0.6)
    axes.set(xlabel="activation (% of the largest)", ylabel="log-likelihood lost (nats)", xlim=(0, 100))
    axes.set_title("Harm to the next token")
    style.grid(axes)


def behind(axes: Axes, table: pd.DataFrame) -> None:
    """Next tokens per interval, log scale."""
    for name, (_, _, _) in SERIES.items():
        kind = {"on": style.CONTEXT, "off": style.REST}[name]
        place = table["low"] * 100 + (100 / 44 if name == "on" else 300 / 44)
        axes.bar(place, table[f"n_{name}"], width=100 / 24, linewidth=0.4, **{**kind, "label": None})
    axes.set_yscale("log")
    style.plain_log(axes.yaxis)
    axes.set(xlabel="activation (% of the largest)", ylabel="next tokens", xlim=(0, 100), ylim=(0.7, None))
    axes.set_title("Tokens behind it")
    style.grid(axes)
