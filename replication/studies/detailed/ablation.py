"""What happens to the next token when a context's feature is ablated, by how strongly it fires.

Ablation subtracts the feature's part f d from the activations at every position and finishes the pass; in a one-layer model
the position before a token alone decides what becomes of it. An effect is the change of a token's log-likelihood; what hurts is
negative, and `hurt` is its opposite. On the half of the evaluation tokens that the feature was not chosen on. Source: paper,
"Detailed investigations", feature downstream effects.
"""

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.examples import INTERVALS
from replication.features.logit_weights import written
from replication.features.matrix import REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.ablated import ablated
from replication.studies.detailed import windows
from replication.studies.detailed.cases import cases, columns, write
from replication.studies.detailed.levels import level_of
from replication.studies.detailed.per_context import estimates, ratio
from replication.studies.intervals import by_text
from replication.studies.tables import Number, Reader, number

KEYS = ["context_hurt", "effect_growth", "shared_punctuation_helped", "middle_to_top", "next_to_top", "mean_hurt"]
UNITS = {"effect_growth": "nats per unit of activation", "middle_to_top": "ratio", "next_to_top": "ratio"}
TOP, MIDDLE = 0, 5  # intervals whose texts are shown; 0 is the strongest
TEXTS, SIDE = 5, 18
FEWEST, FEWEST_TEXTS = 10, 5  # tokens of a kind behind a mean, and texts that hold them: a bootstrap over fewer texts tells nothing
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One feature on texts. `tokens` [context, n_ctx] of the texts `sources` [context]; the rest [token]: activation, effect (on it, of ablating at the
    one before), whether it lies in the context, and whether it is punctuation.
    """

    tokens: NDArray[np.int32]
    sources: NDArray[np.int64]
    activation: NDArray[np.float32]
    effect: NDArray[np.float32]
    on: NDArray[np.bool_]
    punctuation: NDArray[np.bool_]

    @cached_property
    def interval(self) -> NDArray[np.int64]:
        """Interval of the activation: 0 is the upper eleventh of the range, 10 the lowest; 11 where the feature is silent."""
        return INTERVALS - 1 - level_of(self.activation, float(self.activation.max(initial=0)), INTERVALS)

    @cached_property
    def predicting(self) -> NDArray[np.int64]:
        """Tokens on which the feature fires and that have a next one."""
        n_ctx = self.tokens.shape[1]
        return np.flatnonzero((self.activation > 0) & (np.arange(len(self.activation)) % n_ctx < n_ctx - 1))


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Per context the mean hurt by interval of activation (rows `interval`) and texts of two intervals (rows `text`)."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    main, reported = settings.studies.main, reader.tokens()[REPORTING::2]
    model, W_dec, strings = reader.model(model_of(main)), reader.weights(main)["W_dec"], reader.vocabulary().strings
    punctuation = np.array([is_punctuation(string) for string in strings])[reported].ravel()
    activations = columns(reader, main, [case.feature for case in found])
    rows, numbers, missing = {}, {}, {}
    for place, case in progress.over(list(enumerate(found)), len(found)):
        activation = activations[case.half == REPORTING, place]
        fired = np.flatnonzero(activation)
        direction = written(model, settings.site(settings.studies.main), torch.from_numpy(W_dec[[case.feature]]))
        pairs = ablated(model, direction, reported, [(fired, activation[fired])])
        effect = np.zeros(reported.size, np.float32)
        effect[pairs["token"].to_numpy() + 1] = pairs["effect"]
        sample = Sample(reported, reader.sources()[REPORTING::2], activation, effect, case.on[case.half == REPORTING], punctuation)
        table, numbers[case.context] = measured(sample, settings, f"ablation.{case.context}")
        rows[case.context] = pd.concat([table, texts(sample, strings)], ignore_index=True).assign(feature=f"{main}/{case.feature}")
        few = f"fewer than {FEWEST} tokens of a kind, or {FEWEST_TEXTS} texts that hold them, among the {len(sample.predicting)} that follow the feature"
        missing[case.context] = {key: few + (", or no hurt at the top that is measurably above zero" if key.endswith("_to_top") else "") for key in KEYS}
    write(out=out, study="ablation", rows=rows, numbers=numbers, keys=KEYS, absent=absent, missing=missing, settings=settings,
          reader=reader, stopwatch=stopwatch)


def measured(sample: Sample, settings: Settings, what: str) -> tuple[pd.DataFrame, dict[str, Number]]:
    """A row per interval, with the mean hurt of all next tokens, of the context's (`on`) and of the others (`off`); and the numbers."""
    columns = by_text(sums(sample), sample.sources)
    total, held = columns.sum(0), (columns != 0).sum(0)
    found = estimates(statistics, columns, settings, what)
    table = pd.DataFrame({"kind": "interval", "interval": np.arange(INTERVALS), "low": (INTERVALS - 1 - np.arange(INTERVALS)) / INTERVALS,
                          "maximum": float(sample.activation.max(initial=0)), "n_on": total[ON], "n_off": total[OFF]})
    for place, (name, counted) in enumerate((("on", held[ON]), ("off", held[OFF])), start=1):
        some = found[len(KEYS) + place * INTERVALS :][:INTERVALS]
        table[name] = [item.value for item in some]
        for end in ("low", "high"):
            table[f"{name}_{end}"] = [getattr(item, end) if texts >= FEWEST_TEXTS else None for item, texts in zip(some, counted, strict=True)]
    every = np.concatenate([columns[:, ON] + columns[:, OFF], columns[:, ON].sum(1, keepdims=True), columns[:, OFF].sum(1, keepdims=True)], axis=1)
    top, middle, on, off = every[:, TOP], every[:, MIDDLE], every[:, -2], every[:, -1]
    shared, (top_itself, middle_itself) = columns[:, PUNCTUATION][:, 0], columns[:, MIDDLE_TOKENS][:, [0, 2]].T
    behind = {"context_hurt": (on, off), "effect_growth": (on + off,), "shared_punctuation_helped": (shared,), "middle_to_top": (top_itself, middle_itself),
              "next_to_top": (top, middle), "mean_hurt": (on + off,)}
    divisor = {"middle_to_top": found[-1], "next_to_top": found[len(KEYS) + TOP]}  # a ratio means something where this is measurably above zero
    numbers = {}
    for key, item in zip(KEYS, found[: len(KEYS)], strict=True):
        if key in divisor and not (divisor[key].low or 0.0) > 0:
            continue
        n, texts = (min(int(count) for count in counts) for counts in zip(*((kind.sum(), (kind > 0).sum()) for kind in behind[key]), strict=True))
        if n >= FEWEST and texts >= FEWEST_TEXTS:
            numbers[key] = number(item, unit=UNITS.get(key, "nats"), n=n, over="next tokens" + (" of the smaller group" if len(behind[key]) > 1 else ""))
    return table, numbers


# Columns of the sums per text: tokens and hurt of each interval, next token in the context or not; then what a slope needs, and two kinds.
ON, OFF, HURT_ON, HURT_OFF = (slice(place * INTERVALS, (place + 1) * INTERVALS) for place in range(4))
SLOPE, PUNCTUATION, MIDDLE_TOKENS = (slice(4 * INTERVALS, 4 * INTERVALS + 3), slice(4 * INTERVALS + 3, 4 * INTERVALS + 5),
                                     slice(4 * INTERVALS + 5, 4 * INTERVALS + 9))


def sums(sample: Sample) -> Floats:
    """Sums per context [context, column]."""
    contexts, n_ctx = sample.tokens.shape
    at = sample.predicting
    a, hurt, on = sample.activation[at].astype(np.float64), -sample.effect[at + 1].astype(np.float64), sample.on[at + 1]
    group = sample.interval[at] + INTERVALS * ~on

    def summed(place: NDArray[np.int64], values: Floats | None = None, group: NDArray[np.int64] | None = None, groups: int = 1) -> Floats:
        key = place // n_ctx * groups + (0 if group is None else group)
        return np.bincount(key, values, contexts * groups).reshape(contexts, groups).astype(np.float64)

    shared = sample.punctuation[at + 1] & ~on
    middles = []
    for interval in (TOP, MIDDLE):
        middle = np.flatnonzero((sample.interval == interval) & (np.arange(len(sample.on)) % n_ctx > 0))
        middles += [summed(middle), summed(middle, -sample.effect[middle].astype(np.float64))]
    return np.concatenate([summed(at, None, group, 2 * INTERVALS), summed(at, hurt, group, 2 * INTERVALS), summed(at, a), summed(at, a * a),
                           summed(at, a * hurt), summed(at[shared]), summed(at[shared], hurt[shared]), *middles], axis=1)


def statistics(sums: Floats) -> Floats:
    """The numbers in the order of KEYS, then mean hurt by interval of all, the context's and other next tokens, then of the tokens themselves in the top
    interval; from sums [..., column].

    `middle_to_top` compares the hurt of the very tokens on which the feature fires in the two intervals (the middle ones of the
    texts), `next_to_top` that of the tokens after them.
    """
    on, off, hurt_on, hurt_off = (sums[..., part] for part in (ON, OFF, HURT_ON, HURT_OFF))
    n, hurt = (on + off).sum(-1), (hurt_on + hurt_off).sum(-1)
    a, aa, ah = np.moveaxis(sums[..., SLOPE], -1, 0)
    slope = ratio(ah - ratio(a * hurt, n), aa - ratio(a * a, n))
    shared, shared_hurt = np.moveaxis(sums[..., PUNCTUATION], -1, 0)
    top, top_hurt, middle, middle_hurt = np.moveaxis(sums[..., MIDDLE_TOKENS], -1, 0)
    every, top_itself = ratio(hurt_on + hurt_off, on + off), ratio(top_hurt, top)
    numbers = [ratio(hurt_on.sum(-1), on.sum(-1)) - ratio(hurt_off.sum(-1), off.sum(-1)), slope, -ratio(shared_hurt, shared),
               ratio(ratio(middle_hurt, middle), top_itself), ratio(every[..., MIDDLE], every[..., TOP]), ratio(hurt, n)]
    return np.concatenate([np.stack(numbers, axis=-1), every, ratio(hurt_on, on), ratio(hurt_off, off), top_itself[..., None]], axis=-1)


def texts(sample: Sample, strings: list[str]) -> pd.DataFrame:
    """Texts around the tokens nearest to the two intervals' activations, each from another context: `values` are activations,
    `effects` what ablating does to each token.
    """
    rows = []
    for interval in (TOP, MIDDLE):
        for rank, place in enumerate(nearest(sample, interval)):
            said = windows.row(place, sample.tokens, strings, {"values": sample.activation, "effects": sample.effect}, SIDE)
            rows.append({"kind": "text", "interval": interval, "rank": rank, "activation": float(sample.activation[place]), **said})
    return pd.DataFrame(rows)


def nearest(sample: Sample, interval: int) -> list[int]:
    """Tokens with a next one whose activation is nearest to (10 - interval) / 11 of the maximum within the width of an interval.

    One from each context before a second of any, and none within the window of another.
    """
    n_ctx, maximum = sample.tokens.shape[1], float(sample.activation.max(initial=0))
    target = maximum * (INTERVALS - 1 - interval) / INTERVALS
    distance = np.abs(sample.activation[sample.predicting] - target)
    near = sample.predicting[np.argsort(distance, kind="stable")][: int((distance <= maximum / INTERVALS).sum())]
    chosen: list[int] = []
    for again in (False, True):
        for place in near.tolist():
            taken = any(place // n_ctx == other // n_ctx if not again else abs(place - other) <= SIDE for other in chosen)
            if len(chosen) < TEXTS and not taken:
                chosen.append(place)
    return chosen


def is_punctuation(token: str) -> bool:
    """Whether a token is punctuation, but for a space before it."""
    signs = token.strip()
    return bool(signs) and all(unicodedata.category(sign).startswith("P") for sign in signs)
