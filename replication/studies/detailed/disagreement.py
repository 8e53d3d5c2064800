"""Where a feature and its context's proxy agree and where they do not: random windows by activation level and proxy.

On half 1 of the evaluation tokens: four levels (off, and thirds of the largest activation) by the proxy off and on. Whether a
window of disagreement is text of the context after all is for people to read (paper, "activation sensitivity"); what can be
counted is whether the context is near, and whether the feature comes on at the next token.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings
from replication.features.matrix import REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.cases import cases, columns, write
from replication.studies.detailed.levels import level_of
from replication.studies.detailed.per_context import Floats, estimates, ratio, summed
from replication.studies.detailed.windows import drawn, near, row
from replication.studies.intervals import by_text, random
from replication.studies.tables import Number, Reader, number

THIRDS, EXAMPLES, SIDE = 3, 4, 10  # levels above off; windows of each cell, and their tokens on each side
NEAR = 4  # tokens on each side of the paper's windows
FOR_PEOPLE = ("feature_only_not_dna", "proxy_only_is_dna")
MEASURED = ("feature_only", "proxy_only", "feature_only_near", "proxy_only_near", "proxy_only_next")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`kind`), cell and window, and the numbers of every context."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    tokens, sources, strings = reader.tokens(), reader.sources()[REPORTING::2], reader.vocabulary().strings
    activations = columns(reader, settings.studies.main, [case.feature for case in found])
    rows: dict[str, pd.DataFrame] = {}
    numbers: dict[str, dict[str, Number]] = {}
    for place, case in progress.over(list(enumerate(found)), len(found)):
        report = case.half == REPORTING
        activation, on = activations[report, place], case.on[report]
        rows[case.context] = grid(activation, on, tokens[REPORTING::2], strings, random(settings, "disagreement", place)).assign(
            feature=f"{settings.studies.main}/{case.feature}")
        numbers[case.context] = headline(activation > 0, on, sources, settings)
    why = {**dict.fromkeys(MEASURED, "no token of the kind"), **dict.fromkeys(FOR_PEOPLE, "needs human raters")}
    missing = {case.context: why for case in found}
    write(out=out, study="disagreement", rows=rows, numbers=numbers, keys=[*MEASURED, *FOR_PEOPLE], absent=absent, missing=missing,
          settings=settings, reader=reader, stopwatch=stopwatch)


def grid(
    activation: NDArray[np.float32], on: NDArray[np.bool_], texts: NDArray[np.int32], strings: list[str], rng: np.random.Generator,
) -> pd.DataFrame:
    """Tokens in each cell (level 0 is off, `proxy` 1 is on), and random windows from it."""
    maximum = float(activation.max(initial=0.0))
    level = level_of(activation, maximum, THIRDS) + 1
    edges = [0.0, *np.linspace(0, maximum, THIRDS + 1)]
    rows = []
    for k in range(THIRDS + 1):
        for proxy in (0, 1):
            places = np.flatnonzero((level == k) & (on == proxy))
            rows.append({"kind": "cell", "level": k, "proxy": proxy, "low": edges[k], "high": edges[k + 1], "count": len(places)})
            rows += [{"kind": "window", "level": k, "proxy": proxy, "rank": rank, "activation": activation[place],
                      **row(int(place), texts, strings, {"values": activation, "on": on.astype(np.float32)}, SIDE)}
                     for rank, place in enumerate(drawn(places, EXAMPLES, texts, SIDE, rng))]
    return pd.DataFrame(rows)


def headline(fires: NDArray[np.bool_], on: NDArray[np.bool_], sources: NDArray[np.int64], settings: Settings) -> dict[str, Number]:
    """How often the two disagree, and what is near when they do."""
    n_ctx = len(on) // len(sources)
    following = np.zeros_like(fires).reshape(-1, n_ctx)
    following[:, :-1] = fires.reshape(-1, n_ctx)[:, 1:]
    held, felt = near(on, n_ctx, NEAR), near(fires, n_ctx, NEAR)
    feature, proxy = fires & ~on, on & ~fires
    sums = by_text(summed(n_ctx, fires, on, feature, proxy, feature & held, proxy & felt, proxy & following.reshape(-1)), sources)
    found = dict(zip(MEASURED, estimates(statistics, sums, settings, "disagreement"), strict=True))
    n = dict(zip(MEASURED, (fires.sum(), on.sum(), feature.sum(), proxy.sum(), proxy.sum()), strict=True))
    return {key: number(estimate, unit="share of tokens", n=int(n[key]), over="tokens") for key, estimate in found.items()}


def statistics(sums: Floats) -> Floats:
    """MEASURED, from sums [..., 7]."""
    fires, on, feature, proxy, feature_near, proxy_near, proxy_next = np.moveaxis(sums, -1, 0)
    shares = (feature, fires), (proxy, on), (feature_near, feature), (proxy_near, proxy), (proxy_next, proxy)
    return np.stack([ratio(part, whole) for part, whole in shares], axis=-1)
