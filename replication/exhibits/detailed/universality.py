"""A context's feature against its best match in the other model: activations, and logit weights."""

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style
from replication.exhibits.study import Drawing, Study

PANELS = {"activation": ("Activations", "activation of {}", "in the context", "elsewhere", "activation_correlation"),
          "logits": ("Logit weights", "logit weight of {}", "the context's own", "other tokens", "logit_correlation")}
POINTS = {False: {"marker": "x", "color": style.GREY, "s": 9, "linewidths": 0.6, "alpha": 0.8},
          True: {"marker": "o", "facecolor": style.CONTEXT["facecolor"], "edgecolor": style.CONTEXT["edgecolor"], "s": 11, "linewidths": 0.3, "alpha": 0.75}}


def draw(study: Study) -> Drawing:
    """Two scatters, each with its correlation."""
    figure = style.figure(3.5)
    for axes, kind in zip(figure.subplots(1, 2), PANELS, strict=True):
        scatter(axes, study, study.data[study.data["kind"] == kind], kind)
    feature, match = (str(study.data[name].iloc[0]) for name in ("feature", "match"))
    either = int(study.data.loc[study.data["kind"] == "activation", "drawn_from"].iloc[0])
    vocabulary = int(study.data.loc[study.data["kind"] == "logits", "drawn_from"].iloc[0])
    facts = {"feature": feature, "match": match, "label": study.label, "tokens": style.count(either), "vocabulary": style.count(vocabulary)}
    return Drawing(figure, f"n = {facts['tokens']} tokens on which either fires, {facts['vocabulary']} tokens of the vocabulary; samples are drawn", facts)


def scatter(axes: Axes, study: Study, rows: pd.DataFrame, kind: str) -> None:
    """One panel: crosses off the context below circles on it, and the line of equality."""
    title, label, yes, no, key = PANELS[kind]
    for on, named in ((False, no), (True, yes)):
        some = rows[rows["on"].astype(bool) == on]
        axes.scatter(some["x"], some["y"], label=f"{named} ({style.count(len(some))} drawn)", zorder=2 + on, **POINTS[on])
    axes.axline((0, 0), slope=1, color=style.LIGHT, linewidth=0.7, zorder=1)
    feature, match = (str(rows[name].iloc[0]) for name in ("feature", "match"))
    correlation, low, high = (study.get(key, field) for field in ("value", "low", "high"))
    about = [f"95% {low:.2f} to {high:.2f}"] if low is not None and high is not None else []
    about += [f"published {study.published[key]:.2f}"] if key in study.published else []
    said = "" if correlation is None else f": r = {correlation:.2f}" + (f" ({'; '.join(about)})" if about else "")
    axes.set(xlabel=label.format(feature), ylabel=label.format(match))
    axes.set_title(f"{title}{said}", fontsize=6.5)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, handletextpad=0.2, columnspacing=1.0)
    style.grid(axes, "both")
