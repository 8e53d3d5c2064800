"""Choices of the recipe, and the pairs of dictionaries that differ in one of them only.

A pair is found by its settings, not by its name: any two dictionaries of the main model, with as many features and the same
l1, of which one has the choice and the other has not. Source of the choices: paper, "Advice for training sparse autoencoders".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replication.config import Sae, model_of
from replication.studies.replicates import alike, groups

HOUSEKEEPING = {"seed", "replicates", "step", "log_every", "checkpoint_every", "watch_vectors", "watch_points"}  # change no number beyond rounding
PAPERS = 4  # resamplings in the paper
START = ("init", "l1_warmup")  # how short runs start, not a choice of the paper's


@dataclass(frozen=True)
class Choice:
    """A choice: the settings in which the two dictionaries differ, which of them has made it, and what the paper says it does.

    `name` says it without values. `made` orders dictionaries: the one with the larger value has made the choice. `says` maps a measure to the sign of the
    difference (with the choice minus without) that the paper reports; 0 stands for "does not help". `label` and `against`
    are filled with the settings of the two. `allowed` refuses pairs that would compare something else.
    """

    id: str
    name: str
    settings: tuple[str, ...]
    made: Callable[[Sae], float]
    label: str
    against: str
    says: Mapping[str, int]
    allowed: Callable[[Sae, Sae], bool] = lambda made, not_made: True


@dataclass(frozen=True)
class Pair:
    """Replicates of the dictionary that has made the choice, and of the one that has not."""

    choice: Choice
    made: str
    not_made: str


def longer(made: Sae, not_made: Sae) -> bool:
    """Whether one run is longer with all else in proportion: the window after which a feature counts as dead, too."""
    return made.vectors > not_made.vectors and abs(made.min_window * not_made.vectors / (not_made.min_window * made.vectors) - 1) < 0.01


CHOICES: Sequence[Choice] = (
    Choice("pre_bias", "pre-encoder bias", ("pre_bias",), lambda sae: sae.pre_bias, "pre-encoder bias", "none", {"loss": -1}),
    Choice("untied", "encoder not tied to the decoder", ("tied",), lambda sae: not sae.tied, "encoder of its own", "decoder's transpose", {"loss": -1}),
    Choice("resampling", "resampling of dead features", ("resamplings",), lambda sae: sae.resamplings,
           "resampled {made.resamplings} times", "never", {"loss": -1, "live": 1},
           lambda made, not_made: (made.resamplings, not_made.resamplings) == (PAPERS, 0)),
    Choice("inputs", "resampling to inputs, not a Kaiming restart", ("resampling",), lambda sae: sae.resampling == "inputs",
           "dead become inputs", "Kaiming restart", {"loss": -1, "live": 1}),
    Choice("frequent", "frequent resampling", ("resamplings",), lambda sae: sae.resamplings,
           "resampled {made.resamplings} times", "{not_made.resamplings} times", {"loss": 1}, lambda made, not_made: not_made.resamplings == PAPERS),
    Choice("projection", "projection of the decoder's gradient", ("projection",), lambda sae: sae.projection,
           "gradient projected", "unit norm alone", {"loss": -1}),
    Choice("low_lr", "lower learning rate", ("lr",), lambda sae: -sae.lr,
           "learning rate {made.lr:g}", "{not_made.lr:g}", {"loss": -1, "dead": -1, "live": 1}),
    Choice("anneal", "annealed learning rate", ("lr_decay",), lambda sae: sae.lr_decay, "annealed at the end", "constant rate", {"loss": 0}),
    Choice("steps", "more steps", ("vectors", "min_window"), lambda sae: sae.vectors,
           "{made.vectors:,} vectors", "{not_made.vectors:,}", {"loss": -1, "dead": 1, "ultralow": -1}, longer),
    Choice("small_batch", "small batches", ("batch",), lambda sae: -sae.batch, "batch {made.batch:,}", "{not_made.batch:,}", {"dead": 1}),
    Choice("per_context", "many tokens of a context", ("per_context",), lambda sae: sae.per_context or math.inf,
           "all sampled tokens", "{not_made.per_context} of a context", {"dead": 1}),
    Choice("repeated", "repeated data", ("repeats",), lambda sae: sae.repeats,
           "data {made.repeats} times", "once", {"dead": 1}, lambda made, not_made: not_made.repeats == 1),
    Choice("betas", "other Adam betas", ("beta1", "beta2"), lambda sae: sae.beta2,
           "Adam {made.beta1:g}, {made.beta2:g}", "{not_made.beta1:g}, {not_made.beta2:g}", {"loss": 0}),
    Choice("warmup", "l1 warm-up", ("l1_warmup",), lambda sae: sae.l1_warmup, "l1 warmed up over {made.l1_warmup:.0%}", "none", {}),
    Choice("transpose", "encoder started as the decoder's transpose", ("init",), lambda sae: sae.init == "transpose",
           "started as transpose", "Kaiming start", {}),
)


def pairs(dictionaries: Mapping[str, Sae], main: str) -> list[Pair]:
    """Every pair that a run has, choice by choice; of one choice, longer runs first, then pairs nearest to the main dictionary."""
    names = [name for name in groups(dictionaries) if comparable(name, main, dictionaries)]
    far = {name: _distance(dictionaries[name], dictionaries[main]) for name in names}
    found = [Pair(choice, made, not_made) for choice in CHOICES for made in names for not_made in names
             if made != not_made and _differ_in(choice, dictionaries[made], dictionaries[not_made])]
    return sorted(found, key=lambda pair: (
        CHOICES.index(pair.choice), -dictionaries[pair.made].vectors, far[pair.made] + far[pair.not_made], -pair.choice.made(dictionaries[pair.made])))


def comparable(name: str, main: str, dictionaries: Mapping[str, Sae]) -> bool:
    """Whether a dictionary has the main one's model, site, size and l1."""
    sae, of = dictionaries[name], dictionaries[main]
    return model_of(name) == model_of(main) and (sae.site, sae.d_sae, sae.l1) == (of.site, of.d_sae, of.l1)


def fitted_for_the_recipe(name: str, main: str, dictionaries: Mapping[str, Sae]) -> bool:
    """Whether a dictionary is there only to weigh the recipe: it differs from the main one in more than size, l1 and start."""
    return comparable(name, main, dictionaries) and not alike(name, main, dictionaries, *START)


def _differ_in(choice: Choice, made: Sae, not_made: Sae) -> bool:
    differ = {key for key, value in _settings(made).items() if value != _settings(not_made)[key]}
    return choice.settings[0] in differ and differ <= set(choice.settings) and choice.made(made) > choice.made(not_made) and choice.allowed(made, not_made)


def _settings(sae: Sae) -> dict[str, Any]:
    return {key: value for key, value in vars(sae).items() if key not in HOUSEKEEPING}


def _distance(sae: Sae, main: Sae) -> int:
    return sum(value != _settings(main)[key] for key, value in _settings(sae).items())
