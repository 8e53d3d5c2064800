"""The course of every final feature through training: how like itself it is at each point, in fresh dictionaries or along a chain. Source: ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replication.studies.directions import unit
from replication.studies.questions.births import born
from replication.studies.questions.facts import Array, Facts, Flags
from replication.studies.questions.found_again import SAME, Matches
from replication.studies.questions.recurrence import activations
from replication.studies.tables import Reader

Points = Mapping[float, Sequence[str]]
Lasting = Mapping[float, Sequence[tuple[str, Array]]]  # by point, dictionaries there, and the correlation of each feature with its best match at the end


@dataclass(frozen=True)
class Course:
    """By replicate of the final dictionary (`names`) the correlation of each feature with itself [feature, point] at each of `shares` of the training.

    The last point is the end: what a second fit finds there, or 1 where there is none or features are followed by their number.
    """

    shares: tuple[float, ...]
    names: tuple[str, ...]
    correlation: tuple[Array, ...]

    def there(self, replicate: int, facts: Mapping[str, Facts]) -> Flags:
        """Whether the learned features are there [feature, point]."""
        return np.asarray(self.correlation[replicate][facts[self.names[replicate]].learned] >= SAME)

    def at(self, point: int, facts: Mapping[str, Facts]) -> list[Flags]:
        """Whether the learned features of each replicate are there at one point."""
        return [self.there(replicate, facts)[:, point] for replicate in range(len(self.names))]

    def births(self, replicate: int, facts: Mapping[str, Facts]) -> Array:
        """Birth of each learned feature; NaN for one that is not found at the end."""
        return born(self.there(replicate, facts), self.shares)


def look(points: Points, matches: Matches) -> tuple[Course, Lasting]:
    """The course of the last dictionary's features through fresh ones, and for the dictionaries before the end what the end still has of them.

    A feature is looked for in a dictionary of another seed, so that no two that are compared began at the same weights.
    """
    names, ahead = tuple(points[1.0]), list[Array]()
    lasting: dict[float, list[tuple[str, Array]]] = {share: [] for share in points if share < 1}
    for place, name in enumerate(names):
        columns = list[Array]()
        for share, others in points.items():
            other = others[(place + 1) % len(others)]
            if other == name:  # there is no second fit at the end
                columns.append(np.ones(len(columns[0])))
                continue
            forward, backward = matches.both(name, other)
            columns.append(forward)
            if share < 1:
                lasting[share].append((other, backward))
        ahead.append(np.stack(columns, axis=1))
    return Course(tuple(points), names, tuple(ahead)), lasting


def follow(reader: Reader, linked: Points) -> tuple[Course, tuple[Array, ...], tuple[Array, ...]]:
    """The course of features by their number along a chain; the cosine of each feature's direction with its last one [feature, point]; and,
    for chance, the correlation of each feature at the end with its neighbour by number at the last point before.

    Nothing is chosen here, so that correlations are over all evaluation tokens.
    """
    names, before = tuple(linked[1.0]), max(share for share in linked if share < 1)
    courses, cosines, chance = [], [], []
    for place, name in enumerate(names):
        end, last = reader.matrix(name), unit(reader.weights(name)["W_dec"])
        own = np.arange(end.n_features)
        columns, directions = [], []
        for share, others in linked.items():
            other = others[place]
            pairs = [(own, own), *([(own, np.roll(own, 1))] if share == before else [])]
            found = activations(end, reader.matrix(other), pairs) if share < 1 else [np.ones(len(own))]
            columns.append(np.nan_to_num(found[0]))
            directions.append((unit(reader.weights(other)["W_dec"]) * last).sum(1))
            if share == before:
                chance.append(np.nan_to_num(found[1]))
        courses.append(np.stack(columns, axis=1))
        cosines.append(np.stack(directions, axis=1))
    return Course(tuple(linked), names, tuple(courses)), tuple(cosines), tuple(chance)
