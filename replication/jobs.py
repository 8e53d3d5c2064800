"""What the jobs of a run ask of a scheduler, where a constant cannot say it. Source: ours."""

from collections.abc import Callable
from typing import Any

from replication.config import Config


def memory(mb: int) -> Callable[..., int]:
    """`mem_mb` of a rule: `mb` at the first attempt, twice as much at each that follows (`--retries`), in case the last one died of too little."""

    def mem_mb(wildcards: Any, attempt: int) -> int:
        return mb << attempt - 1

    return mem_mb


def text_mb(config: Config) -> int:
    """`disk_mb` of a job that writes the run's text, or its tokens, 4 bytes each."""
    return 100 + 2 * config.corpus.max_bytes // 10**6


def activations_mb(config: Config) -> Callable[..., int]:
    """`disk_mb` of a job with the wildcards `model` and `site` that writes the vectors, when they are stored."""

    def disk_mb(wildcards: Any) -> int:
        return 100 + config.bytes_of(f"{wildcards.model}/{wildcards.site}") // 10**6

    return disk_mb
