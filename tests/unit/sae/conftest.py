import functools
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from replication.progress import Progress
from replication.sae.ranks import Ranks


class KillAt(Progress):
    """Ends a training as a kill would, when a step is reported."""

    class Killed(Exception):
        pass

    def __init__(self, step):
        super().__init__()
        self.step = step

    def __call__(self, done, total, note=""):
        if done == self.step:
            raise self.Killed


@pytest.fixture
def kill_at():
    return KillAt


class InThreads(Ranks):
    """Ranks that are threads of one process, of which one runs at a time: sums and gathers by hand, without torch.distributed."""

    def __init__(self, rank, count, shared):
        super().__init__(rank, count)
        self.shared = shared

    def exchange(self, tensor):
        """What every rank brings, in order, to each."""
        shared = self.shared
        shared.brought[self.rank] = tensor.clone()
        shared.turn.release()
        try:
            shared.barrier.wait(60)
            everything = list(shared.brought)
            shared.barrier.wait(60)
        finally:
            shared.turn.acquire()
        assert len({(part.dtype, part.shape[1:]) for part in everything}) == 1
        return everything

    def add(self, tensor):
        everything = self.exchange(tensor)
        assert len({part.shape for part in everything}) == 1
        return tensor.copy_(functools.reduce(torch.add, everything))

    def gather(self, rows):
        everything = self.exchange(rows)
        return torch.cat(everything) if self.first else rows


def in_threads(count, work):
    """``work(ranks)`` of each rank; results in order. Raises what the first rank raises that does."""
    shared = types.SimpleNamespace(turn=threading.Lock(), barrier=threading.Barrier(count), brought=[None] * count)

    def one(rank):
        with shared.turn:
            try:
                return work(InThreads(rank, count, shared))
            except BaseException:
                shared.barrier.abort()
                raise

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(one, rank) for rank in range(count)]
    errors = [future.exception() for future in futures]
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


@pytest.fixture(name="in_threads", scope="session")
def in_threads_():
    return in_threads
