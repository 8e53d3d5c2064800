"""What the model writes when a context's feature is pinned at the largest activation that was observed.

The share of the sampled tokens that lies in the context, by the same proxy as everywhere, is compared with samples in which
nothing is pinned, and with others in which random live features are, each at its own maximum. Source: paper, pinned sampling;
the shares and the controls are ours.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, canonical_json
from replication.features.contexts import pieces
from replication.features.proxies import Proxy
from replication.features.sampling import FREE
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies.detailed.cases import cases, write
from replication.studies.intervals import arm_of, estimate
from replication.studies.pinning import continuations
from replication.studies.tables import Number, Reader, number

KEYS = ["share_gain", "pinned_share", "free_share", "random_share", "gain_over_random"]
SAMPLES = 32
SHOWN = 6  # samples of each condition that the table keeps, beside the one with most of the context
UNPINNED, RANDOM, PINNED = "free", "random", "pinned"
Shares = Mapping[str, NDArray[np.float64]]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Per context and condition the share of each sample (rows `share`) and a few samples (rows `sample`)."""
    assert settings.studies and settings.contexts
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    features = reader.features(settings.studies.main, "feature", "max", "part").set_index("feature")
    live = features.index[features["part"] == "other"].to_numpy()
    rng = generator(settings.seed, "studies.pinned")
    control = rng.choice(live, SAMPLES, replace=len(live) < SAMPLES)
    pins = np.stack([np.full(SAMPLES, FREE), control, *(np.full(SAMPLES, case.feature) for case in found)])
    values = np.where(pins == FREE, 0, features["max"].to_numpy(np.float32)[np.maximum(pins, 0)]).astype(np.float32)
    sampled = continuations(reader, settings, pins, values, rng)
    vocabulary, tokens, strings = pieces(layout.corpus()), reader.tokens(), reader.vocabulary().strings
    rows, numbers = {}, {}
    for place, case in progress.over(list(enumerate(found, start=2)), len(found)):
        proxy = Proxy.of(settings.contexts[case.context], vocabulary, tokens)
        some = {UNPINNED: sampled[0], RANDOM: sampled[1], PINNED: sampled[place]}
        on = {name: proxy(written) > 0 for name, written in some.items()}
        shares = {name: flags.mean(1) for name, flags in on.items()}
        numbers[case.context] = headline(shares, settings, f"pinned.{case.context}")
        rows[case.context] = table(some, on, shares, strings).assign(feature=f"{settings.studies.main}/{case.feature}", pinned_at=values[place, 0])
    write(out=out, study="pinned", rows=rows, numbers=numbers, keys=KEYS, absent=absent, settings=settings, reader=reader, stopwatch=stopwatch)


def table(sampled: Mapping[str, NDArray[np.int32]], on: Mapping[str, NDArray[np.bool_]], shares: Shares, strings: list[str]) -> pd.DataFrame:
    """Rows `share` and `sample`; `values` is 1 for a token in the context."""
    rows: list[dict[str, object]] = []
    for name, written in sampled.items():
        rows += [{"kind": "share", "condition": name, "sample": k, "share": share} for k, share in enumerate(shares[name])]
        rows += [{"kind": "sample", "condition": name, "sample": k, "share": shares[name][k],
                  "tokens": canonical_json([strings[token] for token in written[k]]),
                  "values": canonical_json(on[name][k].astype(int).tolist())} for k in sorted({*range(min(SHOWN, len(written))), int(shares[name].argmax())})]
    return pd.DataFrame(rows)


def headline(shares: Shares, settings: Settings, what: str) -> dict[str, Number]:
    """Mean shares and their gains over samples with nothing pinned, and with random features pinned; bootstrap over samples, which are paired."""
    kinds = {"share_gain": shares[PINNED] - shares[UNPINNED], "pinned_share": shares[PINNED], "free_share": shares[UNPINNED], "random_share": shares[RANDOM],
             "gain_over_random": shares[PINNED] - shares[RANDOM]}
    return {key: number(estimate(arm_of(mean, [sample], settings, what)), unit="share of tokens", n=len(sample), over="samples")
            for key, sample in kinds.items()}


def mean(sample: NDArray[np.float64]) -> float:
    """The mean."""
    return float(sample.mean())
