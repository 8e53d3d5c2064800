"""Ranges of rows dealt to threads. Compiled kernels and torch's products let each other run; Python between them is short."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


class Threads:
    """A fixed number of threads, each of which computes with one core."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def edges(self, rows: int) -> list[int]:
        """Where equal ranges of `rows` begin and end, one range a thread."""
        return [rows * k // self.count for k in range(self.count + 1)]

    def spread(self, task: Callable[[int, int, int], Result], edges: Sequence[int]) -> list[Result]:
        """``task(thread, low, high)`` for each pair of neighbouring edges, all at once; results in order. Raises what a task raises."""
        if self._pool is None:
            return [task(0, edges[0], edges[-1])]
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # a product inside a task is one thread's, not a team's
        try:
            return list(self._pool.map(task, range(self.count), edges[:-1], edges[1:]))
        finally:
            torch.set_num_threads(before)
