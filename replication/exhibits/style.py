"""One style for all exhibits: colours that survive colour blindness and grey print, small print, and saving.

Orange is for activations and features, blue and red for ablation (red: it hurt). Series also differ in line style,
marker or hatch, so that no statement hangs on colour alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from replication import artifacts

ORANGE, BLUE, RED = "#E07B00", "#1F5FA8", "#B2182B"
BLACK, DARK, GREY, LIGHT, PALE = "#111111", "#222222", "#777777", "#BFBFBF", "#E9E9E9"
PUBLISHED: Mapping[str, Any] = {"color": DARK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
PARTS: Mapping[str, Mapping[str, Any]] = {
    "other": {"facecolor": ORANGE, "edgecolor": "#8A4C00", "label": "live (neither)"},
    "ultralow": {"facecolor": "#F6D7AE", "edgecolor": "#8A4C00", "hatch": "////", "label": "ultralow"},
    "dead": {"facecolor": "white", "edgecolor": GREY, "hatch": "....", "label": "dead"},
}
SERIES: Sequence[Mapping[str, Any]] = (
    {"color": BLUE, "linestyle": (0, (5, 1.5)), "marker": "s"},
    {"color": BLACK, "linestyle": (0, (1, 1.2)), "marker": "^"},
    {"color": "#3C9BC9", "linestyle": (0, (4, 1.2, 1, 1.2)), "marker": "D"},
    {"color": RED, "linestyle": (0, (7, 1.5, 1, 1.5, 1, 1.5)), "marker": "v"},
    {"color": GREY, "linestyle": "-", "marker": "P"},
    {"color": "#5B3A8C", "linestyle": (0, (2, 1)), "marker": "X"},
    {"color": "#2B7A4B", "linestyle": (0, (8, 2)), "marker": "<"},
    {"color": "#A65A8B", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "marker": ">"},
)
MAIN: Mapping[str, Any] = {"color": ORANGE, "linestyle": "-", "marker": "o"}
BEHIND: Mapping[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}  # keeps text legible over lines
CONTEXT: Mapping[str, Any] = {"facecolor": "#2B7A4B", "edgecolor": "#123B23", "label": "in the context (proxy)"}
REST: Mapping[str, Any] = {"facecolor": LIGHT, "edgecolor": GREY, "hatch": "////", "label": "elsewhere"}
CONTEXTS: Sequence[Mapping[str, Any]] = tuple(  # of named contexts in the order of the run
    {"color": colour, "marker": marker} for colour, marker in zip(
        ("#2B7A4B", BLUE, RED, "#5B3A8C", "#3C9BC9", "#A65A8B", BLACK, "#8A4C00", "#6B8E23"), ("o", "s", "^", "D", "v", "P", "X", "<", ">"), strict=True))
WIDTH = 7.2  # inches, the width of a text column
PRINT = 0.20  # inches kept free for the small print
THIN_SPACE = "\u2009"


@contextmanager
def paper() -> Iterator[None]:
    """The style sheet of the exhibits, and nothing from the user's own settings."""
    with matplotlib.style.context(["default", str(Path(__file__).with_name("paper.mplstyle"))]):
        yield


def canvas(made: Figure) -> Figure:
    """A figure that can be saved without pyplot."""
    FigureCanvasAgg(made)
    return made


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure in inches that arranges itself above the small print."""
    room = (0, PRINT / height, 1, 1 - PRINT / height)
    layout = ConstrainedLayoutEngine(rect=room, w_pad=0.06, h_pad=0.05, wspace=0.03, hspace=0.04)
    return canvas(Figure(figsize=(width, height), layout=layout))


def series(names: Sequence[str], main: str) -> dict[str, dict[str, Any]]:
    """A line style for each name: the main one orange and solid, the others in a fixed order."""
    others = [name for name in names if name != main]
    return {name: dict(MAIN if name == main else SERIES[others.index(name) % len(SERIES)]) for name in names}


def grid(axes: Axes, axis: str = "y") -> None:
    """Thin lines to read values from."""
    axes.grid(True, axis=axis)  # type: ignore[arg-type]


def rule(axes: Axes, x: float, text: str, *, y: float = 0.98, **kind: Any) -> None:
    """A vertical line with its label right of it; `y` is the label's height in the panel."""
    axes.axvline(x, **{**PUBLISHED, **kind})
    axes.annotate(text, (x, y), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points", fontsize=6.5, va="top",
                  color=kind.get("color", DARK), linespacing=1.1, bbox=BEHIND)


def edges(rows: pd.DataFrame) -> np.ndarray:
    """Edges of a table of bins (`low`, `high`) that leaves empty ones out; a gap becomes one wide bin."""
    return np.unique(rows[["low", "high"]].to_numpy(float))


def counts(rows: pd.DataFrame, column: str, at: np.ndarray) -> np.ndarray:
    """Sums of a column per bin of `edges`."""
    summed = rows.groupby("low")[column].sum()
    return np.array([summed.get(edge, 0.0) for edge in at[:-1]], dtype=np.float64)


def stacked(axes: Axes, at: np.ndarray, heights: Mapping[str, np.ndarray]) -> None:
    """Parts (live below, ultralow above) as filled steps over the edges `at`."""
    base = np.zeros(len(at) - 1)
    for part, height in heights.items():
        if height.any():
            axes.stairs(base + height, at, baseline=base, fill=True, **{**PARTS[part], "linewidth": 0.5, "label": None})
        base = base + height


def handle(**kind: Any) -> Line2D:
    """A line for a legend."""
    return Line2D([], [], **kind)


def count(value: float) -> str:
    """A count as people write it: 8,192."""
    return f"{value:,.0f}"


def dictionary(name: str, row: Any, more: str = "") -> str:
    """A label of two lines: name and number of replicates; size and l1."""
    replicates = f" ×{THIN_SPACE}{row['replicates']:.0f}" if row["replicates"] > 1 else ""
    return f"{name}{replicates}\n{count(row['d_sae'])}, {l1(row['l1'])}{more}"


def l1(value: float) -> str:
    """The l1 coefficient."""
    return f"l1{THIN_SPACE}={THIN_SPACE}{value:g}"


def describe(provenance: Mapping[str, Any]) -> str:
    """Where a picture comes from, in one line; what is drawn from elsewhere has no config and no corpus."""
    different = "" if provenance.get("corpus_matches_reference") in (True, None) else " (different corpus)"
    hashes = [f"{label} {provenance[key]}" for label, key in (("config", "config_hash"), ("corpus", "corpus_hash")) if key in provenance]
    return " · ".join((f"run {provenance['run']}", *hashes)) + different + f" · replication {provenance['version']}"


def save(made: Figure, folder: Path, name: str, title: str, provenance: Mapping[str, Any], note: str) -> None:
    """Write png and pdf with the provenance in small print and in the metadata; the same figure gives the same bytes."""
    sign(made, provenance, note)
    for suffix in (".png", ".pdf"):
        write(made, folder / f"{name}{suffix}", title, provenance, note)


def sign(made: Figure, provenance: Mapping[str, Any], note: str) -> None:
    """Set the small print and arrange the figure for good."""
    made.text(0.006, 0.012 * 3 / made.get_figheight(), f"{describe(provenance)} · {note}", fontsize=5.2, color=GREY, ha="left", va="bottom")
    made.draw_without_rendering()
    made.set_layout_engine("none")  # arranged once, not for every file
    for axes in made.axes:  # the solver's last digits vary from call to call
        axes.set_position(Bbox.from_bounds(*(round(float(value), 5) for value in axes.get_position(original=True).bounds)))


def write(made: Figure, path: Path, title: str, provenance: Mapping[str, Any], note: str) -> None:
    """Write a signed figure as png, pdf or svg, by the suffix, with the provenance in its metadata."""
    about, software = describe(provenance), f"replication {provenance['version']}"
    hashes = {name: str(provenance[key]) for name, key in (("Run", "run"), ("ConfigHash", "config_hash"), ("CorpusHash", "corpus_hash")) if key in provenance}
    metadata = {
        ".png": {"Title": title, "Description": f"{about} · {note}", "Software": software, **hashes},
        ".pdf": {"Title": title, "Subject": about.replace("·", "-"), "Keywords": note, "Creator": software, "Producer": software,
                 "CreationDate": None},
        ".svg": {"Title": title, "Description": f"{about} · {note}", "Creator": software, "Date": None},
    }
    suffix = path.suffix.lower()
    with artifacts.atomic(path) as temporary:
        made.savefig(temporary, format=suffix[1:], metadata=metadata[suffix])


def plain_log(axis: Axis, *labelled: float) -> None:
    """A log axis in plain numbers (100, 1,000): decades, or `labelled` multiples of them, with unlabelled ticks between."""
    axis.set_major_locator(LogLocator(10, subs=labelled or (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}"))
    axis.set_minor_locator(LogLocator(10, subs=range(2, 10)))
    axis.set_minor_formatter(NullFormatter())


def patch(kind: Mapping[str, Any]) -> Patch:
    """A box for a legend."""
    return Patch(**kind)
