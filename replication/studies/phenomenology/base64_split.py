"""The family of base64 features in every size of dictionary (paper, "Feature splitting": base64).

How many there are (`studies.base64_family`) and how that grows; and in the main dictionary: which feature fires on digits and
which on letters (chosen on half 0, reported on half 1), what they do to the logits of digits, which one's top examples decode to
printable ASCII (chosen among those of half 0, reported among those of half 1), how close encoder and decoder rows are, and
whether the family covers what the one of the smallest dictionary fires on. Source: paper; the rules are ours.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features.contexts import pieces
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.directions import unit
from replication.studies.growth import per_doubling
from replication.studies.intervals import Arm, arm_of, by_text, estimate, exact, random, resampled_sums
from replication.studies.phenomenology.base64_family import Family, Ids, Text, described, find
from replication.studies.phenomenology.base64_text import decoded, printable
from replication.studies.readout import logit_weights
from replication.studies.replicates import base, groups, sibling
from replication.studies.tables import Number, Reader, number, write

SHOWN = 44  # characters of a run
EXAMPLES = 3  # of a feature
LISTED = 40  # features of a family whose pairs are listed
FEWEST = 3  # features of a family whose cosines have an interval
OF_PAIRS = ("digits_fire_on_digits", "digits_lower_digit_logits", "digits_density")
OF_ASCII = ("ascii_third", "ascii_others", "ascii_density")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four sorts (`row`): a dictionary with its count, a feature of a family, a pair of features, an example."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    saes, main = settings.dictionaries, settings.studies.main
    reader.vocabulary()
    text = Text.of(reader.tokens(), reader.sources(), pieces(layout.corpus()))
    families, tables = {}, {}
    for name in progress.over(saes, len(saes)):
        live = np.flatnonzero(reader.features(name, "part")["part"].to_numpy(str) == "other")
        families[name] = find(reader.matrix(name), live, text)
        tables[name] = described(families[name], text).assign(**digit_logits(reader, settings, name, families[name].features, text))
    parts = [pd.DataFrame([{"row": "dictionary", "dictionary": name, "group": base(name, saes), "d_sae": saes[name].d_sae,
                            "count": len(family.features)} for name, family in families.items()])]
    numbers = {"base64_share": Number(float(text.base64.mean()), "share of tokens", len(text.base64), "evaluation tokens"),
               "base64_texts": Number(len(np.unique(text.sources[text.texts])), "texts", len(np.unique(text.sources)), "evaluation texts")}
    missing = absent(families, main, settings)
    for name in (name for name in families if name == base(name, saes)):
        parts.append(tables[name].assign(row="feature", dictionary=name, group=name, d_sae=saes[name].d_sae))
    for part in (pairs(reader, main, families[main].features[:LISTED]), examples(families[main], text)):
        parts.append(part.assign(dictionary=main, group=main))
    if text.absent:
        missing = dict.fromkeys(missing, text.absent)
    else:
        numbers |= counted(families, settings) | cosines(reader, {name: families[name].features for name in groups(saes)[main]}, settings)
        numbers |= coverage(families.get(sibling(main, "0")), families[main], text, settings)
        numbers |= roles(reader, settings, main, families[main], tables[main], text)
    write(out=out, study="base64_split", data=pd.concat(parts, ignore_index=True), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=missing)


def absent(families: dict[str, Family], main: str, settings: Settings) -> dict[str, str]:
    """Why each number could be missing, in a text that holds base64."""
    assert settings.dictionaries
    few = f"{main} has {len(families[main].features)} base64 features"
    counts = {f"count_{group.replace('/', '_')}": few for group in groups(settings.dictionaries)}
    return counts | dict.fromkeys((*OF_PAIRS, *OF_ASCII, "decoder_minus_encoder_cosine"), few) | {
        "growth": "the run has one size of dictionary only",
        "union_coverage": f"the run has no {sibling(main, '0')}, or there it has no base64 feature"}


def counted(families: dict[str, Family], settings: Settings) -> dict[str, Number]:
    """Features of the family per dictionary, and their growth per doubling."""
    assert settings.dictionaries
    saes = settings.dictionaries
    arms = {group: exact([len(families[name].features) for name in members]) for group, members in groups(saes).items()}
    numbers = {f"count_{group.replace('/', '_')}": number(estimate(arm), unit="features", n=saes[group].d_sae, over="features")
               for group, arm in arms.items()}
    growth = per_doubling(arms, {group: saes[group].d_sae for group in arms})
    if growth is not None:
        smallest = min(saes[group].d_sae for group in arms)
        numbers["growth"] = number(growth, unit="features per doubling", n=smallest, over="features of the smallest")
    return numbers


def cosines(reader: Reader, features: dict[str, Ids], settings: Settings) -> dict[str, Number]:
    """Mean cosine of decoder rows and of encoder rows over all pairs of a family, and their difference."""
    samples = []
    for name, some in features.items():
        if len(some) >= FEWEST:
            weights = reader.weights(name)
            samples.append(np.stack([unit(weights["W_dec"][some]), unit(weights["W_enc"].T[some])], axis=1))
    if not samples:
        return {}

    def mean_cosine(sample: np.ndarray) -> np.ndarray:
        rows, counts = np.unique(sample, axis=0, return_counts=True)  # a feature drawn twice makes no pair with itself
        across = (counts[:, None] * counts)[None] * np.einsum("isd,jsd->sij", rows, rows)
        of = counts.sum() ** 2 - (counts**2).sum()
        return (across.sum((1, 2)) - np.einsum("sii->s", across)) / of if of else np.full(2, np.nan)

    def arm(*signs: int) -> Arm:
        made = arm_of(lambda sample: float(mean_cosine(sample) @ signs), samples, settings, "base64_split.cosines")
        return Arm(made.values, made.draws[:, np.isfinite(made.draws).all(0)])

    n = min(map(len, samples))
    return {key: number(estimate(arm(*signs)), unit="cosine", n=n, over="features of the family") for key, signs in (
        ("decoder_cosine", (1, 0)), ("encoder_cosine", (0, 1)), ("decoder_minus_encoder_cosine", (1, -1)))}


def coverage(small: Family | None, large: Family, text: Text, settings: Settings) -> dict[str, Number]:
    """Share of the tokens of half 1 on which the smallest dictionary's surest base64 feature fires that the family covers."""
    if small is None or not len(small.features) or not len(large.features):
        return {}
    fires = reported(small.fires(0), text)
    covered = np.isin(fires, np.unique(large.columns.indices))
    return {"union_coverage": number(estimate(share(covered, fires, text, settings)), unit="share of tokens", n=len(fires), over="tokens")}


def reported(tokens: Ids, text: Text) -> Ids:
    """Those of half 1."""
    return np.asarray(tokens[text.half[tokens] == 1])


def share(of: np.ndarray, tokens: Ids, text: Text, settings: Settings) -> Arm:
    """The mean of flags of some tokens of half 1; its draws resample texts, the same ones whatever the tokens."""
    assert settings.studies
    context, contexts = tokens // text.tokens.shape[1] // 2, len(text.tokens) // 2
    sums = np.stack([np.bincount(context, weights=column, minlength=contexts) for column in (of, np.ones(len(of)))], axis=1)
    drawn = resampled_sums(by_text(sums, text.sources[1::2]), settings.studies.bootstrap, random(settings, "base64_split.texts"))
    return Arm(np.array([of.mean()]), (drawn[:, 0] / np.maximum(drawn[:, 1], 1))[None])


def digit_logits(reader: Reader, settings: Settings, name: str, features: Ids, text: Text) -> dict[str, np.ndarray]:
    """Mean logit weight on tokens made of digits and on tokens made of letters [feature]."""
    kept, weights = logit_weights(reader, settings, name, features)
    sorts = {"logit_digits": bytes.isdigit, "logit_letters": bytes.isalpha}
    return {key: weights[:, np.array([is_one(text.pieces.bytes[token]) for token in kept])].mean(1) for key, is_one in sorts.items()}


def roles(reader: Reader, settings: Settings, name: str, family: Family, table: pd.DataFrame, text: Text) -> dict[str, Number]:
    """The digit feature beside the letter feature, and the one whose examples decode beside the others."""
    if len(table) < 2:
        return {}
    of_digits, of_letters, of_ascii = int(table["digits_0"].argmax()), int(table["digits_0"].argmin()), int(table["ascii_0"].argmax())
    tokens = len(text.base64)
    numbers = {f"{key}_density": Number(float(table["density"][place]), "share of tokens", tokens, "evaluation tokens")
               for key, place in (("digits", of_digits), ("ascii", of_ascii))}
    on = [reported(family.fires(place), text) for place in (of_digits, of_letters)]
    on = [some[text.base64[some]] for some in on]
    if of_digits != of_letters:
        arms = [share(text.digits[some], some, text, settings) for some in on]
        apart = Arm(arms[0].values - arms[1].values, arms[0].draws - arms[1].draws)
        n = min(map(len, on))
        numbers["digits_fire_on_digits"] = number(estimate(apart), unit="share of tokens", n=n, over="tokens on which each fires")
        numbers |= lower_logits(reader, settings, name, table["feature"].to_numpy()[[of_digits, of_letters]], text)
    others = table["ascii_1"].drop(of_ascii)
    examined = len(family.top(of_ascii, text, 1))
    numbers["ascii_third"] = Number(float(table["ascii_1"][of_ascii]), "share of examples", examined, "top examples")
    numbers["ascii_others"] = Number(float(others.max()), "share of examples", len(others), "other features, the highest of them")
    return numbers


def lower_logits(reader: Reader, settings: Settings, name: str, features: np.ndarray, text: Text) -> dict[str, Number]:
    """How far the letter feature's logit weights on digits are above the digit feature's, and how alike they are on other tokens."""
    kept, weights = logit_weights(reader, settings, name, features)
    digits = np.array([text.pieces.bytes[token].isdigit() for token in kept])
    if not digits.any() or digits.all():
        return {}
    gap = (weights[1] - weights[0])[digits]
    arm = arm_of(np.mean, [gap], settings, "base64_split.digits")
    alike = float(np.corrcoef(weights[0, ~digits], weights[1, ~digits])[0][1])
    return {"digits_lower_digit_logits": number(estimate(arm), unit="logits", n=len(gap), over="tokens made of digits"),
            "other_logits_correlation": Number(alike, "correlation", int((~digits).sum()), "other tokens")}


def pairs(reader: Reader, name: str, features: Ids) -> pd.DataFrame:
    """Cosine of decoder rows and of encoder rows of each pair of features."""
    weights = reader.weights(name)
    decoder, encoder = unit(weights["W_dec"][features]), unit(weights["W_enc"].T[features])
    return pd.DataFrame([{
        "row": "pair", "feature": int(features[i]), "other": int(features[j]), "decoder_cosine": float(decoder[i] @ decoder[j]),
        "encoder_cosine": float(encoder[i] @ encoder[j])} for i, j in combinations(range(len(features)), 2)])


def examples(family: Family, text: Text) -> pd.DataFrame:
    """The runs of top examples on half 1 of each feature, and what they say; no run twice for one feature."""
    rows = []
    for place, feature in enumerate(family.features[:LISTED]):
        runs = list(dict.fromkeys(text.run(int(token)) for token in family.top(place, text, 1)))[:EXAMPLES]
        rows += [{"row": "example", "feature": int(feature), "run": run[:SHOWN].decode("ascii"), "printable": printable(decoded(run)),
                  "decoded": decoded(run)[:SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")} for run in runs]
    return pd.DataFrame(rows)
