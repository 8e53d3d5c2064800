"""What each choice of the recipe does: loss, dead and live features, L0, loss recovered, with it and without (paper, appendix of advice).

Loss is the training loss at the dictionary's own l1, on the evaluation tokens: squared error, a mean over vector elements,
plus l1 times the summed activation. The two dictionaries of a pair have the same l1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Sae, Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae.schedule import resampling_steps
from replication.studies import intervals
from replication.studies.appendices.sharpness import sharpness
from replication.studies.intervals import Arm, Estimate, counts, estimate
from replication.studies.recipe import CHOICES, Pair, pairs
from replication.studies.replicates import groups
from replication.studies.tables import Number, Reader, number, write

PARTS = {"dead": "dead", "live": "other", "ultralow": "ultralow"}  # measure -> part of a feature
SUMS = ("squared_error", "l1", "l0", "tokens", "loss", "loss_zero", "loss_reconstructed")
MEASURES = {"loss": "loss", "dead": "features", "live": "features", "ultralow": "features", "l0": "features per token", "recovered": "share"}
ORDERINGS = {  # key of the ledger -> choice, measure, and the sign with which the difference is positive when the statement holds
    "pre_bias_gain": ("pre_bias", "loss", -1), "untied_gain": ("untied", "loss", -1),
    "resampling_gain_over_none": ("resampling", "loss", -1), "resampling_gain_over_kaiming": ("inputs", "loss", -1),
    "resampling_features_over_none": ("resampling", "live", 1), "resampling_features_over_kaiming": ("inputs", "live", 1),
    "frequent_resampling_harm": ("frequent", "loss", 1), "more_steps_gain": ("steps", "loss", -1), "more_steps_fewer_ultralow": ("steps", "ultralow", -1),
    "lower_lr_gain": ("low_lr", "loss", -1), "lower_lr_features": ("low_lr", "live", 1), "projection_gain": ("projection", "loss", -1),
    "dead_with_lr": ("low_lr", "dead", -1), "dead_with_small_batch": ("small_batch", "dead", 1), "dead_with_tokens_per_context": ("per_context", "dead", 1),
    "dead_with_repeated_data": ("repeated", "dead", 1), "dead_with_steps": ("steps", "dead", 1)}
GAINS = {"annealing_gain": "anneal", "adam_betas_gain": "betas"}  # share of the loss without the choice that the choice takes off
ALIVE = {"alive_with_resampling": ("resampling", True), "alive_without_resampling": ("resampling", False), "alive_with_kaiming": ("inputs", False)}
COLUMNS = ["choice", "label", "against", "made", "not_made", "run", "measure", "says", "with_choice", "without", "value", "low", "high",
           "replicates", "fits_made", "fits_not_made", "vectors", "tokens"]
NOT_TRIED = {"ghost_gradients_gain": "ghost gradients are not among the recipe's settings"} | {
    key: "no dictionary is trained by the recipe of April 2024" for key in (
        "update_dead_share", *(f"update_{what}_lambda_{size}" for what in ("l0", "nmse", "recovered") for size in (2, 5, 10)))}


@dataclass(frozen=True)
class Measured:
    """The measures of one dictionary with its replicates, each an arm, and the evaluation tokens behind them."""

    arms: Mapping[str, Arm]
    tokens: int


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per pair and measure, and one for each choice that the run has no pair for."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    members = groups(settings.dictionaries)
    drawn = quantities(reader, settings)
    found = {group: measure(reader, group, of, drawn, settings) for group, of in progress.over(members.items(), len(members))}
    compared = pairs(settings.dictionaries, settings.studies.main)
    numbers = headline(found, compared, settings) | at_checks(reader, compared, members, settings.dictionaries)
    numbers |= sharper(reader, compared, members, settings)
    write(out=out, study="recipe_ablations", data=table(found, compared, settings), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=lacking(compared, settings, numbers))


def quantities(reader: Reader, settings: Settings) -> dict[str, dict[str, tuple[float, np.ndarray]]]:
    """Loss, L0 and loss recovered of every dictionary, each a value and its draws [resample] over the same resampled texts."""
    assert settings.dictionaries and settings.studies
    tables = {name: reader.losses(name)[list(SUMS)].to_numpy(float) for name in settings.dictionaries}
    columns = intervals.by_text(np.concatenate(list(tables.values()), axis=1), reader.sources())
    sums = intervals.resampled_sums(columns, settings.studies.bootstrap, intervals.random(settings, "contexts"))
    parts = np.split(sums, len(tables), axis=1)
    return {name: _quantities(per_context, part, settings.dictionaries[name].l1) for (name, per_context), part in zip(tables.items(), parts, strict=True)}


def _quantities(per_context: np.ndarray, sums: np.ndarray, l1: float) -> dict[str, tuple[float, np.ndarray]]:
    whole = np.concatenate([per_context.sum(0)[None], sums])  # the value first, then its draws
    error, norm, l0, tokens, loss, zero, reconstructed = whole.T
    worth = zero > loss  # where zeroing the MLP does no harm there is nothing to recover
    recovered = np.divide(zero - reconstructed, zero - loss, out=np.full_like(loss, np.nan), where=worth)
    found = {"loss": (error + l1 * norm) / tokens, "l0": l0 / tokens, "recovered": recovered}
    return {key: (float(values[0]), values[1:]) for key, values in found.items()} | {"tokens": (float(tokens[0]), np.empty(0))}


def measure(reader: Reader, group: str, members: Sequence[str], drawn: Mapping[str, Mapping[str, tuple[float, np.ndarray]]], settings: Settings) -> Measured:
    """All measures of one dictionary over its replicates."""
    parts = [reader.features(name, "part")["part"].to_numpy(str) for name in members]
    arms = {key: counts([part == of for part in parts], settings, f"recipe_ablations.{group}.{key}") for key, of in PARTS.items()}
    arms |= {key: Arm(np.array([drawn[name][key][0] for name in members]), np.array([drawn[name][key][1] for name in members]))
             for key in ("loss", "l0", "recovered")}
    return Measured(arms, int(drawn[members[0]]["tokens"][0]))


def headline(found: Mapping[str, Measured], compared: Sequence[Pair], settings: Settings) -> dict[str, Number]:
    """The ledger's differences, of the first pair of each choice; shares of the loss; features alive by kind of resampling."""
    assert settings.dictionaries and settings.studies
    numbers: dict[str, Number] = {}
    for key, (choice, what, sign) in ORDERINGS.items():
        if pair := first(compared, choice, settings.dictionaries, highest_lr=key == "dead_with_lr"):
            n, over = (settings.dictionaries[pair.made].d_sae, "features") if what in PARTS else (found[pair.made].tokens, "tokens")
            numbers[key] = number(difference(found, pair, what).times(sign), unit=MEASURES[what], n=n, over=over)
    for key, choice in GAINS.items():
        if pair := first(compared, choice, settings.dictionaries):
            numbers[key] = number(relative(found, pair), unit="relative loss", n=found[pair.made].tokens, over="tokens")
    for key, (choice, made) in ALIVE.items():
        if pair := first(compared, choice, settings.dictionaries):
            name = pair.made if made else pair.not_made
            size, dead = settings.dictionaries[name].d_sae, estimate(found[name].arms["dead"])
            numbers[key] = number(dead.times(-1).shifted(size), unit="features", n=size, over="features")
    return numbers


def first(compared: Sequence[Pair], choice: str, dictionaries: Mapping[str, Sae], *, highest_lr: bool = False) -> Pair | None:
    """The pair that stands for a choice: of the longest run, or of the highest learning rate, at which features die."""
    of = [pair for pair in compared if pair.choice.id == choice]
    return max(of, key=lambda pair: dictionaries[pair.not_made].lr if highest_lr else 0, default=None)


def difference(found: Mapping[str, Measured], pair: Pair, what: str) -> Estimate:
    """With the choice minus without."""
    return estimate(found[pair.made].arms[what], found[pair.not_made].arms[what])


def relative(found: Mapping[str, Measured], pair: Pair) -> Estimate:
    """The share of the loss without the choice that the choice takes off."""
    return difference(found, pair, "loss").times(-1 / float(found[pair.not_made].arms["loss"].values.mean()))


def at_checks(reader: Reader, compared: Sequence[Pair], members: Mapping[str, Sequence[str]], dictionaries: Mapping[str, Sae]) -> dict[str, Number]:
    """The share of features that were found silent when dead ones were resampled, often or four times: means over the checks."""
    pair = next((pair for pair in compared if pair.choice.id == "frequent"), None)
    numbers: dict[str, Number] = {}
    for key, group in {"silent_at_checks": pair.made, "silent_at_fewer_checks": pair.not_made}.items() if pair else ():
        sae = dictionaries[group]
        shares = [silent_share(reader.training_log(name), sae) for name in members[group]]
        numbers[key] = number(estimate(intervals.exact(shares)), unit="share of features", n=sae.resamplings * len(shares), over="resamplings")
    return numbers


def silent_share(log: pd.DataFrame, sae: Sae) -> float:
    """Features resampled at a check by all features: the mean over checks of a training log."""
    return float(log.loc[log["step"].isin(resampling_steps(sae)), "resampled"].sum() / (sae.resamplings * sae.d_sae))


def sharper(reader: Reader, compared: Sequence[Pair], members: Mapping[str, Sequence[str]], settings: Settings) -> dict[str, Number]:
    """How much more specific the features of contexts are on data seen once than on repeated data, at equal steps."""
    pair = next((pair for pair in compared if pair.choice.id == "repeated"), None)
    found = sharpness(reader, [*members[pair.not_made], *members[pair.made]] if pair else [], settings)
    if pair is None or found is None:
        return {}
    count = len(members[pair.not_made])
    once, often = (Arm(found.values[some], found.draws[some]) for some in (slice(count), slice(count, None)))
    return {"more_data_gain": number(estimate(once, often), unit="share of tokens", n=found.contexts, over="contexts")}


def table(found: Mapping[str, Measured], compared: Sequence[Pair], settings: Settings) -> pd.DataFrame:
    """A row per pair and measure; of a choice without a pair one row that says so."""
    assert settings.dictionaries
    rows: list[dict[str, object]] = []
    for choice in CHOICES:
        of = [pair for pair in compared if pair.choice == choice]
        rows += [_row(found, pair, what, settings.dictionaries) for pair in of for what in MEASURES]
        if not of:
            rows.append({"choice": choice.id, "label": choice.name, "run": False})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(found: Mapping[str, Measured], pair: Pair, what: str, dictionaries: Mapping[str, Sae]) -> dict[str, object]:
    made, not_made = dictionaries[pair.made], dictionaries[pair.not_made]
    value = difference(found, pair, what)
    label, against = (text.format(made=made, not_made=not_made) for text in (pair.choice.label, pair.choice.against))
    return {"choice": pair.choice.id, "label": label, "against": against, "made": pair.made, "not_made": pair.not_made, "run": True, "measure": what,
            "says": pair.choice.says.get(what), "with_choice": found[pair.made].arms[what].values.mean(),
            "without": found[pair.not_made].arms[what].values.mean(), "value": value.value, "low": value.low, "high": value.high,
            "replicates": value.replicates, "fits_made": len(found[pair.made].arms[what].values),
            "fits_not_made": len(found[pair.not_made].arms[what].values), "vectors": made.vectors, "tokens": found[pair.made].tokens}


def lacking(compared: Sequence[Pair], settings: Settings, numbers: Mapping[str, Number]) -> dict[str, str]:
    """Why a number of the ledger cannot be given."""
    asked = {key: choice for key, (choice, *_) in (ORDERINGS | ALIVE).items()} | GAINS | {"silent_at_checks": "frequent", "more_data_gain": "repeated"}
    names = {choice.id: choice.name for choice in CHOICES}
    why = {key: f"the run has no two dictionaries that differ in this alone: {names[choice]}" for key, choice in asked.items()}
    if any(pair.choice.id == "repeated" for pair in compared):
        why["more_data_gain"] = "the text holds no context to speak of"
    return {key: reason for key, reason in (why | NOT_TRIED).items() if key not in numbers}
