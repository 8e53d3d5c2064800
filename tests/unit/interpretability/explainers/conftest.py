"""Planted units: a rule of a token and its left neighbours over random text, and evidence by the protocol's proportions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from replication.features.examples import NO_TOKEN
from replication.features.vocabulary import Vocabulary
from replication.interpretability.protocol import OUT_OF_CONTEXT, RANDOM, TOP, Evidence, Windows

A, B, C = 1, 2, 3
WORDS = ["<eos>", " apple", " bread", " chair", *(f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(56))]
WIDTH, CENTRE = 9, 4
Fires = Callable[[list[int]], int]  # activation on the last of these tokens


@dataclass(frozen=True)
class Unit:
    evidence: Evidence
    predict: Windows


def make_windows(rows, activations=None, group=TOP):
    tokens = np.array(rows, dtype=np.int32)
    values = np.zeros_like(tokens) if activations is None else activations
    return Windows(tokens, np.array(values, dtype=np.int8), np.full(len(tokens), group, dtype=np.int8))


def make_evidence(rows, activations, positive=(), negative=()):
    return Evidence(make_windows(rows, activations), np.array(positive, dtype=np.int32), np.array(negative, dtype=np.int32))


def make_unit(fires: Fires, seed: int = 0, watched: int = A) -> Unit:
    """34 windows to explain it and 30 to predict in which it fires, the others at random and where the watched token is silent."""
    rng = np.random.default_rng(seed)
    text = rng.integers(4, len(WORDS), 30_000)
    text[rng.random(len(text)) < 0.06] = A
    text[np.flatnonzero(rng.random(len(text)) < 0.04)] = B
    after = np.flatnonzero((text[:-1] == B) & (rng.random(len(text) - 1) < 0.7)) + 1
    text[after] = A
    values = np.array([fires(text[max(0, t - 2):t + 1].tolist()) for t in range(len(text))])
    inside = np.arange(CENTRE, len(text) - CENTRE)
    firing = rng.permutation(inside[values[inside] > 0])[:64]
    silent = rng.permutation(inside[(text[inside] == watched) & (values[inside] == 0)])[:30]
    random = rng.permutation(inside)[:15]

    def windows(*parts):
        places = np.concatenate([places for _, places in parts]).astype(int)
        around = places[:, None] + np.arange(-CENTRE, CENTRE + 1)
        group = np.concatenate([np.full(len(places), group) for group, places in parts])
        return Windows(text[around].astype(np.int32), values[around].astype(np.int8), group.astype(np.int8))

    explain = windows((TOP, firing[:34]), (RANDOM, random[:5]), (OUT_OF_CONTEXT, silent[:10]))
    predict = windows((TOP, firing[34:]), (RANDOM, random[5:]), (OUT_OF_CONTEXT, silent[10:]))
    listed = rng.permutation(np.arange(4, len(WORDS)))[:20].astype(np.int32)
    return Unit(Evidence(explain, listed[:10], listed[10:]), predict)


@pytest.fixture(scope="session")
def vocabulary():
    return Vocabulary(WORDS, torch.ones(len(WORDS), dtype=torch.int64))


@pytest.fixture(scope="session")
def single():
    """Fires on A, whatever is before it."""
    return make_unit(lambda tokens: 9 * (tokens[-1] == A))


@pytest.fixture(scope="session")
def context():
    """Fires on A after B alone."""
    return make_unit(lambda tokens: 9 * (tokens[-2:] == [B, A]))


@pytest.fixture(scope="session")
def planted():
    return make_unit


@pytest.fixture(scope="session")
def evidence():
    return make_evidence


@pytest.fixture(scope="session")
def padded():
    """Windows that begin and end with places outside of the context."""
    return np.array([[NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, A, 10, 11, NO_TOKEN, NO_TOKEN], [NO_TOKEN] * WIDTH], dtype=np.int32)
