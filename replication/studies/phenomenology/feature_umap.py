"""A map of features by the directions of their decoders (paper, "Feature splitting").

Two maps by UMAP (15 neighbours, cosine): of A/0 and A/1 with a minimum distance of 0.05, and with A/2 of 0.01. Clusters are
HDBSCAN's (smallest size 3) on a ten-dimensional UMAP of A/0 and A/1 (0.1), a list of features is ordered by a one-dimensional
one. Dead and ultralow features are left out. A feature belongs to the context with whose proxy its activation correlates most,
if that correlation exceeds a threshold on both halves of the evaluation tokens (ours).
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.artifacts import Layout
from replication.config import Settings, UserError
from replication.features.correlation import Moments, correlations
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies.directions import unit
from replication.studies.intervals import arm_of, estimate, random
from replication.studies.replicates import sibling
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_sums import sums

NEIGHBOURS = 15
SMALL_MAP, LARGE_MAP, LIST_MAP, CLUSTER_MAP = 0.05, 0.01, 0.05, 0.1  # smallest distances; that of the list is ours
CLUSTER_DIMENSIONS, CLUSTER_SIZE = 10, 3
NAMED = 0.2  # correlation above which a feature belongs to a context
PUBLISHED_CONTEXTS = ("base64", "arabic")  # whose clusters the paper names
LARGEST = 3000  # features of one dictionary; of more a random sample with those of contexts in it
FEWEST = 5  # features below which there is no map
TOKENS = 3  # tokens that describe a feature
Points = NDArray[np.float64]
Neighbours = tuple[NDArray[np.int64], NDArray[np.float32]]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per feature: places on both maps, cluster, place in the list, tokens, density, context."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    names = list(settings.dictionaries)
    follow = named(reader.context_features())
    table = pd.concat([features(reader, name, follow, settings) for name in names], ignore_index=True)
    weights = {name: reader.weights(name)["W_dec"] for name in names}
    directions = unit(np.concatenate([weights[name][table.loc[table["dictionary"] == name, "feature"]] for name in names]))
    small = (table["dictionary"] != sibling(settings.studies.main, "2")).to_numpy()
    if not small.any():
        small[:] = True
    if small.sum() < FEWEST:
        raise UserError(f"study feature_umap needs {FEWEST} features that are neither dead nor ultralow, "
                        f"but {' and '.join(names)} have {small.sum()}")
    seed = int(generator(settings.seed, "studies.feature_umap").integers(2**31))
    of, near = directions[small], neighbours(directions[small])
    table.loc[small, ["x", "y"]] = embed(of, near, 2, SMALL_MAP, seed)
    progress(1, 4)
    table.loc[small, "cluster"] = clusters(embed(of, near, CLUSTER_DIMENSIONS, CLUSTER_MAP, seed))
    progress(2, 4)
    table.loc[small, "order"] = np.argsort(np.argsort(embed(of, near, 1, LIST_MAP, seed)[:, 0], kind="stable"), kind="stable")
    progress(3, 4)
    table[["x_large", "y_large"]] = np.nan if small.all() else embed(directions, neighbours(directions), 2, LARGE_MAP, seed)
    progress(4, 4)
    here = table[small]
    numbers = contexts_near(of, here["context"].to_numpy(object), settings)
    main = settings.studies.main
    numbers |= similar_near(reader.matrix(main), weights[main], table.loc[table["dictionary"] == main, "feature"].to_numpy(), settings)
    numbers |= counted(here, settings)
    write(out=out, study="feature_umap", data=rounded(table, settings), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=absent(reader))


def named(found: pd.DataFrame) -> pd.DataFrame:
    """The context of each feature: dictionary, feature, context, correlation. `found` is the table of features that follow contexts."""
    above = found[(found["feature"] >= 0) & (found[["correlation_chosen", "correlation"]].min(axis=1) > NAMED)]
    best = above.sort_values("correlation", ascending=False, kind="stable").drop_duplicates(["dictionary", "feature"])
    return best[["dictionary", "feature", "context", "correlation"]]


def features(reader: Reader, name: str, follow: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Features of a dictionary that are neither dead nor ultralow, or a sample, with the tokens that they fire on and predict."""
    table = reader.features(name, "feature", "density", "part", "top_tokens")
    table = table[table["part"] == "other"].merge(follow[follow["dictionary"] == name].drop(columns="dictionary"), on="feature", how="left")
    table = table[drawn(table["context"].notna().to_numpy(), random(settings, f"feature_umap.{name}"))]
    strings = reader.vocabulary().strings
    chosen, reported = sums(reader.matrix(name), reader.tokens().ravel().astype(np.int64), len(strings))
    fired = strongest(sparse.csr_array(chosen.mass + reported.mass), table["feature"].to_numpy())
    return table.assign(dictionary=name, tokens=[said([strings[token] for token in some]) for some in fired],
                        logits=[said(some[:TOKENS]) for some in table["top_tokens"]])


def drawn(kept: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """At most LARGEST features, at random but for those `kept`."""
    if len(kept) <= LARGEST:
        return np.ones_like(kept)
    return np.isin(np.arange(len(kept)), np.argsort(np.where(kept, -1.0, rng.random(len(kept))), kind="stable")[:LARGEST])


def strongest(mass: sparse.csr_array, features: NDArray[np.int64]) -> list[list[int]]:
    """The tokens on which most of each feature's activation falls."""
    rows = [slice(mass.indptr[feature], mass.indptr[feature + 1]) for feature in features]
    return [[int(token) for token in mass.indices[row][np.argsort(-mass.data[row], kind="stable")[:TOKENS]]] for row in rows]


def said(strings: Sequence[str]) -> str:
    """A list of texts as one cell of a table."""
    return json.dumps(list(strings), ensure_ascii=False)


def neighbours(directions: Points) -> Neighbours:
    """The nearest features by cosine, each first its own neighbour, and the distances [feature, neighbour]; exact, for several maps."""
    from sklearn.neighbors import NearestNeighbors

    others = min(NEIGHBOURS, len(directions) - 1) - 1
    distances, near = NearestNeighbors(n_neighbors=others, metric="cosine", algorithm="brute").fit(directions).kneighbors()
    itself = np.arange(len(directions))[:, None]
    return np.hstack([itself, near]), np.hstack([np.zeros((len(directions), 1)), distances]).astype(np.float32)


def embed(directions: Points, near: Neighbours, dimensions: int, min_dist: float, seed: int) -> Points:
    """UMAP of unit directions [feature, d_in] to places [feature, dimension]."""
    from umap import UMAP

    n, k = near[0].shape
    start = "spectral" if n > 2 * (dimensions + 1) else "random"  # the spectral start needs more points than dimensions
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)  # says that new points could not be added
        found: Points = UMAP(n_neighbors=k, n_components=dimensions, metric="cosine", min_dist=min_dist, init=start, random_state=seed,
                             n_jobs=1, precomputed_knn=(*near, None)).fit_transform(directions)
    return found


def clusters(places: Points) -> NDArray[np.int64]:
    """Cluster of each place, -1 for none."""
    from sklearn.cluster import HDBSCAN

    return np.asarray(HDBSCAN(min_cluster_size=CLUSTER_SIZE, copy=True).fit_predict(places))


def contexts_near(directions: Points, context: NDArray[np.object_], settings: Settings) -> dict[str, Number]:
    """How much larger the cosine of a feature is with others of its context than with features outside it, on the mean."""
    gaps = []
    for name in sorted({name for name in context if isinstance(name, str)}):
        own = context == name
        if own.sum() > 1 and not own.all():
            cosine = directions[own] @ directions.T
            gaps.append((cosine[:, own].sum(axis=1) - 1) / (own.sum() - 1) - cosine[:, ~own].mean(axis=1))
    if not gaps:
        return {}
    values = np.concatenate(gaps)
    nearer = estimate(arm_of(mean, [values], settings, "feature_umap.contexts"))
    return {"context_nearer": number(nearer, unit="cosine", n=len(values), over="features of contexts")}


def similar_near(matrix: EvaluationMatrix, W_dec: NDArray[np.float32], shown: NDArray[np.int64], settings: Settings) -> dict[str, Number]:
    """How much larger the cosine of a feature is with the one whose activations correlate most with its own than with a random one.

    Within one dictionary: two of its features never stand for the same direction. The partner is found on half 0.
    """
    directions = unit(W_dec)[shown]
    average = directions.mean(axis=0)
    moments = Moments.of(matrix)
    partner = np.full(matrix.n_features, -1)
    live = np.isin(np.arange(matrix.n_features), shown)
    for start, (chosen, _) in correlations(matrix, matrix, (moments, moments)):
        block = np.where(live & ~np.isnan(chosen), chosen, -np.inf)
        block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        partner[start:start + len(block)] = np.where(np.isfinite(block.max(axis=1)), block.argmax(axis=1), -1)
    found = partner[shown] >= 0
    if not found.any():
        return {}
    near = (directions[found] * unit(W_dec)[partner[shown[found]]]).sum(axis=1)
    far = (len(shown) * (directions[found] @ average) - 1) / (len(shown) - 1)
    nearer = estimate(arm_of(mean, [near - far], settings, "feature_umap.similar"))
    return {"similar_nearer": number(nearer, unit="cosine", n=len(near), over="features")}


def mean(sample: Points) -> float:
    """The mean."""
    return float(np.mean(sample))


def counted(here: pd.DataFrame, settings: Settings) -> dict[str, Number]:
    """How many clusters there are, and how many contexts have one of their own."""
    inside = here[here["cluster"] >= 0]
    own = clustered(inside)
    present = set(here["context"].dropna())
    numbers = {"clusters": Number(float(inside["cluster"].nunique()), "clusters", len(here), "features"),
               "clustered_share": Number(len(inside) / max(1, len(here)), "share of features", len(here), "features"),
               "contexts_with_features": Number(float(len(present)), "contexts", len(settings.contexts or {}), "contexts"),
               "contexts_with_cluster": Number(float(len(own)), "contexts", len(present), "contexts with a feature")}
    if present & set(PUBLISHED_CONTEXTS):
        numbers["clusters_named"] = Number(float(len(own & set(PUBLISHED_CONTEXTS))), "clusters", len(PUBLISHED_CONTEXTS), "contexts")
    return numbers


def clustered(inside: pd.DataFrame) -> set[str]:
    """Contexts with a cluster of which at least half of the features, and two, belong to the context."""
    counts = inside.groupby("cluster")["context"].value_counts().rename("own").reset_index()
    sizes = inside["cluster"].value_counts()
    clear = (counts["own"] >= 2) & (2 * counts["own"] >= counts["cluster"].map(sizes))
    return set(counts.loc[clear, "context"])


def absent(reader: Reader) -> dict[str, str]:
    """Why some numbers cannot be given by this run."""
    share = {context: 100 * float((score > 0).mean()) for context, score in reader.proxies().items()}
    tokens = " and ".join(f"{context} ({share[context]:.2g} % of the tokens)" if context in share else f"{context} (not examined)"
                          for context in PUBLISHED_CONTEXTS)
    return {"context_nearer": f"no context has two features that follow it with a correlation above {NAMED}",
            "clusters_named": f"no feature follows {tokens} with a correlation above {NAMED}",
            "similar_nearer": "no two features fire together"}


def rounded(table: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The table, short enough to be kept; `place` is that of the context among the run's."""
    places = {column: 3 for column in ("x", "y", "x_large", "y_large", "correlation") if column in table}
    table = table.assign(density=[float(f"{value:.3g}") for value in table["density"]],
                         **{column: table[column].astype("Int64") for column in ("cluster", "order")})
    order = {context: place for place, context in enumerate(settings.contexts or {})}
    table = table.assign(name=table["dictionary"] + "/" + table["feature"].astype(str), place=table["context"].map(order).astype("Int64"))
    return table.astype(dict.fromkeys(places, float)).round(places)[
        ["name", *places, "cluster", "order", "context", "place", "density", "tokens", "logits"]]
