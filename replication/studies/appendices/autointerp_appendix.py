"""Other ways to score explanations, zeros among true activations, lengths and failures (paper, appendix on automated interpretability).

Beside the Spearman correlation of the headline explainer stand the Pearson correlation, and the Spearman correlation weighted
by importance: random windows weigh 1, a window of an interval the share of tokens that it stands for. *Near 0* is within 0.1. Zeros
are exact ones, in the windows of text drawn at random that are predicted.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.interpretability import LLM
from replication.interpretability.protocol import GROUPS
from replication.interpretability.protocol import RANDOM as RANDOM_WINDOWS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies import scores
from replication.studies.scores import FEATURES, RANDOM, ROLES, answered, difference, level, mean, median, sample
from replication.studies.tables import Number, Reader, write

KINDS = ("spearman", "pearson", "weighted")
NEAR = 0.1
SHOWN = 500  # units of each role in the scatter
WORDS = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of lengths that are drawn
ZEROS = np.linspace(0, 1, 41)  # edges of the histogram of shares of zeros
NO_OVERLONG = "no explanation was overlong"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four kinds (`table`): a unit's three scores, a bin of shares of zeros, a quantile of lengths, an explainer's failures."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    drawn = scores.units(reader, settings)
    table = scores.read(reader, settings, drawn, *KINDS, "words", "overlong")
    of = answered(table[table["explainer"] == scores.headline(settings)])
    names = scores.tables(settings)
    silent = [zeros(reader.windows(name, "feature", "role", "group", "values")).assign(dictionary=name) for name in progress.over(names, len(names))]
    share = pd.concat(silent, ignore_index=True).merge(drawn, on=["dictionary", "feature"], validate="one_to_one")
    share = share[share["part"] == "other"]
    data = pd.concat([shown(of, settings), histogram(share), lengths(table), failures(table)], ignore_index=True)
    numbers, missing = scores.measured({**compared(of, settings), **zero_shares(share, settings), **overlong(of, settings)})
    write(out=out, study="autointerp_appendix", data=data.assign(headline=scores.headline(settings)), numbers=numbers, settings=settings,
          reader=reader, stopwatch=stopwatch, missing=missing)


def zeros(windows: pd.DataFrame) -> pd.DataFrame:
    """The share of tokens on which a unit is silent, over its random windows that are predicted: feature, zeros."""
    chosen = windows[(windows["role"] == "predict") & (windows["group"] == GROUPS[RANDOM_WINDOWS])]
    counts = pd.DataFrame({"feature": chosen["feature"], "silent": [int((np.asarray(values) == 0).sum()) for values in chosen["values"]],
                           "tokens": [len(values) for values in chosen["values"]]}).groupby("feature").sum()
    return (counts["silent"] / counts["tokens"]).rename("zeros").reset_index()


def shown(of: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The three scores of units drawn at random, at most SHOWN of each role, from the first dictionary of each."""
    parts = []
    for index, role in enumerate(ROLES):
        rows = of[of["role"] == role]
        first = rows[rows["dictionary"] == rows["dictionary"].iloc[0]] if len(rows) else rows
        chosen = generator(settings.seed, "studies.autointerp_appendix", index).permutation(len(first))[:SHOWN]
        parts.append(first.iloc[np.sort(chosen)])
    kept = pd.concat(parts)[["dictionary", "group", "role", "feature", *KINDS]]
    return kept.round(dict.fromkeys(KINDS, 4)).assign(table="unit")


def histogram(share: pd.DataFrame) -> pd.DataFrame:
    """Units per bin of their shares of zeros, empty bins left out: dictionary, group, role, low, high, count."""
    rows = []
    for (dictionary, group, role), values in share.groupby(["dictionary", "group", "role"], sort=False)["zeros"]:
        counts, _ = np.histogram(values, ZEROS)
        rows += [{"dictionary": dictionary, "group": group, "role": role, "low": low, "high": high, "count": int(count)}
                 for low, high, count in zip(ZEROS, ZEROS[1:], counts, strict=False) if count]
    return pd.DataFrame(rows, columns=["dictionary", "group", "role", "low", "high", "count"]).assign(table="zeros")


def lengths(table: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the words of explanations: explainer, role, quantile, value, n."""
    of = answered(table)
    rows = [{"explainer": explainer, "role": role, "quantile": q, "value": float(words.quantile(q)), "n": len(words)}
            for (explainer, role), words in of[of["role"].isin(ROLES)].groupby(["explainer", "role"], sort=False)["words"] for q in WORDS]
    return pd.DataFrame(rows, columns=["explainer", "role", "quantile", "value", "n"]).assign(table="words")


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Errors and overlong explanations among all that were asked for: explainer, role, asked, errors, overlong."""
    of = table[~table["control"] & table["role"].isin(ROLES)]
    of = of.assign(errors=of["error"] != "", overlong=of["overlong"].fillna(False).astype(bool), asked=1)
    return of.groupby(["explainer", "role"], sort=False)[["asked", "errors", "overlong"]].sum().reset_index().assign(table="failures")


def compared(of: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """How scores differ: medians for Pearson against Spearman; for weights the mean loss of a unit, and the share near 0."""
    rows = of.assign(loss=of["spearman"] - of["weighted"], near=of["weighted"].abs() <= NEAR)
    loss = {role: sample(rows, role, ["loss"], mean, settings, "autointerp_appendix.loss") for role in ROLES}
    found: dict[str, Number | str] = {
        "pearson_minus_spearman": level(sample(rows, FEATURES, ["pearson", "spearman"], above, settings, "autointerp_appendix.pearson"),
                                        unit="correlation", over="features"),
        "weighting_loss_difference": difference(loss[FEATURES], loss[NEURONS], unit="correlation")}
    for role in ROLES:
        found[f"weighting_loss_{role}"] = level(loss[role], unit="correlation")
        found[f"weighted_near_zero_{role}"] = level(sample(rows, role, ["near"], mean, settings, "autointerp_appendix.near"), unit=f"share of {NAMES[role]}")
    return found


NAMES = {FEATURES: "features", NEURONS: "neurons", RANDOM: "features"}


def above(values: np.ndarray) -> float:
    """How far the median of the first column lies above that of the second."""
    return float(np.median(values[:, 0]) - np.median(values[:, 1]))


def zero_shares(share: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """Mean and median over units of the share of zeros."""
    return {f"zero_share_{role}{suffix}": level(sample(share, role, ["zeros"], statistic, settings, "autointerp_appendix.zeros"), unit="share of tokens")
            for role in ROLES for suffix, statistic in (("", mean), ("_median", median))}


def overlong(of: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """Shares of explanations that kept their reasoning, and how far the scores of these features lie from the others'; of a language model only."""
    without = "" if scores.headline(settings) == LLM else scores.NO_LLM
    rows = of.assign(overlong=of["overlong"].fillna(False).astype(bool)) if not without else of.iloc[:0]
    found: dict[str, Number | str] = {
        f"overlong_{role}": level(sample(rows, role, ["overlong"], mean, settings, "autointerp_appendix.overlong", lacking=without),
                                  unit="share of explanations") for role in ROLES}
    long, short = (sample(rows[rows["overlong"] == which], FEATURES, ["spearman"], median, settings, f"autointerp_appendix.overlong.{which}",
                          lacking=without or NO_OVERLONG) for which in (True, False))
    found["overlong_score_difference"] = difference(long, short, unit="correlation", over="features of the smaller sample")
    return found
