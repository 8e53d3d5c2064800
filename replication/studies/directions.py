"""Directions in the space of the site: norms, cosines, and how they lie in the neuron basis."""

import numpy as np


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows [row, d_in] at unit norm, in double precision; rows of zeros stay zero."""
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def mean_pairwise_cosine(rows: np.ndarray) -> float:
    """Mean cosine over all pairs of unit rows: (|sum of rows|^2 - n) / (n (n - 1))."""
    n = len(rows)
    return float((np.square(rows.sum(0)).sum() - n) / (n * (n - 1))) if n > 1 else float("nan")


def carriers(rows: np.ndarray, share: float = 0.5) -> np.ndarray:
    """How few neurons hold `share` of the squared norm of each unit row.

    1 means that one neuron alone holds at least half. A random direction in d_in dimensions needs about d_in / 9. Nanda
    gives shares for "well explained by" one neuron and two to ten without a threshold that we know of; half is ours.
    """
    cumulative = np.cumsum(np.sort(np.square(rows), axis=1)[:, ::-1], axis=1)
    return np.asarray((cumulative < share - 1e-9).sum(1) + 1)


def excess_kurtosis(rows: np.ndarray) -> np.ndarray:
    """Kurtosis of each row's entries minus 3: about 0 for a random direction, large where few neurons stand out."""
    squares = np.square(rows - rows.mean(1, keepdims=True))
    return np.asarray(np.square(squares).mean(1) / np.square(squares.mean(1)) - 3)
