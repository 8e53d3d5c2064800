"""Distributions of Spearman scores: a row per explainer, headline first; all units, single-token ones, the others; below, counts and shares."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import scores, style
from replication.exhibits.study import Drawing, Study

SPLITS = {"all": "All units", "single": "Single-token", "other": "Others", "control": "Wrong explanation"}
ROW, EDGES, FOOT, HEAD = 1.05, 0.55, 1.75, 0.3  # inches of a row, of titles and labels around all rows, and of what is below and above
COUNTED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "single_token": ("single-token", {"facecolor": style.ORANGE, "edgecolor": "#8A4C00"}),
    "other_token": ("other", {"facecolor": "#F6D7AE", "edgecolor": "#8A4C00", "hatch": "////"}),
    "left_out": ("too few windows", {"facecolor": "white", "edgecolor": style.GREY, "hatch": "...."}),
    "errors": ("errors", {"facecolor": style.RED, "edgecolor": style.DARK}),
}
BARS = (("features", "other", "features, live"), ("features", "ultralow", "features, ultralow"), ("neurons", "other", "neurons"),
        ("random", "other", "shuffled, live"), ("random", "ultralow", "shuffled, ultralow"))
LOOKUP = {"lookup_single_token_median": "single-token", "lookup_median": "all features", "lookup_other_median": "others",
          "lookup_wrong_feature_median": "wrong feature"}
SHARES = {"upper_cluster_score": ("features, live", "features"), "lower_cluster_score": ("features, ultralow", "features"),
          "neurons_interpretable": ("neurons", "neurons"), "random_interpretable": ("shuffled, live", "random"),
          "control_interpretable": ("wrong explanation", "control")}


def draw(study: Study) -> Drawing:
    """Histograms with medians above them; what became of the drawn units; the token table; shares that read as interpretable."""
    data = study.data
    bins, medians, counted = (data[data["table"] == kind] for kind in ("bin", "summary", "units"))
    names = scores.explainers(data)
    above = ROW * len(names) + EDGES
    figure = style.figure(HEAD + above + FOOT)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[above, FOOT])[:, 0]
    panels = upper.subplots(len(names), len(SPLITS), sharex=True, squeeze=False)
    panels[0, 0].set_xlim(min(-0.25, bins["low"].min()), bins["high"].max())
    for row, name in zip(panels, names, strict=True):
        for axes, split in zip(row, SPLITS, strict=True):
            panel(axes, bins[bins["explainer"] == name], medians[medians["explainer"] == name], split)
        row[0].set_ylabel(f"{scores.NAMES.get(name, name)}\nunits (%)", fontweight="bold" if name == names[0] else "normal")
    for axes, title in zip(panels[0], SPLITS.values(), strict=True):
        axes.set_title(title)
    for axes in panels[-1]:
        axes.set_xlabel("Spearman score")
    left, middle, right = lower.subplots(1, 3, width_ratios=[1.15, 1, 1])
    units(left, counted)
    lookup(middle, study)
    shares(right, study)
    looks: list[Any] = [style.patch({**look, "label": label, "linewidth": 0.5}) for label, look in COUNTED.values()]
    lower.legend(handles=looks, title="units drawn:", title_fontsize=6.5, alignment="left", loc="outside lower left", ncols=4, fontsize=6.5,
                 columnspacing=1.2, handlelength=1.6)
    handles = [*scores.handles(scores.roles(bins), scores.fits(counted)),
               style.handle(**{**style.PUBLISHED, "linestyle": ""}, marker="D", markersize=4, markerfacecolor="white", label="published")]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    own = medians[(medians["explainer"] == names[0]) & (medians["split"] == "all")].set_index("role")["n"]
    sizes = {role: style.count(own.get(role, 0)) for role in scores.ROLES}
    note = ", ".join(f"{size} {scores.ROLES[role][0]}" for role, size in sizes.items() if size != "0")
    return Drawing(figure, f"n = {note} (smallest fit); top of each panel: medians with 95% intervals",
                   {"headline": scores.NAMES.get(names[0], names[0]), **{f"n_{role}": size for role, size in sizes.items()}})


def panel(axes: Axes, bins: pd.DataFrame, medians: pd.DataFrame, split: str) -> None:
    """Histograms of one explainer and split; medians stand above them."""
    edges = style.edges(bins)
    heights = [scores.histogram(axes, bins[(bins["role"] == role) & (bins["split"] == split)], role, edges) for role in scores.ROLES]
    top = max([*heights, 1e-9])
    if not any(heights):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, fontsize=7, color=style.GREY, ha="center", va="center")
    for place, role in enumerate(scores.ROLES):
        for _, row in medians[(medians["role"] == role) & (medians["split"] == split)].iterrows():
            scores.interval(axes, row, role, top * (1.42 - 0.11 * place), size=3.6)
    axes.axvline(0, color=style.GREY, linewidth=0.5)
    axes.set(ylim=(0, 1.5 * top), xticks=[0, 0.5, 1], **({} if any(heights) else {"yticks": []}))
    style.grid(axes, "x")


def units(axes: Axes, counted: pd.DataFrame) -> None:
    """What became of the drawn units, mean over replicates, in percent; the number drawn stands right."""
    rows = counted.groupby(["role", "part"])[["drawn", *COUNTED]].mean()
    shown = [(key, label) for *key, label in BARS if tuple(key) in rows.index]
    for y, (key, _) in enumerate(reversed(shown)):
        row, left = rows.loc[tuple(key)], 0.0
        for kind, (_, look) in COUNTED.items():
            width = 100 * (row[kind] - (row["errors"] if kind == "other_token" else 0)) / row["drawn"]
            axes.barh(y, width, left=left, height=0.62, linewidth=0.5, **look)
            left += width
        axes.text(102, y, style.count(row["drawn"]), fontsize=6.5, va="center")
    axes.set_yticks(range(len(shown)), [label for _, label in reversed(shown)])
    axes.set(xlim=(0, 118), xticks=[0, 50, 100], xlabel="drawn units (%)")
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_bounds(0, 100)
    axes.spines["left"].set_visible(False)
    axes.set_title("Units drawn")


def lookup(axes: Axes, study: Study) -> None:
    """Medians of the token table on windows in which the feature fires, and the published ones."""
    for y, (key, _) in enumerate(reversed(LOOKUP.items())):
        dot(axes, study, key, y, "control" if "wrong" in key else "features")
        if key in study.published:
            axes.plot([study.published[key]], [y], **{**style.PUBLISHED, "linestyle": ""}, marker="D", markersize=4, markerfacecolor="white", zorder=1)
    axes.set_yticks(range(len(LOOKUP)), list(reversed(LOOKUP.values())))
    axes.set(xlim=(-0.15, 1), ylim=(-0.6, len(LOOKUP) - 0.4), xlabel="median score, firing windows", title="Token lookup")
    axes.axvline(0, color=style.GREY, linewidth=0.5)
    style.grid(axes, "x")


def shares(axes: Axes, study: Study) -> None:
    """Shares of units above the score that reads as interpretable."""
    for y, (key, (_, role)) in enumerate(reversed(SHARES.items())):
        if key in study.numbers:
            dot(axes, study, key, y, role, scale=100)
        else:
            axes.text(3, y, "not measured", fontsize=6.5, color=style.GREY, va="center")
    axes.set_yticks(range(len(SHARES)), [label for label, _ in reversed(SHARES.values())])
    axes.set(xlim=(-4, 104), ylim=(-0.6, len(SHARES) - 0.4), xlabel="units above 0.3 (%)", title="Interpretable")
    style.grid(axes, "x")


def dot(axes: Axes, study: Study, key: str, y: float, role: str, scale: float = 1.0) -> None:
    """A number with its interval, if it was measured."""
    value = study.get(key)
    if value is not None:
        ends = {field: scale * (study.get(key, field) if study.get(key, field) is not None else value) for field in ("value", "low", "high")}  # type: ignore[operator]
        scores.interval(axes, ends, role, y)
