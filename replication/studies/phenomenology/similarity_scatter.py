"""Matched features of two models: alike in activation, in logit weights, in attribution? (paper, "Are features universal?").

For each live feature and its best match in the other model: Pearson correlation of activations on half 1 of the tokens (the match
is chosen on half 0), of logit weights over the vocabulary, and on half 1 of attributions (`studies.attribution`). Best matches count
all, as in the paper; numbers that end on `_same` are over those that agree to `SAME` on half 0, because a feature that the other
model lacks has a best match too. The extreme pair has the lowest correlation of logit weights among pairs whose activations agree
to `ALIKE` on half 0. Source: paper; the rules are ours.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from replication.artifacts import Layout
from replication.config import Settings, UserError, model_of
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.attribution import Attribution, Ids, attribution, following
from replication.studies.intervals import arm_of, estimate, random
from replication.studies.readout import logit_weights
from replication.studies.replicates import NO_TWIN, groups
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_tables import top_tokens

ALIKE, SAME = 0.9, 0.5
FEWEST = 20  # tokens on which a feature must fire on each half to enter
DRAWN = 5000  # pairs that the table keeps for the figure
TOP_TOKENS = 6
MEASURES = ("activation", "logits", "attribution")
AGREEMENT = ("activation_minus_logits", "attribution_minus_logits")
EXTREME = ("extreme_activation", "extreme_logits", "extreme_density")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two sorts (`row`): a pair of the main dictionary, and the two sides of the extreme pair with their tokens."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main, twin = settings.studies.main, settings.studies.twin
    members = groups(settings.dictionaries)[main]
    if model_of(main) == model_of(twin):
        write(out=out, study="similarity_scatter", data=pd.DataFrame({"row": ["none"]}), numbers={}, settings=settings, reader=reader, stopwatch=stopwatch,
              missing=dict.fromkeys((*AGREEMENT, *EXTREME), NO_TWIN), absent=NO_TWIN)
        return
    matches = reader.matches()
    pairs = {name: matched(reader, matches, name, twin) for name in members}
    found = agreement(reader, settings, pairs, twin, progress)
    extreme = most_extreme(found[main])
    parts = [sample(found[main], settings).assign(row="pair", dictionary=main, group=main)]
    if extreme is not None:
        both = {main: int(extreme["feature"]), twin: int(extreme["match"])}
        parts.append(sides(reader, settings, both).assign(row="extreme", group=main))
    missing = dict.fromkeys(EXTREME, f"no match agrees to {ALIKE} in activation")
    write(out=out, study="similarity_scatter", data=pd.concat(parts, ignore_index=True), numbers=headline(found, extreme, settings),
          settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)


def matched(reader: Reader, matches: pd.DataFrame, name: str, twin: str) -> pd.DataFrame:
    """The live features of a dictionary and their matches: feature, match, chosen, activation, logits, density, match_density.

    Raises UserError when the matches were not looked for.
    """
    pair = matches[(matches["dictionary"] == name) & (matches["other"] == twin)]
    if pair.empty:
        raise UserError(f"the table of matches has no pair {name} to {twin}; delete it and run `snakemake --cores all`")
    table = pair.merge(reader.features(name, "feature", "part", "density"), on="feature")
    table = table[(table["part"] == "other") & (table["match"] >= 0)]
    theirs = reader.features(twin, "feature", "density").rename(columns={"feature": "match", "density": "match_density"})
    table = table.merge(theirs, on="match").sort_values("feature")
    table = table.rename(columns={"correlation_chosen": "chosen", "correlation": "activation", "logit_correlation": "logits"})
    return table[["feature", "match", "chosen", "activation", "logits", "density", "match_density"]].reset_index(drop=True)


def agreement(reader: Reader, settings: Settings, pairs: dict[str, pd.DataFrame], twin: str, progress: Progress) -> dict[str, pd.DataFrame]:
    """The tables with the correlation of attributions; pairs that fire too rarely on a half, or have a measure missing, are left out."""
    tokens = reader.tokens()
    matrices = {name: reader.matrix(name) for name in (*pairs, twin)}
    attributions: dict[str, Attribution] = {name: attribution(reader, settings, name) for name in matrices}
    sums = {name: np.zeros((5, len(table))) for name, table in pairs.items()}
    fired = {name: np.zeros((2, len(table)), np.int64) for name, table in pairs.items()}
    count = 0
    for k in progress.over(range(matrices[twin].shards), matrices[twin].shards):
        contexts, half = matrices[twin].contexts_of(k), matrices[twin].half(k)
        reported = np.flatnonzero(half == 1)
        count += len(reported)
        next_token = following(tokens[contexts.start : contexts.stop])[reported]
        theirs = attributions[twin](sparse.csr_array(matrices[twin].shard(k)[reported]), next_token).tocsc()
        for name, table in pairs.items():
            features: Ids = table["feature"].to_numpy(np.int64)
            shard = matrices[name].shard(k)[:, features]
            for which in (0, 1):
                fired[name][which] += np.diff(shard[half == which].tocsc().indptr)
            ours = attributions[name](sparse.csr_array(shard[reported]), next_token, features).tocsc()
            sums[name] += moments(ours, theirs[:, table["match"].to_numpy(np.int64)])
    found = {}
    for name, table in pairs.items():
        table = table.assign(attribution=correlation(sums[name], count))
        found[name] = table[fired[name].min(0) >= FEWEST].dropna(subset=list(MEASURES)).reset_index(drop=True)
    return found


def moments(x: sparse.csc_array, y: sparse.csc_array) -> np.ndarray:
    """Sums over tokens of x, y, x^2, y^2 and x y [5, column] of two tables [token, column]."""
    return np.stack([np.asarray((part).sum(0), dtype=np.float64).ravel() for part in (x, y, x.multiply(x), y.multiply(y), x.multiply(y))])


def correlation(sums: np.ndarray, count: int) -> np.ndarray:
    """Pearson correlation per column from the sums over `count` tokens; NaN where one does not vary."""
    x, y, xx, yy, xy = sums
    scale = np.sqrt(np.maximum(xx - x * x / count, 0) * np.maximum(yy - y * y / count, 0))
    return np.asarray(np.divide(xy - x * y / count, scale, out=np.full(len(x), np.nan), where=scale > 0))


def most_extreme(table: pd.DataFrame) -> pd.Series | None:
    """The pair with the lowest correlation of logit weights among those alike in activation on half 0, if any."""
    alike = table[table["chosen"] >= ALIKE]
    return None if alike.empty else alike.loc[alike["logits"].idxmin()]


def sides(reader: Reader, settings: Settings, features: dict[str, int]) -> pd.DataFrame:
    """The tokens on which each side fires, and those that its logit weights raise most."""
    strings, tokens, rows = reader.vocabulary().strings, reader.tokens(), []
    for name, feature in features.items():
        kept, weights = logit_weights(reader, settings, name, [feature])
        raised = [strings[token] for token in kept[np.argsort(-weights[0], kind="stable")[:TOP_TOKENS]]]
        fires = top_tokens(reader.matrix(name), tokens, strings, np.array([feature]), most=TOP_TOKENS)[0]
        rows.append({"dictionary": name, "feature": feature, "tokens": fires, "raised": json.dumps(raised, ensure_ascii=False)})
    return pd.DataFrame(rows)


def sample(table: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """At most DRAWN pairs, so that the table stays small at every scale; the extreme pair among them."""
    if len(table) <= DRAWN:
        return table
    drawn = random(settings, "similarity_scatter.drawn").choice(len(table), DRAWN, replace=False)
    extreme = most_extreme(table)
    return table.loc[sorted({*drawn.tolist(), *([] if extreme is None else [int(extreme.name)])})]


def headline(found: dict[str, pd.DataFrame], extreme: pd.Series | None, settings: Settings) -> dict[str, Number]:
    """Medians of the three measures, their paired differences, and the extreme pair."""
    numbers = medians([table for table in found.values() if len(table)], "", settings)
    numbers |= medians([table[table["chosen"] >= SAME] for table in found.values() if (table["chosen"] >= SAME).any()], "_same", settings)
    if extreme is not None:
        alike = int((next(iter(found.values()))["chosen"] >= ALIKE).sum())
        for key in (*MEASURES, "density"):
            unit = "share of tokens" if key == "density" else "correlation"
            numbers[f"extreme_{key}"] = Number(float(extreme[key]), unit, alike, f"pairs that agree to {ALIKE} in activation")
    return numbers


def medians(tables: list[pd.DataFrame], suffix: str, settings: Settings) -> dict[str, Number]:
    """Medians of the three measures, and their differences on the same pairs."""
    if not tables:
        return {}
    samples = [table[list(MEASURES)].to_numpy(float) for table in tables]

    def number_of(*signs: int) -> Number:
        arm = arm_of(lambda sample: float(np.median(sample, axis=0) @ signs), samples, settings, "similarity_scatter")
        return number(estimate(arm), unit="correlation", n=min(map(len, samples)), over="pairs of features")

    return {f"activation_median{suffix}": number_of(1, 0, 0), f"logits_median{suffix}": number_of(0, 1, 0),
            f"attribution_median{suffix}": number_of(0, 0, 1), f"activation_minus_logits{suffix}": number_of(1, -1, 0),
            f"attribution_minus_logits{suffix}": number_of(0, -1, 1), f"attribution_minus_activation{suffix}": number_of(-1, 0, 1)}
