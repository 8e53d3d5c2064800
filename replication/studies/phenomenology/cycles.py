"""Searches on a graph of states: loops, pairs, longer cycles, chains, and cycles through states of given kinds.

A graph is a mapping (source, target) -> weight. A system is as strong as its weakest edge. Longer cycles are enumerated in a
graph that grows from the heaviest edge on, as long as their number stays within bounds, so that those found are the strongest.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import networkx as nx

LONGEST = 6
MOST_CYCLES, MOST_EDGES = 2000, 2048  # in which longer cycles are looked for
Edge = tuple[int, int]
Graph = Mapping[Edge, float]
States = tuple[int, ...]


def steps(states: States, *, closed: bool = True) -> list[Edge]:
    """The edges along states, back to the first one if closed."""
    return list(zip(states, states[1:] + (states[:1] if closed else ()), strict=closed))


def strength(graph: Graph, states: States, *, closed: bool = True) -> float:
    """The weight of the weakest edge."""
    return min(graph[edge] for edge in steps(states, closed=closed))


def cycles(graph: Graph, length: int) -> list[States]:
    """Cycles of one length, the strongest first; all of them up to pairs, of longer ones the strongest."""
    found: list[States]
    if length == 1:
        found = [(source,) for source, target in graph if source == target]
    elif length == 2:
        found = [(source, target) for source, target in graph if source < target and (target, source) in graph]
    else:
        found = _long_cycles(graph, length)
    return sorted((turned(states) for states in found), key=lambda states: (-strength(graph, states), states))


def _long_cycles(graph: Graph, length: int) -> list[States]:
    heaviest = sorted((edge for edge in graph if edge[0] != edge[1]), key=lambda edge: (-graph[edge], edge))[:MOST_EDGES]
    found: list[States] = []
    size = 2 * length
    while True:
        grown = list(islice(nx.simple_cycles(nx.DiGraph(heaviest[:size]), length_bound=length), MOST_CYCLES + 1))
        if len(grown) > MOST_CYCLES:
            return found
        found = [tuple(states) for states in grown if len(states) == length]
        if size >= len(heaviest):
            return found
        size *= 2


def turned(states: States) -> States:
    """A cycle from its smallest state on."""
    first = states.index(min(states))
    return states[first:] + states[:first]


def apart(found: Iterable[States], most: int) -> list[States]:
    """So many systems, the strongest first, without those of which more than half lies in a stronger one."""
    kept: list[States] = []
    for states in found:
        if len(kept) == most:
            break
        if all(2 * len(set(states) & set(other)) <= len(states) for other in kept):
            kept.append(states)
    return kept


def chains(graph: Graph, *, least: int = 3) -> list[States]:
    """Paths along edges that are the heaviest both of their source and into their target, the longest first.

    A state has at most one such edge in and one out, so that chains never meet; those that close are cycles, and left out.
    """
    out: dict[int, Edge] = {}
    into: dict[int, Edge] = {}
    for edge in sorted((edge for edge in graph if edge[0] != edge[1]), key=lambda edge: (graph[edge], edge)):
        out[edge[0]], into[edge[1]] = edge, edge
    after = {source: edge[1] for source, edge in out.items() if into[edge[1]] == edge}
    found = []
    for start in sorted(after.keys() - set(after.values())):
        states = [start]
        while states[-1] in after:
            states.append(after[states[-1]])
        found.append(tuple(states))
    return sorted((states for states in found if len(states) >= least),
                  key=lambda states: (-len(states), -strength(graph, states, closed=False), states))


def through(graph: Graph, kinds: Sequence[Collection[int]]) -> list[States]:
    """All cycles with a state of each kind in the order given, the strongest first; no state twice."""
    paths: list[States] = [(state,) for state in sorted(kinds[0])]
    for kind in kinds[1:]:
        paths = [(*path, state) for path in paths for state in sorted(kind) if state not in path and (path[-1], state) in graph]
    closed = {turned(path) for path in paths if (path[-1], path[0]) in graph}
    return sorted(closed, key=lambda states: (-strength(graph, states), states))


def within(graph: Graph, states: Collection[int]) -> list[States]:
    """Cycles of two states or more that stay within some states, the strongest first."""
    inner = {edge: weight for edge, weight in graph.items() if edge[0] in states and edge[1] in states}
    found = [one for length in range(2, LONGEST + 1) for one in cycles(inner, length)]
    return sorted(found, key=lambda one: (-strength(graph, one), one))
