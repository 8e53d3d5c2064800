"""The base64 family: how many features, what they fire on, how close they are, and what their examples say."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from replication.exhibits import style, text
from replication.exhibits.study import Drawing, Study

LINES, LINE = 9, 0.15  # of examples; inches
RUN, SAID = 34, 40  # characters
LABELLED = 6  # features of a panel that are named


def draw(study: Study) -> Drawing:
    """Four panels and examples; where the text holds too little base64, the counts and a sentence."""
    counts, features, pairs, examples = (study.data[study.data["row"] == row] for row in ("dictionary", "feature", "pair", "example"))
    share, texts = study.get("base64_share") or 0.0, study.get("base64_texts") or 0.0
    tokens = style.count(study.get("base64_share", "n") or 0)
    note = f"n = {tokens} evaluation tokens, {share:.2%} of them base64, in {style.count(texts)} texts"
    facts = {"tokens": tokens, "share": f"{share:.2%}", "texts": style.count(texts), "found": found(study)}
    if study.get(f"count_{study.main.replace('/', '_')}") is None:
        return Drawing(too_little(study, counts, facts), note, facts)
    lines = said(examples)
    figure = style.figure(4.9 + LINE * len(lines))
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[4.7, 0.25 + LINE * len(lines)])[:, 0]
    first, second, third, fourth = upper.subplots(2, 2).ravel()
    sizes(first, study, counts)
    kinds(second, study, features)
    cosines(third, pairs)
    logits(fourth, study, features)
    axes = lower.subplots()
    axes.axis("off")
    axes.set_title(f"Runs around the largest activations, {study.main}", fontsize=7)
    for k, line in enumerate(lines):
        axes.text(0, 1 - (k + 0.5) / len(lines), line, fontsize=5.8, family=text.FONTS, va="center", transform=axes.transAxes)
    return Drawing(figure, note, facts)


def found(study: Study) -> str:
    """What was measured, clause by clause."""
    said = []
    if study.get("growth") is not None:
        keys = [key for key in study.numbers if key.startswith("count_")]
        counts = ", ".join(f"{study.get(key):.1f} in {key.removeprefix('count_').replace('_', '/', 1)}" for key in keys)
        said.append(f"there are {counts} (means over fits), {interval(study, 'growth', ' more')} per doubling")
    if study.get("union_coverage") is not None:
        said.append(f"those of {study.main} together cover {study.get('union_coverage'):.0%} of the tokens of the surest one of A/0")
    if study.get("digits_fire_on_digits") is not None:
        apart = interval(study, "digits_fire_on_digits")
        said.append(f"the digit feature fires on digits more than the letter feature by {apart} of its base64 tokens")
    if study.get("digits_lower_digit_logits") is not None:
        said.append(f"and gives digits logits lower by {interval(study, 'digits_lower_digit_logits')}")
    if study.get("ascii_third") is not None:
        said.append(f"of the top examples of the feature that answers to ASCII best {study.get('ascii_third'):.0%} decode to printable "
                    f"ASCII, of any other {study.get('ascii_others'):.0%} at most")
    if study.get("decoder_minus_encoder_cosine") is not None:
        said.append(f"decoder rows are closer than encoder rows by {interval(study, 'decoder_minus_encoder_cosine')}")
    return "; ".join(said) or "the text holds too little base64 to say more"


def interval(study: Study, key: str, more: str = "") -> str:
    """A value with its interval, where it has one."""
    low, high = study.get(key, "low"), study.get(key, "high")
    return f"{study.get(key):.2f}{more}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")


def too_little(study: Study, counts: pd.DataFrame, facts: dict[str, str]) -> Any:
    """What the text does hold."""
    figure = style.figure(2.0)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    sizes(left, study, counts)
    right.axis("off")
    said = (f"The text holds too little base64 to look for its features:\n{facts['share']} of {facts['tokens']} evaluation tokens, "
            f"in {facts['texts']} texts.\nThe counts on the left are what those few texts show\nand answer nothing.")
    right.text(0, 0.5, said, fontsize=7.5, va="center", linespacing=1.5, transform=right.transAxes)
    return figure


def sizes(axes: Axes, study: Study, counts: pd.DataFrame) -> None:
    """Features of the family against the size of the dictionary; published counts as hollow diamonds."""
    means = counts.groupby("group", sort=False)[["d_sae", "count"]].mean().sort_values("d_sae")
    axes.plot(means["d_sae"], means["count"], color=style.ORANGE)
    axes.plot(counts["d_sae"], counts["count"], "o", color=style.ORANGE, markeredgecolor="white", markeredgewidth=0.5, markersize=4.5,
              label="a fit")
    published = {group: study.published.get(f"count_{str(group).replace('/', '_')}") for group in means.index}
    known = [(means.loc[group, "d_sae"], value) for group, value in published.items() if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "D", markerfacecolor="none", color=style.DARK, markersize=6,
                  label="published, larger dictionaries")
    for group, row in means.iterrows():
        axes.annotate(str(group), (row["d_sae"], row["count"]), xytext=(5, 4), textcoords="offset points", fontsize=6.5, va="bottom")
    reach = counts["d_sae"].min() / 1.6, counts["d_sae"].max() * 2.2
    top = max([1.0, counts["count"].max(), *(value for _, value in known)])
    axes.set(xscale="log", xlim=reach, ylim=(-0.1 * top - 0.2, 1.7 * top), xlabel="features in the dictionary", ylabel="base64 features")
    style.plain_log(axes.xaxis, *((1, 2, 5) if np.log10(reach[1] / reach[0]) < 1.4 else (1, 3)))
    style.grid(axes, "both")
    axes.legend(loc="upper left")
    axes.set_title("How many")


def by_dictionary(study: Study, features: pd.DataFrame) -> list[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Features of each first fit, with their marker."""
    names = list(features.sort_values("d_sae")["group"].unique())
    looks = style.series(names, study.main)
    return [(name, features[features["group"] == name], {**looks[name], "linestyle": "none", "markersize": 6 if name == study.main else 4.2,
                                                         "markeredgecolor": "white", "markeredgewidth": 0.4}) for name in names]


def named(axes: Axes, rows: pd.DataFrame, x: str, y: str, factor: float = 1.0) -> None:
    """The numbers of a few features beside their points."""
    if len(rows) <= LABELLED:
        for row in rows.itertuples():
            place = factor * getattr(row, x), factor * getattr(row, y)
            axes.annotate(str(int(row.feature)), place, xytext=(4, 3), textcoords="offset points", fontsize=5.5)


def kinds(axes: Axes, study: Study, features: pd.DataFrame) -> None:
    """Share of firing on digits against share of top examples that decode to ASCII."""
    for name, rows, kind in by_dictionary(study, features):
        axes.plot(100 * rows["digits_1"], 100 * rows["ascii_1"], label=name, **kind)
        if name == study.main:
            named(axes, rows, "digits_1", "ascii_1", 100)
    right = 115 * max(features["digits_1"].max(), 0.1) if len(features) else 100
    axes.set(xlabel="share of firing on digits (%)", ylabel="top examples that decode\nto ASCII (%)",
             ylim=(-6, 106), xlim=(-0.04 * right, right))
    style.grid(axes, "both")
    if len(features):
        axes.legend(loc="best")
    axes.set_title("Digits, letters, ASCII")


def cosines(axes: Axes, pairs: pd.DataFrame) -> None:
    """Every pair of the family."""
    axes.set_title("Pairs of the family")
    axes.set(xlabel="cosine of decoder rows", ylabel="cosine of encoder rows")
    if pairs.empty:
        axes.text(0.5, 0.5, "fewer than two features", ha="center", fontsize=7, transform=axes.transAxes)
        return
    low = min(0.0, pairs[["decoder_cosine", "encoder_cosine"]].min().min()) - 0.05
    axes.plot([low, 1], [low, 1], color=style.GREY, linewidth=0.8)
    axes.annotate("equal", (0.93, 0.93), fontsize=6.5, color=style.GREY, ha="right", va="bottom")
    axes.plot(pairs["decoder_cosine"], pairs["encoder_cosine"], "o", color=style.ORANGE, markeredgecolor="#8A4C00", markeredgewidth=0.4,
              markersize=4)
    axes.set(xlim=(low, 1.02), ylim=(low, 1.02))
    style.grid(axes, "both")


def logits(axes: Axes, study: Study, features: pd.DataFrame) -> None:
    """Mean logit weights on tokens of letters and of digits."""
    for name, rows, kind in by_dictionary(study, features):
        axes.plot(rows["logit_letters"], rows["logit_digits"], label=name, **kind)
        if name == study.main:
            named(axes, rows, "logit_letters", "logit_digits")
    axes.set(xlabel="mean logit weight, tokens of letters", ylabel="mean logit weight,\ntokens of digits")
    axes.margins(0.15)
    axes.locator_params(nbins=6)
    style.grid(axes, "both")
    axes.set_title("What they raise")


def said(examples: pd.DataFrame) -> list[str]:
    """A line per example: the feature, the run, and what it decodes to."""
    lines = []
    order = examples.groupby("feature", sort=False).cumcount().sort_values(kind="stable").index if len(examples) else examples.index
    for row in examples.loc[order].head(LINES).sort_values("feature").itertuples():
        read = text.show(str(row.decoded)[:SAID]) if row.printable >= 0.8 else "no text"
        run = row.run if isinstance(row.run, str) else "(no run)"
        lines.append(f"{int(row.feature):>6}  {run[:RUN]:<{RUN}}  →  {read}")
    return lines or ["none"]
