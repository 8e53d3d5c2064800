"""Token text for the exhibits of single features: tokens of the context marked, lists of tokens, long texts cut or wrapped."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from replication.exhibits import style, text

MARK = {"color": style.CONTEXT["facecolor"], "alpha": 0.3}
ROW = 1.75  # of the type size, from line to line


def cells_in(axes: Axes, size: float) -> int:
    """Characters that fit into the width of the axes."""
    return int(axes.get_window_extent().width / (text.ADVANCE * size * axes.figure.dpi / 72))


def step(axes: Axes, size: float) -> float:
    """Height of one line as a share of the axes."""
    return ROW * size * axes.figure.dpi / 72 / axes.get_window_extent().height


def marked(axes: Axes, x: float, y: float, strings: Sequence[str], on: Sequence[int], size: float) -> None:
    """A line of tokens; those `on` stand on the context's colour and are underlined."""
    em, box = size * axes.figure.dpi / 72, axes.get_window_extent()
    width, half = text.ADVANCE * em / box.width, 0.62 * text.HEIGHT * em / box.height
    place = x
    for string, flag in zip(strings, on, strict=True):
        end = place + width * max(1, text.cells(text.show(string)))
        if flag:
            axes.fill_between([place, end], y - half, y + half, linewidth=0, transform=axes.transAxes, clip_on=False, in_layout=False, **MARK)
            axes.plot([place, end], [y - 1.15 * half] * 2, color=style.CONTEXT["edgecolor"], linewidth=0.7, transform=axes.transAxes, clip_on=False,
                      in_layout=False)
        place = end
    text.line(axes, x, y, strings, size=size)


def wrapped(strings: Sequence[str], cells: int) -> Iterator[slice]:
    """Lines of at most so many characters; a longer token has its own line."""
    start, used = 0, 0
    for place, string in enumerate(strings):
        needed = max(1, text.cells(text.show(string)))
        if used and used + needed > cells:
            yield slice(start, place)
            start, used = place, 0
        used += needed
    yield slice(start, len(strings))


def around(strings: Sequence[str], centre: int, cells: int) -> slice:
    """The longest stretch about the centre that fits, as long on both sides as the text allows."""
    needed = [max(1, text.cells(text.show(string))) for string in strings]
    low, high = centre, centre + 1
    while True:
        grown = [(low - 1, high), (low, high + 1)]
        for first, stop in grown if sum(needed[low:centre]) <= sum(needed[centre + 1 : high]) else grown[::-1]:
            if first >= 0 and stop <= len(strings) and sum(needed[first:stop]) <= cells:
                low, high = first, stop
                break
        else:
            return slice(low, high)
