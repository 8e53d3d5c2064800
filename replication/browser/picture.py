"""A feature's card as a picture for print: SVG, PNG or PDF, drawn from the same values as the page.

Left its examples, each on a line about its own token: the strongest, some of each interval, the weakest. Right its logits, its
histograms and its relations. Colours and underlines are those of the exhibits (`exhibits.text`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from replication.browser.schema import PARTS, Card, Columns, Example, Explanation, Histogram, Relation
from replication.config import UserError
from replication.exhibits import labels, style, text

SUFFIXES = (".svg", ".png", ".pdf")
SHOWN = (10, *[2] * 11, 4)  # examples by group: top, intervals, bottom
RELATED = 3  # relations of each kind
LINES = 2  # of the explanation
KINDS: Mapping[str, str] = {
    "weight": "decoder weight", "neuron": "closest neuron", "match": "best match", "matched_by": "best match of", "parent": "smaller dictionary",
    "child": "larger dictionary", "decoder": "decoder neighbour"}
NOTE = "grey numbers: activation; orange: activation in the window; underline: effect of ablation on the token"
POINTS = 72  # of an inch
MARGIN, GAP = 7.0, 15.0  # points
LEFT = 306.0  # of the examples
SIZE, SMALL, ROW, LINE = 6.0, 6.4, 10.4, 9.6  # type of tokens and of other text; from line to line of examples and of text
ADVANCE = text.ADVANCE * SIZE
CENTRE = 156.0  # where an example's own token begins
LONGEST = 16  # characters of a token in an example
LOWERED: Mapping[str, Any] = {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "...."}
RAISED: Mapping[str, Any] = {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"}
BESIDE = 186.0  # width of a list of relations
CHART = 72.0  # height of a histogram with its title and ticks


@dataclass(frozen=True)
class Portrait:
    """A feature and what is around it: its table, its row of the index (`columns` of one entry), its card, the texts of tokens by id, and whence it comes.

    `provenance` holds what exhibits carry: run, config_hash, corpus_hash, version; of an imported viewer the two hashes are missing.
    """

    table: str
    kind: Literal["features", "neurons"]
    columns: Columns
    card: Card
    vocabulary: Sequence[str]
    provenance: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As in the paper: A/1/2357."""
        return f"{self.table}/{self.card.feature}"


def suffix(path: Path) -> str:
    """The format of a picture. Raises UserError when it is none that can be drawn."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} ends in none of {', '.join(SUFFIXES)}; the ending says how the card is drawn")
    return path.suffix.lower()


def draw(portrait: Portrait, path: Path) -> None:
    """Write the picture of a card; the same card gives the same bytes. Raises UserError when it cannot be written."""
    suffix(path)
    provenance = {**portrait.provenance, "run": text.show(" ".join(portrait.provenance["run"].split()))}  # of an imported viewer it is a title that people gave
    with style.paper():
        made = figure(portrait)
        style.sign(made, provenance, NOTE)
        try:
            style.write(made, path, portrait.name, provenance, NOTE)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


class Sheet:
    """A page measured in points from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.width, self.height = style.WIDTH * POINTS, height
        self.figure = style.canvas(Figure(figsize=(style.WIDTH, height / POINTS)))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, self.width), ylim=(height, 0))
        self.axes.set_axis_off()

    def write(self, x: float, y: float, string: str, *, size: float = SMALL, **kind: Any) -> None:
        """Plain text, already safe to draw, centred about the height y."""
        self.axes.text(x, y, string, fontsize=size, **{"va": "center_baseline", "ha": "left", "family": ["DejaVu Sans", *text.FONTS], **kind})

    def tokens(self, x: float, y: float, strings: Sequence[str], activations: Sequence[float] | None = None, effects: Sequence[float] | None = None,
               **kind: Any) -> None:
        """Tokens from x on, see `text.line`."""
        text.line(self.axes, x / self.width, 1 - y / self.height, strings, activations, effects, size=SIZE, **kind)

    def rule(self, y: float, x: float, end: float) -> None:
        """A thin line."""
        self.axes.plot([x, end], [y, y], color=style.LIGHT, linewidth=0.5, marker="")

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes of a chart, by its upper left corner."""
        return self.figure.add_axes((x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))


def figure(portrait: Portrait) -> Figure:
    """The card, not yet signed. Beside examples and logits each further block stands in the column that is shorter so far."""
    card, said, chosen = portrait.card, explained(portrait), list(sample(portrait.card.examples))
    top = MARGIN + 34 + (4 + LINE * len(said) if said else 0)
    groups = len({example.group for example in chosen})
    ends = [top + 24 + (ROW * len(chosen) + 3 * groups if chosen else 2 * ROW), top + 24 + ROW * max(len(card.up), len(card.down), 1)]
    placed: list[tuple[Callable[[Sheet, float, float, float], None], int, float]] = []
    for height, block in blocks(card):
        column = int(ends[1] <= ends[0])
        placed.append((block, column, ends[column]))
        ends[column] += height
    sheet = Sheet(max(ends) + POINTS * style.PRINT)
    sides = ((MARGIN, MARGIN + LEFT), (MARGIN + LEFT + GAP, sheet.width - MARGIN))
    heading(sheet, portrait, said)
    windows(sheet, portrait, chosen, top)
    logits(sheet, portrait, *sides[1], top)
    for block, column, y in placed:
        block(sheet, *sides[column], y)
    return sheet.figure


def blocks(card: Card) -> Iterator[tuple[float, Callable[[Sheet, float, float, float], None]]]:
    """Histograms and relations: the height of each, and what draws it between two x at a y."""
    for histogram, title, look in ((card.activations, "Activations", RAISED), (card.logits, "Logit weights", style.REST)):
        if histogram is not None:
            yield CHART, partial(chart, histogram, title, look)
    if lines := relations(card):
        yield 20 + LINE * len(lines), partial(listed, lines)


def heading(sheet: Sheet, portrait: Portrait, said: Sequence[str]) -> None:
    """Name, badges, numbers, explanation."""
    y = MARGIN + 6
    sheet.write(MARGIN, y, portrait.name, size=11, fontweight="bold")
    x = MARGIN + 7.4 * len(portrait.name) + 10
    for badge in badges(portrait):
        sheet.write(x, y, badge, size=6, bbox={"boxstyle": "round,pad=0.35", "facecolor": style.PALE, "edgecolor": style.GREY, "linewidth": 0.5})
        x += 3.6 * len(badge) + 13
    sheet.write(MARGIN, y + 15, " · ".join(numbers(portrait)), size=7)
    for place, line in enumerate(said):
        sheet.write(MARGIN, y + 28 + LINE * place, line, size=SMALL)
    y += 24 + LINE * len(said) + (2 if said else 0)
    sheet.rule(y, MARGIN, sheet.width - MARGIN)


def badges(portrait: Portrait) -> Iterator[str]:
    """What kind of feature it is."""
    if portrait.kind == "neurons":
        yield "neuron"
    part = PARTS[int(portrait.columns.part[0])]
    if part != "other":
        yield part
    if portrait.columns.single_token[0]:
        yield "single token"


def numbers(portrait: Portrait) -> Iterator[str]:
    """Density, maximum and what else the index knows."""
    columns = portrait.columns
    for label, column in (("density", columns.density), ("maximum", columns.max), ("encoder bias", columns.bias)):
        if np.isfinite(column[0]):
            yield f"{label} {numeral(float(column[0]))}"
    if np.isfinite(columns.universality[0]):
        yield f"universality {decimal(float(columns.universality[0]))}"


def explained(portrait: Portrait) -> list[str]:
    """The explanation that the index's score belongs to, in at most two lines."""
    said = portrait.card.explanations
    best = next((one for one in said if one.text and one.spearman is not None and np.isclose(one.spearman, portrait.columns.spearman[0], atol=1e-4)), None)
    best = best or next((one for one in said if one.text), None)
    return [] if best is None else broken(f"{best.text} {scores(best)}", int((style.WIDTH * POINTS - 2 * MARGIN) / 3.3))


def scores(said: Explanation) -> str:
    """Who explained, and how well that predicts."""
    values = [f"{label} {decimal(value)}" for label, value in (("Spearman", said.spearman), ("logits", said.logits)) if value is not None]
    return f"({', '.join((said.explainer, *values, *filter(None, (said.error,))))})"


def broken(string: str, cells: int) -> list[str]:
    """Text that is safe to draw in lines of at most so many characters; what does not fit into `LINES` is cut."""
    words = [cut(word, cells) for word in re.split(r"\s+", string.strip())]
    lines: list[list[str]] = [[]]
    for word in words:
        if lines[-1] and text.cells(text.show(" ".join((*lines[-1], word)))) > cells:
            lines.append([])
        lines[-1].append(word)
    kept = lines[:LINES]
    if len(lines) > LINES:
        kept[-1] = [*kept[-1][:-1], "…"]
    return [" ".join(map(text.show, line)) for line in kept]  # word by word, so that words from right to left keep their order


def sample(examples: Sequence[Example]) -> Iterator[Example]:
    """So many of each group as `SHOWN` says, first those whose window was not seen before."""
    for group, count in enumerate(SHOWN):
        of_group = [example for example in examples if example.group == group]
        fresh = {id(example) for example in of_group if not example.repeated}
        chosen = sorted(of_group, key=lambda example: id(example) not in fresh)[:count]
        yield from (example for example in of_group if any(example is one for one in chosen))


def windows(sheet: Sheet, portrait: Portrait, chosen: Sequence[Example], y: float) -> None:
    """A line per example, with the name of its group before the first."""
    sheet.write(MARGIN, y + 8, "Examples", size=8, fontweight="bold")
    if not chosen:
        dead = PARTS[int(portrait.columns.part[0])] == "dead"
        sheet.write(MARGIN, y + 8 + 1.8 * ROW, "It is silent on all evaluation tokens." if dead else "None are known.", color=style.GREY)
        return
    legend(sheet, y + 8)
    limit = max(float(np.nan_to_num(portrait.columns.max[0])), *(value for example in chosen for _, value in example.fired), 1e-9)
    effects = max((abs(effect) for example in chosen for _, effect in example.effects), default=0.0)
    y += 24
    group = None
    for example in chosen:
        if example.group != group:
            y += 0 if group is None else 3
            group = example.group
            sheet.write(MARGIN, y, "top" if group == 0 else "bottom" if group == 12 else f"interval {group}", size=SMALL)
        here = dict(example.fired).get(0)
        if here is not None:
            sheet.write(MARGIN + 71, y, numeral(here), size=SMALL, ha="right", color=style.GREY)
        window(sheet, portrait.vocabulary, example, y, limit, effects)
        y += ROW


def window(sheet: Sheet, vocabulary: Sequence[str], example: Example, y: float, limit: float, effects: float) -> None:
    """One example with its own token at a fixed place; outer tokens for which there is no room are left out."""
    strings = [cut(vocabulary[token], LONGEST) for token in example.tokens]
    centre = -example.start
    wide = [ADVANCE * max(1, text.cells(text.show(string))) for string in strings]
    first, stop = centre, centre + 1
    while first > 0 and sum(wide[first - 1:centre]) <= CENTRE - 75:
        first -= 1
    while stop < len(strings) and sum(wide[centre:stop + 1]) <= LEFT - CENTRE:
        stop += 1
    shown = range(first, stop)
    fired, effect = dict(example.fired), dict(example.effects)
    sheet.tokens(MARGIN + CENTRE - sum(wide[first:centre]), y, [strings[k] for k in shown], [fired.get(k + example.start, 0.0) for k in shown],
                 [effect.get(k + example.start, 0.0) for k in shown], centre=centre - first, limit=limit, effect_limit=effects or None)


def legend(sheet: Sheet, y: float) -> None:
    """What colour and underlines mean."""
    end = MARGIN + LEFT
    for words, activation, effect in (("ablation makes it likelier", 0.0, 1.0), ("ablation makes it less likely", 0.0, -1.0), ("active", 0.7, 0.0)):
        end -= ADVANCE * len(words)
        sheet.tokens(end, y, [words], [activation], [effect], limit=1.0)
        end -= 9


def logits(sheet: Sheet, portrait: Portrait, x: float, end: float, y: float) -> None:
    """Two lists with bars."""
    card = portrait.card
    width = (end - x - 12) / 2
    limit = max((abs(weight) for _, weight in (*card.up, *card.down)), default=1.0) or 1.0
    for place, (title, pairs, look) in enumerate((("Makes likelier", card.up, RAISED), ("Makes less likely", card.down, LOWERED))):
        start = x + place * (width + 12)
        sheet.write(start, y + 8, title, size=8, fontweight="bold")
        for row, (token, weight) in enumerate(pairs):
            at = y + 24 + row * ROW
            sheet.write(start, at, labels.label(portrait.vocabulary[token], 9), size=SIZE, family=text.FONTS)
            room = width - 40 - 21
            sheet.axes.barh([at - 0.3], [room * abs(weight) / limit], height=0.5 * ROW, left=start + 40, linewidth=0.4, **look)
            sheet.write(start + width, at, decimal(weight, "+"), ha="right", size=SIZE)
        if not pairs:
            sheet.write(start, y + 24, "not known", color=style.GREY)


def chart(histogram: Histogram, title: str, look: Mapping[str, Any], sheet: Sheet, x: float, end: float, y: float) -> None:
    """A histogram with its title."""
    sheet.write(x, y + 5, title, size=8, fontweight="bold")
    sheet.write(end, y + 5, "tokens per bin", size=SIZE, ha="right", color=style.GREY)
    axes = sheet.panel(x + 20, y + 14, end - x - 20, CHART - 31)
    edges = np.asarray(histogram.edges, dtype=np.float64)
    if all(low < high for low, high in pairwise(edges)):
        axes.stairs(histogram.counts, edges, fill=True, linewidth=0.4, **{**look, "label": None})
        axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=5.6, pad=1.5, length=2)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value < 1e4 else f"{value / 1e3:,.0f}k"))


def relations(card: Card) -> list[tuple[str, str, str]]:
    """Lines of label, name and values: the nearest of each kind, then the named contexts that it follows best."""
    lines: list[tuple[str, str, str]] = []
    for kind, label in KINDS.items():
        for place, one in enumerate([one for one in card.relations if one.kind == kind][:RELATED]):
            lines.append(("" if place else label, f"{one.table}/{one.feature}", measured(one)))
    for place, (label, correlation) in enumerate(card.contexts[:RELATED]):
        lines.append(("" if place else "context", text.show(cut(label, 24)), decimal(correlation)))
    return lines


def measured(one: Relation) -> str:
    """How near another feature is, with the second value where it has one."""
    if one.second is None:
        return decimal(one.value)
    second = f"{100 * one.second:.0f} % of L1" if one.kind == "weight" else f"logits {decimal(one.second)}"
    return f"{decimal(one.value)} ({second})"


def listed(lines: Sequence[tuple[str, str, str]], sheet: Sheet, x: float, end: float, y: float) -> None:
    """Relations in a line each."""
    sheet.write(x, y + 5, "Relations", size=8, fontweight="bold")
    for place, (label, name, values) in enumerate(lines):
        at = y + 19 + LINE * place
        sheet.write(x, at, label, size=SIZE, color=style.GREY)
        sheet.write(x + 66, at, name, size=SIZE)
        sheet.write(min(end, x + BESIDE), at, values, size=SIZE, ha="right")


def cut(string: str, longest: int) -> str:
    """A token of at most so many characters as `text.show` spells it."""
    if text.cells(text.show(string)) <= longest:
        return string
    kept = 0
    while text.cells(text.show(string[:kept + 1])) < longest:
        kept += 1
    return string[:kept] + "…"


def numeral(value: float) -> str:
    """A number with three significant digits."""
    return (f"{value:#.3g}".rstrip(".") if value else "0").replace("-", "−")


def decimal(value: float, sign: str = "") -> str:
    """A number with two decimals."""
    return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")
