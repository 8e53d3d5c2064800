"""Where the low-density cluster comes from, and whether it stays.

Four readings: features that die and only get rarer; an equilibrium of features that come and go; encoders that the tied bias holds down
through weakly active neurons; features that were switched off at the start and never moved. The first two, and when the fourth would
have happened, are told from dictionaries that were watched through training (`trajectories`), the rest from weights and evaluation
tokens (`lower_cluster`), for each start that the run has (`starts`). Numbers without a suffix are those of the paper's start, or of
the first start that the run has. Source of the question: readers of the paper; the measures are ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.losses import batches
from replication.features.matrix import HALVES, REPORTING
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies.directions import unit
from replication.studies.intervals import random
from replication.studies.questions import lower_cluster, trajectories
from replication.studies.questions.starts import TRANSPOSE, WARMUP, by_start
from replication.studies.questions.trajectories import HALF, Trajectories
from replication.studies.questions.ultralow_numbers import FEWEST, Bools, Found, between, of_clusters, of_training
from replication.studies.tables import Reader, write

SETS = 8  # of as many neurons at random
TOKENS = 16_384  # on which features fire with and without the tied bias
DENSITY = np.arange(-5.5, 0.01, 0.25)  # edges in log10 share of vectors; the first bin holds what fires on none
BINS = {"start_cosine": np.linspace(-1, 1, 41), "weak_share": np.linspace(0, 1, 41)}
CLUSTERS = ("fires_on_one_input", "weak_neuron_weight", "weak_share_above_even", "tied_bias_extra_negative", "tied_bias_extra_per_norm", "released_by_weak",
            "unmoved")
FITS = ("direction_cosine_across_seeds", "bias_alignment_own")
OTHER_STARTS = tuple(f"rare_minus_{start}" for start in (WARMUP, TRANSPOSE))
UNKNOWN = "how the main dictionary's features began is not known: it was not trained in this run"
WATCHED = ("rare_keeps_falling", "deaths_minus_births", "decided_early", "left_minus_resampled")


@torch.no_grad()
def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows `density`, `share`, `followed` and `flow` of watched dictionaries; `start_cosine`, `weak_share` and `direction` of every start."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader, main = Stopwatch(), Reader(layout), settings.studies.main
    starts = by_start(main, settings.dictionaries)
    if not starts:
        write(out=out, study="ultralow_dynamics", data=pd.DataFrame({"kind": ["none"]}), numbers={}, settings=settings, reader=reader, stopwatch=stopwatch,
              missing=dict.fromkeys((*CLUSTERS, *FITS, *WATCHED, *OTHER_STARTS), UNKNOWN), absent=UNKNOWN)
        return
    first = next(iter(starts))
    neurons = reader.features(f"{model_of(main)}/neurons", "density", "mean_on")
    weak = lower_cluster.weakest((neurons["density"] * neurons["mean_on"].fillna(0)).to_numpy(float))
    x = activations(reader, settings)
    names = [name for members in starts.values() for name in members]
    found = {name: examine(reader, name, settings, weak, x if name in starts[first] else x[:0]) for name in progress.over(names, len(names))}
    groups = {start: [found[name] for name in members] for start, members in starts.items()}
    numbers = between(groups, settings)
    for start, group in groups.items():
        numbers |= {key if start == first else f"{key}_{start}": value for key, value in (of_clusters(group, settings) | of_training(group, settings)).items()}
    rows = [row for start, members in starts.items() for name in members for row in rows_of(found[name], {"dictionary": name, "start": start})]
    rows += [row for start, members in starts.items() for row in directions(members, found, {"start": start})]
    write(out=out, study="ultralow_dynamics", data=pd.DataFrame(rows), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing(groups, first))


def activations(reader: Reader, settings: Settings) -> torch.Tensor:
    """Vectors of the main dictionary's site [token, d_in] on contexts spread evenly over the reporting half."""
    assert settings.studies
    main = settings.studies.main
    tokens, model, site = reader.tokens(), reader.model(model_of(main)), settings.site(main)
    half = np.arange(REPORTING, len(tokens), len(HALVES))
    chosen = half[np.linspace(0, len(half) - 1, min(len(half), max(1, TOKENS // tokens.shape[1]))).astype(int)]
    some = torch.from_numpy(tokens[chosen])
    return torch.cat([model.read(batch, site).flatten(0, 1) for _, batch in batches(some, model, shard_contexts=len(some))])


def examine(reader: Reader, name: str, settings: Settings, weak: Bools, x: torch.Tensor) -> Found:
    """One dictionary; `x` are the vectors on which it fires with and without the tied bias."""
    assert settings.dictionaries
    table, sae = reader.features(name, "density", "cluster"), reader.sae(name)
    start_cosine = (unit(sae.W_dec.numpy()) * unit(reader.start(name)["W_dec"])).sum(1)
    lower, upper = ((table["cluster"] == which).to_numpy(bool) for which in ("lower", "upper"))
    together, chance = np.zeros(0, bool), float("nan")
    if lower.sum() >= FEWEST:
        together, chance = lower_cluster.one_input(reader.matrix(name), np.flatnonzero(lower), random(settings, "ultralow_dynamics.halves"))
    rng = generator(settings.seed, "studies.ultralow_dynamics.neurons")
    as_many = [rng.permutation(weak) for _ in range(SETS)]
    watch = settings.dictionaries[name].watch_vectors
    return Found(
        encoders=lower_cluster.encoders(sae.W_enc.numpy(), sae.b_dec.numpy(), lower=lower, upper=upper, weak=weak),
        density=table["density"].to_numpy(float), start_cosine=start_cosine, together=together, chance=chance,
        freed=lower_cluster.without_tied_bias(sae, x, [weak, *as_many]), vectors=len(x),
        watched=Trajectories.of(reader.watch(name), watch) if watch else None)


def rows_of(found: Found, of: dict[str, object]) -> Iterator[dict[str, object]]:
    """What is drawn of one dictionary."""
    encoders = found.encoders
    for kind, values in (("start_cosine", found.start_cosine), ("weak_share", encoders.weak_share)):
        for cluster, which in (("lower", encoders.lower), ("upper", encoders.upper)):
            counts, edges = np.histogram(np.clip(values[which], BINS[kind][0], BINS[kind][-1]), BINS[kind])
            yield from ({"kind": kind, **of, "set": cluster, "low": low, "high": high, "value": count}
                        for low, high, count in zip(edges, edges[1:], counts, strict=False) if count)
    if found.watched is None:
        return
    watched = found.watched
    for point, step in enumerate(watched.step):
        place = {**of, "step": step, "point": point, "last": watched.step[-1]}
        yield {"kind": "share", **place, "value": watched.rare[point].mean()}
        counts, edges = np.histogram(np.log10(np.maximum(watched.density[point], 10 ** DENSITY[0])), DENSITY)
        yield from ({"kind": "density", **place, "low": low, "high": high, "value": count}
                    for low, high, count in zip(edges, edges[1:], counts, strict=False) if count)
    rare = watched.rare[watched.at(HALF)]
    for name, which in (("rare", rare), ("common", ~rare)):
        log_step, counts = trajectories.later_counts(watched, which)
        counts = np.minimum(counts, trajectories.COMMON * watched.vectors) if name == "rare" else counts
        if len(counts) >= FEWEST:
            yield from ({"kind": "followed", **of, "set": name, "step": round(10**at), "last": watched.step[-1], "value": total / len(counts) / watched.vectors}
                        for at, total in zip(log_step, counts.sum(0), strict=True))
    flows = trajectories.flows(watched)
    for end, length, rare_ones, others, born, died in zip(flows.end, flows.length, flows.rare, flows.common, flows.born, flows.died, strict=True):
        yield {"kind": "flow", **of, "step": end, "last": watched.step[-1], "length": length, "rare": rare_ones, "common": others, "born": born, "died": died}


def directions(members: Sequence[str], found: Mapping[str, Found], of: dict[str, object]) -> Iterator[dict[str, object]]:
    """Of each pair of fits: the cosine of the clusters' mean directions (`value`) and of `b_dec` (`low`), both on weak neurons."""
    for one, other in combinations(members, 2):
        pair = [found[name].encoders for name in (one, other)]
        if min(len(item.directions) for item in pair) >= FEWEST:
            weak = pair[0].weak
            shared, bias = (float(np.prod(unit(np.stack(rows)), axis=0).sum()) for rows in (
                [item.directions.sum(0)[weak] for item in pair], [item.b_dec[weak] for item in pair]))
            yield {"kind": "direction", **of, "dictionary": one, "set": other, "value": shared, "low": bias}


def missing(groups: Mapping[str, Sequence[Found]], first: str) -> dict[str, str]:
    """Why numbers of the ledger may be absent."""
    watched = any(item.watched is not None for item in groups[first])
    why = dict.fromkeys(CLUSTERS, f"a cluster has fewer than {FEWEST} features")
    why |= dict.fromkeys(FITS, why[CLUSTERS[0]] if len(groups[first]) > 1 else "the run has one fit with the paper's start")
    why |= dict.fromkeys(WATCHED, f"fewer than {FEWEST} features to compare" if watched else "the run watches no dictionary with the paper's start")
    return why | dict.fromkeys(OTHER_STARTS, "the run has not both starts")
