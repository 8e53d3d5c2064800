"""Frozen numbers of named runs, and whether a fresh run left them.

The tolerance, written down before any comparison. On one machine with the locked versions a run repeats bit for bit.
Another machine rounds differently, training is chaotic, and so its numbers are at worst those of another seed. What is
allowed is therefore the largest of

1. from three seeds on, the 99 % prediction interval of one more seed, t(0.995; n - 1) sd sqrt(1 + 1/n): Student's t pays
   for an sd known from few seeds (11.5 sd at n = 3, 5.0 at 5, 3.4 at 10), so more seeds make a sharper test;
   below three seeds, 10 % of the value or half the number's own 95 % interval, whichever is larger;
2. rounding alone: 1e-3 of the value, and two of the things counted (2 for a count, 2/n for a share of n things).

A number that the reference has and the run lacks has left its tolerance too. On another corpus every comparison is
marked `different corpus` and nothing fails: other text gives other numbers. Other settings are marked, and judged.
Source: ours.
"""

import csv
import dataclasses
import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication import artifacts
from replication.config import Settings, UserError, canonical_json
from replication.studies import STUDIES

NUMBERS, PROVENANCE = "numbers.csv", "provenance.json"
COLUMNS = ("number", "unit", "value", "sd", "n", "values", "tolerance", "why")
DIFFERENT_CORPUS, DIFFERENT_SETTINGS = "different corpus", "different settings"
COVERAGE, ENOUGH_SEEDS, FEW_SEEDS_SHARE, ROUNDING, COUNTED = 0.99, 3, 0.1, 1e-3, 2


@dataclass(frozen=True)
class Frozen:
    """One number over seeds: mean, sd (None for one seed), each seed's value, and what another run may differ by."""

    number: str
    unit: str
    value: float
    sd: float | None
    n: int
    values: tuple[float, ...]
    tolerance: float
    why: str


@dataclass(frozen=True)
class Reference:
    """Frozen numbers by `study.key`, and on what they were found."""

    numbers: Mapping[str, Frozen]
    provenance: Mapping[str, Any]

    @property
    def corpus_hash(self) -> str:
        """Hash of the manifest of the corpus."""
        return str(self.provenance["corpus_hash"])


@dataclass(frozen=True)
class Comparison:
    """One number of a run beside the reference. `inside` is None where there is nothing to compare with."""

    number: str
    unit: str
    value: float | None
    reference: float | None
    tolerance: float | None
    inside: bool | None
    why: str


def tolerance(values: Sequence[float], counted: int | None, half_interval: float) -> tuple[float, str]:
    """What another run may differ by, and why; `counted` is n of a share of n things."""
    mean, n = statistics.fmean(values), len(values)
    if n >= ENOUGH_SEEDS:
        from scipy.stats import t

        width = float(t.ppf((1 + COVERAGE) / 2, n - 1)) * math.sqrt(1 + 1 / n)
        choices = [(width * statistics.stdev(values), f"99 % prediction interval of another seed: {width:.3g} sd, {n} seeds")]
    else:
        seeds = f"{n} seed{'s' if n > 1 else ''}"
        choices = [(FEW_SEEDS_SHARE * abs(mean), f"10 % of the value: {seeds}"), (half_interval, f"half of its 95 % interval: {seeds}")]
    choices.append((ROUNDING * abs(mean), "rounding: 0.1 % of the value"))
    if counted:
        choices.append((COUNTED / counted, f"rounding: {COUNTED} of {counted}"))
    elif all(value == int(value) for value in values):
        choices.append((float(COUNTED), f"rounding: a count may move by {COUNTED}"))
    return max(choices)


def freeze(runs: Sequence[Path], out: Path) -> Reference:
    """Freeze the numbers of finished runs that differ in the seed only; one that some run lacks is left out.

    Raises UserError when runs differ in more than the seed, or share one.
    """
    if not runs:
        raise UserError("freeze needs at least one finished run, such as results/laptop")
    described = [provenance(run) for run in runs]
    for key, what in (("settings_hash", "settings other than the seed"), ("corpus_hash", "corpus")):
        if len({found[key] for found in described}) > 1:
            raise UserError(f"{', '.join(map(str, runs))} differ in {what}; a reference is made of runs that differ in the seed only")
    seeds = [found["seed"] for found in described]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{', '.join(map(str, runs))} have the seeds {', '.join(map(str, seeds))}; each run needs its own")
    found = [numbers_of(run) for run in runs]
    frozen = [_frozen(name, [numbers[name] for numbers in found]) for name in found[0] if all(name in numbers for numbers in found)]
    _write(out / NUMBERS, frozen)
    about = {key: value for key, value in described[0].items() if key != "seed"} | {"seeds": seeds}
    artifacts.write_json(out / PROVENANCE, about)
    return read(out)


def numbers_of(run: Path) -> dict[str, Mapping[str, Any]]:
    """Every number of a run's studies, by `study.key`; without those of `make bench`, which tell of the machine and not of the run.

    Raises ArtifactError when there is none.
    """
    timed = {name for name, study in STUDIES.items() if study.written}
    paths = [path for path in sorted(run.glob(f"studies/*/{artifacts.NUMBERS}")) if path.parent.name not in timed]
    if not paths:
        raise artifacts.ArtifactError(f"{run} holds no studies; `snakemake --cores all` makes them")
    return {f"{path.parent.name}.{key}": number for path in paths for key, number in artifacts.read_json(path)["numbers"].items()}


def provenance(run: Path) -> dict[str, Any]:
    """Run, seed, settings without name and seed, corpus, device, versions. Raises ArtifactError when the run is unfinished."""
    meta = artifacts.read_json(run / artifacts.CLAIMS_META)
    settings = Settings.parse(canonical_json(meta["settings"]))
    corpus = artifacts.read_json(run / "corpus" / artifacts.CORPUS)
    return {"run": settings.run, "seed": settings.seed, "settings_hash": settings_hash(settings),
            "corpus_hash": str(corpus["manifest_sha256"]), "machine": meta["machine"], "versions": meta["versions"]}


def settings_hash(settings: Settings) -> str:
    """Twelve hex digits of everything that was asked for but the run's name and seed, and where it runs.

    Without what has its default, so that a setting that is added later leaves references comparable. A default that is changed asks for another run
    under the same hash: references of runs that rest on it must be frozen again.
    """
    content = _asked({name: value for name, value in vars(settings).items() if name not in ("run", "seed", "compute") and value is not None})
    return hashlib.sha256(canonical_json({name: section for name, section in content.items() if section}).encode()).hexdigest()[:12]


def _asked(value: Any) -> Any:
    """A setting as plain JSON values, dataclasses without fields that have their default or say where a result is computed."""
    if dataclasses.is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if not field.metadata.get("where")}
        defaults = {field.name: field.default for field in dataclasses.fields(value)}
        return {name: _asked(item) for name, item in found.items() if item != defaults[name]}
    if isinstance(value, Mapping):
        return {name: _asked(item) for name, item in value.items()}
    return value


def read(folder: Path) -> Reference:
    """Frozen numbers from a folder such as `results/reference/laptop`. Raises ArtifactError."""
    about = artifacts.read_json(folder / PROVENANCE)
    path = folder / NUMBERS
    if not path.is_file():
        raise artifacts.ArtifactError(f"{path} is missing; `python -m replication freeze` makes it from finished runs")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        frozen = [_parsed(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise artifacts.ArtifactError(f"{path} is no table of frozen numbers; make it again with `python -m replication freeze`") from None
    return Reference({item.number: item for item in frozen}, about)


def compare(found: Mapping[str, Mapping[str, Any]], reference: Reference) -> list[Comparison]:
    """Every number of a run beside the reference: those of the reference first, in its order, then new ones."""
    rows = []
    for name, known in reference.numbers.items():
        value = float(found[name]["value"]) if name in found else None
        inside = value is not None and abs(value - known.value) <= known.tolerance
        rows.append(Comparison(name, known.unit, value, known.value, known.tolerance, inside, known.why))
    new = [name for name in found if name not in reference.numbers]
    return rows + [Comparison(name, found[name].get("unit", ""), float(found[name]["value"]), None, None, None, "new") for name in new]


def marks(run: Mapping[str, Any], reference: Reference) -> list[str]:
    """What sets a run apart from the reference: `different corpus`, `different settings`, or nothing."""
    apart = [(DIFFERENT_CORPUS, "corpus_hash"), (DIFFERENT_SETTINGS, "settings_hash")]
    return [mark for mark, key in apart if run[key] != reference.provenance[key]]


def _frozen(name: str, numbers: Sequence[Mapping[str, Any]]) -> Frozen:
    values = tuple(float(number["value"]) for number in numbers)
    first = numbers[0]
    half = (float(first["high"]) - float(first["low"])) / 2 if "low" in first and "high" in first else 0.0
    unit = str(first.get("unit", ""))
    counted = first.get("n") if unit.startswith("share of ") and str(first.get("over")).startswith(unit.removeprefix("share of ")) else None
    allowed, why = tolerance(values, counted, half)
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Frozen(name, unit, statistics.fmean(values), sd, len(values), values, allowed, why)


def _write(path: Path, frozen: Sequence[Frozen]) -> None:
    artifacts.write_rows(path, [
        {**dataclasses.asdict(item), "sd": "" if item.sd is None else item.sd, "values": "; ".join(f"{value:.9g}" for value in item.values)}
        for item in frozen])


def _parsed(row: Mapping[str, str]) -> Frozen:
    return Frozen(row["number"], row["unit"], float(row["value"]), float(row["sd"]) if row["sd"] else None, int(row["n"]),
                  tuple(float(value) for value in row["values"].split(";")), float(row["tolerance"]), row["why"])
