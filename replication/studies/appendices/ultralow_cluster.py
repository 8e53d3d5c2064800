"""The ultralow cluster (paper, appendix on the ultralow density cluster; Nanda on its shared encoder direction).

Is it one thing, or the tail of another? The lower cluster found on one half of the evaluation tokens has a mean encoder
direction; a feature is labelled by its encoder's cosine with that direction. Do the paper's three axes (log10 density on
the other half, encoder bias, decoder-encoder product) tell the labels apart better than density alone? Source: ours.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import cluster
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.directions import unit
from replication.studies.intervals import Arm, arm_of_all, estimate, exact, random, resampled
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

FEWEST = 10  # features of a label; with fewer an AUC says nothing
FOLDS = 5
DRAWN = 6000  # features of a dictionary that the table keeps for the figure


@dataclass(frozen=True)
class Cluster:
    """What was found for one dictionary. `scores` [feature, (label, three axes, density)] is empty where a label is too rare.

    `separation` and `clear` (a valley lies between the clusters) are those of the mixture on all evaluation tokens.
    """

    table: pd.DataFrame
    scores: np.ndarray
    separation: float
    clear: bool


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per feature that fired; numbers of the main dictionary and, with the suffix `_kaiming`, of the paper's start."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    found = {name: examine(reader, name, settings) for name in progress.over(settings.dictionaries, len(settings.dictionaries))}
    data = pd.concat([sample(item.table, settings, index).assign(
        dictionary=name, group=base(name, settings.dictionaries), clear=item.clear)
        for index, (name, item) in enumerate(found.items())])
    numbers: dict[str, Number] = {}
    for group, members in groups(settings.dictionaries).items():
        suffix = "" if group == settings.studies.main else "_" + group.partition("/")[2]
        numbers |= {key + suffix: value for key, value in headline([found[name] for name in members], settings, group).items()}
    rare = f"one half of the evaluation tokens shows no lower cluster of at least {FEWEST} features with a direction of its own"
    missing = dict.fromkeys(("separation_auc", "density_auc", "auc_gain"), rare) | {
        "separation": "one component describes the features as well as two", "moved_share": "the lower cluster is empty, or how its features began is unknown"}
    write(out=out, study="ultralow_cluster", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing)


def examine(reader: Reader, name: str, settings: Settings) -> Cluster:
    """Axes, label and scores of one dictionary's features."""
    table = reader.features(name, "feature", "density", "bias", "decoder_encoder", "cluster", "moved")
    densities = halves(reader.matrix(name))
    encoder = unit(reader.weights(name)["W_enc"].T)
    mixture = reader.evaluation(name)["mixture"]
    separation, clear = float(mixture["separation"]), bool(mixture["clear"])
    fired = table["density"].to_numpy(float) > 0
    log_density = np.log10(np.maximum(densities, floor(table["density"])))
    bias, product = table["bias"].to_numpy(float), table["decoder_encoder"].to_numpy(float)
    table = table.assign(log10_density=np.log10(table["density"].where(fired)), cosine=np.nan)
    chosen = densities[0] > 0
    lower = np.zeros(len(table), dtype=bool)
    lower[chosen] = cluster.find(log_density[0][chosen], bias[chosen], product[chosen], seed=settings.seed).lower
    if lower.sum() < FEWEST:
        return Cluster(table[fired], np.empty((0, 3)), separation, clear)
    table["cosine"] = encoder @ unit(encoder[lower].mean(0, keepdims=True))[0]
    axes = np.stack([log_density[1], bias, product], axis=1)[fired]
    return Cluster(table[fired], scores(axes, two_parts(table["cosine"].to_numpy(float)[fired]), settings), separation, clear)


def halves(matrix: EvaluationMatrix) -> np.ndarray:
    """Density of every feature [half, feature] on the even and on the odd contexts."""
    counts, tokens = np.zeros((2, matrix.n_features)), np.zeros(2)
    for k in range(matrix.shards):
        shard, half = matrix.shard(k), matrix.half(k)
        for which in (0, 1):
            counts[which] += np.asarray((shard[half == which] > 0).sum(0)).ravel()
            tokens[which] += (half == which).sum()
    return counts / tokens[:, None]


def floor(density: pd.Series) -> float:
    """Half of the smallest density seen: where a feature that is silent on one half is put on the logarithmic axis."""
    seen = density[density > 0]
    return float(seen.min()) / 2 if len(seen) else 1e-12


def two_parts(values: np.ndarray) -> np.ndarray:
    """Which values lie above the cut that leaves the least variance within the two parts (Otsu's rule, on exact values)."""
    ordered = np.sort(values)
    below = np.arange(1, len(ordered))
    total = np.cumsum(ordered)
    left, right = total[:-1] / below, (total[-1] - total[:-1]) / (len(ordered) - below)
    return np.asarray(values > ordered[int(np.argmax(below * (len(ordered) - below) * (left - right) ** 2))])


def scores(axes: np.ndarray, label: np.ndarray, settings: Settings) -> np.ndarray:
    """Label, score by the three axes, score by density alone [feature, 3]; each score from a fit to the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(label.sum(), (~label).sum()) < FEWEST:
        return np.empty((0, 3))
    found = np.stack([label, np.zeros(len(label)), np.zeros(len(label))], axis=1)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=int(random(settings, "ultralow_cluster.folds").integers(2**31)))
    for fit, held_out in folds.split(axes, label):
        for column, used in ((1, axes), (2, axes[:, :1])):
            model = make_pipeline(StandardScaler(), LogisticRegression()).fit(used[fit], label[fit])
            found[held_out, column] = model.decision_function(used[held_out])
    return found


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Chance that a labelled feature scores above another one; ties count half."""
    positive = label.astype(bool)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else 0.5


def headline(found: list[Cluster], settings: Settings, group: str) -> dict[str, Number]:
    """Numbers of one dictionary over its replicates."""
    assert settings.studies
    lower = [(item.table["cluster"] == "lower").to_numpy() for item in found]
    fewest = min(map(len, lower))
    if not fewest:
        return {}
    what, over = f"ultralow_cluster.{group}", "features that fired"
    numbers = {"lower_share": number(estimate(arm_of_all(np.mean, lower, settings, what)), unit="share of features", n=fewest, over=over)}
    if all(item.separation > 0 for item in found):
        apart = estimate(exact([item.separation for item in found]))
        numbers["separation"] = number(apart, unit="pooled standard deviations", n=fewest, over=over)
    moved = [item.table["moved"][inside].dropna().to_numpy(bool) for item, inside in zip(found, lower, strict=True)]
    if all(map(len, moved)):
        share = estimate(arm_of_all(np.mean, moved, settings, what))
        numbers["moved_share"] = number(share, unit="share of features", n=min(map(len, moved)), over="features of the lower cluster")
    scored = [item.scores for item in found if len(item.scores)]
    if scored:
        for key, arm in zip(("separation_auc", "density_auc", "auc_gain"), arms(scored, settings, what), strict=True):
            numbers[key] = number(estimate(arm), unit="AUC", n=min(map(len, scored)), over=over)
    return numbers


def arms(scored: list[np.ndarray], settings: Settings, what: str) -> tuple[Arm, Arm, Arm]:
    """AUC by the three axes, AUC by density, and their difference on the same resamples."""
    assert settings.studies
    values = np.array([both(item) for item in scored])
    resamples = settings.studies.bootstrap
    draws = np.array([resampled(both, item, resamples, random(settings, what, index)) for index, item in enumerate(scored)])
    three, density = (Arm(values[:, column], draws[:, :, column]) for column in (0, 1))
    return three, density, Arm(three.values - density.values, three.draws - density.draws)


def both(sample: np.ndarray) -> np.ndarray:
    """AUC by the three axes and by density alone."""
    return np.array([auc(sample[:, 0], sample[:, 1]), auc(sample[:, 0], sample[:, 2])])


def sample(table: pd.DataFrame, settings: Settings, index: int) -> pd.DataFrame:
    """At most DRAWN features, so that the table stays small at every scale."""
    if len(table) > DRAWN:
        drawn = random(settings, "ultralow_cluster.drawn", index).choice(len(table), DRAWN, replace=False)
        table = table.iloc[np.sort(drawn)]
    return table[["feature", "log10_density", "bias", "decoder_encoder", "cosine", "cluster", "moved"]]
