"""What a dictionary must beat at equal L0 (ours): neurons, principal components, random directions, its own start, its strongest features.

Each rival (see `rivals`) describes the MLP's activations by as many numbers a token as the main dictionary has active features
on the choosing half of the evaluation tokens, where it is fitted too. Losses are those of the other half, exact: the
description takes the activations' place and the pass is finished.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.losses import batches, context_losses
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.sae.dictionary import start
from replication.studies import recovered
from replication.studies.intervals import estimate, quantiles
from replication.studies.overall import rivals
from replication.studies.overall.rivals import Rival
from replication.studies.tables import Number, Reader, number, write

CONTEXTS = 256  # of each half
TRAINED = "trained"
CLAIMED = ("neurons", "pca", "random", "untrained", "topk")


@torch.no_grad()
def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per rival, and one for the dictionary itself; differences in loss recovered, paired by text."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main, site = settings.studies.main, settings.site(settings.studies.main)
    model, tokens, losses = reader.model(model_of(main)), torch.from_numpy(reader.tokens()), reader.losses(main)
    halves = [np.arange(half, len(tokens), 2) for half in (0, 1)]
    chosen, reported = (spread(half) for half in halves)
    l0 = float(losses["l0"].iloc[halves[0]].sum() / losses["tokens"].iloc[halves[0]].sum())
    found = measure(model, tokens[reported], fitted(reader, settings, model, tokens[chosen], l0), site, progress)
    table = losses.iloc[reported].reset_index(drop=True)
    tables = {TRAINED: table} | {name: table.assign(**sums) for name, sums in found.items()}
    measured = recovered.paired(tables, settings)
    numbers = headline(measured)
    missing = {key: recovered.UNDEFINED for key, value in numbers.items() if value.value != value.value}
    write(out=out, study="baselines", data=rows(tables, measured, main), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=missing)


def spread(half: np.ndarray) -> np.ndarray:
    """At most `CONTEXTS` of the contexts of a half, evenly spread."""
    return np.asarray(half[np.linspace(0, len(half) - 1, min(CONTEXTS, len(half))).astype(int)])


def fitted(reader: Reader, settings: Settings, model: Transformer, tokens: torch.Tensor, l0: float) -> dict[str, Rival]:
    """Every rival, fitted to the vectors of some contexts."""
    assert settings.studies and settings.dictionaries
    main = settings.studies.main
    x = torch.cat([model.read(batch, settings.site(main)).flatten(0, 1) for _, batch in batches(tokens, model, shard_contexts=len(tokens))])
    centre, dictionary, sae = x.mean(0), reader.sae(main), settings.dictionaries[main]
    begun = start(sae, x.shape[1], centre, seed=dataclasses.replace(settings, sae=sae).seed_of("sae"))  # drawn again from its seed
    drawn = rivals.random_directions(sae.d_sae, x.shape[1], generator(settings.seed, "studies.baselines.random"))
    return {"topk": rivals.topk(dictionary, l0, refit=False), "refit": rivals.topk(dictionary, l0, refit=True),
            "neurons": rivals.neurons(x, l0), "pca": rivals.directions(rivals.components(x), centre, l0),
            "untrained": rivals.untrained(begun, x, l0), "random": rivals.directions(drawn, centre, l0)}


def measure(
    model: Transformer, tokens: torch.Tensor, fitted: Mapping[str, Rival], site: str, progress: Progress,
) -> dict[str, dict[str, np.ndarray]]:
    """Per rival and context: loss_reconstructed (nats over predicted tokens), l0 and squared_error (sums over tokens)."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in fitted}
    done = 0
    for _, batch in batches(tokens, model, shard_contexts=len(tokens)):
        mid = model.before(batch, site)
        vectors = model.read_from(mid, site)
        x = vectors.flatten(0, 1)
        for name, describe in fitted.items():
            y, active = describe(x)
            loss = context_losses(model, batch, model.splice_into(mid, site, y.view_as(vectors)))
            sums = (active.double(), (x - y).square().mean(dim=1).double())
            parts[name].append(torch.stack([loss, *(per.view(len(batch), -1).sum(1) for per in sums)]).numpy())
        done += len(batch)
        progress(done, len(tokens))
    columns = "loss_reconstructed", "l0", "squared_error"
    return {name: dict(zip(columns, np.concatenate(found, axis=1), strict=True)) for name, found in parts.items()}


def rows(tables: Mapping[str, pd.DataFrame], measured: Mapping[str, recovered.Measured], main: str) -> pd.DataFrame:
    """A row per method: losses, shares and L0 with their intervals, and the share of the variance that is explained."""
    found = []
    for name, item in measured.items():
        row: dict[str, object] = {"method": name, "dictionary": main, "contexts": item.contexts, "tokens": item.tokens,
                                  "explained": 1 - tables[name]["squared_error"].sum() / tables[name]["variance"].sum()}
        for key, value in item.values.items():
            low, high = quantiles(item.draws[key])
            row |= {key: value, f"{key}_low": low, f"{key}_high": high}
        found.append(row)
    return pd.DataFrame(found)


def headline(measured: Mapping[str, recovered.Measured]) -> dict[str, Number]:
    """Shares recovered, and how far the trained dictionary is above each rival."""
    def share(plus: str, minus: str = "") -> Number:
        arms = [recovered.arm(measured, [name], "recovered") for name in (plus, minus) if name]
        return number(estimate(*arms), unit="share", n=measured[plus].contexts, over="contexts")

    return {**{f"trained_minus_{name}": share(TRAINED, name) for name in CLAIMED}, "refit_minus_trained": share("refit", TRAINED),
            **{f"recovered_{name}": share(name) for name in measured},
            "l0": Number(measured[TRAINED].values["l0"], "features per token", measured[TRAINED].contexts, "contexts")}
