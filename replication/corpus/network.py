"""Faults of the network while a dataset of the Hub is read: which they are, which may pass, and how long they are waited for."""

import time
from collections.abc import Iterator

from replication.config import UserError
from replication.progress import Progress

# Fresh starts after faults without a row in between, with pauses of 5, 10, ... 160 seconds: five minutes, on top of the
# quarter of an hour over which the libraries try. A longer outage is for people to look at, and nothing is lost by it.
RETRIES, PAUSE = 6, 5.0
# Classes of faults that may pass, by name, because which HTTP client lies under `datasets` changes with its version:
# httpx, requests, aiohttp, and what the Hub's client says when it can neither reach the Hub nor find a file in its cache.
PASSING = frozenset(("ConnectionError", "TimeoutError", "TransportError", "RequestException", "ClientError", "LocalEntryNotFoundError"))
UNKNOWN = frozenset(("DatasetNotFoundError",))
TIMEOUT, TOO_MANY, SERVER_FAULT = 408, 429, 500
REASON_CHARACTERS = 200


class Patience:
    """Waits after faults in a row, longer each time. What comes in between sets `faults` to 0."""

    def __init__(self, dataset: str, progress: Progress) -> None:
        self.dataset, self.progress, self.faults = dataset, progress, 0

    def wait(self, error: Exception) -> None:
        """Pause before a new start. Raises UserError for a fault that does not pass, or did not within RETRIES new starts."""
        why = reason(error)
        if not passes(error):
            raise UserError(
                f"the dataset {self.dataset} cannot be read from the Hugging Face Hub ({why}); without a network set corpus.source "
                "to installed or local, or copy a filled HF_HOME here and set HF_HUB_OFFLINE=1") from error
        if self.faults == RETRIES:
            raise UserError(
                f"the network failed {self.faults + 1} times in a row while the dataset {self.dataset} was read ({why}); what came up to the last "
                "checkpoint is kept, and the same command goes on from there") from error
        pause = PAUSE * 2**self.faults
        self.faults += 1
        self.progress.say(f"the network failed ({why}); once more in {pause:.0f} s, {self.faults} of {RETRIES}")
        time.sleep(pause)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE is set, so that datasets are read from the cache alone."""
    import datasets

    return bool(datasets.config.HF_HUB_OFFLINE)


def remote(error: BaseException) -> bool:
    """Whether an error comes of the network, of a name that the Hub does not know, or of an HTTP status; else it is one of the data."""
    return any(_status(link) is not None or _is(link, PASSING) or _is(link, UNKNOWN) for link in _chain(error))


def passes(error: BaseException) -> bool:
    """Whether a fault may be gone at the next try: a lost or refused connection, a timeout, 408, 429 or 5xx; not offline mode."""
    if offline():
        return False
    links = list(_chain(error))
    for status in filter(None, map(_status, links)):
        return status in (TIMEOUT, TOO_MANY) or status >= SERVER_FAULT
    return any(_is(link, PASSING) for link in links)


def reason(error: BaseException) -> str:
    """The type of an error, and the first and the last line of what it says: between them it may list whole schemas."""
    lines = [line for line in map(str.strip, str(error).splitlines()) if line]
    return f"{type(error).__name__}: {' ... '.join(line[:REASON_CHARACTERS] for line in dict.fromkeys([*lines[:1], *lines[-1:]]))}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of; also where that is hidden (`from None`), as `datasets` hides an outage behind a missing file."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        link = link.__cause__ or link.__context__


def _status(error: BaseException) -> int | None:
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def _is(error: BaseException, names: frozenset[str]) -> bool:
    return bool(names & {kind.__name__ for kind in type(error).__mro__})
