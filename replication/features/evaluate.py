"""A dictionary's tables: the pass over the evaluation tokens, then what its features do and are made of."""

from pathlib import Path

import pandas as pd

from replication import artifacts, compute
from replication.config import Settings
from replication.features import dictionary_pass, profile, summary, table
from replication.features.logit_weights import Readout, written
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.features.tokens import read
from replication.features.vocabulary import Vocabulary
from replication.model.store import load as load_model
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae import load as load_dictionary
from replication.sae import site_of


def evaluate(
    *, settings: Settings, name: str, dictionary: Path, model: Path, site: Path, corpus: Path, evaluation: Path, out: Path,
    progress: Progress | None = None,
) -> None:
    """Write `<model>/<id>/`: evaluation matrix, features, examples, losses, numbers. `site` is the folder of its site, with the losses that need no dictionary.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features and settings.compute
    device = compute.device(settings.compute, progress)
    transformer, sae, tokens = load_model(model, device), load_dictionary(dictionary, str(device)), read(evaluation)
    known = artifacts.SAE_START in artifacts.check(dictionary, artifacts.SAE_START)["files"]  # how a dictionary from elsewhere began is not
    artifacts.check(site, artifacts.LOSSES, artifacts.SITE_MEAN)
    vocabulary = Vocabulary.read(corpus)
    read_at, shard_contexts = site_of(dictionary, transformer.architecture.n_layers), settings.features.shard_contexts
    files = {role: out / file for role, file in (
        ("matrix", artifacts.MATRIX), ("features", artifacts.FEATURES), ("examples", artifacts.EXAMPLES), ("losses", artifacts.LOSSES),
        ("evaluation", artifacts.EVALUATION))}
    contexts, n_ctx = tokens.shape
    with MatrixWriter(files["matrix"], n_features=sae.W_enc.shape[1], contexts=contexts, n_ctx=n_ctx,
                      shard_contexts=shard_contexts, dense=False) as matrix:
        sums = dictionary_pass.measure(
            transformer, sae, tokens, site=read_at, mean=artifacts.read_tensors(site / artifacts.SITE_MEAN, str(device))["mean"],
            matrix=matrix, shard_contexts=shard_contexts, progress=progress)
    losses = pd.concat([artifacts.read_table(site / artifacts.LOSSES), sums], axis=1)
    artifacts.write_table(files["losses"], losses)
    features, examples = profile.activations(EvaluationMatrix(files["matrix"]), tokens.numpy(), side=settings.features.window)
    begun = artifacts.read_tensors(dictionary / artifacts.SAE_START) if known else None
    readout = Readout.of(transformer, vocabulary.counts, rare_token=settings.features.rare_token)
    features = pd.concat([
        features, table.weights(sae, table.Start(W_dec=begun["W_dec"], resampled=begun["resampled"]) if begun else None),
        profile.logits(readout, written(transformer, read_at, sae.W_dec), vocabulary.strings),
    ], axis=1)
    parts, clusters = table.parts(features, n_tokens=tokens.numel(), seed=settings.seed)
    features = pd.concat([features, parts], axis=1)
    artifacts.write_table(files["features"], features)
    artifacts.write_table(files["examples"], examples)
    artifacts.write_json(files["evaluation"], summary.dictionary(name, losses, features, clusters))
    artifacts.write_meta(out, stage="features", settings=settings, files=files, stopwatch=stopwatch, device=str(device), inputs={
        "dictionary": dictionary / artifacts.SAE_WEIGHTS, "model": model / artifacts.WEIGHTS, "losses": site / artifacts.LOSSES,
        "tokens": evaluation / artifacts.EVALUATION_TOKENS, "tokenizer": corpus / artifacts.TOKENIZER})
