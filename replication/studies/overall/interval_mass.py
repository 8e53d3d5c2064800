"""Where a feature's tokens, its activation and its effect lie: shares per activation interval (paper, "Activation interval analysis").

An interval is one of 11 equal parts of a feature's maximum, 0 the strongest. Tokens and activation are counted on all
evaluation tokens, effects on those that were ablated. The effect of ablation is how far it raises the loss of the next token,
so that what it spoils here and repairs there cancel; the same without sign is given beside it. Shares are of sums over live
features. Whether features that fire harder are easier to explain: the rank correlation of score and maximum (`studies.scores`).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from replication.artifacts import Layout
from replication.config import Settings, UserError
from replication.features.examples import INTERVALS
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import intervals, scores
from replication.studies.intervals import Arm, arm_of, estimate, quantiles
from replication.studies.tables import Number, Reader, number, write

HALF = INTERVALS  # half intervals below half the maximum: 2 * INTERVALS in all, so that half the maximum is an edge
KINDS = ("tokens", "activation", "effect", "effect_absolute")
BINS = 40  # of the histogram of maxima


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): an interval with the share of each quantity, and a bin of the maxima of all features that fired."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    table = reader.features(main, "feature", "part", "max", "fired")
    live = (table["part"] == "other").to_numpy()
    if not live.any():
        raise UserError(f"{main} has no live features, so no activation intervals; train it longer or lower its l1")
    sums = mass(reader.matrix(main), reader.ablation(main), table["max"].to_numpy(np.float64), progress)[:, live]
    drawn = intervals.resampled_sums(np.concatenate(sums, axis=1), settings.studies.bootstrap, intervals.random(settings, "interval_mass"))
    draws = np.stack(np.split(drawn, len(KINDS), axis=1))  # [kind, resample, half interval]
    maxima = table.loc[table["fired"] > 0, "max"].to_numpy(np.float64)
    data = pd.concat([shares(sums.sum(1), draws).assign(table="interval"), histogram(maxima).assign(table="maximum")], ignore_index=True)
    median = arm_of(lambda sample: float(np.median(sample)), [maxima], settings, "interval_mass.maximum")
    numbers = headline(sums.sum(1), draws, int(live.sum()))
    explained = scores.read(reader, settings, scores.units(reader, settings, main), "spearman").merge(table[["feature", "max"]], on="feature")
    found, missing = scores.measured({"score_against_maximum": against_maximum(explained, settings)})
    numbers["maximum_median"] = number(estimate(median), unit="activation", n=len(maxima), over="features")
    write(out=out, study="interval_mass", data=data.assign(features=int(live.sum()), dictionary=main), numbers=numbers | found, settings=settings,
          reader=reader, stopwatch=stopwatch, missing=missing)


def against_maximum(explained: pd.DataFrame, settings: Settings) -> Number | str:
    """Rank correlation of live features' scores by the headline explainer with their maximum activation."""
    own = scores.answered(explained[explained["explainer"] == scores.headline(settings)])
    return scores.level(scores.sample(own, scores.FEATURES, ["spearman", "max"], rank_correlation, settings, "interval_mass.scores"),
                        unit="rank correlation", over="features")


def rank_correlation(values: np.ndarray) -> float:
    """Spearman's correlation of two columns, 0 where one is constant."""
    if (values.min(0) == values.max(0)).any():
        return 0.0
    return float(np.corrcoef(rankdata(values, axis=0).T)[0, 1])


def place(activation: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    """The half interval of each activation, from 0 (weakest) to 2 * INTERVALS - 1."""
    return np.asarray(np.minimum(activation.astype(np.float64) * (2 * INTERVALS) / maximum, 2 * INTERVALS - 1), dtype=np.int64)


def mass(matrix: EvaluationMatrix, ablation: pd.DataFrame, maxima: np.ndarray, progress: Progress) -> np.ndarray:
    """Sums [kind, feature, half interval] of KINDS; effects in nats."""
    n, width = len(maxima), 2 * INTERVALS
    sums = np.zeros((len(KINDS), n * width))

    def add(kind: str, feature: np.ndarray, activation: np.ndarray, weights: np.ndarray | None) -> None:
        sums[KINDS.index(kind)] += np.bincount(feature * width + place(activation, maxima[feature]), weights=weights, minlength=n * width)

    for shard in progress.over(matrix, matrix.shards):
        assert not isinstance(shard, np.ndarray)
        feature = shard.indices.astype(np.int64)
        add("tokens", feature, shard.data, None)
        add("activation", feature, shard.data, shard.data)
    feature, activation, effect = (ablation[key].to_numpy() for key in ("feature", "activation", "effect"))
    add("effect", feature.astype(np.int64), activation, -effect.astype(np.float64))
    add("effect_absolute", feature.astype(np.int64), activation, np.abs(effect).astype(np.float64))
    return sums.reshape(len(KINDS), n, width)


def shares(sums: np.ndarray, draws: np.ndarray) -> pd.DataFrame:
    """A row per interval, 0 the strongest, with `low` and `high` as shares of the maximum; each quantity's share with its 95 % interval.

    `sums` [kind, half interval], `draws` [kind, resample, half interval].
    """
    def whole(values: np.ndarray) -> np.ndarray:
        pairs = values.reshape(*values.shape[:-1], INTERVALS, 2).sum(-1)[..., ::-1]
        return np.asarray(pairs / pairs.sum(-1, keepdims=True))

    table = pd.DataFrame({"interval": np.arange(INTERVALS), "low": (INTERVALS - 1 - np.arange(INTERVALS)) / INTERVALS,
                          "high": (INTERVALS - np.arange(INTERVALS)) / INTERVALS})
    for kind, total, drawn in zip(KINDS, whole(sums), whole(draws), strict=True):
        ends = np.array([quantiles(column) for column in drawn.T])
        table[kind], table[f"{kind}_low"], table[f"{kind}_high"] = total, ends[:, 0], ends[:, 1]
    return table


def histogram(maxima: np.ndarray) -> pd.DataFrame:
    """Features per bin of their maximum activation, empty bins too."""
    counts, edges = np.histogram(maxima, np.linspace(0, maxima.max() if len(maxima) else 1.0, BINS + 1))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})


def headline(sums: np.ndarray, draws: np.ndarray, features: int) -> dict[str, Number]:
    """Shares above and below half the maximum, and how far the effect lies above the tokens."""
    def upper(kind: str) -> Arm:
        def share(values: np.ndarray) -> np.ndarray:
            return np.asarray(values[..., HALF:].sum(-1) / values.sum(-1))

        index = KINDS.index(kind)
        return Arm(share(sums[index])[None], share(draws[index])[None])

    def of(plus: Arm, minus: Arm | None = None, unit: str = "share") -> Number:
        return number(estimate(plus, minus), unit=unit, n=features, over="features")

    tokens = upper("tokens")
    return {"effect_minus_tokens": of(upper("effect"), tokens),
            "absolute_effect_minus_tokens": of(upper("effect_absolute"), tokens),
            "lower_half_token_share": of(Arm(1 - tokens.values, 1 - tokens.draws), unit="share of tokens"),
            "upper_half_activation_share": of(upper("activation"), unit="share of activation"),
            "upper_half_effect_share": of(upper("effect"), unit="share of effect"),
            "upper_half_absolute_effect_share": of(upper("effect_absolute"), unit="share of effect")}
