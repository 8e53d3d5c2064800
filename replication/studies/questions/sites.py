"""Where to decompose: the MLP's activations, the update it writes, the stream after it, or the update as the logits see it.

Dictionaries that differ in site, size, l1 and seed only. A site of another width than the main one's is compared twice: with as many
features, and with as many features for each element. All are read at the L0 of the main dictionary, between the points of their own
curve over l1. What is recovered is told on one scale for all sites, that of the main one's zeroed MLP (`recovered`), because a zeroed
stream is a far worse model than one with a zeroed MLP (`recovered_own` keeps each site's own scale); the splice is each site's own.

Beside it: how many features of one have a match in the other (correlation of activations, chosen on half 0, told on half 1), with the
same site's other seed as ceiling and the other model's dictionary as floor; for which the dictionary of a site and size stands
whose L0 is nearest to the main one's; and the two scores of explanations, of the dictionaries that the run scores. Source: ours, a question of readers.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.correlation import Moments
from replication.features.matches import best
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import recovered, scores
from replication.studies.intervals import Arm, arm_of, estimate, quantiles
from replication.studies.questions.compared import COUNT, RATIO, SITES, sizing
from replication.studies.questions.equal_l0 import Curve
from replication.studies.recovered import Measured
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

MATCHED = 0.7  # correlation from which two features count as the same (ours)
ASKED = [f"{what}_{site}" for site in SITES[1:] for what in ("recovered_minus", "input_minus", "logits_minus", "found_minus_twin")] + [
    f"recovered_minus_{site}_{RATIO}" for site in SITES[1:]]
ABSENT = "the run has dictionaries of one site only"
OUTSIDE = "the main dictionary's L0 lies outside the curve of the site"
UNSCORED = "no dictionary of the site and size is scored"


@dataclass(frozen=True)
class Place:
    """A site at one size: `names` by growing l1 and replicate, their `curve`, and `nearest`, the replicates whose L0 is nearest to the main one's."""

    site: str
    sizing: str
    names: Sequence[str]
    curve: Curve
    nearest: Sequence[str]

    @property
    def key(self) -> str:
        """Of its numbers: `mlp_out`, or `mlp_out_ratio` with the same number of features for each element."""
        return self.site if self.sizing == COUNT else f"{self.site}_{RATIO}"


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`table`): a dictionary with its losses, a match share, a score."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    if not settings.dictionaries:
        write(out=out, study="sites", data=pd.DataFrame({"table": ["absent"]}), numbers={}, settings=settings, reader=reader, stopwatch=stopwatch,
              missing=dict.fromkeys(ASKED, ABSENT), absent=ABSENT)
        return
    names = [name for name in settings.dictionaries if name != settings.studies.twin or model_of(name) == model_of(settings.studies.main)]
    found = recovered.measure(reader, names, settings)
    l0 = float(np.mean([found[name].values["l0"] for name in groups(settings.dictionaries)[settings.studies.main]]))
    places = placed(found, l0, settings)
    progress(1, 3, "losses")
    numbers, missing = losses(found, places, l0, settings)
    shares, of_matches = matched(reader, places, settings)
    progress(2, 3, "matches")
    told, of_scores, unscored = interpretable(reader, places, settings)
    progress(3, 3, "scores")
    numbers["l0"] = Number(l0, "features per token", found[settings.studies.main].tokens, "tokens")
    data = pd.concat([fits(found, places, settings), shares, told], ignore_index=True)
    write(out=out, study="sites", data=data, numbers=numbers | of_matches | of_scores, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=dict.fromkeys(ASKED, "the run has no dictionary of this site and size") | missing | unscored)


def placed(found: Mapping[str, Measured], l0: float, settings: Settings) -> list[Place]:
    """The sites that the run has, at the main dictionary's number of features and at its number for each element."""
    assert settings.dictionaries and settings.studies and settings.models
    sizes = {name: sizing(name, settings.studies.main, settings.dictionaries, settings.models) for name in found}
    places = []
    for site, size in itertools.product(SITES, (COUNT, RATIO)):
        names = [name for name in found if (settings.site(name), sizes[name]) == (site, size)]
        if names:
            members = groups({name: settings.dictionaries[name] for name in names})
            nearest = min(members.values(), key=lambda of: abs(np.log(np.mean([found[name].values["l0"] for name in of]) / l0)))
            places.append(Place(site, size, names, Curve.of(names, settings.dictionaries), nearest))
    return places


def fits(found: Mapping[str, Measured], places: Sequence[Place], settings: Settings) -> pd.DataFrame:
    """A row per dictionary: L0 and loss recovered on both scales with their intervals over texts."""
    assert settings.dictionaries and settings.studies
    zero = found[settings.studies.main]
    rows = []
    for place in places:
        for name in place.names:
            sae, of = settings.dictionaries[name], found[name]
            share = shared_scale(zero.values, of.values)
            low, high = quantiles(np.asarray(shared_scale(zero.draws, of.draws)))
            rows.append({
                "table": "fit", "site": place.site, "sizing": place.sizing, "dictionary": name, "group": base(name, settings.dictionaries),
                "d_sae": sae.d_sae, "l1": sae.l1, "l0": of.values["l0"], "value": share, "low": low, "high": high,
                "recovered_own": of.values["recovered"], "added": of.values["loss_reconstructed"] - of.values["loss"]})
    return pd.DataFrame(rows)


def shared_scale(zero: Mapping[str, Any], of: Mapping[str, Any]) -> Any:
    """Of values or of arrays of draws: the share of the loss of the main site's ablation that a reconstruction at any site takes back."""
    return (zero["loss_zero"] - of["loss_reconstructed"]) / (zero["loss_zero"] - of["loss"])


def losses(found: Mapping[str, Measured], places: Sequence[Place], l0: float, settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """Loss recovered at the main dictionary's L0 by each site, and how far it lies below the main site's."""
    assert settings.studies
    main = found[settings.studies.main]
    arms = {place.key: at(found, place, main, l0) for place in places}
    numbers, missing, own = dict[str, Number](), dict[str, str](), arms.get(SITES[0])
    for key, arm in arms.items():
        if arm is None or own is None:
            missing |= {f"recovered_at_{key}": OUTSIDE, f"recovered_minus_{key}": OUTSIDE}
            continue
        numbers[f"recovered_at_{key}"] = number(estimate(arm), unit="share", n=main.tokens, over="tokens")
        if key != SITES[0]:
            numbers[f"recovered_minus_{key}"] = number(estimate(own, arm), unit="share", n=main.tokens, over="tokens")
    return numbers, missing


def at(found: Mapping[str, Measured], place: Place, main: Measured, l0: float) -> Arm | None:
    """Loss recovered of a site at an L0, on the main site's scale, or None where its curve does not reach."""
    if not place.curve.covers(found, l0):
        return None
    # the baseline is one dictionary's, which all share: a site without any dictionary has no replicates
    return place.curve.at(found, lambda of: shared_scale(main.draws if isinstance(of["l0"], np.ndarray) else main.values, of), l0)


def matched(reader: Reader, places: Sequence[Place], settings: Settings) -> tuple[pd.DataFrame, dict[str, Number]]:
    """Shares of the main dictionary's live features with a match in each site's dictionary of as many features, in another seed's, in the other model's.

    Also the other way round: shares of a site's features with a match in the main dictionary.
    """
    assert settings.dictionaries and settings.studies
    main, twin = groups(settings.dictionaries)[settings.studies.main], settings.studies.twin
    others: dict[str, Sequence[str]] = {place.site: place.nearest for place in places if place.sizing == COUNT and place.site != SITES[0]}
    if len(main) > 1:
        others["seed"] = [*main[1:], main[0]]
    if twin in settings.dictionaries and model_of(twin) != model_of(main[0]):
        others["twin"] = [twin] * len(main)
    matrices = {name: reader.matrix(name) for name in dict.fromkeys([*main, *(name for of in others.values() for name in of)])}
    moments = {name: Moments.of(matrix) for name, matrix in matrices.items()}
    rows, arms, sizes = [], {}, {}
    for key, names in others.items():
        both = list(zip(main, names, strict=False))
        for what, pairs in (("found", both), ("finds", [] if key in ("seed", "twin") else [(name, of) for of, name in both])):
            if pairs:
                samples = [passes(reader, left, matrices[left], matrices[right], (moments[left], moments[right])) for left, right in pairs]
                arms[f"{what}_{key}"] = arm_of(lambda sample: float(np.mean(sample)), samples, settings, f"sites.{what}")
                found, sizes[f"{what}_{key}"] = estimate(arms[f"{what}_{key}"]), min(map(len, samples))
                rows.append({"table": what, "site": key, "sizing": COUNT, "dictionary": names[0], "group": names[0],
                             "value": found.value, "low": found.low, "high": found.high, "n": sizes[f"{what}_{key}"]})
    numbers = {key: number(estimate(arm), unit="share", n=sizes[key], over="features") for key, arm in arms.items()}
    for key in (key for key in others if key not in ("seed", "twin") and "found_twin" in arms):
        numbers[f"found_minus_twin_{key}"] = number(estimate(arms[f"found_{key}"], arms["found_twin"]), unit="share", n=sizes["found_twin"], over="features")
    return pd.DataFrame(rows), numbers


def passes(reader: Reader, left: str, matrix: EvaluationMatrix, other: EvaluationMatrix, moments: tuple[Moments, Moments]) -> np.ndarray:
    """Whether the match of each live feature, chosen on half 0, correlates with it on half 1 as the same feature would [feature]."""
    live = (reader.features(left, "part")["part"] == "other").to_numpy()
    return np.asarray(best(matrix, other, moments)["correlation"].fillna(-1).to_numpy()[live] > MATCHED, dtype=np.float64)


def interpretable(reader: Reader, places: Sequence[Place], settings: Settings) -> tuple[pd.DataFrame, dict[str, Number], dict[str, str]]:
    """Medians of both scores by the headline explainer, of input windows and of logits, for each site; and how far they lie below the main site's."""
    assert settings.interpretability and settings.dictionaries and settings.studies
    tables = settings.interpretability.tables or groups(settings.dictionaries)[settings.studies.main]
    rows, numbers, missing, arms = [], dict[str, Number](), dict[str, str](), {}
    of_place = {place.key: [name for name in place.names if name in tables] for place in places}
    drawn = scores.units(reader, settings, *(name for names in of_place.values() for name in names))
    of = scores.answered(scores.read(reader, settings, drawn, "spearman", "logits"))
    of = of[of["explainer"] == scores.headline(settings)]
    for place in places:
        for key, column, unit in (("input", "spearman", "correlation"), ("logits", "logits", "share")):
            samples = [part[column].dropna().to_numpy(np.float64) for name in of_place[place.key] if len(part := of[of["dictionary"] == name])]
            if not samples:
                missing |= dict.fromkeys((f"{key}_{place.key}", f"{key}_minus_{place.key}"), UNSCORED)
                continue
            arms[key, place.key] = arm = arm_of(np.median, samples, settings, f"sites.{key}")
            n, found = min(map(len, samples)), estimate(arm)
            numbers[f"{key}_{place.key}"] = number(found, unit=unit, n=n, over="units")
            rows.append({"table": key, "site": place.site, "sizing": place.sizing, "dictionary": of_place[place.key][0], "group": of_place[place.key][0],
                         "value": found.value, "low": found.low, "high": found.high, "n": n})
            if place.site != SITES[0] and (key, SITES[0]) in arms:
                numbers[f"{key}_minus_{place.key}"] = number(estimate(arms[key, SITES[0]], arm), unit=unit, n=n, over="units")
    return pd.DataFrame(rows), numbers, missing
