"""Sparsity against loss recovered, over sizes and l1 (paper, appendix on hyper-parameters)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import recovered
from replication.studies.intervals import Estimate, estimate, smallest
from replication.studies.recovered import Measured
from replication.studies.replicates import groups
from replication.studies.tables import Number, Reader, number, write


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per dictionary that differs from the main one in size and l1 only."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    members = groups(settings.dictionaries)
    found = recovered.measure(reader, list(settings.dictionaries), settings)
    progress(1, 1)
    data = recovered.table(found, settings, members).sort_values(["l1", "d_sae", "dictionary"])
    write(out=out, study="tradeoff", data=data, numbers=headline(found, members, settings), settings=settings,
          reader=reader, stopwatch=stopwatch, missing=dict.fromkeys(("monotone_l1", "l0_monotone"), "the run has one l1 at each size"))


def headline(found: Mapping[str, Measured], members: Mapping[str, Sequence[str]], settings: Settings) -> dict[str, Number]:
    """The smallest gain in loss recovered, and in L0, from one l1 to the next lower one at equal size."""
    assert settings.dictionaries and settings.studies
    dictionaries = settings.dictionaries
    steps = []
    for size in sorted({dictionaries[name].d_sae for name in members}):
        by_l1 = sorted((name for name in members if dictionaries[name].d_sae == size), key=lambda name: dictionaries[name].l1)
        steps += [(low, high) for low, high in pairwise(by_l1) if dictionaries[low].l1 < dictionaries[high].l1]
    if not steps:
        return {}
    tokens = found[settings.studies.main].tokens

    def least(key: str) -> Estimate:
        arms = {name: recovered.arm(found, names, key) for name, names in members.items()}
        return smallest([estimate(arms[low], arms[high]) for low, high in steps])

    return {"monotone_l1": number(least("recovered"), unit="share", n=tokens, over="tokens"),
            "l0_monotone": number(least("l0"), unit="features per token", n=tokens, over="tokens")}
