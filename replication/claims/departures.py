"""The table of departures: where a run does not do what the paper did, and what the paper leaves open."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication.claims.scale import amount
from replication.claims.statements import ClaimsError, read_rows
from replication.config import Settings, model_of

COLUMNS = ("setting", "key", "paper", "paper_value", "ours", "why", "source")


@dataclass(frozen=True)
class Departure:
    """One row: what is set, what the paper has (`not stated` where it is silent), what this run has, and why."""

    setting: str
    paper: str
    here: str
    why: str
    source: str


def table(path: Path, settings: Settings) -> list[Departure]:
    """The rows that apply to a run. A row with a `key` is filled in from the settings, and left out where they are the paper's.

    `key` is a setting of the main dictionary (`sae.l1`), of its model (`model.d_mlp`) or of a section (`corpus.source`).
    Raises ClaimsError on a key that does not exist.
    """
    rows = []
    for row in read_rows(path, COLUMNS):
        value = setting(settings, row["key"]) if row["key"] else None
        if row["key"] and shown(value) == row["paper_value"]:
            continue
        here = row["ours"].replace("{}", shown(value)) if row["ours"] else shown(value)
        rows.append(Departure(row["setting"], row["paper"], here, row["why"], row["source"]))
    return rows


def setting(settings: Settings, key: str) -> Any:
    """The value of `section.name` in a run, of its main dictionary and model for `sae` and `model`."""
    section, _, name = key.partition(".")
    assert settings.studies and settings.models and settings.dictionaries
    main = settings.studies.main
    parts = {"sae": settings.dictionaries[main], "model": settings.models[model_of(main)],
             "corpus": settings.corpus, "activations": settings.activations, "features": settings.features}
    if section not in parts or name not in {field.name for field in dataclasses.fields(parts[section])}:  # type: ignore[arg-type]
        raise ClaimsError(f"the table of departures names the setting {key!r}, which the config does not have")
    return getattr(parts[section], name)


def shown(value: Any) -> str:
    """A setting as the table has it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(value) if isinstance(value, tuple) else str(value)
    return amount(value)


def markdown(rows: Sequence[Departure]) -> str:
    """The table for a README."""
    cells = [("setting", "paper", "here", "why"), ("---",) * 4, *((row.setting, row.paper, row.here, row.why) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
