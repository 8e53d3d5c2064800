"""The table of departures: where a run does not do what the paper did, and what the paper leaves open."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication.claims.scale import amount
from replication.claims.statements import ClaimsError, read_rows
from replication.config import Corpus, Model, Sae, Settings, model_of, nearest
from replication.features import replicates
from replication.sae.schedule import resampling_steps

COLUMNS = ("setting", "applies", "key", "paper", "paper_value", "ours", "why", "source")
PLACE = re.compile(r"\{(\w+\.\w+)\}")


@dataclass(frozen=True)
class Departure:
    """One row: what is set, what the paper has (`not stated` where it is silent), what this run has, and why."""

    setting: str
    paper: str
    here: str
    why: str
    source: str


@dataclass(frozen=True)
class Counts:
    """What a run has that no single setting says: fits of its main dictionary, and how many of its resamplings fall within the warm-up of l1."""

    replicates: int
    resampled_in_warmup: int


# when a row is about a run at all
CONDITIONS: Mapping[str, Callable[[Settings], bool]] = {
    "trained_model": lambda settings: not _model(settings).load, "trained_main": lambda settings: not _main(settings).load,
    "resampled": lambda settings: not _main(settings).load and _main(settings).resamplings > 0,
    "trained_tokenizer": lambda settings: _corpus(settings).tokenizer == "train",
    "installed": lambda settings: _corpus(settings).source == "installed", "local": lambda settings: _corpus(settings).source == "local",
    "hub": lambda settings: _corpus(settings).source == "hub", "shuffled": lambda settings: any(model.shuffle_of for model in (settings.models or {}).values()),
}


def table(path: Path, settings: Settings) -> list[Departure]:
    """The rows that apply to a run. A row with a `key` is filled in from the settings, and left out where they are the paper's.

    `applies` is one of `CONDITIONS`, or empty for every run. `key` is a setting of the main dictionary (`sae.l1`), of its model (`model.d_mlp`),
    of a section (`corpus.source`), or one of `Counts` (`run.replicates`). Raises ClaimsError on a condition or a key that does not exist.
    """
    rows = []
    for row in read_rows(path, COLUMNS):
        if not applies(settings, row["applies"]):
            continue
        value = setting(settings, row["key"]) if row["key"] else None
        if row["key"] and shown(value) == row["paper_value"]:
            continue
        here = PLACE.sub(lambda place: shown(setting(settings, place[1])), row["ours"].replace("{}", shown(value))) if row["ours"] else shown(value)
        rows.append(Departure(row["setting"], row["paper"], here, row["why"], row["source"]))
    return rows


def applies(settings: Settings, condition: str) -> bool:
    """Whether a row with this condition is about a run."""
    if condition and condition not in CONDITIONS:
        raise ClaimsError(f"the table of departures has the condition {condition!r} in its column applies; {nearest(condition, CONDITIONS)}")
    return not condition or CONDITIONS[condition](settings)


def setting(settings: Settings, key: str) -> Any:
    """The value of `section.name` in a run, of its main dictionary and model for `sae` and `model`."""
    section, _, name = key.partition(".")
    parts = {"sae": _main(settings), "model": _model(settings), "corpus": settings.corpus, "activations": settings.activations,
             "features": settings.features, "studies": settings.studies, "run": _counts(settings)}
    if section not in parts or name not in {field.name for field in dataclasses.fields(parts[section])}:  # type: ignore[arg-type]
        raise ClaimsError(f"the table of departures names the setting {key!r}, which the config does not have")
    return getattr(parts[section], name)


def _main(settings: Settings) -> Sae:
    assert settings.studies and settings.dictionaries
    return settings.dictionaries[settings.studies.main]


def _model(settings: Settings) -> Model:
    """The model of the main dictionary; of a shuffled copy the one that was trained."""
    assert settings.studies and settings.models
    model = settings.models[model_of(settings.studies.main)]
    return settings.models[model.shuffle_of] if model.shuffle_of else model


def _corpus(settings: Settings) -> Corpus:
    assert settings.corpus
    return settings.corpus


def _counts(settings: Settings) -> Counts:
    assert settings.studies and settings.dictionaries
    main = _main(settings)
    warm = main.l1_warmup * (main.vectors // main.batch)
    return Counts(len(replicates(settings.studies.main, settings.dictionaries)), sum(step <= warm for step in resampling_steps(main)))


def shown(value: Any) -> str:
    """A setting as the table has it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(value) if isinstance(value, tuple) else str(value)
    return amount(value)


def markdown(rows: Sequence[Departure]) -> str:
    """The table for a README."""
    cells = [("setting", "paper", "here", "why"), ("---",) * 4, *((row.setting, row.paper, row.here, row.why) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
