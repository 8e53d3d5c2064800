"""What the jobs of a run ask of a scheduler, where a constant cannot say it. Source: ours."""

from collections.abc import Callable
from functools import cache
from typing import Any

from replication.config import Config
from replication.planning import work


def memory(mb: int, job: str = "", config: Config | None = None) -> Callable[..., int]:
    """`mem_mb` of a rule: `mb` at the first attempt, twice as much at each that follows (`--retries`), in case the last one died of too little.

    With `job`, the name that the plan gives it (with the rule's wildcards), it is `mb` and the arrays that the plan counts, for each rank.
    """

    @cache
    def first() -> dict[str, int]:
        return {each.name: round((mb + each.memory / 1e6) * each.ranks) for each in work.jobs(config)} if config else {}

    def mem_mb(wildcards: Any, attempt: int) -> int:
        return (first()[job.format(**vars(wildcards))] if job else mb) << attempt - 1

    return mem_mb


def text_mb(config: Config, parts: int = 1) -> int:
    """`disk_mb` of a job that writes the run's text, or its tokens, 4 bytes each; or the share of them that one of `parts` has."""
    return 100 + 2 * config.corpus.max_bytes // parts // 10**6


def activations_mb(config: Config) -> Callable[..., int]:
    """`disk_mb` of a job with the wildcards `model` and `site` that writes the vectors, when they are stored."""

    def disk_mb(wildcards: Any) -> int:
        return 100 + config.bytes_of(f"{wildcards.model}/{wildcards.site}") // 10**6

    return disk_mb
