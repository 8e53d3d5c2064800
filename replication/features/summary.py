"""The headline numbers of a dictionary or of a model's neurons: `evaluation.json`."""

from typing import Any

import pandas as pd

from replication.features.cluster import Clusters
from replication.features.losses import recovered
from replication.features.table import MEASURABLE_TOKENS, ULTRALOW

DENSE = 0.01  # density; many features above it mean that l1 is too low (paper, appendix on watching a run)


def neurons(name: str, features: pd.DataFrame, *, tokens: int, contexts: int) -> dict[str, Any]:
    """Numbers that need no dictionary: how many neurons fire, how many are silent."""
    return {
        "dictionary": name, "tokens": tokens, "contexts": contexts,
        "l0": float(features["density"].sum()), "features": len(features), "dead": int((features["part"] == "dead").sum()),
        "other": int((features["part"] == "other").sum()), "above_1_percent": int((features["density"] > DENSE).sum()),
    }


def dictionary(name: str, losses: pd.DataFrame, features: pd.DataFrame, clusters: Clusters) -> dict[str, Any]:
    """The numbers of a dictionary.

    Losses are means per predicted token, and `recovered` and `recovered_mean` ratios of such means, against the zeroed and
    the mean-ablated site. `l0`, `l1_norm` and `mse` (mean over the d_in elements) are means per token;
    `explained_variance` is 1 - SSE / SST about the mean vector (SAELens: `explained_variance`; its `mse` is d_in times
    ours, its `ce_loss_score` is `recovered`). `mixture` says how far the two clusters are apart, see `cluster.Clusters`. What
    cannot be measured is left out: a share of a loss that ablation does not raise, densities too low for the tokens.
    """
    tokens, predicted = int(losses["tokens"].sum()), losses["predicted"].sum()
    numbers = neurons(name, features, tokens=tokens, contexts=len(losses))
    numbers |= {column: float(losses[column].sum() / predicted) for column in losses.columns if column.startswith("loss")}
    measurable = tokens >= MEASURABLE_TOKENS
    plain, reconstructed = numbers["loss"], numbers["loss_reconstructed"]
    found = {
        **numbers,
        "recovered": recovered(loss=plain, ablated=numbers["loss_zero"], reconstructed=reconstructed),
        "recovered_mean": recovered(loss=plain, ablated=numbers["loss_mean"], reconstructed=reconstructed),
        "l0": float(losses["l0"].sum() / tokens), "l1_norm": float(losses["l1"].sum() / tokens),
        "mse": float(losses["squared_error"].sum() / tokens),
        "explained_variance": float(1 - losses["squared_error"].sum() / losses["variance"].sum()),
        "ultralow": int((features["part"] == "ultralow").sum()), "ultralow_measurable": measurable,
        **({"below_1e-6": int(((features["density"] < ULTRALOW) & (features["fired"] > 0)).sum())} if measurable else {}),
        "lower_cluster": int((features["cluster"] == "lower").sum()),
        "mixture": {"separation": clusters.separation, "bic_gain": clusters.bic_gain, "valley": clusters.valley, "clear": clusters.clear},
        **({} if features["moved"].isna().any() else {"moved": int(features["moved"].sum()), "resampled": int((features["resampled"] > 0).sum())}),
    }
    return {key: value for key, value in found.items() if value == value}  # without NaN
