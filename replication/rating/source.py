"""What a finished run offers to rate, read from its feature tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from replication import artifacts
from replication.artifacts import Layout
from replication.config import model_of
from replication.rating import cards, sample
from replication.rating.cards import Card

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """A run: its name and seed, and which features of which tables can be rated, by kind."""

    layout: Layout
    run: str
    seed: int
    offered: Mapping[str, Mapping[str, "np.ndarray"]]

    @staticmethod
    def read(folder: Path) -> "Source":
        """Of a run's folder. Raises ArtifactError when its features are not there yet."""
        layout = Layout(folder)
        settings = artifacts.read_json(layout.evaluation() / artifacts.CONTEXTS_META)["settings"]
        main = settings["studies"]["main"]
        metas = {path.parent.name: artifacts.read_json(path)["settings"] for path in (folder / "model").glob(f"*/{artifacts.META}")}
        copies = [name for name, of in metas.items() if of.get("model", {}).get("shuffle_of") == model_of(main)]
        found = ("/".join(path.parent.parts[-2:]) for path in layout.evaluation().glob(f"*/*/{artifacts.FEATURES}"))
        offered = {kind: {table: _eligible(layout, table) for table in tables} for kind, tables in sample.tables(found, main, copies).items()}
        return Source(layout, str(settings["run"]), int(settings["seed"]), {kind: tables for kind, tables in offered.items() if tables})

    def cards(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, Card]:
        """Cards by unit's name (`A/1/2357`), of features by table."""
        found: dict[str, Card] = {}
        for table, features in wanted.items():
            rows = _table(self.layout, table, artifacts.FEATURES, cards.FEATURE_COLUMNS)
            examples = _table(self.layout, table, artifacts.EXAMPLES, cards.EXAMPLE_COLUMNS)
            found |= {f"{table}/{feature}": card for feature, card in cards.of_table(rows, examples, features).items()}
        return found

    def strings(self) -> list[str]:
        """The text of every token."""
        from replication.features.vocabulary import token_strings

        return token_strings(self.layout.corpus() / artifacts.TOKENIZER)


def _eligible(layout: Layout, table: str) -> np.ndarray:
    rows = _table(layout, table, artifacts.FEATURES, ("feature", "fired", "part"))
    return np.sort(rows.loc[cards.can_be_rated(rows), "feature"].to_numpy(np.int64))


def _table(layout: Layout, table: str, file: str, columns: tuple[str, ...]) -> "pd.DataFrame":
    folder = layout.features(table)
    artifacts.check(folder, file)
    return artifacts.read_table(folder / file, columns)
