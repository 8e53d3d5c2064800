"""Which features and neurons of the tables that are shown are near to a feature, each with how near it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.browser.schema import Relation, RelationKind
from replication.config import model_of
from replication.features import NEURONS

MOST = 10  # relations of one kind that have no bound of their own: features of other tables, and parents
KINDS: tuple[RelationKind, ...] = get_args(RelationKind)
COLUMNS = ["feature", "kind", "table", "other", "value", "second"]


@dataclass(frozen=True)
class Relations:
    """Relations as arrays: those of feature `f` are the rows `rows[f]` to `rows[f + 1]`; `kinds` are places in KINDS, `tables` in `names`."""

    rows: NDArray[np.int64]
    names: Sequence[str]
    kinds: NDArray[np.int8]
    tables: NDArray[np.int16]
    others: NDArray[np.int32]
    values: NDArray[np.float32]
    seconds: NDArray[np.float32]

    def of(self, feature: int) -> list[Relation]:
        """The relations of one feature, kind by kind, near ones first."""
        own = slice(self.rows[feature], self.rows[feature + 1])
        columns = (column[own].tolist() for column in (self.kinds, self.tables, self.others, self.values, self.seconds))
        return [Relation(KINDS[kind], self.names[table], other, value, None if second != second else second)
                for kind, table, other, value, second in zip(*columns, strict=True)]


def gather(name: str, shown: Sequence[str], *, features: pd.DataFrame, matches: pd.DataFrame, edges: pd.DataFrame, neurons: bool) -> Relations:
    """The relations of a table to the tables `shown`.

    `features` is its table of features, `matches` and `edges` those of the run (`features.matches`, `features.relations`); `neurons` says
    whether decoder rows are over neurons. A correlation or cosine that could not be measured makes no relation.
    """
    found = [*_matches(name, matches), *_edges(name, edges)]
    own = f"{model_of(name)}/{NEURONS}"
    if neurons and "top_neurons" in features:
        found.append(_weights(features).assign(kind="weight", table=own))
    table = pd.concat([pd.DataFrame(columns=COLUMNS), *(part[COLUMNS] for part in found if len(part))], ignore_index=True)
    table = table[table["table"].isin(list(shown)) & table["value"].notna()]
    table = table.assign(kind=table["kind"].map(KINDS.index).astype(int), table=table["table"].map(list(shown).index).astype(int),
                         size=-table["value"].astype(float).abs())
    table = table.sort_values(["feature", "kind", "size", "table", "other"], kind="stable")
    many = table["kind"].isin([KINDS.index("matched_by"), KINDS.index("parent")]) & (table.groupby(["feature", "kind"]).cumcount() >= MOST)
    table = table[~many]
    return Relations(
        np.searchsorted(table["feature"].to_numpy(np.int64), np.arange(len(features) + 1)), list(shown), table["kind"].to_numpy(np.int8),
        table["table"].to_numpy(np.int16), table["other"].to_numpy(np.int32), table["value"].to_numpy(np.float32), table["second"].to_numpy(np.float32))


def universality(name: str, matches: pd.DataFrame, count: int) -> NDArray[np.float32]:
    """The correlation of each feature with its best match in another model's table of the same kind; NaN where there is none."""
    own = matches[(matches["dictionary"] == name) & (matches["match"] >= 0)]
    alike = [model_of(other) != model_of(name) and other.endswith(f"/{NEURONS}") == name.endswith(f"/{NEURONS}") for other in own["other"]]
    own = own[np.array(alike, dtype=bool)]
    found = np.full(count, np.nan, dtype=np.float32)
    found[own["feature"].to_numpy(np.int64)] = own["correlation"]
    return found


def _weights(features: pd.DataFrame) -> pd.DataFrame:
    long = features[["feature", "top_neurons", "top_neuron_weights", "top_neuron_shares"]].explode(["top_neurons", "top_neuron_weights", "top_neuron_shares"])
    return long.set_axis(["feature", "other", "value", "second"], axis=1)


def _matches(name: str, matches: pd.DataFrame) -> list[pd.DataFrame]:
    matches = matches.rename(columns={"correlation": "value", "logit_correlation": "second"})
    own, inverse = matches[matches["dictionary"] == name], matches[matches["other"] == name]
    own_neurons = own["other"] == f"{model_of(name)}/{NEURONS}"
    return [own.assign(kind=np.where(own_neurons, "neuron", "match"), table=own["other"], other=own["match"]),
            inverse.assign(kind="matched_by", table=inverse["dictionary"], other=inverse["feature"], feature=inverse["match"])]


def _edges(name: str, edges: pd.DataFrame) -> list[pd.DataFrame]:
    edges = edges.assign(second=np.nan)
    own, inverse = edges[edges["dictionary"] == name], edges[(edges["other"] == name) & (edges["kind"] == "child")]
    return [own.assign(table=own["other"], other=own["partner"]),
            inverse.assign(kind="parent", table=inverse["dictionary"], other=inverse["feature"], feature=inverse["partner"])]
