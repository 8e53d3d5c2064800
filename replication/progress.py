"""The heartbeat: one line with stage, share done and time left, to the terminal and to the rule's log."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

T = TypeVar("T")


def duration(seconds: float) -> str:
    """Seconds as a person reads them: ``"45 s"``, ``"2 min 05 s"``, ``"1 h 10 min"``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Says how far a stage is, at most every `interval` seconds, and always when it ends.

    `Progress()` is silent: functions take it as a default, and the command line hands in one that speaks.
    """

    def __init__(self, name: str = "", *, streams: Iterable[TextIO] = (), interval: float = 10.0) -> None:
        self.name, self.streams, self.interval = name, tuple(streams), interval
        self.started = self.last = time.monotonic()
        self.first_done: float | None = None

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Report `done` of `total` units (any unit); `note` is a short text such as the current loss."""
        now = time.monotonic()
        if self.first_done is None:  # a resumed job starts at a share above zero, which says nothing about its speed
            self.first_done = done
        if now - self.last < self.interval and done < total:
            return
        self.last = now
        share = done / total if total else 1.0
        gained = done - self.first_done
        left = f", {duration((now - self.started) * (total - done) / gained)} left" if gained > 0 and done < total else ""
        self.say(f"{100 * share:3.0f} %{left}{', ' + note if note else ''}")

    def say(self, text: str) -> None:
        """Write one line now."""
        for stream in self.streams:
            print(f"[{self.name}] {text}", file=stream, flush=True)

    def over(self, items: Iterable[T], total: int, note: str = "") -> Iterator[T]:
        """Iterate and report after each item."""
        for done, item in enumerate(items, start=1):
            yield item
            self(done, total, note)


def to_terminal_and_log(name: str, log: Path | None) -> Progress:
    """A progress that speaks on standard error and, when a log is named, writes the same lines there."""
    streams: list[TextIO] = [sys.stderr]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        streams.append(log.open("w", encoding="utf-8"))
    return Progress(name, streams=streams)
