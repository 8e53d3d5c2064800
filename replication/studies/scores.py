"""Scores of explanations, as studies compare them: main dictionary, its model's neurons, shuffled model's dictionary.

Scores are compared over units of part `other`, drawn at random, that were scored without an error, and by medians unless a
study says otherwise. Replicates of a dictionary, and dictionaries of several shuffled copies, are replicates of one role.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.interpretability import LLM, OFFLINE
from replication.studies.intervals import Arm, arm_of, estimate
from replication.studies.replicates import base
from replication.studies.tables import Number, Reader, number

FEATURES, RANDOM = "features", "random"
ROLES = (FEATURES, NEURONS, RANDOM)
LACKING = {FEATURES: "no feature of the main dictionary was scored", NEURONS: "no neuron was scored",
           RANDOM: "no feature of a dictionary on a shuffled copy of the main model was scored"}
READS = 0.3  # correlation above which a score reads as interpretable (ours): a medium one by Cohen's convention
NO_LLM = "no language model explains"


@dataclass(frozen=True)
class Sample:
    """A statistic of one role: its arm, and the size of the smallest replicate's sample."""

    arm: Arm
    n: int


def tables(settings: Settings) -> list[str]:
    """The tables that were scored, as `interpretability.scored` has them, from the slice of the config that a study gets."""
    assert settings.interpretability and settings.dictionaries and settings.studies
    return list(settings.interpretability.tables) or [*settings.dictionaries, f"{model_of(settings.studies.main)}/{NEURONS}"]


def role(name: str, settings: Settings) -> str:
    """What a table is compared as: features, neurons, random, or nothing of these."""
    assert settings.dictionaries and settings.models and settings.studies
    main = settings.studies.main
    own, (model, _, short) = model_of(main), name.partition("/")
    if short == NEURONS:
        return NEURONS if model == own else ""
    group = base(name, settings.dictionaries)
    if group == main:
        return FEATURES
    return RANDOM if settings.models[model].shuffle_of == own and group.partition("/")[2] == main.partition("/")[2] else ""


def headline(settings: Settings) -> str:
    """The explainer whose scores answer the ledger: a language model where there is one."""
    assert settings.interpretability
    return LLM if settings.interpretability.llm else settings.interpretability.headline


def explainers(settings: Settings) -> list[str]:
    """All explainers of the run, in the order of the config, a language model last."""
    assert settings.interpretability
    return [*settings.interpretability.explainers, *_llm(settings)]


def judges(settings: Settings) -> list[str]:
    """Explainers whose answers to the logit test differ: those that need no language model share one judge, so one stands for all."""
    assert settings.interpretability
    return [settings.interpretability.headline, *_llm(settings)]


def units(reader: Reader, settings: Settings, *names: str) -> pd.DataFrame:
    """A row per drawn unit of the named tables, else of all: dictionary, group, role, feature, part, single_token, scored."""
    parts = [reader.units(name, "feature", "part", "single_token", "scored").assign(**_about(name, settings)) for name in names or tables(settings)]
    return pd.concat(parts, ignore_index=True)


def read(reader: Reader, settings: Settings, drawn: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """A row per scored unit of the tables of `drawn`, explainer and control: the columns of `units`, explainer, control, error, and `columns`."""
    kinds = [OFFLINE, *_llm(settings)]
    parts = [reader.scores(name, kind, "feature", "explainer", "control", "error", *columns).assign(dictionary=name)
             for name in drawn["dictionary"].unique() for kind in kinds]
    return pd.concat(parts, ignore_index=True).merge(drawn.drop(columns="scored"), on=["dictionary", "feature"], validate="many_to_one")


def answered(scores: pd.DataFrame, *, control: bool = False, part: str = "other") -> pd.DataFrame:
    """Rows without an error, of one part, from a unit's own explanation or from another unit's."""
    return scores[(scores["error"] == "") & (scores["control"] == control) & (scores["part"] == part)]


def sample(rows: pd.DataFrame, which: str, columns: Sequence[str], statistic: Callable[[np.ndarray], float], settings: Settings, what: str,
           *, lacking: str = "") -> Sample | str:
    """A statistic of columns [unit, column] of one role, or why there is none: `lacking`, or what the role lacks.

    `what` names the bootstrap. Neurons need no replicates.
    """
    of = rows[rows["role"] == which]
    found = [part[list(columns)].dropna().to_numpy(np.float64) for _, part in of.groupby("dictionary", sort=False)]
    found = [values for values in found if len(values)]
    if not found:
        return lacking or LACKING[which]
    arm = arm_of(statistic, found, settings, f"{what}.{which}")
    return Sample(replace(arm, untrained=which == NEURONS), min(map(len, found)))


def difference(plus: Sample | str, minus: Sample | str, *, unit: str, over: str = "units of the smaller sample") -> Number | str:
    """How far one sample's statistic lies above another's, or why that is not known."""
    if isinstance(plus, str) or isinstance(minus, str):
        return plus if isinstance(plus, str) else str(minus)
    return number(estimate(plus.arm, minus.arm), unit=unit, n=min(plus.n, minus.n), over=over)


def level(of: Sample | str, *, unit: str, over: str = "units") -> Number | str:
    """A sample's statistic as a number, or why there is none."""
    return of if isinstance(of, str) else number(estimate(of.arm), unit=unit, n=of.n, over=over)


def measured(found: Mapping[str, Number | str]) -> tuple[dict[str, Number], dict[str, str]]:
    """The numbers that there are, and the reasons in place of those that there are not."""
    return ({key: value for key, value in found.items() if isinstance(value, Number)},
            {key: value for key, value in found.items() if isinstance(value, str)})


def median(values: np.ndarray) -> float:
    """The median of the first column."""
    return float(np.median(values[:, 0]))


def mean(values: np.ndarray) -> float:
    """The mean of the first column."""
    return float(values[:, 0].mean())


def _llm(settings: Settings) -> list[str]:
    """The language model, as explainer and as kind of explainers, where the run asks one."""
    assert settings.interpretability
    return [LLM] if settings.interpretability.llm else []


def _about(name: str, settings: Settings) -> dict[str, str]:
    assert settings.dictionaries
    group = base(name, settings.dictionaries) if name in settings.dictionaries else name
    return {"dictionary": name, "group": group, "role": role(name, settings)}
