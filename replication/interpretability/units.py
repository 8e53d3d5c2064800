"""The units of a table that are scored, the windows from which they are explained and that are predicted, and the logit test.

Nothing here knows an explainer, so all explainers see the same. A unit with fewer than 20 different windows in which it fires is
left out and counted, as in the paper.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication import artifacts
from replication.config import Settings, model_of
from replication.features.directions import directions
from replication.features.examples import NO_TOKEN
from replication.features.logit_weights import Readout
from replication.features.matrix import EvaluationMatrix
from replication.features.tokens import read as read_tokens
from replication.features.vocabulary import Vocabulary
from replication.interpretability import activations, frames, logit_test
from replication.interpretability.protocol import FEWEST, GROUPS
from replication.interpretability.text import Text
from replication.interpretability.windows import Choice, choose, distinct, group_of
from replication.model.store import load as load_model
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import Seed, generator

OF_LOWER = 5  # ultralow features drawn: the number of others over this
COLUMNS = ["feature", "part", "single_token", "density", "max"]


@dataclass(frozen=True)
class Chosen:
    """The windows of all units: how many different ones each has in which it fires, and what was chosen where these are enough."""

    examples: NDArray[np.int64]
    choices: dict[int, Choice]


def draw(table: pd.DataFrame, count: int, *, seed: Seed) -> pd.DataFrame:
    """Rows of the features table that are drawn, by number: `count` of part other and a fifth as many ultralow ones; 0 takes all."""
    rng = generator(seed, "interpretability.units")
    chosen: list[NDArray[np.int64]] = []
    for part, wanted in (("other", count), ("ultralow", count // OF_LOWER)):
        members = np.flatnonzero(table["part"] == part)
        chosen.append(rng.permutation(members)[:wanted] if count else members)
    return table.iloc[np.sort(np.concatenate(chosen))].reset_index(drop=True)


def windows(text: Text, examples: pd.DataFrame, features: NDArray[np.int64], *, seed: Seed) -> Chosen:
    """The windows of each unit, from the examples of all features: feature, group, interval, context, pos."""
    found = examples[examples["feature"].isin(features)].sort_values("feature", kind="stable")
    owner = found["feature"].to_numpy(np.int64)
    group = group_of(found["group"].to_numpy(str), found["interval"].to_numpy(np.int64))
    place = found["context"].to_numpy(np.int64) * text.tokens.shape[1] + found["pos"].to_numpy(np.int64)
    counts, choices = np.zeros(len(features), dtype=np.int64), {}
    for unit, feature in enumerate(features.tolist()):
        own = slice(*np.searchsorted(owner, [feature, feature + 1]))
        counts[unit] = distinct(text, place[own])
        if counts[unit] >= FEWEST:
            choices[unit] = choose(text, group[own], place[own], generator(seed, "interpretability.windows", feature))
    return Chosen(counts, choices)


def make(*, settings: Settings, name: str, units: int, features: Path, evaluation: Path, models: Path, dictionaries: Path, corpus: Path,
         out: Path, progress: Progress | None = None) -> None:
    """Write `units.parquet` and `windows.parquet` of the table `name`, which `features` holds.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features
    artifacts.check(features, artifacts.MATRIX, artifacts.FEATURES, artifacts.EXAMPLES)
    table = draw(artifacts.read_table(features / artifacts.FEATURES, COLUMNS), units, seed=settings.seed)
    drawn, maxima = table["feature"].to_numpy(np.int64), table["max"].to_numpy(np.float32)
    text = Text(read_tokens(evaluation).numpy(), settings.features.window)
    chosen = windows(text, artifacts.read_table(features / artifacts.EXAMPLES, ["feature", "group", "interval", "context", "pos"]), drawn, seed=settings.seed)
    shown = pd.DataFrame([(unit, role, group, place) for unit, choice in chosen.choices.items()
                          for role, part in (("explain", choice.explain), ("predict", choice.predict))
                          for group, place in zip(part.group.tolist(), part.place.tolist(), strict=True)], columns=["unit", "role", "group", "token"])
    unit, token = shown["unit"].to_numpy(np.int64), shown["token"].to_numpy(np.int64)
    tokens = text.windows(token)
    inside = tokens != NO_TOKEN
    around = np.where(inside, token[:, None] + np.arange(tokens.shape[1]) - text.side, token[:, None])
    values, shares = activations.read(EvaluationMatrix(features / artifacts.MATRIX), drawn, maxima, unit, around, progress)
    table = table.assign(examples=chosen.examples, scored=chosen.examples >= FEWEST, interval_shares=list(shares))
    weights = _logits(settings, name, models, dictionaries, corpus, drawn)
    files = {"units": out / artifacts.UNITS, "windows": out / artifacts.WINDOWS}
    artifacts.write_table(files["units"], pd.concat([table, weights], axis=1))
    artifacts.write_table(files["windows"], pd.DataFrame({
        "feature": drawn[unit].astype(np.int32), "role": shown["role"], "group": np.array(GROUPS)[shown["group"].to_numpy(np.int64)], "token": token,
        "centre": inside[:, : text.side].sum(axis=1).astype(np.int8), "tokens": frames.rows(tokens, inside),
        "activations": frames.rows(activations.quantised(values, maxima[unit, None]), inside), "values": frames.rows(values, inside)}))
    artifacts.write_meta(out, stage="interpretability", settings=settings, files=files, stopwatch=stopwatch, table=name, units=units,
                         scored=len(chosen.choices), inputs={
                             "matrix": features / artifacts.MATRIX, "features": features / artifacts.FEATURES, "examples": features / artifacts.EXAMPLES,
                             "tokens": evaluation / artifacts.EVALUATION_TOKENS, "model": models / model_of(name) / artifacts.WEIGHTS})
    progress.say(f"{len(chosen.choices)} of {len(table)} units have {FEWEST} windows or more")


def _logits(settings: Settings, name: str, models: Path, dictionaries: Path, corpus: Path, drawn: NDArray[np.int64]) -> pd.DataFrame:
    """The logit test of the units drawn of a dictionary, or of a model's neurons."""
    assert settings.features
    model = load_model(models / model_of(name))
    readout = Readout.of(model, Vocabulary.read(corpus).counts, rare_token=settings.features.rare_token)
    return logit_test.draw(readout, directions(name, model, dictionaries)[drawn], drawn, seed=settings.seed)
