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

    enough = sums(pairs, np.ones(len(pairs)), features) >= FEWEST
    found = {}
    for name in others:
        theirs = centred[name].to_numpy()
        scale = np.sqrt(sums(pairs, of_truth**2, features) * sums(pairs, theirs**2, features))
        found[name] = np.where(enough, ratio(sums(pairs, of_truth * theirs, features), scale), np.nan)
    return found


def explained(pairs: pd.DataFrame, truth: str, other: str, features: int) -> Floats:
    """``1 - sum (truth - other)^2 / sum truth^2``: 1 where they are equal, 0 where zeros would do as well."""
    true, guess = pairs[truth].to_numpy(), pairs[other].to_numpy()
    return 1 - ratio(sums(pairs, (true - guess) ** 2, features), sums(pairs, true**2, features))


def slope(pairs: pd.DataFrame, truth: str, other: str, features: int) -> Floats:
    """How much `truth` there is for each unit of `other`: least squares through zero."""
    true, guess = pairs[truth].to_numpy(), pairs[other].to_numpy()
    return ratio(sums(pairs, true * guess, features), sums(pairs, guess**2, features))


def share(pairs: pd.DataFrame, holds: NDArray[np.bool_], among: NDArray[np.bool_], features: int) -> Floats:
    """The share of a feature's pairs `among` those in question for which something `holds`."""
    return ratio(sums(pairs, (among & holds).astype(np.float64), features), sums(pairs, among.astype(np.float64), features))


def sums(pairs: pd.DataFrame, values: Floats, features: int) -> Floats:
    """Sums of values [pair] over the pairs of each feature."""
    return np.bincount(pairs["feature"].to_numpy(), values, minlength=features).astype(np.float64)


def ratio(above: Floats, below: Floats) -> Floats:
    """A quotient, NaN where there is nothing to divide by."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))


def known_mean(values: Floats) -> float:
    """The mean of the values that are not NaN, NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def fifth(pairs: pd.DataFrame) -> NDArray[np.int64]:
    """Which fifth of its feature's pairs each pair lies in by the activation of the feature, 0 the weakest; pairs of one token lie together."""
    rank = pairs.groupby("feature")["active"].rank(pct=True).to_numpy()
    return np.asarray(np.minimum((rank * FIFTHS).astype(np.int64), FIFTHS - 1))


def size(pairs: pd.DataFrame) -> Floats:
    """How large an effect is, in shares of the activation."""
    return ratio(np.abs(pairs["effect"].to_numpy()), pairs["active"].to_numpy())


def agrees(pairs: pd.DataFrame, method: str) -> NDArray[np.bool_]:
    """Whether a method gives the sign of the effect."""
    return np.asarray(np.sign(pairs[method]) == np.sign(pairs["effect"]))


def by_feature(found: Found) -> dict[str, Floats]:
    """Agreement of each feature of the sample."""
    pairs, n = found.pairs, len(found.features)
    large, level, whole = size(pairs), fifth(pairs), np.ones(len(pairs), dtype=bool)
    budget = {name: sums(found.budget, of.to_numpy(), n) for name, of in found.budget.drop(columns="feature").items()}
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
        **{name: ratio(sums(pairs, np.abs(pairs[name].to_numpy()), n), sums(pairs, pairs["active"].to_numpy(), n)) for name in ("effect", "effect_random")},
        **{f"budget_{name}": ratio(budget[name], budget["active"]) for name in ("features", "error", "constant")},
        "kept": ratio(budget["reconstructed"], budget["active"]),
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
