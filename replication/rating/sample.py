"""Which units are rated and in which order: a seeded draw in equal parts of features, neurons and features of shuffled copies.

A larger draw of the same seed holds every unit of a smaller one, so that ratings can go on later and raters share units.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.config import UserError, model_of
from replication.features import NEURONS, replicates
from replication.features.examples import INTERVALS
from replication.randomness import Seed, generator

FEATURES, RANDOM = "features", "random"
KINDS = (FEATURES, NEURONS, RANDOM)


@dataclass(frozen=True)
class Unit:
    """A feature or neuron and the intervals of it that are rated."""

    table: str
    feature: int
    intervals: tuple[int, ...]

    @property
    def name(self) -> str:
        """In the paper's form: `A/1/2357`."""
        return f"{self.table}/{self.feature}"


def tables(names: Iterable[str], main: str, copies: Iterable[str]) -> dict[str, list[str]]:
    """Tables by kind: the main dictionary with its replicates, its model's neurons, and the same of shuffled copies without neurons.

    `names` are the dictionaries of the run, `copies` the models that are shuffled copies of the main dictionary's.
    """
    model, _, short = main.partition("/")

    def fits(of: str) -> list[str]:
        return sorted(replicates(f"{of}/{short}", names))

    names = list(names)
    return {FEATURES: fits(model), NEURONS: [f"{model_of(main)}/{NEURONS}"], RANDOM: [name for copy in sorted(copies) for name in fits(copy)]}


def draw(offered: Mapping[str, Mapping[str, NDArray[np.int64]]], *, units: int, intervals: int, seed: Seed) -> list[Unit]:
    """Units in the order in which they are rated, and of each one interval from every one of `intervals` bands of the 11.

    `offered` holds, by kind and table, the features that can be rated. Raises UserError when a kind has too few.
    """
    kinds = [kind for kind, of in offered.items() if of]
    if not 1 <= intervals <= INTERVALS:
        raise UserError(f"--intervals is {intervals}; a unit has {INTERVALS} activation intervals, so give 1 to {INTERVALS}")
    if units < len(kinds):
        raise UserError(f"--units is {units}; give at least {len(kinds)}, one of each kind that is compared")
    chosen = []
    for place, kind in enumerate(kinds):
        found = _in_turn([(table, generator(seed, "rating.units", place, index).permutation(features))
                          for index, (table, features) in enumerate(offered[kind].items())])
        wanted = units // len(kinds) + (place < units % len(kinds))
        if wanted > len(found):
            raise UserError(f"--units is {units}, but only {len(found)} {kind} of the run can be rated; give at most {len(kinds) * len(found)}")
        chosen += [Unit(table, feature, _bands(intervals, generator(seed, "rating.intervals", place, index)))
                   for index, (table, feature) in enumerate(found[:wanted])]
    return [chosen[index] for index in generator(seed, "rating.order", units).permutation(len(chosen))]


def _in_turn(shuffled: Sequence[tuple[str, NDArray[np.int64]]]) -> list[tuple[str, int]]:
    """One of each table, then the next one of each, so that replicates have equal parts."""
    deepest = max(len(features) for _, features in shuffled)
    return [(table, int(features[depth])) for depth in range(deepest) for table, features in shuffled if depth < len(features)]


def _bands(count: int, draws: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(draws.choice(band)) for band in np.array_split(np.arange(INTERVALS), count))
