"""How far cheap measures of a cause agree with ablation, over the pairs of a feature of the MLP and what is on before it.

Each feature of the MLP counts once, however often it fires. Statistics take a table with a row for each pair and the column `feature`,
the feature's place in the sample, and give arrays over the features, NaN where a feature has nothing to tell. Effects are small or
large in shares of the feature's activation at the token.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.studies.questions.sampled_causes import METHODS, Floats, Found

FEWEST = 10  # pairs behind a rank correlation
SIGN, SMALL, LARGE = 0.01, 0.01, 0.1  # effects below the first have no sign to speak of; the other two are the ends that are compared
SIZES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, np.inf)
FIFTHS = 5


def spearman(pairs: pd.DataFrame, truth: str, others: Sequence[str], features: int) -> dict[str, Floats]:
    """Rank correlation of each column with `truth` over the pairs of each feature."""
    place = pairs["feature"].to_numpy()
    ranks = pairs[list(dict.fromkeys([truth, *others]))].groupby(place).rank()
    centred = ranks - ranks.groupby(place).transform("mean")
    of_truth = centred[truth].to_numpy()

    def total(values: Floats) -> Floats:
        return np.bincount(place, values, minlength=features)

    enough = np.bincount(place, minlength=features) >= FEWEST
    found = {}
    for name in others:
        theirs = centred[name].to_numpy()
        scale = np.sqrt(total(of_truth**2) * total(theirs**2))
        found[name] = np.divide(total(of_truth * theirs), scale, out=np.full(features, np.nan), where=enough & (scale > 0))
    return found


def explained(pairs: pd.DataFrame, truth: str, other: str, features: int) -> Floats:
    """``1 - sum (truth - other)^2 / sum truth^2``: 1 where they are equal, 0 where nothing was as near."""
    place, true, guess = (pairs[name].to_numpy() for name in ("feature", truth, other))
    scale = np.bincount(place, true**2, minlength=features)
    error = np.bincount(place, (true - guess) ** 2, minlength=features)
    return 1 - np.divide(error, scale, out=np.full(features, np.nan), where=scale > 0)


def slope(pairs: pd.DataFrame, truth: str, other: str, features: int) -> Floats:
    """How much `truth` there is for each unit of `other`: least squares through zero."""
    place, true, guess = (pairs[name].to_numpy() for name in ("feature", truth, other))
    scale = np.bincount(place, guess**2, minlength=features)
    return np.divide(np.bincount(place, true * guess, minlength=features), scale, out=np.full(features, np.nan), where=scale > 0)


def share(pairs: pd.DataFrame, holds: NDArray[np.bool_], among: NDArray[np.bool_], features: int) -> Floats:
    """The share of a feature's pairs `among` those in question for which something `holds`."""
    place = pairs["feature"].to_numpy()
    count = np.bincount(place[among], minlength=features)
    return np.divide(np.bincount(place[among & holds], minlength=features), count, out=np.full(features, np.nan), where=count > 0)


def known_mean(values: Floats) -> float:
    """The mean of the values that are not NaN, NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def fifth(pairs: pd.DataFrame) -> NDArray[np.int64]:
    """Which fifth of its feature's pairs each pair lies in by the activation of the feature, 0 the weakest; pairs of one token lie together."""
    rank = pairs.groupby("feature")["active"].rank(pct=True).to_numpy()
    return np.minimum((rank * FIFTHS).astype(np.int64), FIFTHS - 1)


def size(pairs: pd.DataFrame) -> Floats:
    """How large an effect is, in shares of the activation."""
    return np.abs(pairs["effect"] / pairs["active"]).to_numpy()


def agrees(pairs: pd.DataFrame, method: str) -> NDArray[np.bool_]:
    """Whether a method gives the sign of the effect."""
    return np.asarray(np.sign(pairs[method]) == np.sign(pairs["effect"]))


def by_feature(found: Found) -> dict[str, Floats]:
    """Agreement of each feature of the sample."""
    pairs, n = found.pairs, len(found.features)
    large, level, whole = size(pairs), fifth(pairs), np.ones(len(pairs), dtype=bool)
    budget = found.budget.groupby("feature").sum().reindex(range(n))
    total = np.bincount(pairs["feature"], pairs["active"], minlength=n)
    return {
        **{f"spearman_{name}": values for name, values in spearman(pairs, "effect", METHODS, n).items()},
        **{f"{measure.__name__}_{name}": measure(pairs, "effect", name, n) for name in METHODS for measure in (explained, slope)},
        **{f"sign_{name}": share(pairs, agrees(pairs, name), large >= SIGN, n) for name in METHODS},
        "spearman_random": spearman(pairs, "effect_random", ["gradient_random"], n)["gradient_random"],
        "spearman_other": spearman(pairs.dropna(subset="effect_other"), "effect_other", ["gradient"], n)["gradient"],
        "weak": spearman(pairs[level == 0], "effect", ["gradient"], n)["gradient"],
        "strong": spearman(pairs[level == FIFTHS - 1], "effect", ["gradient"], n)["gradient"],
        "sign_small": share(pairs, agrees(pairs, "gradient"), (large > 0) & (large < SMALL), n),
        "sign_large": share(pairs, agrees(pairs, "gradient"), large >= LARGE, n),
        "off": share(pairs, np.asarray(pairs["effect"] >= pairs["active"]), whole, n),
        **{name: np.divide(np.bincount(pairs["feature"], pairs[name].abs(), minlength=n), total, out=np.full(n, np.nan), where=total > 0)
           for name in ("effect", "effect_random")},
        **{f"budget_{name}": (budget[name] / budget["active"]).to_numpy() for name in ("features", "error", "constant")},
        "kept": (budget["reconstructed"] / budget["active"]).to_numpy(),
    }


def by_size(found: Sequence[Found]) -> pd.DataFrame:
    """Share of pairs with the sign of the effect, by its size; mean over features and replicates."""
    rows = []
    for low, high in pairwise(SIZES):
        parts = [item.pairs[(size(item.pairs) >= low) & (size(item.pairs) < high) & (item.pairs["effect"] != 0)] for item in found]
        values = {name: np.concatenate([share(pairs, agrees(pairs, name), np.ones(len(pairs), dtype=bool), len(item.features))
                                        for pairs, item in zip(parts, found, strict=True)]) for name in METHODS}
        rows.append({"low": low, "high": high, "count": sum(map(len, parts)), **{name: known_mean(of) for name, of in values.items()}})
    return pd.DataFrame(rows)


def by_fifth(found: Sequence[Found]) -> pd.DataFrame:
    """Rank correlation by fifth of the feature's activation, and the share of pairs whose ablation turns it off; mean over features and replicates."""
    rows = []
    for k in range(FIFTHS):
        parts = [item.pairs[fifth(item.pairs) == k] for item in found]
        values = [spearman(pairs, "effect", METHODS, len(item.features)) for pairs, item in zip(parts, found, strict=True)]
        off = np.concatenate([share(pairs, np.asarray(pairs["effect"] >= pairs["active"]), np.ones(len(pairs), dtype=bool), len(item.features))
                              for pairs, item in zip(parts, found, strict=True)])
        rows.append({"fifth": k, "count": sum(map(len, parts)), "off": known_mean(off),
                     **{name: known_mean(np.concatenate([of[name] for of in values])) for name in METHODS}})
    return pd.DataFrame(rows)
