"""What was trained: the paper's table of transformer and autoencoder beside this run, and every dictionary of the run (problem setup)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Model, Sae, Settings, d_in, model_of
from replication.features.losses import recovered
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.replicates import base
from replication.studies.tables import Number, Reader, write

UNKNOWN = {"vectors": "the main dictionary was not trained in this run", "tokens": "the main model was not trained in this run",
           "d_vocab": "the tokenizer was not trained in this run"}


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of two kinds (`table`): a quantity of the main dictionary's training (`setup`), and a dictionary (`dictionary`)."""
    assert settings.dictionaries and settings.models and settings.studies and settings.corpus
    stopwatch, reader = Stopwatch(), Reader(layout)
    dictionaries = progress.over(settings.dictionaries.items(), len(settings.dictionaries))
    runs = pd.DataFrame([row(reader, settings, name, sae) for name, sae in dictionaries])
    parts = pd.DataFrame(setup(settings, runs, reader.corpus())).assign(table="setup"), runs.assign(table="dictionary")
    write(out=out, study="setup_table", data=pd.concat(parts, ignore_index=True), numbers=headline(settings, runs), settings=settings,
          reader=reader, stopwatch=stopwatch, missing=UNKNOWN)


def row(reader: Reader, settings: Settings, name: str, sae: Sae) -> dict[str, Any]:
    """A dictionary: settings, losses, parts of its features. `l1_summed` goes with a squared error that is a sum over elements."""
    assert settings.dictionaries
    d_in = width(settings, name)
    losses, parts = reader.losses(name), reader.features(name, "part")["part"]
    sums = losses.drop(columns="source").sum(numeric_only=True)
    loss, zero, mean, left = (float(sums[key] / sums["predicted"]) for key in ("loss", "loss_zero", "loss_mean", "loss_reconstructed"))
    return {
        "dictionary": name, "group": base(name, settings.dictionaries), "d_sae": sae.d_sae, "expansion": sae.d_sae / d_in,
        "l1": sae.l1, "l1_summed": sae.l1 * d_in, "vectors": trained(sae), "seed": sae.seed, "tokens": int(sums["tokens"]), "texts": losses["source"].nunique(),
        "l0": float(sums["l0"] / sums["tokens"]), "recovered": recovered(loss=loss, ablated=zero, reconstructed=left),
        "recovered_mean": recovered(loss=loss, ablated=mean, reconstructed=left),
        **{part: int((parts == part).sum()) for part in ("dead", "ultralow", "other")}}


def setup(settings: Settings, runs: pd.DataFrame, corpus: dict[str, Any]) -> list[dict[str, str]]:
    """What the table of the paper lists, of the main dictionary and its model: `what` and the value here, as text or number; empty where it is not known."""
    assert settings.studies and settings.models and settings.corpus and settings.dictionaries
    main = settings.studies.main
    model, sae = model_settings(settings, main), settings.dictionaries[main]
    values: dict[str, object] = {
        "source": settings.corpus.name or settings.corpus.source, "corpus_bytes": corpus.get("bytes", ""), "act_fn": model.act_fn,
        "d_mlp": model.d_mlp, "d_model": model.d_model, "n_heads": model.n_heads, "n_ctx": model.n_ctx, "d_vocab": tokens_of(settings) or "",
        "tokens": model.tokens or "", "models": len(settings.models), "site": sae.site, "d_in": width(settings, main),
        "smallest": int(runs["d_sae"].min()), "largest": int(runs["d_sae"].max()), "main": main, "d_sae": sae.d_sae,
        "vectors": trained(sae) or "", "l1": sae.l1 or "" if sae.load else sae.l1,
        **{key: "" if sae.load else getattr(sae, key) for key in ("batch", "l1_warmup", "init")},
        "dictionaries": len(runs), "evaluation_tokens": int(runs["tokens"].max()),
        "evaluation_texts": int(runs["texts"].max())}
    return [{"what": what, "value": str(value)} for what, value in values.items()]


def headline(settings: Settings, runs: pd.DataFrame) -> dict[str, Number]:
    """Sizes, vectors, tokens, counts; NaN is what is not known."""
    assert settings.studies and settings.corpus and settings.dictionaries
    main, n = settings.studies.main, len(runs)
    return {
        "smallest_dictionary": Number(float(runs["d_sae"].min()), "features", n, "dictionaries"),
        "largest_dictionary": Number(float(runs["d_sae"].max()), "features", n, "dictionaries"),
        "largest_expansion": Number(float(runs["expansion"].max()), "features per neuron", n, "dictionaries"),
        "vectors": Number(float(trained(settings.dictionaries[main]) or np.nan), "vectors", 1, "dictionary"),
        "tokens": Number(float(model_settings(settings, main).tokens or np.nan), "tokens", 1, "model"),
        "dictionaries": Number(float(n), "dictionaries", n, "dictionaries"),
        "d_vocab": Number(float(tokens_of(settings) or np.nan), "tokens", 1, "tokenizer")}


def tokens_of(settings: Settings) -> int:
    """The vocabulary of a tokenizer that is trained here; 0 of another, whose settings do not say it."""
    assert settings.corpus
    return settings.corpus.d_vocab if settings.corpus.tokenizer == "train" else 0


def trained(sae: Sae) -> int:
    """Vectors that whole batches hold."""
    return sae.vectors // sae.batch * sae.batch


def model_settings(settings: Settings, name: str) -> Model:
    """The model of a dictionary; of a shuffled one, the model that it is a copy of."""
    assert settings.models
    model = settings.models[model_of(name)]
    return settings.models.get(model.shuffle_of, model)


def width(settings: Settings, name: str) -> int:
    """Elements of the vectors of a dictionary."""
    assert settings.models and settings.dictionaries
    return d_in(settings.models[model_of(name)], settings.dictionaries[name].site)
