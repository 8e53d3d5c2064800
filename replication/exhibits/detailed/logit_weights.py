"""Logit weights of a context's feature, coloured by whether the token is the context's own, and the tokens at both ends."""

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

PARTS = {"own": style.CONTEXT, "rest": style.REST}
LABELS = {"own": "the context's own tokens", "rest": "other tokens"}
LONGEST = 14  # characters of a token in the list


def draw(study: Study) -> Drawing:
    """Left: the whole histogram, and its foot enlarged; right: the strongest tokens up and down."""
    bins = study.data[study.data["kind"] == "bin"]
    figure = style.figure(3.6)
    grid = figure.add_gridspec(2, 3, width_ratios=[2.1, 0.75, 0.75], height_ratios=[1, 1])
    whole = figure.add_subplot(grid[0, 0])
    foot = figure.add_subplot(grid[1, 0], sharex=whole)
    for axes in (whole, foot):
        histogram(axes, bins)
        axes.set_ylabel("tokens per bin")
    whole.tick_params(labelbottom=False)
    whole.set_title(f"{study.data['feature'].iloc[0]}: {study.label}")
    highest = max(float(bins["own"].max()), 1.0)
    foot.set_ylim(0, max(5, 1.6 * highest))
    foot.set_xlabel("logit weight (median token at 0)")
    foot.set_title("The same, enlarged", fontweight="normal")
    whole.set_ylim(0, 1.45 * float((bins["own"] + bins["rest"]).max()))
    own, rest = int(bins["own"].sum()), int(bins["rest"].sum())
    whole.legend(handles=[style.patch({**PARTS[name], "label": f"{LABELS[name]} ({style.count(count)})"})
                          for name, count in (("own", own), ("rest", rest))], loc="upper right")
    for column, (kind, title) in enumerate((("top", "Raised most"), ("bottom", "Lowered most")), start=1):
        listed(figure.add_subplot(grid[:, column]), study.data[study.data["kind"] == kind], title)
    note = f"n = {style.count(own + rest)} tokens that are not rare, {style.count(own)} of them the context's own"
    return Drawing(figure, note, {"tokens": style.count(own + rest), "own": style.count(own), "feature": str(study.data["feature"].iloc[0]),
                                  "label": study.label})


def histogram(axes: Axes, bins: pd.DataFrame) -> None:
    """The context's tokens below, the others on top of them."""
    edges = [*bins["low"], bins["high"].iloc[-1]]
    base = 0 * bins["own"].to_numpy(float)
    for name, kind in PARTS.items():
        height = bins[name].to_numpy(float)
        if height.any():
            axes.stairs(base + height, edges, baseline=base, fill=True, linewidth=0.4, **{**kind, "label": None})
        base = base + height
    axes.axvline(0, color=style.DARK, linewidth=0.5)
    style.grid(axes)


def listed(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    """Tokens with their weights; a filled square marks the context's own."""
    axes.set_axis_off()
    axes.set_title(title)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    for place, row in enumerate(rows.itertuples()):
        if row.on:
            axes.plot(0.02, place, "s", markersize=3.6, color=style.CONTEXT["facecolor"], clip_on=False)
        axes.text(0.09, place, token(str(row.token)), fontsize=6.3, family=text.FONTS, va="center_baseline")
        axes.text(1, place, f"{row.weight:+.2f}", fontsize=6.3, va="center_baseline", ha="right")


def token(string: str) -> str:
    """Token text with its spaces visible, cut where it is long."""
    shown = text.show(string.replace(" ", "␣"))
    return shown if text.cells(shown) <= LONGEST else text.show(string.replace(" ", "␣")[: LONGEST - 1]) + "…"
