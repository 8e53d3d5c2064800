"""Token detector or context detector? (a question of readers of the paper).

For a random sample of live features, of tokens on which they fire at all levels of activation: what is left of the activation when
earlier tokens are removed (`removal`), as a share of it, sums over a feature's tokens. Left on the token alone; effect of each of the
last tokens and of pairs of them; how many of the last tokens give half of it back. Beside the features stand the neurons of the model
and the same neurons cut at a threshold, so that they fire as rarely as features: a unit that fires rarely loses more by any change.
And what is left when the token stays and the text before it is another one, when the text stays and the token is another one, and
when both are others, which is chance. What is chosen (class, most important distance, examples) is chosen on half 0 of the evaluation
tokens and reported on half 1; all else is of half 1. Source: ours.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.matrix import CHOOSING, HALVES, REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import Arm, arm_of, estimate, random
from replication.studies.questions import detectors, removal
from replication.studies.questions.detectors import FEATURES, FEWEST, NEURONS, RARE, Array, Ids, Units
from replication.studies.questions.removal import KEPT, PAIRS, WINDOW, Found
from replication.studies.replicates import groups
from replication.studies.tables import Number, Reader, number, write

OTHERS = 8  # texts from which tokens are taken
HALF = 0.5  # share of the activation that counts as enough
APPRECIABLE = 0.05  # share of the activation from which two tokens count as acting together
EXAMPLES = ("token", "one", "both", "either")
LEDGER = ("neuron_minus_feature", "feature_minus_rare_neuron", "single_token_minus_rest", "token_minus_context", "nearest_minus_farther",
          "family_minus_rest", "detector_gap", "interaction")
SHARE = "share of the activation"
ENOUGH: Mapping[str, Callable[[pd.DataFrame], "pd.Series[bool]"]] = {
    "token_detectors": lambda x: x["alone"] >= HALF, "token_enough": lambda x: x["token"] >= HALF, "text_enough": lambda x: x["context"] >= HALF,
    "both_matter": lambda x: (x["token"] < HALF) & (x["context"] < HALF)}
MISSING = {"neuron_minus_feature": "no neuron fires on enough tokens", "feature_minus_rare_neuron": "no neuron fires on enough tokens above its cut",
           "single_token_minus_rest": "the features drawn from a seed are all single-token features, or none is",
           "family_minus_rest": "fewer than two features follow a context", "detector_gap": "the features drawn from a seed are all of one class"}


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four sorts (`row`): units, mean effect by distance, what the last tokens give back, examples."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    names = groups(settings.dictionaries)[main]
    model, tokens, strings = reader.model(model_of(main)), reader.tokens(), reader.vocabulary().strings
    families = detectors.followed(reader.context_features(), main)
    units = [detectors.features(reader, settings, model, name, families if name == main else {}, index) for index, name in enumerate(names)]
    units.append(detectors.neurons(reader, settings, model))
    cuts = detectors.thresholds(reader, units, settings)
    why = "" if len(model.blocks) == 1 else "the main model has several layers, through which a token can reach a later one twice"
    found: list[tuple[Units, Found]] = []
    if not why:
        others = tokens[random(settings, "context_dependence.others").choice(len(tokens), min(OTHERS, len(tokens)), replace=False)]
        found = [(each, removal.measure(model, each.read, tokens, each.place, others)) for each in progress.over(units, len(units))]
    profiles = [(each, *profile(each, part, np.zeros(len(each.table)))) for each, part in found if part]
    profiles += [(Units(RARE, each.dictionary, each.table, each.place, each.read), *profile(each, part, cuts)) for each, part in found[-1:] if part]
    kept = [(each, *both) for each, *both in profiles if both[0]["drawn"].any()]
    if not any(each.dictionary == main for each, *_ in kept):
        why = why or f"no feature fires on {FEWEST} tokens of each half with {WINDOW} tokens before them"
        write(out=out, study="context_dependence", data=pd.DataFrame({"row": ["none"]}), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=dict.fromkeys(LEDGER, why), absent=why)
        return
    tables = [rows(each, chosen, reported) for each, chosen, reported in kept]
    data = pd.concat([*tables, *(curves(each, reported) for each, _, reported in kept), shown(kept[0], found[0][1], tokens, strings)], ignore_index=True)
    numbers, missing = headline(pd.concat(tables, ignore_index=True), settings)
    write(out=out, study="context_dependence", data=data.assign(group=main), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing)


def profile(units: Units, found: Found, cut: Array) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `shares` has of each unit on either half, where it fires often enough above its cut on both."""
    halves = [shares(found, units.place, cut, half) for half in HALVES]
    often = np.logical_and(*(half["positions"] >= FEWEST for half in halves))
    chosen, reported = (pd.concat([units.table.reset_index(drop=True), half], axis=1)[often.to_numpy()].reset_index(drop=True) for half in halves)
    return chosen, reported


def shares(found: Found, place: Mapping[str, Ids], cut: Array, half: int) -> pd.DataFrame:
    """Of each unit on one half, sums over tokens as shares of the summed activation.

    positions (their number); alone, token, context, neither: what is left; kept_k: left with the last k tokens; single_d and replaced_d: what
    the token d back changes; largest: the largest such effect of a position; pair and interaction: effect of the pair of tokens with the
    largest one, and by how much it exceeds the sum of its two.
    """
    n = len(cut)
    act = {key: np.maximum(value - cut[place["unit"]].reshape(-1, *[1] * (value.ndim - 1)), 0.0).astype(np.float64) for key, value in found.items()}
    on = (place["context"] % len(HALVES) == half) & (act["full"] > 0)
    act, unit = {key: value[on] for key, value in act.items()}, place["unit"][on]
    full = act["full"]
    single, pair, replaced = full[:, None] - act["single"], full[:, None] - act["pair"], full[:, None] - act["replaced"].mean(2)
    one, two = np.array(PAIRS).T - 1
    strongest = np.abs(pair).argmax(1) if len(pair) else np.zeros(0, np.int64)
    row = np.arange(len(full))
    together = (pair - single[:, one] - single[:, two])[row, strongest]
    columns = {"alone": act["alone"], **{key: act[key].mean(1) for key in ("token", "context", "neither")},
               **{f"kept_{k}": act["kept"][:, place] for place, k in enumerate(KEPT)},
               **{f"single_{d + 1}": single[:, d] for d in range(WINDOW)}, **{f"replaced_{d + 1}": replaced[:, d] for d in range(WINDOW)},
               "largest": np.abs(single).max(1, initial=0.0), "pair": pair[row, strongest], "interaction": together}
    total = np.bincount(unit, full, minlength=n)
    safe = np.where(total > 0, total, 1.0)
    return pd.DataFrame({"positions": np.bincount(unit, minlength=n), **{key: np.bincount(unit, value, minlength=n) / safe for key, value in columns.items()}})


def rows(units: Units, chosen: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    """A row per unit: measures of half 1; class and most important distance of half 0, with the distance's effect on half 1."""
    effects = {half: table[[f"single_{d}" for d in range(1, WINDOW + 1)]].to_numpy(float) for half, table in ((CHOOSING, chosen), (REPORTING, reported))}
    distance = np.abs(effects[CHOOSING]).argmax(1)
    here = effects[REPORTING][np.arange(len(distance)), distance]
    curve = reported[[f"kept_{k}" for k in KEPT]].to_numpy(float) >= HALF
    reach = np.where(curve.any(1), np.array(KEPT)[curve.argmax(1)], -1)
    measures = ["feature", "drawn", "single_token", "family", "density", "positions", "alone", "token", "context", "neither", "largest", "pair", "interaction"]
    table = reported[measures].assign(row="unit", kind=units.kind, dictionary=units.dictionary, detector=chosen["alone"].to_numpy() >= HALF,
                                      distance=distance + 1, at_distance=here, elsewhere=(effects[REPORTING].sum(1) - here) / (WINDOW - 1), reach=reach,
                                      nearest=effects[REPORTING][:, 0], farther=effects[REPORTING][:, 1:].mean(1))
    return table.round({key: 5 for key in table.columns if table[key].dtype == np.float64})


def curves(units: Units, reported: pd.DataFrame) -> pd.DataFrame:
    """Over units: mean effect by distance, removed and replaced; quartiles of what the last tokens give back."""
    table = reported[reported["drawn"]]
    found: list[dict[str, object]] = [{"row": "distance", "distance": d, "removed": table[f"single_{d}"].mean(), "replaced": table[f"replaced_{d}"].mean()}
                                      for d in range(1, WINDOW + 1)]
    for k in KEPT:
        low, middle, high = np.quantile(table[f"kept_{k}"], [0.25, 0.5, 0.75])
        found.append({"row": "kept", "last": k, "low": low, "median": middle, "high": high})
    return pd.DataFrame(found).assign(kind=units.kind, dictionary=units.dictionary, units=len(table))


def shown(main: tuple[Units, pd.DataFrame, pd.DataFrame], found: Found, tokens: NDArray[np.int32], strings: Sequence[str]) -> pd.DataFrame:
    """Features that are clear cases on half 0, each at its strongest token of half 1: the token, those before it, and what removing each changes."""
    units, chosen, _ = main
    chosen = chosen[chosen["drawn"]].reset_index(drop=True)
    dependent = chosen["alone"] < HALF
    largest = chosen[[f"single_{d}" for d in range(1, WINDOW + 1)]].max(axis=1)
    clear = {"token": chosen["alone"].where(chosen["alone"] <= 1), "one": largest.where(dependent), "both": -chosen["interaction"].where(dependent),
             "either": chosen["interaction"].where(dependent)}
    place, wanted = units.place, units.table["feature"].to_numpy(np.int64)
    lines = []
    for key in EXAMPLES:
        if clear[key].isna().all():
            continue
        feature = int(chosen.loc[clear[key].idxmax(), "feature"])
        of = np.flatnonzero((wanted[place["unit"]] == feature) & (place["context"] % len(HALVES) == REPORTING))
        at = int(of[found["full"][of].argmax()])
        context, pos, full = int(place["context"][at]), int(place["pos"][at]), float(found["full"][at])
        change = (found["single"][at] - full) / full
        lines.append({"row": "example", "case": key, "feature": feature, "dictionary": units.dictionary, "alone": float(found["alone"][at]) / full,
                      "tokens": json.dumps([strings[token] for token in tokens[context, pos - WINDOW : pos + 1]], ensure_ascii=False),
                      "effects": json.dumps([*np.round(change[::-1].astype(float), 4).tolist(), 0.0])})
    return pd.DataFrame(lines)


class Numbers:
    """Numbers of a table of units: features have one sample for each replicate; neurons are not trained anew."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def arm(self, tables: Sequence[pd.DataFrame], value: Callable[[pd.DataFrame], "pd.Series[float]"], what: str, statistic: Callable[[Array], float]) -> Arm:
        """The arm of a statistic of a value of units."""
        found = arm_of(statistic, [value(table).to_numpy(float) for table in tables], self.settings, f"context_dependence.{what}")
        return Arm(found.values, found.draws, untrained=tables[0]["kind"].iloc[0] != FEATURES)

    def median(self, tables: Sequence[pd.DataFrame], column: str, what: str) -> Arm:
        """The median of a column."""
        return self.arm(tables, lambda table: table[column], what, median)

    def mean(self, tables: Sequence[pd.DataFrame], value: Callable[[pd.DataFrame], "pd.Series[float]"], what: str, over: str = FEATURES) -> Number:
        """The mean of a share of the activation."""
        return said(self.arm(tables, value, what, mean), None, tables, SHARE, over)

    def share(self, tables: Sequence[pd.DataFrame], condition: Callable[[pd.DataFrame], "pd.Series[bool]"], what: str, over: str = FEATURES) -> Number:
        """The share of units of which a condition holds."""
        return said(self.arm(tables, lambda table: condition(table).astype(float), what, mean), None, tables, f"share of {over}", over)


def said(arm: Arm, minus: Arm | None, tables: Sequence[pd.DataFrame], unit: str = SHARE, over: str = FEATURES) -> Number:
    """An arm, or a difference of two, as a number."""
    return number(estimate(arm, minus), unit=unit, n=min(map(len, tables)), over=over)


def headline(table: pd.DataFrame, settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """The numbers, and why others are missing."""
    make = Numbers(settings)
    samples = {str(kind): [of for _, of in rows_.groupby("dictionary", sort=False)] for kind, rows_ in table[table["drawn"]].groupby("kind", sort=False)}
    ours = samples[FEATURES]
    numbers: dict[str, Number] = {}
    for kind, of in samples.items():
        prefix = "" if kind == FEATURES else f"{kind.replace(' ', '_')}_"
        for key in ("alone", "token", "context", "neither", "largest"):
            numbers[prefix + key] = said(make.median(of, key, f"{kind}.{key}"), None, of, over=kind)
        for key, holds in ENOUGH.items():
            numbers[prefix + key] = make.share(of, holds, f"{kind}.{key}", kind)
        numbers[f"{prefix}interaction"] = make.mean(of, lambda x: x["interaction"], f"{kind}.interaction", kind)
    for kind, key, sign in ((NEURONS, "neuron_minus_feature", 1), (RARE, "feature_minus_rare_neuron", -1)):
        if kind in samples:
            plus, minus = [make.median(samples[k], "alone", f"{k}.alone") for k in (kind, FEATURES)][::sign]
            numbers[key] = said(plus, minus, [*ours, *samples[kind]])
    numbers |= {
        "token_minus_context": make.mean(ours, lambda x: x["token"] - x["context"], "token_minus_context"),
        "nearest_minus_farther": make.mean(ours, lambda x: x["nearest"] - x["farther"], "nearest_minus_farther"),
        "distance_gain": make.mean(ours, lambda x: x["at_distance"] - x["elsewhere"], "distance_gain"),
        "class_kept": make.share(ours, lambda x: (x["alone"] >= HALF) == x["detector"], "class_kept"),
        "both_needed": make.share(ours, lambda x: x["interaction"] < -APPRECIABLE, "both_needed"),
        "either_enough": make.share(ours, lambda x: x["interaction"] > APPRECIABLE, "either_enough"),
    }
    if min(map(len, ours)) > 2:
        ranks = [np.stack([rankdata(of["alone"]), rankdata(of["token"])], axis=1) for of in ours]
        numbers["removed_like_replaced"] = said(arm_of(pearson, ranks, settings, "context_dependence.ranks"), None, ours, "rank correlation")
    for key, by in (("single_token_minus_rest", "single_token"), ("detector_gap", "detector")):
        sides = [[of[of[by] == wanted] for of in ours] for wanted in (True, False)]
        if all(len(of) for side in sides for of in side):
            plus, minus = (make.median(side, "alone", f"{key}.{place}") for place, side in enumerate(sides))
            numbers[key] = said(plus, minus, [of for side in sides for of in side])
    dependent = [of[~of["detector"]] for of in ours]
    if all(map(len, dependent)):
        over = "features that lose more than half without their text"
        numbers["nearest_first"] = make.share(dependent, lambda x: x["distance"] == 1, "nearest_first", over)
        numbers["within_five"] = make.share(dependent, lambda x: x["reach"].between(0, 5), "within_five", over)
    following = table[(table["kind"] == FEATURES) & (table["family"] != "")]
    if len(following) > 1:
        plus, minus = (make.median([of], "context", f"family.{place}") for place, of in enumerate((following, ours[0][ours[0]["family"] == ""])))
        numbers["family_minus_rest"] = said(plus, minus, [following], over="features that follow a context")
    return numbers, MISSING


def mean(values: Array) -> float:
    """The mean."""
    return float(values.mean())


def median(values: Array) -> float:
    """The median."""
    return float(np.median(values))


def pearson(sample: Array) -> float:
    """Correlation of two columns; 0 where one does not vary."""
    x, y = (sample - sample.mean(0)).T
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else 0.0
