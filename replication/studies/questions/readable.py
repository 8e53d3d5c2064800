"""What neurons that read carry of an MLP's worth: those that score over a threshold, against as many random ones.

All other neurons stay at their mean, also those that were not drawn to be scored, so that the worth is that of the drawn ones. A neuron
that fires in too few windows to be scored is over no threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.config import Settings
from replication.features import NEURONS
from replication.randomness import generator
from replication.studies import recovered
from replication.studies.intervals import Arm, by_text, random, resampled_sums
from replication.studies.questions.carried import Floats, Neurons, Places, first, shares
from replication.studies.scores import READS
from replication.studies.tables import Reader

THRESHOLDS = np.round(np.arange(0.1, 0.81, 0.1), 1)
ORDERS = 3  # random orders of the neurons behind the control
INTACT, ABLATED, HALF, HALF_RANDOM = range(4)  # columns of `Curve`; then two for each threshold: the neurons over it, and as many random ones
GOOD = range(HALF_RANDOM + 1, HALF_RANDOM + 1 + 2 * len(THRESHOLDS), 2)
READ, STRICT = (GOOD[int(np.flatnonzero(score == THRESHOLDS)[0])] for score in (READS, 0.5))  # 0.5 is a large correlation by the same convention


@dataclass(frozen=True)
class Curve:
    """Of one model: sums of losses [text, column] over all measured tokens and over those in no window that was scored.

    `tokens` and `fresh` count the two, `over` [threshold] is the share of the drawn neurons over each threshold, `negative` the share of
    the squared activation that lies below zero.
    """

    every: Floats
    unseen: Floats
    tokens: int
    fresh: int
    over: Floats
    negative: float


def curve(reader: Reader, settings: Settings, model: str, table: pd.DataFrame, tokens: NDArray[np.int32]) -> Curve:
    """Measured on the reporting half. `table` has the model's drawn neurons: feature, and score or NaN."""
    places = Places.of(tokens, settings)
    neurons = Neurons.of(reader.model(model), tokens, places)
    d_mlp, drawn, score = neurons.act.shape[1], table["feature"].to_numpy(np.int64), table["score"].fillna(-np.inf).to_numpy()
    counts = [len(drawn) // 2, *((score > threshold).sum() for threshold in THRESHOLDS)]
    best = drawn[np.argsort(-score, kind="stable")]
    intact, ablated = (neurons.losses(kept) for kept in first(best, [len(drawn), 0], d_mlp))
    distinct, place = np.unique(counts, return_inverse=True)  # low thresholds often keep the same neurons
    rng = generator(settings.seed, "studies.readable.orders")
    good, *random_ = (np.array([neurons.losses(kept) for kept in first(order, distinct.tolist(), d_mlp)])[place]
                      for order in [best, *(rng.permutation(drawn) for _ in range(ORDERS))])
    chance = np.mean(random_, axis=0)
    losses = np.stack([intact, ablated, *(each for pair in zip(good, chance, strict=True) for each in pair)], axis=-1)
    fresh = ~shown(reader, settings, f"{model}/{NEURONS}", tokens.shape)[places.flat(tokens.shape[1])]
    sources = reader.sources()[places.contexts]
    every, unseen = (by_text(of.sum(1), sources) for of in (losses, losses * fresh[:, :, None]))
    return Curve(every, unseen, fresh.size, int(fresh.sum()), np.array(counts[1:]) / len(drawn), neurons.negative_share())


def shown(reader: Reader, settings: Settings, table: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which evaluation tokens lie in a window from which a unit of a table is explained or on which it is tested."""
    assert settings.features
    contexts, n_ctx = shape
    context, pos = np.divmod(reader.windows(table, "token")["token"].unique(), n_ctx)
    around = pos[:, None] + np.arange(-settings.features.window, settings.features.window + 1)
    inside = (around >= 0) & (around < n_ctx)
    found = np.zeros(contexts * n_ctx, dtype=bool)
    found[(context[:, None] * n_ctx + around)[inside]] = True
    return found


def arms(sums: Sequence[Floats], settings: Settings) -> list[Arm] | None:
    """The share of each column of `Curve`, over models and texts; None where ablating all neurons does not measurably raise the loss."""
    assert settings.studies
    values, draws = [], []
    for each in sums:
        drawn = resampled_sums(each, settings.studies.bootstrap, random(settings, "readable.contexts"))
        if (drawn[:, ABLATED] > drawn[:, INTACT]).mean() < recovered.LOWEST_SHARE_OF_POSITIVE_DRAWS:
            return None
        whole = each.sum(0)
        values.append(shares(whole, whole[INTACT], whole[ABLATED]))
        draws.append(shares(drawn, drawn[:, [INTACT]], drawn[:, [ABLATED]]))
    return [Arm(np.array(values)[:, column], np.array(draws)[:, :, column]) for column in range(sums[0].shape[1])]
