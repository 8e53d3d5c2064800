"""Dictionaries of several l1 read as a curve over L0, so that others can be held against it at equal L0.

A replicate's curve is a straight line between its points in log L0. Outside its points it says nothing. Source: ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replication.config import Sae
from replication.studies.intervals import Arm
from replication.studies.recovered import Measured
from replication.studies.replicates import groups

Quantity = Callable[[Mapping[str, Any]], Any]  # of values, or of arrays of draws


@dataclass(frozen=True)
class Curve:
    """Dictionaries that differ in l1 and seed only: `replicates` [replicate][l1], each replicate by growing l1."""

    replicates: Sequence[Sequence[str]]

    @staticmethod
    def of(names: Sequence[str], dictionaries: Mapping[str, Sae]) -> "Curve":
        """The curve of dictionaries that are alike but for l1 and seed; as many replicates as every l1 has."""
        members = groups({name: dictionaries[name] for name in names})
        by_l1 = sorted(members.values(), key=lambda of: dictionaries[of[0]].l1)
        return Curve(list(zip(*by_l1, strict=False)))

    def l0(self, found: Mapping[str, Measured]) -> list[tuple[float, float]]:
        """Smallest and largest L0 of each replicate."""
        return [(min(values), max(values)) for values in ([found[name].values["l0"] for name in names] for names in self.replicates)]

    def covers(self, found: Mapping[str, Measured], l0: float) -> bool:
        """Whether every replicate has points on both sides of an L0."""
        return bool(self.replicates) and all(low <= l0 <= high for low, high in self.l0(found))

    def at(self, found: Mapping[str, Measured], quantity: Quantity, l0: float) -> Arm:
        """A quantity of the measured losses and L0, at an L0 that the curve covers: an arm over replicates and resamples of texts."""
        values, draws = [], []
        for names in self.replicates:
            values.append(_read([(found[name].values["l0"], float(quantity(found[name].values))) for name in names], l0))
            points = [(found[name].draws["l0"], np.asarray(quantity(found[name].draws))) for name in names]
            draws.append([_read([(x[k], y[k]) for x, y in points], l0) for k in range(len(points[0][0]))])
        return Arm(np.array(values), np.array(draws))


def _read(points: Sequence[tuple[float, float]], l0: float) -> float:
    x, y = np.array(sorted(points)).T
    return float(np.interp(np.log(l0), np.log(x), y))
