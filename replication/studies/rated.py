"""People's ratings as studies use them: those given to examples that the run still has, with what was rated."""

import pandas as pd

from replication.config import Settings, model_of
from replication.rating import cards, ratings, rubric, sample
from replication.studies.tables import Reader

RATED = ("rater", "table", "feature", "unit", "interval", *rubric.KEYS, "total", "shown")


def tables(settings: Settings) -> dict[str, list[str]]:
    """Tables whose units can be rated, by role: `features`, `neurons`, `random`."""
    assert settings.dictionaries and settings.models and settings.studies
    main = settings.studies.main
    copies = [name for name, of in settings.models.items() if of.shuffle_of == model_of(main)]
    return sample.tables(settings.dictionaries, main, copies)


def read(reader: Reader, settings: Settings) -> tuple[pd.DataFrame, int]:
    """A row per rater and interval, the columns RATED and `role`; and how many further ratings are of other examples than the run's.

    Those were given before a dictionary was trained anew, or to a unit that no table of the run has. Raises RatingError.
    """
    found = ratings.read(settings.run)[list(RATED)]
    reader.inputs |= {f"ratings/{path.name}": path for path in ratings.files(settings.run)}
    role = {table: role for role, names in tables(settings).items() for table in names}
    shown: dict[str, str] = {}
    for table, rows in found[found["table"].isin(list(role))].groupby("table"):
        name = str(table)
        features, examples = reader.features(name, *cards.FEATURE_COLUMNS), reader.examples(name, *cards.EXAMPLE_COLUMNS)
        shown |= {f"{name}/{feature}": card.id for feature, card in cards.of_table(features, examples, rows["feature"]).items()}
    kept = found[found["unit"].map(shown) == found["shown"]]
    return kept.assign(role=kept["table"].map(role)).reset_index(drop=True), len(found) - len(kept)
