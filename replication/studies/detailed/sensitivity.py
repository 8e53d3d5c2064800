"""How much of a context its feature covers, and what fires where it does not (paper, "activation sensitivity").

The correlation of activation and binary proxy, for the feature, for the best neuron and, where the dictionary reads neurons,
for the best of as many random directions among them, each chosen on half 0 of the evaluation tokens and measured on half 1.
Other features of the context are looked for among the twenty that follow the proxy best, and in the whole dictionary by how
much more often they fire in gaps.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.contexts import among_neurons
from replication.features.matrix import CHOOSING, REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.activations import Activations
from replication.studies.detailed.cases import Case, cases, columns, write
from replication.studies.detailed.gaps import Firing, firing
from replication.studies.detailed.kinds import MAJORITY, begins_with_al, ends_with_lead_byte, mostly, share
from replication.studies.detailed.per_context import Floats, estimates, moments, pearson, ratio, summed
from replication.studies.intervals import by_text
from replication.studies.tables import Number, Reader, number

SHOWN, TOKENS = 6, 5  # other features in the table, and tokens of each
COMPARABLE = 0.5  # of the best correlation with the proxy: a feature above it is a feature of the context too
HEXADECIMAL = "hex"
ELSEWHERE = "random directions are drawn among neurons, but the dictionary reads another site"
MEASURED = ("correlation", "neuron_correlation", "feature_minus_best_neuron", "gap_share", "gaps_covered")
KEYS = (*MEASURED, "random_correlation", "features", "al_feature", "first_byte_feature", "lead_byte_feature", "hexadecimal_own_feature")


@dataclass(frozen=True)
class Others:
    """What else there is of a context: `top` are the features that follow its proxy best on half 0, the main one first, as a table
    (feature, correlation_chosen, correlation); `fillers` of the whole dictionary rise most in its gaps on half 0, and `filler`, which
    is one of them, is the one of the top features that does, if any.
    """

    top: pd.DataFrame
    fillers: list[int]
    filler: int | None

    @staticmethod
    def of(top: pd.DataFrame, fired: Firing, main: int) -> "Others":
        """Chosen by the rise on half 0, which must be positive."""
        rise = fired.rise[CHOOSING].copy()
        rise[main] = -np.inf
        listed = top["feature"].to_numpy()
        most = [int(feature) for feature in np.argsort(-rise, kind="stable")[:SHOWN] if rise[feature] > 0]
        filler = int(listed[np.argmax(rise[listed])])
        if rise[filler] <= 0:
            return Others(top, most, None)
        return Others(top, most if filler in most else [*most[:SHOWN - 1], filler], filler)


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`kind`), bar and other, and the numbers of every context."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    found, absent = cases(reader, settings)
    strings, tokens, listed, matrix = reader.vocabulary().strings, reader.tokens(), reader.context_features(), reader.matrix(main)
    sources = reader.sources()[REPORTING::2]
    tops = {case.context: top(listed, main, case.context) for case in found}
    features = Activations.of(matrix, (feature for table in tops.values() for feature in table["feature"]))
    neurons = columns(reader, f"{model_of(main)}/{NEURONS}", [case.neuron for case in found])
    gaps = np.stack([case.on & (features[case.feature] <= 0) for case in found], axis=1) if found else np.zeros((tokens.size, 0), bool)
    fired = firing(matrix, gaps)
    others = [Others.of(tops[case.context], counts, case.feature) for case, counts in zip(found, fired, strict=True)]
    filling = Activations.of(matrix, (feature for some in others for feature in some.fillers))
    ons = {case.context: case.on for case in found}
    rows: dict[str, pd.DataFrame] = {}
    numbers: dict[str, dict[str, Number]] = {}
    missing: dict[str, dict[str, str]] = {}
    for place, case in progress.over(list(enumerate(found)), len(found)):
        name, other, gap = case.context, others[place], gaps[:, place]
        cover = features[other.filler] if other.filler is not None else np.zeros(len(gap), np.float32)
        numbers[name] = {
            **headline(case, features[case.feature], neurons[:, place], gap, cover, sources, settings),
            **by_chance(listed, main, case), **comparable(other.top), **own(case, features, tops, ons, tokens.ravel(), strings)}
        missing[name] = unmeasured(case, absent, int(gap[case.half == REPORTING].sum()), among=among_neurons(settings, main))
        rows[name] = pd.concat([bars(numbers[name]), table(main, case, other, fired[place], filling, gap, tokens.ravel(), strings)],
                               ignore_index=True).assign(
            feature=f"{main}/{case.feature}", neuron=f"{model_of(main)}/{NEURONS}/{case.neuron}")
    write(out=out, study="sensitivity", rows=rows, numbers=numbers, keys=KEYS, absent=absent, missing=missing, settings=settings,
          reader=reader, stopwatch=stopwatch)


def top(listed: pd.DataFrame, dictionary: str, context: str) -> pd.DataFrame:
    """The features of a dictionary that follow a context's proxy best on half 0, the best first."""
    rows = listed[(listed["dictionary"] == dictionary) & (listed["context"] == context)]
    return rows.sort_values("rank")[["feature", "correlation_chosen", "correlation"]].reset_index(drop=True)


def headline(
    case: Case, feature: NDArray[np.float32], neuron: NDArray[np.float32], gap: NDArray[np.bool_], cover: NDArray[np.float32],
    sources: NDArray[np.int64], settings: Settings,
) -> dict[str, Number]:
    """The numbers with an interval, from activations [token] of the feature, of the best neuron and of the filler."""
    report = case.half == REPORTING
    on, gap, covered = case.on[report], gap[report], cover[report] > 0
    n_ctx = len(on) // len(sources)
    sums = np.hstack([moments(n_ctx, feature[report], on), moments(n_ctx, neuron[report], on),
                      summed(n_ctx, on, gap, gap & covered, ~gap, ~gap & covered)])
    found = dict(zip(MEASURED, estimates(statistics, by_text(sums, sources), settings, "sensitivity"), strict=True))
    n = {"gap_share": int(on.sum()), "gaps_covered": int(gap.sum())}
    if not covered.any():
        del found["gaps_covered"]
    return {key: number(estimate, unit="share of tokens" if key in n else "correlation", n=n.get(key, len(on)), over="tokens")
            for key, estimate in found.items()}


def statistics(sums: Floats) -> Floats:
    """MEASURED from sums [..., 17]: moments of feature and proxy, of neuron and proxy, then on, gap, gap covered, other, other covered."""
    feature, neuron = pearson(sums[..., :6]), pearson(sums[..., 6:12])
    on, gap, gap_covered, other, other_covered = np.moveaxis(sums[..., 12:], -1, 0)
    return np.stack([feature, neuron, feature - neuron, ratio(gap, on), ratio(gap_covered, gap) - ratio(other_covered, other)], axis=-1)


def by_chance(listed: pd.DataFrame, dictionary: str, case: Case) -> dict[str, Number]:
    """The best of as many random unit directions as the dictionary has features."""
    best = top(listed, f"{dictionary}/random", case.context)["correlation"]
    n = int((case.half == REPORTING).sum())
    return {"random_correlation": Number(float(best.iloc[0]), "correlation", n, "tokens")} if len(best) else {}


def comparable(top: pd.DataFrame) -> dict[str, Number]:
    """How many of the listed features follow the proxy more than half as closely as the best one, on half 1."""
    correlation = top["correlation"].to_numpy()
    count = int((correlation > COMPARABLE * correlation[0]).sum()) if correlation[0] > 0 else 0
    return {"features": Number(count, "features", len(top), "features listed")}


def own(
    case: Case, features: Activations, tops: Mapping[str, pd.DataFrame], ons: Mapping[str, NDArray[np.bool_]], text: NDArray[np.int32],
    strings: Sequence[str],
) -> dict[str, Number]:
    """What the paper says of one context only: further Arabic, Hebrew and hexadecimal features, counted among the listed ones."""
    some = [int(feature) for feature in tops[case.context]["feature"] if feature != case.feature]

    def count(key: str, found: Sequence[int], n: int) -> dict[str, Number]:
        return {key: Number(len(found), "features", n, "features listed")}

    if case.context == "arabic":
        lead = ends_with_lead_byte(strings)
        last = share(features, case.feature, lead, text, case.half)[REPORTING] < MAJORITY  # the main one fires on other tokens
        return {**count("al_feature", mostly(features, some, begins_with_al(strings), text, case.half), len(some)),
                **count("first_byte_feature", mostly(features, some, lead, text, case.half) if last else [], len(some))}
    if case.context == "hebrew":
        return count("lead_byte_feature", mostly(features, some, ends_with_lead_byte(strings), text, case.half), len(some))
    if case.context == "base64" and HEXADECIMAL in tops:
        rows = tops[HEXADECIMAL]
        report = case.half == REPORTING
        near = rows[rows["correlation"] > COMPARABLE * rows["correlation"].iloc[0]]
        found = [feature for feature, correlation in zip(near["feature"], near["correlation"], strict=True)
                 if feature != case.feature and correlation > np.corrcoef(features[feature][report], case.on[report])[0, 1]]
        lights = float(case.on[report & ons[HEXADECIMAL]].mean())
        return {**count("hexadecimal_own_feature", found, len(rows)),
                "hexadecimal_lights": Number(lights, "share of tokens", int((report & ons[HEXADECIMAL]).sum()), "hexadecimal tokens")}
    return {}


def unmeasured(case: Case, absent: Mapping[str, str], gaps: int, *, among: bool = True) -> dict[str, str]:
    """Why a number is lacking; `among`: whether the dictionary reads the neurons, among which random directions are drawn."""
    none = f"no listed feature fires more often in the {gaps} gaps" if gaps else "the feature fires wherever the proxy is on"
    hexadecimal = absent.get(HEXADECIMAL, "the run does not examine hexadecimal text")
    return {"gaps_covered": none, "random_correlation": "no random direction follows the proxy" if among else ELSEWHERE,
            **({"hexadecimal_own_feature": hexadecimal} if case.context == "base64" else {})}


def bars(numbers: Mapping[str, Number]) -> pd.DataFrame:
    """Rows of the correlations: of the feature, the best neuron and the best random direction."""
    kinds = {"feature": "correlation", "neuron": "neuron_correlation", "random": "random_correlation"}
    found = {kind: numbers[key] for kind, key in kinds.items() if key in numbers}
    return pd.DataFrame([{"kind": "bar", "name": kind, "correlation": n.value, "correlation_low": n.low, "correlation_high": n.high}
                         for kind, n in found.items()])


def table(
    dictionary: str, case: Case, other: Others, fired: Firing, filling: Activations, gap: NDArray[np.bool_], text: NDArray[np.int32], strings: Sequence[str],
) -> pd.DataFrame:
    """Rows of the features that rise most in gaps, on half 1: shares, correlation with the proxy, and the gap tokens they fire on."""
    report = case.half == REPORTING
    rows = []
    for rank, feature in enumerate(other.fillers):
        fires = filling.fires(feature)
        ids, counts = np.unique(text[fires[gap[fires] & report[fires]]], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:TOKENS]
        rows.append({
            "kind": "other", "rank": rank, "other": f"{dictionary}/{feature}", "filler": int(feature == other.filler), "gaps": int(fired.gaps[REPORTING]),
            "in_gaps": fired.in_gaps[REPORTING, feature] / max(fired.gaps[REPORTING], 1),
            "elsewhere": fired.elsewhere[REPORTING, feature] / max(fired.others[REPORTING], 1),
            "correlation": float(pearson(moments(report.sum(), filling[feature][report], case.on[report])[0])),
            "tokens": json.dumps([strings[token] for token in ids[order]], ensure_ascii=False),
            "counts": json.dumps(counts[order].tolist())})
    return pd.DataFrame(rows)
