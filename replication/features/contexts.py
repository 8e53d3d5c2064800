"""Which features follow which context: proxies of every evaluation token, and the features that correlate with them.

A feature is ranked by its correlation with the binary proxy (score above zero) on half 0 of the evaluation tokens, and its
correlation on half 1 is reported. Beside a dictionary stand the neurons of its model and, for the main one, the best of as
many random unit directions of the site, where that is the one whose vectors the neurons' table holds.
Source: paper, "Detailed investigations"; that the feature is found and not named, ours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from replication import artifacts
from replication.config import Settings, model_of, place
from replication.contexts import Context
from replication.corpus.shards import read_counts
from replication.features import NEURONS
from replication.features.correlation import Moments
from replication.features.matrix import HALVES, EvaluationMatrix
from replication.features.proxies import Pieces, Proxy
from replication.features.tokens import read
from replication.features.vocabulary import token_bytes
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator

KEPT = 20  # features listed for each context
DIRECTIONS_AT_ONCE = 4096
Array = NDArray[np.float64]


def pieces(corpus: Path) -> Pieces:
    """The vocabulary of a corpus's folder as bytes. Raises ArtifactError when a file is missing or changed."""
    artifacts.check(corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    artifacts.check(corpus, artifacts.UNIGRAMS, name=artifacts.TOKENS_META)
    return Pieces(token_bytes(corpus / artifacts.TOKENIZER), read_counts(corpus / artifacts.UNIGRAMS).numpy())


def correlations(matrix: EvaluationMatrix, labels: NDArray[np.bool_]) -> Array:
    """Pearson correlation [half, feature, label] of activations with binary labels [token, label]; NaN where one does not vary."""
    moments = Moments.of(matrix)
    products, sums = np.zeros((len(HALVES), matrix.n_features, labels.shape[1])), np.zeros((len(HALVES), labels.shape[1]))
    rows = matrix.shard_contexts * matrix.n_ctx
    for k, shard in enumerate(matrix):
        some, half = labels[k * rows : k * rows + shard.shape[0]].astype(np.float32), matrix.half(k)
        for which in HALVES:
            at = half == which
            products[which] += shard[at].T @ some[at]
            sums[which] += some[at].sum(0)
    count = moments.count[:, None]
    products -= moments.total[:, :, None] * (sums / count)[:, None, :]
    scale = np.sqrt(moments.sum_of_squares[:, :, None] * (sums * (1 - sums / count))[:, None, :])
    return np.divide(products, scale, out=np.full_like(products, np.nan), where=scale > 0)


def random_directions(matrix: EvaluationMatrix, labels: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Array:
    """Correlations [half, label] of the random unit direction that is best on half 0, of `count` drawn.

    `matrix` holds the site's vectors x densely. The projection u.x has the covariance u' c with a label and the variance
    u' S u, so that no projection is ever computed.
    """
    d_in = matrix.n_features
    second, first = np.zeros((len(HALVES), d_in, d_in)), np.zeros((len(HALVES), d_in))
    cross, sums, counts = np.zeros((len(HALVES), d_in, labels.shape[1])), np.zeros((len(HALVES), labels.shape[1])), np.zeros(len(HALVES))
    rows = matrix.shard_contexts * matrix.n_ctx
    for k, shard in enumerate(matrix):
        some, half = labels[k * rows : k * rows + shard.shape[0]].astype(np.float32), matrix.half(k)
        for which in HALVES:
            x, on = np.asarray(shard[half == which]), some[half == which]
            second[which] += x.T @ x
            cross[which] += x.T @ on
            first[which] += x.sum(0, dtype=np.float64)
            sums[which] += on.sum(0)
            counts[which] += len(x)
    mean = first / counts[:, None]
    covariance = second - counts[:, None, None] * mean[:, :, None] * mean[:, None, :]
    cross -= mean[:, :, None] * sums[:, None, :]
    spread = np.sqrt(sums * (1 - sums / counts[:, None]))
    best = np.full((len(HALVES), labels.shape[1]), -np.inf)
    for start in range(0, count, DIRECTIONS_AT_ONCE):
        u = rng.normal(size=(min(DIRECTIONS_AT_ONCE, count - start), d_in))
        size = np.sqrt(np.einsum("ui,hij,uj->hu", u, covariance, u, optimize=True))
        scale = size[:, :, None] * spread[:, None, :]
        found = np.divide(u @ cross, scale, out=np.full_like(scale, np.nan), where=scale > 0)
        place = np.nan_to_num(np.abs(found[0])).argmax(0)  # a direction and its opposite are drawn alike
        chosen = found[:, place, np.arange(labels.shape[1])]
        chosen *= np.sign(chosen[0])
        better = chosen[0] > best[0]
        best[:, better] = chosen[:, better]
    return best


def ranked(name: str, found: Array, contexts: Sequence[str]) -> pd.DataFrame:
    """The rows of a table: the `KEPT` features with the largest correlation on half 0, for each context that varies there."""
    parts = []
    for label, context in enumerate(contexts):
        chosen, reported = found[0, :, label], found[1, :, label]
        order = np.argsort(-np.nan_to_num(chosen, nan=-np.inf), kind="stable")[:KEPT]
        order = order[~np.isnan(chosen[order])]
        parts.append(pd.DataFrame({
            "dictionary": name, "context": context, "feature": order.astype(np.int32), "rank": np.arange(len(order), dtype=np.int32),
            "correlation_chosen": chosen[order], "correlation": reported[order]}))
    return pd.concat(parts, ignore_index=True)


def make(*, settings: Settings, names: Sequence[str], corpus: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `proxies.safetensors` and `contexts.parquet` of a run.

    The first holds for each context its scores `<id>` [token], and which tokens of the vocabulary are its own, `<id>/member`
    [d_vocab]; the second has dictionary, context, feature, rank, correlation_chosen, correlation. `names` are dictionaries and
    neuron tables. Raises ArtifactError when a table is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.contexts is not None and settings.studies
    tokens = read(out).numpy()
    proxies, scores = score(settings.contexts, pieces(corpus), tokens)
    files = {"proxies": out / artifacts.PROXIES, "contexts": out / artifacts.CONTEXTS}
    artifacts.write_tensors(files["proxies"], {key: torch.from_numpy(value) for key, value in {
        **{name: row.ravel() for name, row in scores.items()}, **{f"{name}/member": proxy.member for name, proxy in proxies.items()}}.items()})
    labels = np.stack([row.ravel() > 0 for row in scores.values()], axis=1) if scores else np.zeros((tokens.size, 0), bool)
    tables, matrices, contexts = [_empty()], {}, list(scores)
    for done, name in enumerate(names, start=1):
        artifacts.check(out / name, artifacts.MATRIX)
        matrices[name] = EvaluationMatrix(out / name / artifacts.MATRIX)
        if contexts:
            tables.append(ranked(name, correlations(matrices[name], labels), contexts))
        progress(done, len(names), name)
    main = settings.studies.main
    if contexts and among_neurons(settings, main):
        best = random_directions(matrices[f"{model_of(main)}/{NEURONS}"], labels, matrices[main].n_features, generator(settings.seed, "features.contexts"))
        tables.append(pd.DataFrame({"dictionary": f"{main}/random", "context": contexts, "feature": -1, "rank": 0,
                                    "correlation_chosen": best[0], "correlation": best[1]}).query("correlation_chosen > 0"))
    artifacts.write_table(files["contexts"], pd.concat(tables, ignore_index=True))
    artifacts.write_meta(out, stage="features", settings=settings, files=files, stopwatch=stopwatch, name=artifacts.CONTEXTS_META,
                         inputs={name: matrix.path for name, matrix in matrices.items()} | {"tokens": out / artifacts.EVALUATION_TOKENS})


def among_neurons(settings: Settings, dictionary: str) -> bool:
    """Whether a dictionary reads the activations of its model's last layer, which the neurons' table holds."""
    assert settings.dictionaries and settings.models
    n_layers = settings.models[model_of(dictionary)].n_layers
    return place(settings.dictionaries[dictionary].site, n_layers) == ("mlp_act", n_layers - 1)


def score(contexts: Mapping[str, Context], vocabulary: Pieces, tokens: NDArray[np.int32]) -> tuple[dict[str, Proxy], dict[str, NDArray[np.float32]]]:
    """The proxy of each context, and its scores of `tokens` [context, n_ctx], which are also its sample."""
    proxies = {name: Proxy.of(context, vocabulary, tokens) for name, context in contexts.items()}
    return proxies, {name: proxy(tokens) for name, proxy in proxies.items()}


def _empty() -> pd.DataFrame:
    kinds = {"dictionary": str, "context": str, "feature": np.int32, "rank": np.int32, "correlation_chosen": float, "correlation": float}
    return pd.DataFrame({key: pd.Series(dtype=kind) for key, kind in kinds.items()})
