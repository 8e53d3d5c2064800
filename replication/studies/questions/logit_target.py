"""Autoencoding the update as the logits see it: exact, as cheap as any site, and how it differs from autoencoding activations.

Squared error on centred logits is a quadratic form in d_model (`model.metric`), so the site `logit_update` is trained by the ordinary
step; the study shows the equality on explicit logits. Then, for the main dictionary, how far a token's error on activations tells its
error on logits, and how far the linearised error tells that of the logits with the layer norm as it is. With dictionaries at other sites:
the share of the logits' spread that is missed, at equal L0. Tokens are of the half that is not used for choosing. Source: ours, a
question of readers.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.matrix import HALVES, REPORTING
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import intervals, recovered
from replication.studies.intervals import Arm, estimate, quantiles
from replication.studies.questions.logit_errors import Errors, errors, exact, explicit
from replication.studies.questions.sites import OUTSIDE, Place, placed
from replication.studies.recovered import Measured
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

CONTEXTS, EXACT_CONTEXTS, EQUAL_CONTEXTS = 128, 32, 4  # texts of the errors, of those from explicit logits, of the equality
TARGETS = ("mlp_act", "mlp_out", "logit_update")
BINS = 40  # of a panel's axis


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): a dictionary with both shares missed, and bins of tokens by two errors (`activations`, `exact`)."""
    assert settings.studies and settings.dictionaries
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    model, texts, sources = reader.model(model_of(main)), torch.from_numpy(reader.tokens()), reader.sources()
    texts, sources = texts[REPORTING :: len(HALVES)][:CONTEXTS], sources[REPORTING :: len(HALVES)][:CONTEXTS]
    names = [name for name in settings.dictionaries if settings.site(name) in TARGETS]
    found = {name: errors(model, reader.sae(name), settings.site(name), texts) for name in progress.over(names, len(names))}
    measured = shares(found, sources, settings)
    l0 = float(np.mean([measured[name].values["l0"] for name in groups(settings.dictionaries)[main]]))
    places = [place for place in placed(measured, l0, settings) if place.site in TARGETS]
    counts, numbers = linearised(model, reader, texts, found, settings)
    numbers |= together(found, sources, settings) | {
        "rank": Number(float(model.metric.rank), "directions", model.architecture.d_model, "directions"),
        "missed_activations": level(measured, "missed_site", settings), "missed_logits": level(measured, "missed_logits", settings)}
    gained, missing = gains(measured, places, l0, settings)
    data = pd.concat([fits(measured, places, settings), counts], ignore_index=True)
    write(out=out, study="logit_target", data=data, numbers=numbers | gained, settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)


def fits(measured: Mapping[str, Measured], places: list[Place], settings: Settings) -> pd.DataFrame:
    """A row per dictionary: L0, and the shares of the spread that it misses at its site and in the logits, this with the interval over texts."""
    assert settings.dictionaries
    rows = []
    for name, of in measured.items():
        sae, (low, high) = settings.dictionaries[name], quantiles(of.draws["missed_logits"])
        sizing = next((place.sizing for place in places if name in place.names), "")
        rows.append({"table": "fit", "dictionary": name, "group": base(name, settings.dictionaries), "site": sae.site, "d_sae": sae.d_sae, "l1": sae.l1,
                     "sizing": sizing, **of.values, "low": low, "high": high})
    return pd.DataFrame(rows)


def shares(found: Mapping[str, Errors], sources: np.ndarray, settings: Settings) -> dict[str, Measured]:
    """Shares of the spread at the site and in the logits that each dictionary misses (`missed_site`, `missed_logits`), and its L0.

    Draws over texts, paired; contexts are of the texts `sources` [context].
    """
    assert settings.studies
    sums = {name: _by_text(np.stack([of.site, of.site_spread, of.linear, of.linear_spread, of.l0, np.ones_like(of.l0)], axis=1), sources)
            for name, of in found.items()}
    drawn = intervals.resampled_sums(np.concatenate(list(sums.values()), axis=1), settings.studies.bootstrap, intervals.random(settings, "logit_target"))
    return {name: Measured({key: float(value[0]) for key, value in _ratios(part.sum(axis=0)[None]).items()}, _ratios(draws), len(sources), len(found[name].l0))
            for (name, part), draws in zip(sums.items(), np.split(drawn, len(sums), axis=1), strict=True)}


def _by_text(columns: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Sums [text, column] of `columns` [token, column] of whole contexts in a row."""
    return intervals.by_text(columns.reshape(len(sources), -1, columns.shape[1]).sum(1), sources)


def _ratios(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {"missed_site": sums[:, 0] / sums[:, 1], "missed_logits": sums[:, 2] / sums[:, 3], "l0": sums[:, 4] / sums[:, 5]}


def level(measured: Mapping[str, Measured], key: str, settings: Settings) -> Number:
    """A share that the main dictionary misses, over its replicates."""
    assert settings.dictionaries and settings.studies
    arm = recovered.arm(measured, groups(settings.dictionaries)[settings.studies.main], key)
    return number(estimate(arm), unit="share", n=measured[settings.studies.main].tokens, over="tokens")


def together(found: Mapping[str, Errors], sources: np.ndarray, settings: Settings) -> dict[str, Number]:
    """Rank correlation over tokens of the error on activations with that on logits, of the main dictionary.

    Draws over texts keep the ranks of all tokens. `given_size` holds it at equal distance of the activations from their mean: the partial
    correlation of the ranks.
    """
    assert settings.dictionaries and settings.studies
    of = [found[name] for name in groups(settings.dictionaries)[settings.studies.main]]
    plain, partial = [], []
    for one in of:
        ranks = [stats.rankdata(column) - (len(one.l0) + 1) / 2 for column in (one.site, one.linear, one.site_spread)]
        products = np.stack([a * b for k, a in enumerate(ranks) for b in ranks[k:]], axis=1)
        sums = _by_text(products, sources)
        drawn = intervals.resampled_sums(sums, settings.studies.bootstrap, intervals.random(settings, "logit_target"))
        for rows, kept in ((sums.sum(axis=0)[None], 0), (drawn, 1)):
            r = [rows[:, 1] / np.sqrt(rows[:, 0] * rows[:, 3]), rows[:, 2] / np.sqrt(rows[:, 0] * rows[:, 5]), rows[:, 4] / np.sqrt(rows[:, 3] * rows[:, 5])]
            plain.append((kept, r[0]))
            partial.append((kept, (r[0] - r[1] * r[2]) / np.sqrt((1 - r[1] ** 2) * (1 - r[2] ** 2))))
    numbers = {}
    for key, rows in (("correlation", plain), ("given_size", partial)):
        arm = Arm(np.array([row[0] for kept, row in rows if not kept]), np.array([row for kept, row in rows if kept]))
        numbers[key] = number(estimate(arm), unit="rank correlation", n=len(of[0].l0), over="tokens")
    return numbers


def linearised(
    model: Transformer, reader: Reader, texts: torch.Tensor, found: Mapping[str, Errors], settings: Settings,
) -> tuple[pd.DataFrame, dict[str, Number]]:
    """Bins of the main dictionary's tokens by two errors; the equality with explicit logits; how the linearised error follows the exact one."""
    assert settings.studies
    main = settings.studies.main
    sae, site, of = reader.sae(main), settings.site(main), found[main]
    whole = explicit(model, sae, site, texts[:EQUAL_CONTEXTS]).numpy()
    apart = np.abs(of.linear[: len(whole)] / whole - 1)
    true = exact(model, sae, site, texts[:EXACT_CONTEXTS]).numpy()
    linear = of.linear[: len(true)]
    numbers = {"equality": Number(float(apart.max()), "relative difference", len(whole), "tokens"),
               "linear_correlation": Number(float(stats.spearmanr(linear, true).statistic), "rank correlation", len(true), "tokens"),
               "linear_ratio": Number(float(np.median(linear / true)), "ratio", len(true), "tokens")}
    rows = [bins(of.site, of.linear).assign(table="activations"), bins(linear, true).assign(table="exact")]
    return pd.concat(rows, ignore_index=True).assign(dictionary=main, group=main), numbers


def bins(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Tokens in bins of two errors, log10: x, y (the lower edges), x_width, y_width, count; empty bins left out."""
    logs = [np.log10(np.maximum(values, np.finfo(np.float64).tiny)) for values in (x, y)]
    ends = [np.quantile(values, [0.001, 0.999]) for values in logs]
    edges = [np.linspace(low, high, BINS + 1) for low, high in ends]
    inside = [np.clip(values, low, high) for values, (low, high) in zip(logs, ends, strict=True)]
    count, *_ = np.histogram2d(inside[0], inside[1], bins=edges)
    i, j = np.nonzero(count)
    x_width, y_width = (np.diff(at)[0] for at in edges)
    return pd.DataFrame({"x": edges[0][i], "y": edges[1][j], "x_width": x_width, "y_width": y_width, "count": count[i, j].astype(int)})


def gains(measured: Mapping[str, Measured], places: list[Place], l0: float, settings: Settings) -> tuple[dict[str, Number], dict[str, str]]:
    """How much less of the logits' spread a dictionary at another site misses than one of activations, both at the main one's L0."""
    assert settings.studies
    by_key, tokens = {place.key: place for place in places}, measured[settings.studies.main].tokens
    numbers, missing = dict[str, Number](), {f"gain_{site}": f"the run has no dictionaries at {site}" for site in TARGETS[1:]}
    if TARGETS[0] not in by_key or len(by_key) < 2:
        return numbers, missing
    for key, place in by_key.items():
        if key == TARGETS[0]:
            continue
        if not (by_key[TARGETS[0]].curve.covers(measured, l0) and place.curve.covers(measured, l0)):
            missing[f"gain_{key}"] = OUTSIDE
            continue
        own, other = (at.curve.at(measured, lambda of: of["missed_logits"], l0) for at in (by_key[TARGETS[0]], place))
        numbers[f"gain_{key}"] = number(estimate(own, other), unit="share", n=tokens, over="tokens")
    return numbers, missing
