"""How well explanations predict activations (paper, "Global analysis": automated interpretability, activations).

The score of a unit is the Spearman correlation of predicted with true activations over the tokens of its held-out windows; a
constant answer scores 0. Compared are medians over units: features of the main dictionary, its model's neurons, features of a
dictionary on the shuffled model, all together and those that are not about a single token. The control scores the explanation
of another unit on the same windows.

Fixed before any run: the bins are 0.05 wide and the middle one lies around 0; a score reads as interpretable above 0.3
(`scores.READS`). Units with too few examples are left out and counted, errors likewise; neither is a score.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import scores
from replication.studies.scores import FEATURES, RANDOM, ROLES, answered, difference, level, median, sample
from replication.studies.tables import Number, Reader, write

EDGES = np.round(np.arange(-1.025, 1.026, 0.05), 3)
ZERO = int(np.searchsorted(EDGES, 0.0)) - 1  # the bin around 0
UNIT = "correlation"
LOOKUP, NGRAM = "lookup", "ngram"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`table`): units of a dictionary and part, a bin of a histogram, a summary of an explainer's scores."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    drawn = scores.units(reader, settings)
    table = scores.read(reader, settings, drawn, "spearman", "in_context", "constant")
    parts = [counted(drawn, table, scores.headline(settings))]
    names = scores.explainers(settings)
    for explainer in progress.over(names, len(names)):
        of = table[table["explainer"] == explainer]
        parts += [histograms(of).assign(explainer=explainer), summaries(of, explainer, settings).assign(explainer=explainer)]
    data = pd.concat(parts, ignore_index=True).assign(headline=scores.headline(settings))
    numbers, missing = headline(drawn, table, settings)
    write(out=out, study="autointerp_activations", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing)


def splits(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Scores of one explainer: all units, single-token ones, the others, and all with another unit's explanation."""
    own = answered(rows)
    return {"all": own, "single": own[own["single_token"]], "other": own[~own["single_token"]], "control": answered(rows, control=True)}


def counted(drawn: pd.DataFrame, table: pd.DataFrame, explainer: str) -> pd.DataFrame:
    """What became of the drawn units of each dictionary and part: left out, errors of the headline explainer, single-token, other."""
    failed = table[(table["explainer"] == explainer) & ~table["control"] & (table["error"] != "")]
    key = ["dictionary", "group", "role", "part"]
    columns = {"drawn": drawn, "left_out": drawn[~drawn["scored"]], "errors": failed,
               "single_token": drawn[drawn["scored"] & drawn["single_token"]], "other_token": drawn[drawn["scored"] & ~drawn["single_token"]]}
    sizes = pd.DataFrame({name: rows.groupby(key, sort=False).size() for name, rows in columns.items()})
    return sizes.loc[list(dict.fromkeys(zip(*(drawn[name] for name in key), strict=True)))].fillna(0).astype(int).reset_index().assign(table="units")


def histograms(of: pd.DataFrame) -> pd.DataFrame:
    """Units per bin of one explainer's scores, empty bins left out: dictionary, group, role, split, low, high, count."""
    rows = []
    for split, part in splits(of).items():
        for (dictionary, group, role), values in part.groupby(["dictionary", "group", "role"], sort=False)["spearman"]:
            counts, _ = np.histogram(values, EDGES)
            rows += [{"dictionary": dictionary, "group": group, "role": role, "split": split, "low": low, "high": high, "count": int(count)}
                     for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False) if count]
    return pd.DataFrame(rows, columns=["dictionary", "group", "role", "split", "low", "high", "count"]).assign(table="bin")


def summaries(of: pd.DataFrame, explainer: str, settings: Settings) -> pd.DataFrame:
    """The median of each role and split of one explainer's scores, with its interval: role, split, value, low, high, n."""
    rows = []
    for split, part in splits(of).items():
        for role in ROLES:
            found = level(sample(part, role, ["spearman"], median, settings, f"autointerp.{explainer}.{split}"), unit=UNIT)
            if isinstance(found, Number):
                rows.append({"role": role, "split": split, "value": found.value, "low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(rows, columns=["role", "split", "value", "low", "high", "n"]).assign(table="summary")


def headline(drawn: pd.DataFrame, table: pd.DataFrame, settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """The numbers, and why others are missing."""
    of = table[table["explainer"] == scores.headline(settings)]
    answers = of[~of["control"]]
    return scores.measured({
        **orderings(of, settings), **clusters(of, settings), **lookup(table, settings),
        "errors": Number(float((answers["error"] != "").sum()), "units", len(answers), "units that were explained"),
        "left_out": Number(float((~drawn["scored"]).sum()), "units", len(drawn), "units drawn")})


def orderings(of: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """Medians of the headline explainer, and how far they lie apart.

    `zeros_above_uniform` is the share of features whose prediction is constant, all of which score 0, less the mean share of
    features, of the others, in the two bins beside the one at 0.
    """
    split = splits(of)
    whole, other, control = ({role: sample(split[which], role, ["spearman"], median, settings, f"autointerp.{which}") for role in ROLES}
                             for which in ("all", "other", "control"))
    found: dict[str, Number | str] = {
        "features_minus_neurons": difference(whole[FEATURES], whole[NEURONS], unit=UNIT),
        "random_minus_features": difference(whole[RANDOM], whole[FEATURES], unit=UNIT),
        "other_features_minus_random": difference(other[FEATURES], other[RANDOM], unit=UNIT),
        "other_random_minus_neurons": difference(other[RANDOM], other[NEURONS], unit=UNIT),
        "features_minus_control": difference(whole[FEATURES], control[FEATURES], unit=UNIT)}
    for key, statistic in (("zeros_above_uniform", above_uniform), ("constant_share", constant_share)):
        zeros = sample(split["all"], FEATURES, ["spearman", "constant"], statistic, settings, "autointerp.zeros")
        found[key] = level(zeros, unit="share of features", over="features")
    for role in ROLES:
        found |= {f"{role}{which}_median": level(samples[role], unit=UNIT)
                  for which, samples in (("", whole), ("_other", other), ("_control", control))}
    return found


def above_uniform(values: np.ndarray) -> float:
    """Share of constant predictions less the mean share of the others in the two bins beside 0; columns score, constant."""
    counts, _ = np.histogram(values[values[:, 1] == 0, 0], EDGES)
    return constant_share(values) - float(counts[ZERO - 1] + counts[ZERO + 1]) / 2 / len(values)


def constant_share(values: np.ndarray) -> float:
    """Share of constant predictions; columns score, constant."""
    return float(values[:, 1].mean())


def clusters(of: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """Shares that read as interpretable: of live and of ultralow features of the main dictionary, of neurons, of the shuffled
    model's features, and of live features with another feature's explanation.
    """
    live, low, control = answered(of), answered(of, part="ultralow"), answered(of, control=True)
    silent = "no ultralow feature fires in enough windows to be scored"
    compared = {"upper_cluster_score": (live, FEATURES, ""), "lower_cluster_score": (low, FEATURES, silent),
                "neurons_interpretable": (live, NEURONS, ""), "random_interpretable": (live, RANDOM, ""),
                "control_interpretable": (control, FEATURES, "")}
    return {key: level(sample(rows, role, ["spearman"], interpretable, settings, f"autointerp.{key}", lacking=lacking),
                       unit="share of features", over="units")
            for key, (rows, role, lacking) in compared.items()}


def interpretable(values: np.ndarray) -> float:
    """Share of scores above the one that reads as interpretable."""
    return float((values[:, 0] > scores.READS).mean())


def lookup(table: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """The token table on windows that were chosen because the feature fires, as the published figures have no others."""
    kinds, asked = set(table["explainer"]), ["in_context", "in_context_ngram"]
    without = next((f"the run has no explainer {name}" for name in (LOOKUP, NGRAM) if name not in kinds), "")
    of = table[table["explainer"] == LOOKUP]
    lacking = {"single": without if of.empty else "no single-token feature was scored", "all": "", "other": "", "control": ""}
    by = {split: sample(rows, FEATURES, ["in_context"], median, settings, f"autointerp.lookup.{split}", lacking=lacking[split] or without)
          for split, rows in splits(of).items()}
    same = ["dictionary", "feature", "control", "error"]
    both = answered(of).merge(table.loc[table["explainer"] == NGRAM, [*same, "in_context"]], on=same, suffixes=("", "_ngram"))
    gain = sample(both, FEATURES, asked, gained, settings, "autointerp.lookup.gain", lacking=without)
    return {"lookup_median": level(by["all"], unit=UNIT, over="features"),
            "lookup_single_token_median": level(by["single"], unit=UNIT, over="features"),
            "lookup_other_median": level(by["other"], unit=UNIT, over="features"),
            "lookup_wrong_feature_median": level(by["control"], unit=UNIT, over="features"),
            "lookup_single_minus_other": difference(by["single"], by["other"], unit=UNIT, over="features of the smaller sample"),
            "lookup_trigram_gain": level(gain, unit=UNIT, over="features")}


def gained(values: np.ndarray) -> float:
    """The median of the second column less that of the first."""
    return float(np.median(values[:, 1]) - np.median(values[:, 0]))
