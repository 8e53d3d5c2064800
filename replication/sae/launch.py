"""Processes of one job, one a rank, on one machine: they start together, and when one ends badly all end, within seconds (ours).

The process that starts them takes no part in the work, so that no collective which waits for a dead rank can keep it from
seeing the death. Ranks end with it, too, also when it is killed.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from replication.config import UserError
from replication.progress import Progress
from replication.sae.ranks import Lost

GRACE = 3.0  # seconds in which other ranks can say why they ended, once one has ended badly

Work = Callable[[int, int, Path, Progress], None]  # rank, how many, where they meet, progress


@dataclass(frozen=True)
class Failure:
    """Why a rank ended badly; `consequence`: only because another did."""

    error: Exception
    consequence: bool = False


@dataclass
class Member:
    """A rank as the process that started it sees it."""

    rank: int
    process: SpawnProcess
    messages: Connection


def together(work: Work, count: int, progress: Progress) -> None:
    """``work(rank, count, meeting, progress)`` in `count` processes, until all are done; `progress` hears the first of them.

    `work` can be pickled, and so can what it raises as UserError. Raises that, UserError when a rank was killed, or RuntimeError with the
    traceback of one that crashed. None of them is left when this returns or raises.
    """
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        members: list[Member] = []
        try:
            for rank in range(count):
                mine, theirs = spawn.Pipe(duplex=False)
                process = spawn.Process(target=_member, args=(work, rank, count, Path(folder, "meeting"), theirs), name=f"rank {rank}")
                process.start()
                theirs.close()
                members.append(Member(rank, process, mine))
            _follow(members, progress)
        finally:
            for member in members:
                member.process.kill()
                member.process.join()


def _follow(members: Sequence[Member], progress: Progress) -> None:
    """Pass on what members say until all have ended. Raises the first failure that is no consequence of another."""
    running, failures, until = list(members), dict[int, Failure](), None
    while running and (until is None or time.monotonic() < until):
        ready = wait([ear for member in running for ear in (member.messages, member.process.sentinel)], None if until is None else until - time.monotonic())
        for member in [member for member in running if {member.messages, member.process.sentinel} & set(ready)]:
            ended = member.process.sentinel in ready
            failure = _listen(member, progress)  # after the look at its end, so that nothing it said is left
            if ended:
                running.remove(member)
                member.process.join()
                if member.process.exitcode and member.rank not in failures:
                    failure = failure or Failure(_killed(member, len(members)))
            if failure:
                failures[member.rank] = failure
                until = until or time.monotonic() + GRACE
    if failures:
        first, *_ = [failure for failure in failures.values() if not failure.consequence] or failures.values()
        raise first.error


def _listen(member: Member, progress: Progress) -> Failure | None:
    """What a member has said so far: progress, which is passed on, or why it ended."""
    try:
        while member.messages.poll():
            said = member.messages.recv()
            if isinstance(said, Failure):
                return said
            progress.say(said) if isinstance(said, str) else progress(*said)
    except EOFError:
        pass
    return None


def _killed(member: Member, count: int) -> UserError:
    code = member.process.exitcode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    why = "; the machine may be out of memory" if code == -signal.SIGKILL else ""
    return UserError(f"rank {member.rank} of {count} {how}, and no other can go on without its features{why}; "
                     "the same command goes on from the last checkpoint")


class _Told(Progress):
    """Progress that is said to the process that started this one."""

    def __init__(self, messages: Connection) -> None:
        super().__init__()
        self.messages = messages

    def __call__(self, done: float, total: float, note: str = "") -> None:
        self.messages.send((done, total, note))

    def say(self, text: str) -> None:
        self.messages.send(text)


def _member(work: Work, rank: int, count: int, meeting: Path, messages: Connection) -> None:
    """The whole life of a rank."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that started this one, which then ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(rank, count, meeting, _Told(messages) if rank == 0 else Progress())
        return
    except UserError as error:
        failure = Failure(error)
    except Exception as error:
        failure = Failure(RuntimeError(f"rank {rank} of {count}:\n{traceback.format_exc()}"), consequence=isinstance(error, Lost))
    messages.send(failure)
    os._exit(1)  # at once: what tidies up after a process group may wait for ranks that are gone


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
