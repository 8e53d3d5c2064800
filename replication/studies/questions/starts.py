"""Dictionaries that differ from the main one in how they start, whether dead features are left alone, and whether they are watched.

A start is the encoder's (the paper's Kaiming, or the decoder's transpose) and whether l1 is there from the first step or rises to its
value. Source: ours.
"""

from collections.abc import Mapping

from replication.config import Config, Sae
from replication.studies.replicates import alike, groups

CHANGED = ("init", "l1_warmup", "leave", "watch_vectors", "watch_points")
PAPER, WARMUP, TRANSPOSE, BOTH = STARTS = ("paper", "warmup", "transpose", "both")


def start_of(sae: Sae) -> str:
    """Which of `STARTS` a dictionary has: `paper` is the Kaiming start with the whole l1 from the first step."""
    return (TRANSPOSE if sae.init == "transpose" else PAPER) if not sae.l1_warmup else (BOTH if sae.init == "transpose" else WARMUP)


def by_start(main: str, dictionaries: Mapping[str, Sae]) -> dict[str, list[str]]:
    """Replicates of one dictionary for each start that the run has, in the order of `STARTS`: the one fitted most often; of these one that is watched.

    Where dead features are left alone, what is left must be known, so that such a dictionary counts when it is watched only. How one that comes
    from elsewhere began is not known.
    """
    found: dict[str, list[str]] = {}
    for name, members in groups(dictionaries).items():
        sae = dictionaries[name]
        if sae.load or not alike(name, main, dictionaries, *CHANGED) or (sae.leave and not sae.watch_vectors):
            continue
        start = start_of(sae)
        if start not in found or _rank(found[start], dictionaries) < _rank(members, dictionaries):
            found[start] = members
    return {start: found[start] for start in STARTS if start in found}


def starts(config: Config) -> list[str]:
    """The dictionaries of `by_start`."""
    return [name for members in by_start(config.studies.main, config.dictionaries).values() for name in members]


def watched(config: Config) -> list[str]:
    """Those of them that are watched through training."""
    return [name for name in starts(config) if config.dictionaries[name].watch_vectors]


def _rank(members: list[str], dictionaries: Mapping[str, Sae]) -> tuple[int, bool]:
    return len(members), dictionaries[members[0]].watch_vectors > 0
