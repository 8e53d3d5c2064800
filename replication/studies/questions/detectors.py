"""Features and neurons whose activation is taken apart, and the tokens on which they fire. Source: ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from replication.config import Settings, model_of
from replication.features import NEURONS as TABLE
from replication.features.matrix import HALVES
from replication.model.transformer import Transformer
from replication.studies.intervals import random
from replication.studies.questions.removal import WINDOW, Read
from replication.studies.tables import Reader

SAMPLE = 150  # features or neurons of a table
FEWEST = 5  # tokens of a feature on each half
FOLLOWS = 0.3  # correlation with a context's proxy from which the context's best feature stands for it
FEATURES, NEURONS, RARE = "features", "neurons", "rare neurons"
Array = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """Features of one dictionary, or neurons: their table (feature, drawn, single_token, family), where they fire (context, pos, unit), and what
    the model's stream before the MLP makes of them.
    """

    kind: str
    dictionary: str
    table: pd.DataFrame
    place: Mapping[str, Ids]
    read: Read


def followed(table: pd.DataFrame, main: str) -> dict[int, str]:
    """The feature that follows each context best on half 0, if any does: names of contexts by feature."""
    best = table[(table["dictionary"] == main) & (table["rank"] == 0) & (table["correlation_chosen"] >= FOLLOWS)]
    return {int(feature): " / ".join(sorted(of["context"])) for feature, of in best.groupby("feature")}


def features(reader: Reader, settings: Settings, model: Transformer, name: str, families: Mapping[int, str], index: int) -> Units:
    """A sample of a dictionary's live features, and those that follow a context."""
    assert settings.dictionaries
    table = reader.features(name, "feature", "part", "density", "single_token")
    where = firing(reader, name)
    fire = enough(where, table.loc[table["part"] == "other", "feature"].to_numpy(np.int64))
    drawn = sampled(fire, random(settings, "context_dependence.features", index))
    wanted = np.union1d(drawn, enough(where, np.array([*families], np.int64)))
    weights = reader.weights(name)
    encoder = torch.from_numpy(np.ascontiguousarray(weights["W_enc"].T[wanted]))
    bias = torch.from_numpy((weights["b_enc"] - weights["b_dec"] @ weights["W_enc"])[wanted])
    site = settings.dictionaries[name].site

    def read(stream: Tensor, unit: Tensor) -> Tensor:
        return (torch.einsum("rvd,rd->rv", model.read_from(stream, site), encoder[unit]) + bias[unit][:, None]).relu()

    chosen = table.set_index("feature").loc[wanted].reset_index().assign(drawn=np.isin(wanted, drawn), family=[families.get(int(k), "") for k in wanted])
    return Units(FEATURES, name, chosen, placed(where, wanted), read)


def neurons(reader: Reader, settings: Settings, model: Transformer) -> Units:
    """A sample of the main model's neurons."""
    assert settings.studies
    name = f"{model_of(settings.studies.main)}/{TABLE}"
    table, where = reader.features(name, "feature", "density", "single_token"), firing(reader, name)
    wanted = sampled(enough(where, table["feature"].to_numpy(np.int64)), random(settings, "context_dependence.neurons"))
    index = torch.from_numpy(wanted)

    def read(stream: Tensor, unit: Tensor) -> Tensor:
        return torch.take_along_dim(model.read_from(stream, "mlp_act"), index[unit][:, None, None], dim=2)[..., 0]

    return Units(NEURONS, name, table.set_index("feature").loc[wanted].reset_index().assign(drawn=True, family=""), placed(where, wanted), read)


def firing(reader: Reader, name: str) -> pd.DataFrame:
    """Tokens on which units fire, evenly over intervals of activation, with enough tokens before them: feature, context, pos."""
    examples = reader.examples(name, "feature", "group", "context", "pos", "activation")
    chosen = examples[(examples["group"] == "interval") & (examples["pos"] >= WINDOW) & (examples["activation"] > 0)]
    return chosen[["feature", "context", "pos"]].drop_duplicates().sort_values(["feature", "context", "pos"], ignore_index=True)


def enough(where: pd.DataFrame, among: Ids) -> Ids:
    """Which units have FEWEST such tokens on each half."""
    counts = where.groupby(["feature", where["context"] % len(HALVES)]).size().unstack(fill_value=0).reindex(columns=list(HALVES), fill_value=0)
    return np.intersect1d(counts.index[(counts >= FEWEST).all(axis=1)].to_numpy(np.int64), among)


def sampled(units: Ids, rng: np.random.Generator) -> Ids:
    """At most SAMPLE of them."""
    return np.sort(rng.choice(units, SAMPLE, replace=False)) if len(units) > SAMPLE else units


def placed(where: pd.DataFrame, wanted: Ids) -> dict[str, Ids]:
    """The tokens of the wanted units; `unit` is the place among them."""
    of = where[where["feature"].isin(wanted)]
    return {"context": of["context"].to_numpy(np.int64), "pos": of["pos"].to_numpy(np.int64),
            "unit": np.searchsorted(wanted, of["feature"].to_numpy(np.int64))}


def thresholds(reader: Reader, units: Sequence[Units], settings: Settings) -> Array:
    """For each sampled neuron (of the last of `units`) the level above which it is as rarely as a feature drawn from the first of them."""
    ours = units[-1]
    table = reader.features(ours.dictionary, "feature", "density", "activation_counts", "activation_edges").set_index("feature")
    densities = units[0].table.loc[units[0].table["drawn"], "density"].to_numpy(float)
    rng = random(settings, "context_dependence.thresholds")
    return np.array([cut(row.activation_counts, row.activation_edges, row.density, rng.choice(densities) if len(densities) else row.density)
                     for row in table.loc[ours.table["feature"]].itertuples()])


def cut(counts: NDArray[np.int32], edges: NDArray[np.float32], density: float, wanted: float) -> float:
    """The level above which a unit is on a share `wanted` of the tokens, by its histogram [bin] over the share `density` on which it is on at all.

    Linear within a bin; 0 where it is on more rarely than that.
    """
    above = np.append(np.cumsum(counts[::-1])[::-1], 0) * (density / max(1, int(counts.sum())))
    return float(np.interp(wanted, above[::-1], np.asarray(edges, dtype=np.float64)[::-1]))
