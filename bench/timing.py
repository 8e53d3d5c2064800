"""Paired timing: every subject once a round, in one process, so that a machine that speeds up or slows down moves all of them alike."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Subject = Callable[[int], object]  # takes the number of the call, so that it can walk through batches

FEWEST, MOST = 3, 40  # rounds that a budget may come to
SHORTEST = 0.05  # seconds; a subject that is quicker is called several times in a sample, so that the clock does not matter
LONG = 2.0  # seconds


def interleave(subjects: Mapping[Key, Subject], *, rounds: int | None = None, budget: float = 60.0,
               clock: Callable[[], float] = time.perf_counter, wait: Callable[[], object] = lambda: None) -> dict[Key, list[float]]:
    """Seconds per call of each subject, one number a round.

    Without `rounds` there are as many as fit into `budget` seconds, judged by the last warm-up, within FEWEST to MOST.
    `wait` is called before the clock is read: on a GPU it waits for the device.
    """
    calls = dict.fromkeys(subjects, 0)
    taken: dict[Key, list[float]] = {key: [] for key in subjects}

    def sample(key: Key, times: int) -> float:
        wait()
        started = clock()
        for _ in range(times):
            subjects[key](calls[key])
            calls[key] += 1
        wait()
        return (clock() - started) / times

    # the first call makes buffers, moments and machine code; a subject so slow that these do not show is not called again
    single = {key: first if (first := sample(key, 1)) > LONG else sample(key, 1) for key in subjects}
    times = {key: max(1, math.ceil(SHORTEST / seconds)) for key, seconds in single.items()}
    if rounds is None:
        rounds = min(MOST, max(FEWEST, int(budget / sum(single[key] * times[key] for key in subjects))))
    collected = gc.isenabled()
    gc.disable()  # between rounds only, and what was there before (the peers import a lot) is not looked at again
    gc.freeze()
    try:
        for number in range(rounds):
            gc.collect()
            for key in order(list(subjects), number):
                taken[key].append(sample(key, times[key]))
    finally:
        gc.unfreeze()
        if collected:
            gc.enable()
    return taken


def order(keys: Sequence[Key], number: int) -> list[Key]:
    """The order of a round: begun one further each time, and backwards in every other one, so that nobody has a fixed place or neighbour."""
    start = number % len(keys)
    turned = [*keys[start:], *keys[:start]]
    return turned[::-1] if number % 2 else turned


def spread(values: Sequence[float]) -> float:
    """The interquartile range; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> tuple[float, float]:
    """Median over median, and the interquartile range of the ratios within each round."""
    return statistics.median(seconds) / statistics.median(reference), spread([a / b for a, b in zip(seconds, reference, strict=True)])
