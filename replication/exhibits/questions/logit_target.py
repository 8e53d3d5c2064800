"""Error on activations against error on logits, token by token; the linearised error against the exact one; what dictionaries miss in the logits."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from replication.exhibits import style
from replication.exhibits.questions.at_sites import curves, legend
from replication.exhibits.study import Drawing, Study


def draw(study: Study) -> Drawing:
    """Three panels below one legend."""
    data = study.data
    fits = data[(data["table"] == "fit") & data["sizing"].notna() & (data["sizing"] != "")]
    figure = style.figure(2.9)
    together, exact, missed = figure.subplots(1, 3)
    tokens(together, data[data["table"] == "activations"])
    together.set(xlabel="squared error on activations (log10)", ylabel="squared error on logits (log10)", title="one token, two errors")
    tokens(exact, data[data["table"] == "exact"])
    ends = [min(exact.get_xlim()[0], exact.get_ylim()[0]), max(exact.get_xlim()[1], exact.get_ylim()[1])]
    exact.plot(ends, ends, **style.PUBLISHED)
    exact.set(xlabel="on logits, linearised (log10)", ylabel="on logits, exact (log10)", title="what linearising costs")
    own = fits[fits["main"].astype(bool)]
    curves(missed, fits, "missed_logits", float(own["l0"].mean()), label_at=0.98)
    missed.set(ylabel="spread of the logits missed (%)", title="equal L0", ylim=(0, None))
    figure.legend(handles=legend(fits), loc="outside upper center", ncols=3)
    n = style.count(data.loc[data["table"] == "activations", "count"].sum())
    return Drawing(figure, f"n = {n} tokens", {"tokens": n})


def tokens(axes: Axes, rows: pd.DataFrame) -> None:
    """Tokens in bins of two errors, darker where there are more."""
    edges = [np.append(at := np.sort(rows[key].unique()), at[-1] + rows[f"{key}_width"].iloc[0]) for key in ("x", "y")]
    # bins between the first and the last that hold a token may be empty
    spans = [np.arange(edge[0], edge[-1] + rows[f"{key}_width"].iloc[0] / 2, rows[f"{key}_width"].iloc[0]) for key, edge in zip("xy", edges, strict=True)]
    heights, *_ = np.histogram2d(rows["x"] + rows["x_width"] / 2, rows["y"] + rows["y_width"] / 2, bins=spans, weights=rows["count"])
    axes.pcolormesh(*spans, np.where(heights > 0, heights, np.nan).T, cmap="Greys", norm=LogNorm(0.5, rows["count"].max()), rasterized=True)
    style.grid(axes, "both")
