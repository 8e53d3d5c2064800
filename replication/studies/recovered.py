"""Loss recovered, from the sums of losses per evaluation context (paper, section on loss; recipe, "Watching a run").

    recovered = (loss with the MLP zeroed - loss with the reconstruction) / (loss with the MLP zeroed - loss)

a ratio of sums over tokens. The same with the MLP's mean in place of zero is `recovered_mean`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from replication.config import Settings
from replication.studies import intervals
from replication.studies.intervals import Arm
from replication.studies.tables import Reader

LOSSES = ("loss", "loss_zero", "loss_mean", "loss_reconstructed")
COLUMNS = (*LOSSES, "predicted", "l0", "tokens")
UNDEFINED = "the MLP's ablation does not measurably raise the loss, so that there is nothing to recover"
LOWEST_SHARE_OF_POSITIVE_DRAWS = 0.975


@dataclass(frozen=True)
class Measured:
    """The quantities of one dictionary, each a value and its draws [resample] over texts."""

    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    contexts: int
    tokens: int


def measure(reader: Reader, names: Sequence[str], settings: Settings) -> dict[str, Measured]:
    """Every dictionary, paired."""
    return paired({name: reader.losses(name) for name in names}, settings)


def paired(tables: Mapping[str, pd.DataFrame], settings: Settings) -> dict[str, Measured]:
    """Tables of losses of the same contexts, on the same resamples of their texts, so that differences are paired."""
    assert settings.studies
    columns = np.concatenate([table[list(COLUMNS)].to_numpy(float) for table in tables.values()], axis=1)
    sources = next(iter(tables.values()))["source"].to_numpy()
    sums = intervals.resampled_sums(intervals.by_text(columns, sources), settings.studies.bootstrap, intervals.random(settings, "contexts"))
    parts = np.split(sums, len(tables), axis=1)
    return {name: measured(table, part) for (name, table), part in zip(tables.items(), parts, strict=True)}


def measured(table: pd.DataFrame, sums: np.ndarray) -> Measured:
    """The quantities of one dictionary: losses per predicted token, L0 per token. `sums` [resample, column of COLUMNS]."""
    total = {name: float(table[name].sum()) for name in COLUMNS}
    drawn = dict(zip(COLUMNS, sums.T, strict=True))
    values = {name: total[name] / total["predicted"] for name in LOSSES} | {"l0": total["l0"] / total["tokens"]}
    draws = {name: drawn[name] / drawn["predicted"] for name in LOSSES} | {"l0": drawn["l0"] / drawn["tokens"]}
    for key, baseline in (("recovered", "loss_zero"), ("recovered_mean", "loss_mean")):
        # where ablating the MLP does not measurably hurt, there is nothing to recover and the share means nothing
        if (draws[baseline] > draws["loss"]).mean() < LOWEST_SHARE_OF_POSITIVE_DRAWS:
            values[key], draws[key] = np.nan, np.full(len(sums), np.nan)
            continue
        values[key] = (values[baseline] - values["loss_reconstructed"]) / (values[baseline] - values["loss"])
        draws[key] = (draws[baseline] - draws["loss_reconstructed"]) / (draws[baseline] - draws["loss"])
    return Measured(values, draws, len(table), int(total["predicted"]))


def arm(found: Mapping[str, Measured], members: Sequence[str], key: str) -> Arm:
    """One quantity over the replicates of a dictionary."""
    measured_ = [found[name] for name in members]
    return Arm(np.array([item.values[key] for item in measured_]), np.array([item.draws[key] for item in measured_]))


def table(found: Mapping[str, Measured], settings: Settings, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row per dictionary: settings, losses and shares with the interval over texts."""
    assert settings.dictionaries
    rows = []
    for group, members in groups.items():
        for name in members:
            sae = settings.dictionaries[name]
            row: dict[str, object] = {"dictionary": name, "group": group, "d_sae": sae.d_sae, "l1": sae.l1,
                                      "contexts": found[name].contexts, "tokens": found[name].tokens}
            for key, value in found[name].values.items():
                low, high = intervals.quantiles(found[name].draws[key])
                row |= {key: value, f"{key}_low": low, f"{key}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)
