"""Strings of tokens that end in a firing token, as trees: below a token are those before it, and below these the ones before.

A node stands for a string of tokens, and holds what is expected of a token where no longer string is known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers.wording import WEAK, Clause, quoted
from replication.interpretability.protocol import Windows

Pool = Callable[[list[float]], float]
MOSTLY = 0.75  # share of a string's occurrences that fire, from which words pass over the rest


@dataclass(frozen=True)
class Occurrence:
    """A token in its window: what stands to its left, nearest first, as far as the window shows it, and the activation."""

    left: list[int]
    activation: int


@dataclass
class Node:
    """A string: the activation to expect, the sum over its occurrences, the share of them that fire, and longer strings."""

    level: float
    total: int
    fired: float
    longer: dict[int, "Node"] = field(default_factory=dict)

    @property
    def mixed(self) -> bool:
        """Whether the unit fires on some occurrences, but not on all."""
        return 0 < self.fired < 1


def grow(occurrences: list[Occurrence], *, length: int, longest: int, divide: Callable[[Node], bool], pool: Pool) -> Node:
    """The node of a string of `length` tokens, with nodes of strings up to `longest`.

    A node that `divide` picks has a node below for each token that was seen before its string. What it expects itself,
    where the token before is another one, is pooled over these, so that a frequent string counts as much as a rare one, and
    over occurrences that show no token before. Any other node expects the mean of its occurrences.
    """
    activations = [occurrence.activation for occurrence in occurrences]
    total = sum(activations)
    node = Node(total / len(activations), total, sum(activation > 0 for activation in activations) / len(activations))
    if length < longest and divide(node):
        by_token: dict[int, list[Occurrence]] = {}
        cut: list[float] = []
        for occurrence in occurrences:
            if len(occurrence.left) < length:
                cut.append(occurrence.activation)
            else:
                by_token.setdefault(occurrence.left[length - 1], []).append(occurrence)
        node.longer = {token: grow(some, length=length + 1, longest=longest, divide=divide, pool=pool) for token, some in by_token.items()}
        node.level = pool([*(longer.level for longer in node.longer.values()), *cut])
    return node


@dataclass(frozen=True)
class Endings:
    """A tree for each token that fires. Other tokens are expected to be silent."""

    roots: dict[int, Node]

    @staticmethod
    def of(windows: Windows, *, longest: int, divide: Callable[[Node], bool], pool: Pool) -> "Endings":
        """The trees of the tokens in windows (see `grow`)."""
        occurrences: dict[int, list[Occurrence]] = {}
        for row, activations in zip(windows.tokens.tolist(), windows.activations.tolist(), strict=True):
            left: list[int] = []
            for token, activation in zip(row, activations, strict=True):
                if token != NO_TOKEN:
                    occurrences.setdefault(token, []).append(Occurrence(left, activation))
                    left = [token, *left]
        return Endings({token: grow(some, length=1, longest=longest, divide=divide, pool=pool)
                        for token, some in occurrences.items() if any(occurrence.activation for occurrence in some)})

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """What the longest known string that ends in each token expects."""
        return np.array([[self._level(row, place) for place in range(len(row))] for row in tokens.tolist()]).reshape(tokens.shape)

    def _level(self, row: list[int], place: int) -> float:
        node = self.roots.get(row[place])
        if node is None:
            return 0.0
        while place > 0 and row[place - 1] in node.longer:
            place -= 1
            node = node.longer[row[place]]
        return node.level

    def clauses(self, strings: list[str]) -> list[Clause]:
        """The shortest strings on which the unit mostly fires, or fires at all where no longer one is known."""
        return [Clause(quoted(strings[token]), node.level, node.total, quoted("".join(strings[each] for each in before), from_the_end=True) if before else "")
                for token, root in self.roots.items() for before, node in _firing(root, [])]


def _firing(node: Node, before: list[int]) -> Iterator[tuple[list[int], Node]]:
    longer = [found for token, below in node.longer.items() for found in _firing(below, [token, *before])] if node.fired < MOSTLY else []
    if longer:
        yield from longer
    elif node.level >= WEAK:
        yield before, node
