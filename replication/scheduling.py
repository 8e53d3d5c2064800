"""Snakemake's own work while jobs run, kept small: on two cores it would take one of them by the end of a run."""

from typing import Any

DEFAULT_LIMIT = 100, 1  # jobs that start, within so many seconds; no run here comes near it


def spare_rounds(workflow: Any) -> None:
    """Drop Snakemake's default limit of starts, before the first job; a limit that somebody asked for stays.

    To keep to a limit, its scheduler (9.27) plans anew once in that time for every round of planning there was, so there are as many rounds a
    second as jobs that have ended, and each looks at all inputs of all waiting jobs.
    """
    limiter = workflow.scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT_LIMIT:
        workflow.scheduler.job_rate_limiter = None
