"""What activation functions cost and give: loss, scores of neurons and features, what dictionaries keep, what readable neurons carry."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import scores, style
from replication.exhibits.study import Drawing, Study

FUNCTIONS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {  # label, as a category, look
    "relu": ("ReLU", "ReLU", {"color": style.BLACK, "linestyle": "-", "marker": "o"}),
    "gelu": ("GELU", "GELU", {"color": "#3C9BC9", "linestyle": (0, (5, 1.5)), "marker": "s"}),
    "solu": ("SoLU", "SoLU", {"color": "#A65A8B", "linestyle": (0, (1, 1.2)), "marker": "^"}),
    "solu_ln": ("SoLU with layer norm", "SoLU\n+ norm", {"color": "#2B7A4B", "linestyle": (0, (4, 1.2, 1, 1.2)), "marker": "D"})}
KINDS = {"neurons": (-0.17, scores.ROLES["neurons"][1]["color"]), "features": (0.17, scores.ROLES["features"][1]["color"])}
WORTH = "What readable neurons carry"
ASIDE = 0.016  # between the functions' points at one threshold, so that their intervals do not cover each other
LEAST_NATS, LEAST_POINTS = 0.04, 4.0  # smallest height of the panels of losses and of dictionaries
MODEL: Mapping[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}


def draw(study: Study) -> Drawing:
    """Left: loss and dictionaries. Right: scores, and the worth carried by neurons over a score, also less that of random ones."""
    models, quantiles, thresholds = (study.data[study.data["table"] == kind] for kind in ("model", "scores", "threshold"))
    shown = [function for function in FUNCTIONS if function in set(models["function"])]
    figure = style.figure(5.6)
    grid = figure.add_gridspec(3, 2, height_ratios=[1.35, 1, 0.8])
    losses(figure.add_subplot(grid[0, 0]), models, study, shown)
    explained(figure.add_subplot(grid[0, 1]), quantiles, shown)
    dictionaries(figure.add_subplot(grid[1:, 0]), models, shown)
    if thresholds.empty:
        worth = figure.add_subplot(grid[1:, 1])
        worth.set(title=WORTH, xticks=[], yticks=[])
        worth.text(0.5, 0.5, "no MLP whose neurons were scored\nlowers the loss measurably", transform=worth.transAxes, ha="center", va="center",
                   fontsize=7, color=style.GREY)
    else:
        worth = figure.add_subplot(grid[1, 1])
        carried(worth, figure.add_subplot(grid[2, 1], sharex=worth), thresholds, shown)
    handles = [style.handle(**FUNCTIONS[function][2], markersize=4.2, label=FUNCTIONS[function][0]) for function in shown]
    figure.legend(handles=[*handles, style.handle(**MODEL, color=style.DARK, label="a model")], loc="outside upper center", ncols=5)
    fewest = models.groupby("function", sort=False)["model"].nunique().min()
    functions = ", ".join(FUNCTIONS[function][0] for function in shown) + (", alone in this run" if len(shown) == 1 else "")
    facts = {"functions": functions, "tokens": style.count(models["tokens"].min()),
             "explainer": scores.NAMES.get(str(study.data["headline"].iloc[0]), "headline"), "models": str(fewest)}
    measured = int(study.get("share_relu", "n") or 0)
    facts |= {"measured": style.count(measured)} if measured else {}
    return Drawing(figure, f"n = {facts['tokens']} predicted tokens, {fewest} or more models with each function; bars are 95% intervals", facts)


def losses(axes: Axes, models: pd.DataFrame, study: Study, shown: list[str]) -> None:
    """The loss of each model; the bar is the interval of the difference to ReLU."""
    for x, function in enumerate(shown):
        values = models.loc[models["function"] == function, "loss"]
        look = FUNCTIONS[function][2]
        reference = study.get("loss_relu")
        low, high = (study.get(f"tax_{function}_over_relu", end) for end in ("low", "high"))
        if reference is not None and low is not None and high is not None:
            axes.plot([x, x], [reference + low, reference + high], color=look["color"], linewidth=1.0)
        axes.plot([x], [float(study.numbers[f"loss_{function}"]["value"])], linestyle="", marker=look["marker"], color=look["color"], markersize=5)
        axes.plot([x + 0.18] * len(values), values, **MODEL, color=look["color"])
    if study.get("loss_relu") is not None and len(shown) > 1:
        axes.axhline(study.numbers["loss_relu"]["value"], color=style.GREY, linewidth=0.7, linestyle=(0, (1, 1)), zorder=0)
    categories(axes, shown)
    at_least(axes, LEAST_NATS)
    axes.set(ylabel="loss (nats per token)", title="Loss")
    style.grid(axes)


def explained(axes: Axes, rows: pd.DataFrame, shown: list[str]) -> None:
    """Quantiles of the scores of neurons and of features; a cross is the median by another unit's explanation."""
    for x, function in enumerate(shown):
        for kind, (aside, colour) in KINDS.items():
            for _, row in rows[(rows["function"] == function) & (rows["kind"] == kind)].iterrows():
                axes.plot([x + aside] * 2, [row["q5"], row["q95"]], color=colour, linewidth=0.9)
                axes.plot([x + aside] * 2, [row["q25"], row["q75"]], color=colour, linewidth=5.5, solid_capstyle="butt", alpha=0.55)
                axes.plot([x + aside], [row["q50"]], marker="_", color=colour, markersize=9, markeredgewidth=1.6)
            for _, row in rows[(rows["function"] == function) & (rows["kind"] == f"{kind} (control)")].iterrows():
                axes.plot([x + aside], [row["q50"]], marker="x", color=style.GREY, markersize=3.6, markeredgewidth=0.8)
    categories(axes, shown)
    axes.axhline(0, color=style.GREY, linewidth=0.5, zorder=0)
    axes.set(ylabel="score (Spearman)", title="How well units are explained")
    handles = [style.handle(color=colour, linewidth=4, alpha=0.7, label=kind) for kind, (_, colour) in KINDS.items()]
    handles.append(style.handle(linestyle="none", marker="x", color=style.GREY, markersize=3.6, label="another's explanation"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.02), ncols=3, fontsize=6.5, handlelength=1.2, columnspacing=1.0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.14 * (high - low))
    style.grid(axes)


def dictionaries(axes: Axes, models: pd.DataFrame, shown: list[str]) -> None:
    """What the dictionary of each model recovers, against its L0."""
    for function in shown:
        rows, look = models[models["function"] == function], FUNCTIONS[function][2]
        axes.plot(rows["l0"], 100 * rows["recovered_mean"], linestyle="", marker=look["marker"], color=look["color"], markersize=4.5, alpha=0.85)
    axes.set_xlim(0, 1.15 * models["l0"].max())
    at_least(axes, LEAST_POINTS)
    axes.set(xlabel="L0: active features per token", ylabel="loss recovered from mean (%)", title="One dictionary on each model")
    style.grid(axes, "both")


def carried(upper: Axes, lower: Axes, rows: pd.DataFrame, shown: list[str]) -> None:
    """The share of the MLP's worth in neurons over each score and in as many random ones (thin); below, the difference with its interval."""
    for place, function in enumerate(function for function in shown if function in set(rows["function"])):
        some, look = rows[rows["function"] == function].sort_values("threshold"), FUNCTIONS[function][2]
        upper.plot(some["threshold"], 100 * some["share"], **look, markersize=3.4)
        upper.plot(some["threshold"], 100 * some["random"], color=look["color"], linestyle=look["linestyle"], linewidth=0.7)
        at = some["threshold"] + ASIDE * (place - (len(shown) - 1) / 2)
        lower.vlines(at, 100 * some["above_low"], 100 * some["above_high"], color=look["color"], linewidth=0.9)
        lower.plot(at, 100 * some["above"], linestyle="", marker=look["marker"], color=look["color"], markersize=3.4)
    handles = [style.handle(color=style.DARK, marker="o", markersize=3.4, label="neurons over the score"),
               style.handle(color=style.DARK, linewidth=0.7, label="as many random neurons")]
    upper.legend(handles=handles, loc="lower left", fontsize=6.5)
    upper.set(ylim=(-6, 108), ylabel="share of the worth (%)", title=WORTH)
    upper.tick_params(axis="x", labelbottom=False)
    lower.axhline(0, color=style.GREY, linewidth=0.5, zorder=0)
    lower.set(xlabel="score over which neurons stay intact", ylabel="minus random (%)", xticks=sorted(rows["threshold"].unique()))
    style.grid(upper)
    style.grid(lower)


def categories(axes: Axes, shown: list[str]) -> None:
    """The functions along the axis."""
    axes.set_xticks(range(len(shown)), [FUNCTIONS[function][1] for function in shown])
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.tick_params(axis="x", length=0)


def at_least(axes: Axes, span: float) -> None:
    """Some room above and below, and no less than a span, so that models that hardly differ look alike."""
    low, high = axes.get_ylim()
    middle, half = (low + high) / 2, max(1.1 * (high - low), span) / 2
    axes.set_ylim(middle - half, middle + half)
