"""Features as states: the strongest systems as graphs, and a repeated phrase followed token by token."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, Rectangle

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

PANELS, COLUMNS = 6, 3
EMPTY = 0.4  # inches of a part that has nothing to show
STATE_TOKENS, LONGEST = 3, 7  # tokens of a state, characters of a token in a box
WORD = 11  # characters of a token of the phrase
STATES = 9  # of the chain that is drawn
STEPS = 22  # of the phrase that are drawn
SYSTEMS = {"base64_self_loop": "self loops of base64 in A/0", "caps_underscore_pair": "pairs of capitals and underscore in A/0",
           "html_four_step": "cycles of four steps through an HTML tag in A/0", "tamil_pair": "pairs of Tamil bytes in all sizes",
           "chinese_pair": "pairs of Chinese bytes in all sizes", "irc": "cycles through lines of IRC logs in all sizes"}
LABELS = {"base64_self_loop": "base64", "caps_underscore_pair": "capitals and underscore", "html_four_step": "HTML tag",
          "tamil_pair": "Tamil", "chinese_pair": "Chinese", "irc": "IRC log", "loop": "self loop", "pair": "pair"}
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.9, "color": style.DARK, "zorder": 4}
Found = tuple[str, pd.DataFrame]


def draw(study: Study) -> Drawing:
    """Six systems, a chain, and a phrase."""
    states, steps = (study.data[study.data["row"] == row] for row in ("state", "step"))
    systems, chain = chosen(states), longest_chain(states)
    phrase = steps[steps["sort"] == steps["sort"].min()]
    lines = -(-len(systems) // COLUMNS)
    heights = [1.75 * lines or EMPTY, EMPTY if chain.empty else 0.8, EMPTY if phrase.empty else 2.2]
    figure = style.figure(sum(heights) + style.PRINT)
    upper, middle, lower = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = upper.subplots(max(1, lines), COLUMNS, squeeze=False).ravel()
    for axes in panels:
        blank(axes)
    if not systems:
        sentence(panels[0], "No cycle is heavy enough.")
    for axes, (title, rows) in zip(panels, systems, strict=False):
        cycle(axes, title, rows)
    path(middle.subplots(), chain)
    facts = follow(lower.subplots(), phrase)
    names = study.data.sort_values("d_sae")["group"].unique()
    live = {str(name): study.get(f"self_loops_{name.replace('/', '_')}", "n") or 0 for name in names}
    told = ", ".join(f"{name} {style.count(count)}" for name, count in live.items())
    return Drawing(figure, f"n = live features of {told}; weights of the half of the tokens on which edges were not chosen",
                   {"live": told, "systems": counted(study), **facts})


def counted(study: Study) -> str:
    """How many of each system that the paper names, as far as the text has its tokens."""
    values = {said: study.get(key) for key, said in SYSTEMS.items()}
    found = ", ".join(f"{value:.0f} {said}" for said, value in values.items() if value is not None)
    lacking = sum(value is None for value in values.values())
    rest = f"{lacking} of the {len(values)} systems have too few tokens in this text, or no dictionary in this run" if lacking else ""
    return "; ".join(part for part in (found, rest) if part)


def chosen(states: pd.DataFrame) -> list[Found]:
    """One system of each kind that the paper names, from the smallest dictionary that has it, then the strongest others that hold."""
    states = states[states["holds"] == 1] if len(states) else states
    by_size = list(states.sort_values("d_sae")["group"].unique())
    main = states.loc[states["main"].astype(bool), "group"].unique().tolist() or by_size
    wanted: list[tuple[str, list[str], int | None]] = [(sort, by_size, None) for sort in LABELS if sort not in ("loop", "pair")]
    wanted += [("cycle", main, 4), ("cycle", main, 3), ("cycle", by_size, 5), ("pair", by_size, None), ("loop", by_size, None),
               ("cycle", by_size, 3), ("pair", main, None), ("loop", main, None), ("cycle", by_size, 4), ("cycle", main, 6)]
    found: list[Found] = []
    drawn: set[tuple[str, int]] = set()
    for sort, groups, length in wanted:
        rows = first(states, sort, groups, length, drawn)
        if rows is not None and len(found) < PANELS:
            label = LABELS.get(sort, f"cycle of {len(rows)}")
            found.append((f"{label}, {rows['group'].iloc[0]}", rows))
            drawn |= set(zip(rows["group"], rows["feature"], strict=True))
    return found


def first(states: pd.DataFrame, sort: str, groups: list[str], length: int | None, drawn: set[tuple[str, int]]) -> pd.DataFrame | None:
    """The first system of a sort, most of whose states are not drawn yet."""
    for group in groups:
        some = states[(states["sort"] == sort) & (states["group"] == group) & ((states["length"] == length) | (length is None))]
        for _, rows in some.groupby("system", sort=False):
            if 2 * sum((group, feature) in drawn for feature in rows["feature"]) <= len(rows) - 1:
                return rows
    return None


def longest_chain(states: pd.DataFrame) -> pd.DataFrame:
    """The longest chain of the main dictionary that holds; of equally long ones the strongest."""
    some = states[(states["sort"] == "chain") & (states["holds"] == 1)]
    some = some[some["main"].astype(bool)] if some["main"].any() else some
    if some.empty:
        return some
    best = some.sort_values(["length", "strength"], ascending=False).iloc[0]
    return some[(some["system"] == best["system"]) & (some["group"] == best["group"])]


def label(tokens: str) -> str:
    """A state's tokens, one below the other."""
    return "\n".join(token(one) for one in json.loads(tokens)[:STATE_TOKENS])


def token(string: str, longest: int = LONGEST) -> str:
    """A token with its spaces visible, cut short."""
    cut = string if len(string) <= longest else f"{string[: longest - 1]}…"
    return text.show(cut).replace(" ", "␣")


def node(axes: Axes, x: float, y: float, row: Any) -> Any:
    """A state: its tokens in a box; its number below, or above in the upper half, where arrows do not pass."""
    box = {"boxstyle": "round,pad=0.28", "facecolor": "#FCE9D2", "edgecolor": "#8A4C00", "linewidth": 0.8}
    drawn = axes.text(x, y, label(row.tokens), fontsize=6, family=text.FONTS, ha="center", va="center", linespacing=1.05, bbox=box,
                      zorder=3)
    away = 15.5 if y > 0.1 else -15.5
    axes.annotate(f"{int(row.feature)}", (x, y), xytext=(0, away), textcoords="offset points", fontsize=4.8, color=style.GREY,
                  ha="center", va="center", zorder=5)
    return drawn.get_bbox_patch()


def arrow(axes: Axes, start: tuple[float, float], stop: tuple[float, float], boxes: tuple[Any, Any], weight: float, *, bend: float) -> None:
    """An edge with its weight on half 1; the line is thicker where it is heavier."""
    kind = {**ARROW, "linewidth": 0.6 + 2 * weight}
    axes.add_patch(FancyArrowPatch(start, stop, patchA=boxes[0], patchB=boxes[1], shrinkA=1, shrinkB=1,
                                   connectionstyle=f"arc3,rad={bend}", **kind))
    (x0, y0), (x1, y1) = start, stop
    x, y = (x0 + x1) / 2 + bend * (y1 - y0) / 2, (y0 + y1) / 2 - bend * (x1 - x0) / 2
    axes.text(x, y, f"{weight:.2f}", fontsize=5.5, ha="center", va="center", color=style.DARK, bbox={**style.BEHIND, "pad": 0.4}, zorder=6)


def sentence(axes: Axes, said: str) -> None:
    """What is shown in place of nothing."""
    axes.text(0, 0.5, said, fontsize=7, va="center", transform=axes.transAxes)


def blank(axes: Axes) -> None:
    """A panel without axes, in units of a third of its height."""
    axes.set(xlim=(-2.1, 2.1), ylim=(-1.55, 1.45))
    axes.axis("off")


def cycle(axes: Axes, title: str, rows: pd.DataFrame) -> None:
    """States on a circle, from the left and round; a lone one with an arrow to itself."""
    axes.set_title(title, fontsize=7, pad=2)
    n = len(rows)
    angles = np.pi - 2 * np.pi * np.arange(n) / n + (np.pi / 4 if n == 4 else 0)
    places = [(0.0, -0.25)] if n == 1 else [(1.45 * float(np.cos(a)), 0.98 * float(np.sin(a))) for a in angles]
    boxes = [node(axes, x, y, row) for (x, y), row in zip(places, rows.itertuples(), strict=True)]
    weights = rows["held"].to_numpy(float)
    if n == 1:
        axes.add_patch(FancyArrowPatch((-0.18, 0.11), (0.18, 0.11), connectionstyle="arc3,rad=-3.2", shrinkA=0, shrinkB=0, **ARROW))
        axes.text(0, 0.82, f"{weights[0]:.2f}", fontsize=5.5, ha="center", va="center", bbox={**style.BEHIND, "pad": 0.4}, zorder=6)
        return
    for k in range(n):
        after = (k + 1) % n
        arrow(axes, places[k], places[after], (boxes[k], boxes[after]), weights[k], bend=-0.4 if n == 2 else -0.12)


def path(axes: Axes, rows: pd.DataFrame) -> None:
    """A chain from left to right."""
    shown = rows.iloc[:STATES]
    axes.set(xlim=(-0.5, max(5, len(shown)) - 0.5), ylim=(-1, 1))
    axes.axis("off")
    if shown.empty:
        sentence(axes, "No chain has three states or more.")
        return
    cut = f" (the first {STATES})" if len(rows) > STATES else ""
    axes.set_title(f"chain of {len(rows)} states, {rows['group'].iloc[0]}{cut}", fontsize=7, pad=2)
    boxes = [node(axes, k, 0, row) for k, row in enumerate(shown.itertuples())]
    for k, weight in enumerate(shown["held"].to_numpy(float)[: len(shown) - 1]):
        arrow(axes, (k, 0), (k + 1, 0), (boxes[k], boxes[k + 1]), weight, bend=0)


def follow(axes: Axes, steps: pd.DataFrame) -> dict[str, str]:
    """A column per token of the phrase, a row per dictionary: the feature that raises the next token most."""
    axes.axis("off")
    if steps.empty:
        sentence(axes, "No phrase is repeated often enough.")
        return {"phrase": "none"}
    groups = list(steps.sort_values("d_sae")["group"].unique())
    columns = min(STEPS, int(steps["step"].max()) + 1)
    axes.set(xlim=(-1.6, columns + 0.4), ylim=(-0.2, len(groups) + 1.5))
    strongest = max(steps["attribution"].max(), 1e-9)
    line = steps[steps["group"] == groups[0]].sort_values("step").iloc[:columns]
    for x, string in enumerate([*line["text"], line["next"].iloc[-1]]):
        axes.text(x, len(groups) + 0.12, token(string, WORD), fontsize=6, family=text.FONTS, rotation=50, ha="left", va="bottom",
                  rotation_mode="anchor")
    for height, group in enumerate(reversed(groups)):
        axes.text(-0.25, height + 0.5, group, fontsize=7, ha="right", va="center")
        for row in steps[steps["group"] == group].itertuples():
            if row.step < columns:
                cell(axes, row, height, strongest)
    kind = "licence phrase" if line["licence"].iloc[0] == 1 else "repeated phrase"
    axes.set_title(f"{kind}: the feature that raises the next token most", fontsize=7, pad=2)
    return {"phrase": "".join([*line["text"], line["next"].iloc[-1]]).strip().replace("\n", " ")}


def cell(axes: Axes, row: Any, height: int, strongest: float) -> None:
    """One step: the feature's number, darker where it raises the right token more; framed where the step is recited."""
    shade = 0.9 * float(np.clip(row.attribution / strongest, 0, 1))
    colour = 1 - shade * (1 - np.array(to_rgb(style.ORANGE)))
    own = row.recited == 1
    axes.add_patch(Rectangle((row.step + 0.04, height + 0.06), 0.92, 0.88, facecolor=colour, edgecolor=style.BLACK if own else style.LIGHT,
                             linewidth=1.3 if own else 0.4, hatch="////" if row.memorised == 1 else None))
    weight = "bold" if own else "normal"
    axes.text(row.step + 0.5, height + 0.5, f"{int(row.feature)}", fontsize=5, ha="center", va="center", fontweight=weight)
