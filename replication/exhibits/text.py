"""Token text in figures: made safe to draw, and lines of tokens with activations behind them and ablation effects below.

As in the paper's feature cards: an orange background for the activation, an underline for what ablating does to the token
that is predicted, red where it hurts and blue where it helps; the red line is solid and the blue one dashed, so that print
without colour tells them apart.
"""

import functools
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from replication.exhibits import style

NAMES = {"\n": "⏎", "\t": "⇥"}  # the fonts have no sign for a carriage return
ISOLATE, POP = "\u2068", "\u2069"
FONTS = ["DejaVu Sans Mono", "DejaVu Sans"]  # they come with matplotlib
ADVANCE, HEIGHT = 0.602, 1.0  # of a character of the fixed-width font, in ems
LEAST = 0.05  # share of the largest effect below which nothing is underlined
STRONGEST = 0.9  # share of full orange behind the largest activation, so that black text stays legible
HURT: Mapping[str, Any] = {"color": style.RED, "linestyle": "-"}
HELPED: Mapping[str, Any] = {"color": style.BLUE, "linestyle": (0, (1.5, 0.8))}


def show(string: str) -> str:
    r"""Token text that is safe to draw: line ends and tabs as signs, other controls as `\xNN`, dollars plain, right-to-left isolated.

    Bytes that are no whole character come as `\xd8` already (`features.vocabulary`), characters that the fonts lack are shown as
    their code point. matplotlib reads `$` as mathematics, so it is escaped; text from right to left cannot turn what stands around it.
    """
    shown = "".join(NAMES.get(character) or _safe(character) for character in string).replace("$", r"\$")
    return f"{ISOLATE}{shown}{POP}" if any(unicodedata.bidirectional(character) in {"R", "AL"} for character in string) else shown


def _safe(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or ord(character) not in _drawable():
        return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
    return character


@functools.cache
def _drawable() -> frozenset[int]:
    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in FONTS)
    return frozenset(code for font in fonts for code in font.get_charmap())


def line(axes: Axes, x: float, y: float, strings: Sequence[str], activations: Sequence[float] | None = None,
         effects: Sequence[float] | None = None, *, size: float = 6.5, centre: int | None = None, limit: float | None = None,
         effect_limit: float | None = None) -> float:
    """Draw tokens one after another in a fixed-width font, from (x, y) in the axes' fraction; returns where the line ends.

    `activations` (zero or more) shade the tokens, relative to `limit` (default: their maximum); `effects` (nats, of ablation on the
    token itself) underline them, relative to `effect_limit`; the token at `centre` is set in bold. The axes must have their place
    (`figure.draw_without_rendering()` gives it), and what is drawn here does not move them.
    """
    box, em = axes.get_window_extent(), size * axes.figure.dpi / 72
    width, height = round(ADVANCE * em / box.width, 6), round(HEIGHT * em / box.height, 6)  # the layout's last digits vary
    strongest = limit or max([*(activations or []), 1e-9])
    largest = effect_limit or max([*(abs(effect) for effect in effects or []), 1e-9])
    free: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "in_layout": False}
    for place, string in enumerate(strings):
        text = show(string)
        span = width * max(1, cells(text))
        if activations is not None and activations[place] > 0:
            shade = STRONGEST * min(1.0, activations[place] / strongest)
            colour = 1 - shade * (1 - np.array(to_rgb(style.ORANGE)))
            axes.fill_between([x, x + span], y - 0.62 * height, y + 0.62 * height, color=colour, linewidth=0, **free)
        if effects is not None and abs(effects[place]) > LEAST * largest:
            thick = 0.5 + 1.5 * min(1.0, abs(effects[place]) / largest)
            axes.plot([x, x + span], [y - 0.72 * height] * 2, marker="", linewidth=thick, **(HURT if effects[place] < 0 else HELPED), **free)
        axes.text(x, y, text, fontsize=size, family=FONTS, va="center_baseline", ha="left", fontweight="bold" if place == centre else "normal", **free)
        x += span
    return x


def cells(text: str) -> int:
    """Character cells of text that `show` made: two for wide characters, none for marks that sit on others."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
               for character in text.replace(ISOLATE, "").replace(POP, "").replace(r"\$", "$"))
