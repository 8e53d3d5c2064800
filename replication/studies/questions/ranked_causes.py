"""The causes of a feature, ranked on one half of the tokens and weighed on the other.

The rank of a cause is that of its mean gradient attribution on the choosing half; its weight is its mean ablation effect on the other
half, in shares of the sum over all causes that raise the feature. The controls rank by another feature's causes (the sample's last
one for its first, each other by the one before it), so that what is a cause of everything shows.
"""

import numpy as np
import pandas as pd

from replication.features.matrix import CHOOSING, REPORTING
from replication.studies.questions.agreement_of_causes import ratio, spearman
from replication.studies.questions.sampled_causes import Floats, Found, Ids

RANKS = (1, 2, 3, 5, 10, 20, 30)
FIRST = 5  # causes whose names are compared between halves


def ranked(values: Floats) -> Ids:
    """Causes of each feature [feature, rank], the strongest first, and last those that were never on with it."""
    return np.argsort(np.where(values == 0, np.inf, -values), axis=1, kind="stable")


def by_feature(found: Found) -> dict[str, Floats | Ids]:
    """For each feature: how stable and how concentrated its causes are, what else finds them, and whether they are on when it is.

    NaN for a feature that meets no cause on one of the halves.
    """
    n, order, again = np.arange(len(found.features)), ranked(found.chosen), ranked(found.attributed)
    top, strongest = order[:, 0], found.effect.argmax(1)
    correlated = found.correlation[CHOOSING].argmax(1)
    seen = (found.chosen != 0).any(0)  # a product of weights is there for causes that never fire, too
    by_weights = np.where(seen, found.weights, -np.inf).argmax(1)
    positive = np.maximum(found.effect, 0)
    total = positive.sum(1)
    weight = ratio(found.effect, total[:, None])
    own, borrowed = (np.cumsum(np.take_along_axis(weight, by, 1), 1) for by in (order, np.roll(order, 1, axis=0)))
    last = own.shape[1] - 1
    met = found.chosen.any(1) & found.effect.any(1)
    columns = {
        "stable": (top == again[:, 0]).astype(float), "stable_shuffled": (top == np.roll(again[:, 0], 1)).astype(float),
        "common": common(order, again), "common_shuffled": common(order, np.roll(again, 1, axis=0)),
        **{f"share_{k}": own[:, min(k - 1, last)] for k in RANKS}, **{f"borrowed_{k}": borrowed[:, min(k - 1, last)] for k in RANKS},
        "number": ratio(total**2, np.square(positive).sum(1)),
        "lowering": ratio(-np.minimum(found.effect, 0).sum(1), total),
        **{f"found{name}": (which == strongest).astype(float) for name, which in (
            ("", top), ("_same", again[:, 0]), ("_weights", by_weights), ("_correlation", correlated))},
        **{f"ranks_{name}": values for name, values in over_causes(found).items()},
        "effect_top": found.effect[n, top], "effect_correlated": found.effect[n, correlated],
        **{f"correlation_{name}": found.correlation[REPORTING][n, which] for name, which in (
            ("top", top), ("together", found.together), ("best", correlated))},
    }
    return {"top": top, **{name: np.where(met, values, np.nan) for name, values in columns.items()}}


def common(first: Ids, second: Ids) -> Floats:
    """Share of the first causes that two rankings have in common."""
    shared = [len(np.intersect1d(a, b)) for a, b in zip(first[:, :FIRST], second[:, :FIRST], strict=True)]
    return np.asarray(np.array(shared) / min(FIRST, first.shape[1]))


def over_causes(found: Found) -> dict[str, Floats]:
    """Rank correlation of the mean effect on the reporting half with what the choosing half, weights and correlation say, over causes that occur there."""
    feature, cause = np.nonzero(found.effect)
    at = {"effect": found.effect, "gradient": found.chosen, "weights": found.weights, "correlation": found.correlation[CHOOSING]}
    table = pd.DataFrame({"feature": feature, **{name: values[feature, cause] for name, values in at.items()}})
    return spearman(table, "effect", [name for name in at if name != "effect"], len(found.features))
