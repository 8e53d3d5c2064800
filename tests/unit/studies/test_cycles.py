"""Searches on graphs whose systems are known."""

import itertools

import networkx as nx
import numpy as np

from replication.studies.phenomenology import cycles

RING = {(0, 1): 0.9, (1, 2): 0.8, (2, 3): 0.7, (3, 0): 0.6}


def test_loops_and_pairs_in_the_order_of_their_weakest_edge():
    graph = {(0, 0): 0.2, (1, 1): 0.5, (0, 1): 0.9, (1, 0): 0.3, (2, 3): 0.4, (3, 2): 0.6, (1, 2): 0.8}
    assert cycles.cycles(graph, 1) == [(1,), (0,)]
    assert cycles.cycles(graph, 2) == [(2, 3), (0, 1)]


def test_a_ring_is_found_whole():
    assert cycles.cycles(RING, 4) == [(0, 1, 2, 3)]
    assert cycles.cycles(RING, 3) == []
    assert cycles.strength(RING, (0, 1, 2, 3)) == 0.6


def test_the_strongest_long_cycles_are_those_of_networkx():
    rng = np.random.default_rng(1)
    graph = {(i, j): float(rng.random()) for i, j in itertools.permutations(range(7), 2) if rng.random() < 0.5}
    for length in (3, 4, 5):
        every = {cycles.turned(tuple(one)) for one in nx.simple_cycles(nx.DiGraph(list(graph)), length_bound=length) if len(one) == length}
        found = cycles.cycles(graph, length)
        assert set(found) == every
        assert [cycles.strength(graph, one) for one in found] == sorted((cycles.strength(graph, one) for one in every), reverse=True)


def test_a_graph_with_too_many_cycles_gives_its_strongest(monkeypatch):
    monkeypatch.setattr(cycles, "MOST_CYCLES", 3)
    graph = {edge: 0.1 + 0.01 * place for place, edge in enumerate(itertools.permutations(range(8), 2))} | {(0, 1): 0.9, (1, 2): 0.9, (2, 0): 0.9}
    found = cycles.cycles(graph, 3)
    assert found[0] == (0, 1, 2)
    assert len(found) <= 3


def test_systems_that_share_most_states_with_a_stronger_one_are_left_out():
    found = [(0, 1, 2), (0, 1, 3), (4, 5, 6), (0, 7, 8)]
    assert cycles.apart(found, 5) == [(0, 1, 2), (4, 5, 6), (0, 7, 8)]
    assert cycles.apart(found, 1) == [(0, 1, 2)]


def test_a_chain_follows_edges_that_are_heaviest_on_both_ends():
    graph = {(0, 1): 0.9, (1, 2): 0.8, (2, 3): 0.7, (0, 3): 0.2, (4, 3): 0.75, (2, 4): 0.1, (5, 6): 0.9, (6, 5): 0.9}
    assert cycles.chains(graph) == [(0, 1, 2)]  # into 3 the edge from 4 is heavier; 5 and 6 make a cycle


def test_cycles_through_states_of_given_kinds():
    graph = {**RING, (1, 0): 0.5, (4, 1): 0.4, (1, 4): 0.4}
    assert cycles.through(graph, [{0, 4}, {1}]) == [(0, 1), (1, 4)]
    assert cycles.through(graph, [{0}, {1}, {2}, {3}]) == [(0, 1, 2, 3)]
    assert cycles.through(graph, [{2}]) == []
    assert cycles.through({(2, 2): 0.5}, [{2}]) == [(2,)]
    assert cycles.within(graph, {0, 1, 4}) == [(0, 1), (1, 4)]
