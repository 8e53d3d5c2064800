"""What the features of a watched dictionary do through training: rare or not, and how often they change.

A feature is rare where it fires on fewer than one vector in 10,000 (Nanda's bound of the low-density cluster), and no longer rare where
it fires on more than three: in between it stays what it was, so that a feature at the bound does not count as dying and being born over
and over. The vectors on which features are watched stay the same, so that the count of a feature whose weights rest rests as well.
Points are those of `replication.sae.watch`; a step of resampling has two, before it and after it. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RARE, COMMON = 1e-4, 3e-4  # share of vectors
EARLY = 0.05  # of the steps
HALF = 0.5  # of the steps
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectories:
    """`step` [point]; `density`, `rare`, `cosine` and `resampled` (times so far) [point, feature]; `left` [feature]: never resampled; watched `vectors`."""

    step: NDArray[np.int64]
    density: Floats
    rare: Bools
    cosine: Floats
    resampled: NDArray[np.int64]
    left: Bools
    vectors: int

    @staticmethod
    def of(watch: Mapping[str, NDArray[np.generic]], vectors: int) -> "Trajectories":
        """From what was watched on so many vectors."""
        density = watch["fired"].astype(np.float64) / vectors
        return Trajectories(watch["step"].astype(np.int64), density, rare(density), watch["cosine"].astype(np.float64), watch["resampled"].astype(np.int64),
                            watch["left"].astype(bool), vectors)

    def at(self, share: float) -> int:
        """The last point that lies no later than at this share of the steps."""
        return int(np.flatnonzero(self.step <= share * self.step[-1])[-1])

    @property
    def followed(self) -> Bools:
        """Features whose course resampling does not cut short: those that are left alone, or all where none is.

        Resampling takes the most silent ones away, and who is left of the others is not who was there.
        """
        return self.left if self.left.any() else np.ones_like(self.left)

    def stays(self, since: int) -> Bools:
        """Of these the features that no resampling touches after a point."""
        return np.asarray(self.followed & (self.resampled[-1] == self.resampled[since]))


def rare(density: Floats) -> Bools:
    """Which features are rare at each point [point, feature]."""
    found = np.empty(density.shape, bool)
    found[0] = density[0] < RARE
    for point in range(1, len(density)):
        found[point] = np.where(density[point] < RARE, True, np.where(density[point] > COMMON, False, found[point - 1]))
    return found


def later_counts(of: Trajectories, which: Bools) -> tuple[Floats, Floats]:
    """log10 step [point] and counts [feature, point] after the middle of training, of features `which` that are followed and that no resampling touches there.

    Features are told apart at the middle, which is no point itself.
    """
    middle = of.at(HALF)
    later = np.flatnonzero((of.step > of.step[middle]) & np.append(np.diff(of.step) > 0, True))
    counts = of.density[later][:, which & of.stays(middle)].T * of.vectors
    return np.log10(of.step[later]), counts


def slope(log_step: Floats, totals: Floats) -> Floats:
    """Least-squares slope of log10 of totals [..., point] over log10 step; half a count stands for none."""
    centred = log_step - log_step.mean()
    return np.asarray(np.log10(np.maximum(totals, 0.5)) @ centred / np.square(centred).sum())


@dataclass(frozen=True)
class Flows:
    """Of each interval between points [interval]: its end and length in steps, how many of the features followed are `rare` and not (`common`) when it
    begins, and how many of them become common (`born`) and rare (`died`). Intervals of no length, where features are resampled, are left out,
    and so are the features that are resampled in one.
    """

    end: NDArray[np.int64]
    length: NDArray[np.int64]
    rare: NDArray[np.int64]
    common: NDArray[np.int64]
    born: NDArray[np.int64]
    died: NDArray[np.int64]


def changes(of: Trajectories) -> tuple[NDArray[np.int64], Bools, Bools, Bools]:
    """Numbers of the intervals' first points, and of each interval and feature: followed and at hand, rare when it begins, rare when it ends."""
    begins = np.flatnonzero(np.diff(of.step) > 0)
    untouched = of.followed & (of.resampled[begins] == of.resampled[begins + 1])
    return begins, untouched, of.rare[begins], of.rare[begins + 1]


def flows(of: Trajectories) -> Flows:
    """How many features are born and die between the points."""
    begins, there, before, after = changes(of)
    return Flows(of.step[begins + 1], np.diff(of.step)[begins], (there & before).sum(1), (there & ~before).sum(1),
                 (there & before & ~after).sum(1), (there & ~before & after).sum(1))


def later_flows(of: Trajectories) -> Floats:
    """Of each feature after the middle of training [feature, 4]: steps spent rare, steps spent common, births, deaths."""
    begins, there, before, after = changes(of)
    later = of.step[begins] >= of.step[of.at(HALF)]
    length = np.diff(of.step)[begins][:, None]
    parts = (length * (there & before), length * (there & ~before), there & before & ~after, there & ~before & after)
    return np.stack([part[later].sum(0) for part in parts], axis=1).astype(np.float64)


def silenced(of: Trajectories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Features that fire on none of the vectors just before some resampling: those that are left then, and those that are resampled then."""
    left, resampled = np.zeros(len(of.left), bool), np.zeros(len(of.left), bool)
    for point in np.flatnonzero(np.diff(of.step) == 0):
        touched = of.resampled[point + 1] > of.resampled[point]
        silent = of.density[point] == 0
        resampled |= silent & touched
        left |= silent & of.left & bool(touched.any())
    return np.flatnonzero(left), np.flatnonzero(resampled)
