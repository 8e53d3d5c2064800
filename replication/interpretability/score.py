"""Has explainers explain units, and scores what they predict: of each unit by its own explanation, and by another unit's.

The other unit is the next of the table, and the first after the last: an explanation of something else must score near 0. An
answer that an explainer does not give becomes a row with its error, and no score.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication import artifacts
from replication.config import Settings
from replication.features.examples import INTERVALS, NO_TOKEN
from replication.interpretability import frames
from replication.interpretability.protocol import LEVELS, Evidence, Explainer, ExplainerError, Explanation, Windows
from replication.interpretability.scores import COLUMNS, Truth, importance, measure
from replication.progress import Progress
from replication.provenance import Stopwatch

ROUNDS = 3  # every explainer explains every unit, and predicts it by its own explanation and by another's
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Unit:
    """A unit as its test sees it: what is shown of it, what is predicted, and tokens [token] with whether it makes them likelier."""

    feature: int
    evidence: Evidence
    predict: Windows
    tokens: NDArray[np.int32]
    promoted: NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """What an explanation says of a unit: predicted levels [window, width], the share of right judgements (NaN without a token)."""

    predicted: NDArray[np.int8]
    logits: float


@dataclass(frozen=True)
class Scored:
    """Rows of `scores.parquet` and of `predictions.parquet`."""

    scores: pd.DataFrame
    predictions: pd.DataFrame


def read(folder: Path) -> tuple[list[Unit], Truth]:
    """The scored units of a folder, and what is predicted of them. Raises ArtifactError when a file is missing or changed."""
    artifacts.check(folder, artifacts.UNITS, artifacts.WINDOWS)
    table = artifacts.read_table(folder / artifacts.UNITS)
    table = table[table["scored"]]
    rows = artifacts.read_table(folder / artifacts.WINDOWS, ["feature", "role", "group", "centre", "tokens", "activations"])
    every = frames.windows(rows)
    starts, owner, explain = table["feature"].to_numpy(), rows["feature"].to_numpy(), (rows["role"] == "explain").to_numpy()

    def of(feature: int, chosen: NDArray[np.bool_]) -> Windows:
        own = np.flatnonzero(chosen & (owner == feature))
        return Windows(every.tokens[own], every.activations[own], every.group[own])

    units = [Unit(feature=row.feature, evidence=Evidence(of(row.feature, explain), row.positive, row.negative), predict=of(row.feature, ~explain),
                  tokens=row.test_tokens, promoted=row.test_promoted) for row in table.itertuples(index=False)]
    unit = np.searchsorted(starts, owner[~explain])
    group, tokens = every.group[~explain], every.tokens[~explain]
    shares = np.array(table["interval_shares"].tolist()).reshape(len(table), INTERVALS)
    weight = importance(group, table["density"].to_numpy()[unit], shares[unit])
    window, column = np.nonzero(tokens != NO_TOKEN)
    return units, Truth(units=len(units), unit=unit[window], group=group[window], level=every.activations[~explain][window, column],
                        weight=weight[window])


def run(explainer: Explainer[Any], units: Sequence[Unit], truth: Truth, step: Callable[[str], None] = lambda note: None) -> Scored:
    """Every unit explained and scored, by its own explanation and, with a second unit, by another's. `step` hears of each answer."""
    def several(function: Callable[[A], B], things: Iterable[A], note: str) -> list[B]:
        found = []
        for answer in _several(explainer.concurrency, function, things):
            found.append(answer)
            step(f"{explainer.name} {note}")
        return found

    explanations = several(lambda unit: _caught(lambda: explainer.explain(unit.evidence)), units, "explains")
    parts, predictions = [], pd.DataFrame()
    for control in (False, True)[: max(1, len(units))]:
        theirs = [*explanations[1:], *explanations[:1]] if control else explanations
        answers = several(lambda pair: _answer(explainer, *pair), zip(theirs, units, strict=True), f"predicts {'other units' if control else 'units'}")
        parts.append(_rows(explainer.name, units, truth, theirs, answers).assign(control=control))
        if not control:
            predictions = _predictions(explainer.name, units, answers)
    return Scored(pd.concat(parts, ignore_index=True), predictions)


def _several(count: int, function: Callable[[A], B], things: Iterable[A]) -> Iterator[B]:
    """What a function returns for each of some things, in their order; `count` are under way at one time."""
    if count == 1:
        yield from map(function, things)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(function, things)


def _caught(ask: Callable[[], A]) -> A | ExplainerError:
    try:
        return ask()
    except ExplainerError as error:
        return error


def _answer(explainer: Explainer[Any], explanation: Explanation | ExplainerError, unit: Unit) -> Answer | ExplainerError:
    """What an explanation, or the lack of one, says of a unit."""
    if isinstance(explanation, ExplainerError):
        return explanation
    return _caught(lambda: _asked(explainer, explanation, unit))


def _asked(explainer: Explainer[Any], explanation: Explanation, unit: Unit) -> Answer:
    predicted = explainer.predict(explanation, unit.predict.tokens)
    if predicted.shape != unit.predict.tokens.shape or ((predicted < 0) | (predicted > LEVELS)).any():
        raise ExplainerError(f"no activation from 0 to {LEVELS} for each token")
    judged = explainer.judge_logits(explanation, unit.tokens) if len(unit.tokens) else unit.promoted
    if judged.shape != unit.promoted.shape:
        raise ExplainerError("no judgement for each token")
    return Answer(predicted.astype(np.int8), float(np.mean(judged == unit.promoted)) if len(unit.tokens) else float("nan"))


def _rows(name: str, units: Sequence[Unit], truth: Truth, explanations: Sequence[Explanation | ExplainerError],
          answers: Sequence[Answer | ExplainerError]) -> pd.DataFrame:
    """A row per unit; scores of an answer that was not given are NaN."""
    levels = [answer.predicted if isinstance(answer, Answer) else np.zeros_like(unit.predict.activations) for unit, answer in zip(units, answers, strict=True)]
    inside = [unit.predict.tokens != NO_TOKEN for unit in units]
    table = measure(truth, np.concatenate([np.empty(0, np.int8), *(found[real] for found, real in zip(levels, inside, strict=True))]))
    failed = np.array([isinstance(answer, ExplainerError) for answer in answers], dtype=bool)
    table["logits"] = [answer.logits if isinstance(answer, Answer) else np.nan for answer in answers]
    table = table.mask(pd.Series(failed), axis=0).assign(
        constant=table["constant"] & ~failed,
        intervals=[np.full_like(own, np.nan) if lost else own for own, lost in zip(table["intervals"], failed, strict=True)])
    texts = ["" if isinstance(each, ExplainerError) else each.text for each in explanations]
    about = pd.DataFrame({
        "explanation": texts, "words": [len(text.split()) for text in texts],
        "overlong": [bool(getattr(each, "overlong", False)) for each in explanations],
        "error": [str(answer) or "no answer" if isinstance(answer, ExplainerError) else "" for answer in answers]})
    return pd.concat([pd.DataFrame({"feature": np.array([unit.feature for unit in units], dtype=np.int32), "explainer": name}), table, about], axis=1)


def _predictions(name: str, units: Sequence[Unit], answers: Sequence[Answer | ExplainerError]) -> pd.DataFrame:
    parts = [pd.DataFrame({"feature": np.int32(unit.feature), "explainer": name, "window": np.arange(len(unit.predict), dtype=np.int16),
                           "predicted": frames.rows(answer.predicted, unit.predict.tokens != NO_TOKEN)})
             for unit, answer in zip(units, answers, strict=True) if isinstance(answer, Answer)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["feature", "explainer", "window", "predicted"])


def score(*, settings: Settings, explainers: Sequence[Explainer[Any]], units: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `scores.parquet` and `predictions.parquet` for the units in the folder `units`; without rows if none has windows enough.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    shown, truth = read(units)
    done, total = itertools.count(1), ROUNDS * len(shown) * len(explainers)
    found = [run(explainer, shown, truth, lambda note: progress(next(done), total, note)) for explainer in explainers]
    order = ["feature", "explainer", "control", *COLUMNS, "logits", "explanation", "words", "overlong", "error"]
    scores = pd.concat([each.scores for each in found], ignore_index=True)[order]
    files = {"scores": out / artifacts.SCORES, "predictions": out / artifacts.PREDICTIONS}
    artifacts.write_table(files["scores"], scores)
    artifacts.write_table(files["predictions"], pd.concat([each.predictions for each in found], ignore_index=True))
    artifacts.write_meta(out, stage="interpretability", settings=settings, files=files, stopwatch=stopwatch,
                         inputs={"units": units / artifacts.UNITS, "windows": units / artifacts.WINDOWS},
                         errors=int((scores["error"] != "").sum()), usage={each.name: each.usage() for each in explainers if hasattr(each, "usage")})
    own = scores[~scores["control"]].groupby("explainer", sort=False)["spearman"].median()
    progress.say(f"{len(shown)} units, median Spearman: " + ", ".join(f"{name} {value:.2f}" for name, value in own.items()))
