"""How features lie in the neuron basis (Nanda's replication; the paper's viewer for the largest weight).

Over the features that fired: how few neurons hold half of a direction, its largest weight, its kurtosis, the cosine
between encoder and decoder; and inside the lower cluster the mean cosine between encoders and between decoders.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.directions import carriers, excess_kurtosis, mean_pairwise_cosine, unit
from replication.studies.intervals import Arm, arm_of_all, estimate, random
from replication.studies.tables import Number, Reader, number, write

COSINES = np.linspace(-1, 1, 51)
BINS = {
    "neurons": np.concatenate([np.arange(0.5, 11.5), [10.5 * 2**k for k in range(1, 11)]]), "top_weight": np.linspace(0, 1, 51),
    "cosine": COSINES, "kurtosis": np.logspace(0, 4, 49), "lower_encoder": COSINES, "lower_decoder": COSINES,
}
PAIRS = 20_000  # pairs of the lower cluster whose cosines are drawn


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Histograms per dictionary, quantity and part; numbers over the replicates of the main dictionary."""
    assert settings.dictionaries
    stopwatch, reader = Stopwatch(), Reader(layout)
    rows, tables, lowers = [], [], []
    for index, name in enumerate(progress.over(settings.dictionaries, len(settings.dictionaries))):
        table, encoder, decoder = measure(reader, name)
        tables.append(table)
        lowers.append((encoder, decoder))
        for quantity in ("neurons", "top_weight", "cosine", "kurtosis"):
            for part, features in table.groupby("part", sort=True):
                rows += histogram(name, quantity, str(part), features[quantity].to_numpy())
        for quantity, directions in (("lower_encoder", encoder), ("lower_decoder", decoder)):
            rows += histogram(name, quantity, "pairs", pair_cosines(directions, random(settings, "neuron_basis.pairs", index)))
    write(out=out, study="neuron_basis", data=pd.DataFrame(rows), numbers=headline(tables, lowers, settings), settings=settings,
          reader=reader, stopwatch=stopwatch,
          missing=dict.fromkeys(("lower_encoder_cosine", "lower_decoder_cosine"), "the lower cluster has fewer than two features"))


def measure(reader: Reader, name: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """A table of the features that fired, and the unit encoders and decoders [feature, d_in] of the lower cluster."""
    features, weights = reader.features(name, "feature", "part", "cluster", "density"), reader.weights(name)
    encoder, decoder = unit(weights["W_enc"].T), unit(weights["W_dec"])
    table = pd.DataFrame({
        "feature": features["feature"], "part": features["part"].astype(str), "neurons": carriers(decoder),
        "top_weight": np.abs(decoder).max(1), "cosine": (encoder * decoder).sum(1), "kurtosis": excess_kurtosis(decoder) + 3})
    lower = (features["cluster"] == "lower").to_numpy(bool)
    return table[(features["density"] > 0).to_numpy()], encoder[lower], decoder[lower]


def histogram(name: str, quantity: str, part: str, values: np.ndarray) -> list[dict[str, object]]:
    """Rows of a histogram, empty bins left out."""
    edges = BINS[quantity]
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return [{"dictionary": name, "quantity": quantity, "part": part, "low": low, "high": high, "count": int(count)}
            for low, high, count in zip(edges, edges[1:], counts, strict=False) if count]


def pair_cosines(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cosines of random pairs of different unit rows, all pairs where there are few."""
    n = len(rows)
    if n * (n - 1) // 2 <= PAIRS:
        first, second = np.triu_indices(n, 1)
    else:
        first = rng.integers(n, size=PAIRS)
        second = (first + rng.integers(1, n, size=PAIRS)) % n
    return np.asarray((rows[first] * rows[second]).sum(1))


def headline(tables: list[pd.DataFrame], lowers: list[tuple[np.ndarray, np.ndarray]], settings: Settings) -> dict[str, Number]:
    """The numbers; `tables` and `lowers` have one entry per replicate."""
    if not all(map(len, tables)):
        return {}
    shares: dict[str, tuple[str, str, Callable[[np.ndarray], float]]] = {
        "share_one_neuron": ("neurons", "share of features", lambda x: float((x == 1).mean())),
        "share_two_to_ten": ("neurons", "share of features", lambda x: float(((x >= 2) & (x <= 10)).mean())),
        "share_dense": ("neurons", "share of features", lambda x: float((x > 10).mean())),
        "cosine_median": ("cosine", "cosine", lambda x: float(np.median(x))),
        "kurtosis_median": ("kurtosis", "excess kurtosis", lambda x: float(np.median(x) - 3)),
        "top_weight_median": ("top_weight", "weight of a unit vector", lambda x: float(np.median(x))),
        "above_half": ("top_weight", "share of features", lambda x: float((x > 0.5).mean())),
    }
    n = min(map(len, tables))
    numbers = {}
    for key, (quantity, unit_, statistic) in shares.items():
        found = estimate(arm_of_all(statistic, [table[quantity].to_numpy() for table in tables], settings, "neuron_basis"))
        numbers[key] = number(found, unit=unit_, n=n, over="features that fired")
    sizes = [len(encoder) for encoder, _ in lowers]
    if min(sizes) > 1:
        for index, key in enumerate(("lower_encoder_cosine", "lower_decoder_cosine")):
            found = estimate(cluster_arm([pair[index] for pair in lowers], settings))
            numbers[key] = number(found, unit="cosine", n=min(sizes), over="features of the lower cluster")
    return numbers


def cluster_arm(samples: list[np.ndarray], settings: Settings) -> Arm:
    """Mean pairwise cosine, its draws by weights: a feature drawn twice is no pair with itself.

    With w_i draws of row u_i: (|sum w_i u_i|^2 - sum w_i^2) / (n^2 - sum w_i^2).
    """
    assert settings.studies
    draws = []
    for index, rows in enumerate(samples):
        n, rng = len(rows), random(settings, "neuron_basis.lower", index)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=settings.studies.bootstrap).astype(np.float64)
        squared = np.square(weights).sum(1)
        draws.append((np.square(weights @ rows).sum(1) - squared) / np.maximum(n**2 - squared, 1.0))
    return Arm(np.array([mean_pairwise_cosine(rows) for rows in samples]), np.array(draws))
