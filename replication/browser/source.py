"""What the browser reads of a finished run, beyond what studies read; checksums are compared first."""

from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from replication import artifacts
from replication.browser import MAP
from replication.features.vocabulary import token_strings
from replication.studies.tables import Reader


class Source(Reader):
    """Reads files of a run, and remembers them as inputs of what is packed."""

    @cached_property
    def strings(self) -> list[str]:
        """The text of every token."""
        return token_strings(self._checked(self.layout.corpus(), artifacts.TOKENIZER, artifacts.TOKENIZER_META))

    def table(self, name: str) -> pd.DataFrame:
        """All columns of a table of features or neurons, in the order of features."""
        found = artifacts.read_table(self._checked(self.layout.features(name), artifacts.FEATURES))
        return found.sort_values("feature", ignore_index=True)

    def effects(self, name: str) -> pd.DataFrame:
        """What ablating a feature does at the firings around its examples: feature, context, pos, effect (on the token at pos + 1)."""
        path = self._checked(self.layout.features(name), artifacts.EFFECTS, artifacts.EFFECTS_META)
        return artifacts.read_table(path, ["feature", "context", "pos", "effect"])

    def relations(self) -> pd.DataFrame:
        """Relations by decoder and by masked cosine: dictionary, feature, kind, other, partner, value."""
        return artifacts.read_table(self._checked(self.layout.evaluation(), artifacts.RELATIONS, artifacts.RELATIONS_META))

    def predictions(self, name: str, kind: str) -> pd.DataFrame:
        """What explanations of a kind predict: feature, explainer, window (its number among those that are predicted), predicted."""
        return artifacts.read_table(self._checked(self.layout.interpretability(name, kind), artifacts.PREDICTIONS))

    def map(self, name: str) -> pd.DataFrame:
        """Where features of a dictionary lie on the map: feature, x, y, cluster; only those that are on it."""
        table = artifacts.read_table(self._checked(self.layout.study(MAP), artifacts.DATA))
        names = table["name"].str.rpartition("/")
        own = table.assign(feature=names[2])[names[0] == name]
        x, y = ("x", "y") if own["x"].notna().any() else ("x_large", "y_large")  # the largest size is on the large map only
        return pd.DataFrame({"feature": own["feature"].astype(int), "x": own[x], "y": own[y], "cluster": own["cluster"].fillna(-1).astype(int)})


def scores(source: Source, name: str, kinds: Sequence[str], explainers: Sequence[str]) -> pd.DataFrame:
    """Explanations of a table's units with their scores: a row for each unit and explainer, unit by unit in the order of `explainers`.

    Columns: feature, explainer, explanation, spearman, pearson, logits, control_spearman (of another unit's explanation), intervals, error.
    """
    columns = ("feature", "explainer", "control", "explanation", "spearman", "pearson", "logits", "intervals", "error")
    found = pd.concat([source.scores(name, kind, *columns) for kind in kinds], ignore_index=True)
    own, other = found[~found["control"]], found[found["control"]]
    other = other[["feature", "explainer", "spearman"]].rename(columns={"spearman": "control_spearman"})
    joined = own.drop(columns="control").merge(other, on=["feature", "explainer"], how="left", validate="one_to_one")
    order = joined["explainer"].map({explainer: place for place, explainer in enumerate(explainers)})
    return joined.assign(order=order).sort_values(["feature", "order"], ignore_index=True).drop(columns="order")
