"""How specific a context's feature is at each activation level (paper, "activation specificity").

On half 1 of the evaluation tokens, for a feature chosen on half 0: histograms of its activation by how strongly the proxy is
on, by count and weighted by activation; the share of context tokens at each of twelve levels; examples from four levels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings
from replication.features.matrix import REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.cases import cases, columns, write
from replication.studies.detailed.levels import LEVELS, STRENGTHS, level_of, strength_of, strong_from, wilson
from replication.studies.detailed.per_context import Floats, estimates, grouped, ratio, summed
from replication.studies.detailed.windows import drawn, near, row
from replication.studies.intervals import Estimate, by_text, random
from replication.studies.tables import Number, Reader, number

BINS = 2 * LEVELS
QUARTERS, EXAMPLES, SIDE = 4, 3, 16  # examples: levels, windows of each, tokens on each side
STRONG, VERY_STRONG = 5.0, 6.0  # activations that the paper names
RANDOM_WINDOWS = 10
KEYS = ("specificity_rise", "context_share", "active_share", "barely_on_share", "above_5_share", "summed_activation_share", "density",
        "maximum", "windows_above_6", "strong_from")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four kinds (`kind`): bin, level, example, and the numbers of every context."""
    assert settings.studies and settings.features
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    tokens, sources, strings = reader.tokens(), reader.sources()[REPORTING::2], reader.vocabulary().strings
    activations = columns(reader, settings.studies.main, [case.feature for case in found])
    rows: dict[str, pd.DataFrame] = {}
    numbers: dict[str, dict[str, Number]] = {}
    missing: dict[str, dict[str, str]] = {}
    for index, case in progress.over(list(enumerate(found)), len(found)):
        name, report = case.context, case.half == REPORTING
        activation, proxy, texts = activations[report, index], case.proxy[report], tokens[REPORTING::2]
        threshold = strong_from(case.proxy[~report])
        levels, numbers[name] = measured(activation, proxy > 0, sources, settings)
        numbers[name]["strong_from"] = Number(threshold, "nats", int(case.on[~report].sum()), "tokens")
        numbers[name] |= strong_windows(activation, proxy > 0, texts, settings.features.window, random(settings, "spectrum.windows", index))
        missing[name] = unmeasured(activation)
        shown = examples(activation, proxy, texts, strings, random(settings, "spectrum.examples", index))
        rows[name] = pd.concat([histogram(activation, strength_of(proxy, threshold)), levels, shown], ignore_index=True).assign(
            feature=f"{settings.studies.main}/{case.feature}")
    write(out=out, study="activation_spectrum", rows=rows, numbers=numbers, keys=KEYS, absent=absent, missing=missing,
          settings=settings, reader=reader, stopwatch=stopwatch)


def histogram(activation: NDArray[np.float32], strength: NDArray[np.int64]) -> pd.DataFrame:
    """Tokens and summed activation per bin of equal width and proxy strength, of the tokens on which the feature fires."""
    maximum = float(activation.max(initial=0.0))
    fires = activation > 0
    key = level_of(activation, maximum, BINS)[fires] * len(STRENGTHS) + strength[fires]
    low, high = (np.repeat(np.linspace(0, maximum, BINS + 1)[some], len(STRENGTHS)) for some in (slice(-1), slice(1, None)))
    return pd.DataFrame({
        "kind": "bin", "low": low, "high": high, "proxy": STRENGTHS * BINS,
        "count": np.bincount(key, minlength=BINS * len(STRENGTHS)),
        "activation": np.bincount(key, weights=activation[fires].astype(np.float64), minlength=BINS * len(STRENGTHS))})


def measured(
    activation: NDArray[np.float32], on: NDArray[np.bool_], sources: NDArray[np.int64], settings: Settings,
) -> tuple[pd.DataFrame, dict[str, Number]]:
    """The share of context tokens at each level, and the headline numbers, with intervals.

    A level's interval reaches from the lower of Wilson's and the bootstrap's ends to the higher: where all of a level's tokens
    agree, the bootstrap sees no spread.
    """
    maximum = float(activation.max(initial=0.0))
    level, fires, weight = level_of(activation, maximum), activation > 0, activation.astype(np.float64)
    n_ctx = len(on) // len(sources)
    columns = by_text(np.hstack([
        grouped(n_ctx, level, LEVELS, fires), grouped(n_ctx, level, LEVELS, fires & on),
        summed(n_ctx, np.ones_like(weight), on, weight, weight * on, activation > STRONG, (activation > STRONG) & on)]), sources)
    shares, rise, *rest = _split(estimates(statistics, columns, settings, "activation_spectrum"))
    fired, inside = columns[:, :LEVELS].sum(0), columns[:, LEVELS: 2 * LEVELS].sum(0)
    edges = np.linspace(0, maximum, LEVELS + 1)
    levels = pd.DataFrame({"kind": "level", "low": edges[:-1], "high": edges[1:], "count": fired.astype(np.int64),
                           "inside": inside.astype(np.int64), "share": [share.value for share in shares]})
    ends = [(*wilson(hits, n), share.low, share.high) for hits, n, share in zip(inside, fired, shares, strict=True)]
    levels["share_low"] = [np.fmin(low, least if least is not None else np.nan) for low, _, least, _ in ends]
    levels["share_high"] = [np.fmax(high, most if most is not None else np.nan) for _, high, _, most in ends]
    active, strong = int(fires.sum()), int((activation > STRONG).sum())
    of = {"specificity_rise": (rise, active), **dict(zip(
        ("context_share", "active_share", "barely_on_share", "above_5_share", "summed_activation_share", "density"),
        zip(rest, (len(on), active, int(fired[0]), strong, active, len(on)), strict=True), strict=True))}
    numbers = {key: number(estimate, unit="share of activation" if key.startswith("summed") else "share of tokens", n=n, over="tokens")
               for key, (estimate, n) in of.items()}
    return levels, numbers | {"maximum": Number(maximum, "activation", len(on), "tokens")}


def statistics(sums: Floats) -> Floats:
    """Shares of the context per level, then: rise from the lower to the upper levels, share of all tokens, of active ones, of the
    lowest level, above `STRONG`, of the summed activation; and density. From sums [..., 2 LEVELS + 6].
    """
    fired, inside, rest = sums[..., :LEVELS], sums[..., LEVELS: 2 * LEVELS], np.moveaxis(sums[..., 2 * LEVELS:], -1, 0)
    half = LEVELS // 2
    total, on, weight, weight_on, strong, strong_on = rest
    upper, lower = (ratio(inside[..., part].sum(-1), fired[..., part].sum(-1)) for part in (slice(half, None), slice(half)))
    active = fired.sum(-1)
    return np.concatenate([ratio(inside, fired), np.stack([
        upper - lower, ratio(on, total), ratio(inside.sum(-1), active), ratio(inside[..., 0], fired[..., 0]), ratio(strong_on, strong),
        ratio(weight_on, weight), ratio(active, total)], axis=-1)], axis=-1)


def _split(found: list[Estimate]) -> tuple[Any, ...]:
    return (found[:LEVELS], *found[LEVELS:])


def strong_windows(
    activation: NDArray[np.float32], on: NDArray[np.bool_], texts: NDArray[np.int32], side: int, rng: np.random.Generator,
) -> dict[str, Number]:
    """The share of ten random windows above `VERY_STRONG` that hold a token of the context, if there are ten."""
    above = np.flatnonzero(activation > VERY_STRONG)
    places = drawn(above, RANDOM_WINDOWS, texts, side, rng)
    if len(places) < RANDOM_WINDOWS:
        return {}
    hits = float(near(on, texts.shape[1], side)[places].sum())
    low, high = wilson(hits, RANDOM_WINDOWS)
    return {"windows_above_6": Number(hits / RANDOM_WINDOWS, "share of windows", RANDOM_WINDOWS, "windows", low=low, high=high)}


def unmeasured(activation: NDArray[np.float32]) -> dict[str, str]:
    """Why a number is lacking."""
    maximum = f"the feature's largest activation is {activation.max(initial=0.0):.1f}"
    return {"above_5_share": maximum, "windows_above_6": f"{maximum}, with fewer than {RANDOM_WINDOWS} different windows above 6",
            "barely_on_share": f"{maximum}, and never in the lowest of {LEVELS} levels",
            "specificity_rise": "the feature fires in one half of its levels only"}


def examples(
    activation: NDArray[np.float32], proxy: NDArray[np.float32], texts: NDArray[np.int32], strings: list[str], rng: np.random.Generator,
) -> pd.DataFrame:
    """Random windows from each quarter of the activation's range, the strongest first."""
    quarter = level_of(activation, float(activation.max(initial=0.0)), QUARTERS)
    rows = [{"kind": "example", "quarter": k, "activation": activation[place], "inside": int(proxy[place] > 0),
             **row(int(place), texts, strings, {"values": activation}, SIDE)}
            for k in reversed(range(QUARTERS)) for place in drawn(np.flatnonzero(quarter == k), EXAMPLES, texts, SIDE, rng)]
    return pd.DataFrame(rows)
