"""Which part of a vector of MLP activations the rest of the network can see, and which lies in the null space of W_out.

v -> v W_out maps d_mlp neurons to d_model dimensions of the stream, so that at least d_mlp - d_model dimensions are lost. A layer norm
follows wherever the stream is read and takes its mean over d_model off; that hides one more dimension, which is counted apart
(`mean`), because it belongs to the layer norm and not to W_out. Source: ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RELATIVE = 1e-6  # singular values below this share of the largest count as zero: float32 weights carry no more


@dataclass(frozen=True)
class Visible:
    """Orthonormal columns `basis` [d_mlp, rank] that span what W_out lets through; `mean` [d_mlp, 0 or 1], the unit direction among them that
    moves nothing but the stream's mean; and the output weights `W_out` [d_mlp, d_model] themselves.
    """

    basis: Floats
    mean: Floats
    W_out: Floats

    @staticmethod
    def of(W_out: NDArray[np.float32]) -> "Visible":
        """The visible part of the output weights [d_mlp, d_model] of one MLP."""
        weights = W_out.astype(np.float64)
        left, singular, _ = np.linalg.svd(weights, full_matrices=False)
        ones = np.ones(weights.shape[1])
        hidden = ones @ np.linalg.pinv(weights, rcond=RELATIVE)  # writes the same to every dimension, if any direction does
        exists = np.allclose(hidden @ weights, ones, atol=1e-6)
        return Visible(left[:, singular > RELATIVE * singular[0]], hidden[:, None] / np.linalg.norm(hidden) if exists else np.empty((len(weights), 0)), weights)

    @property
    def chance(self) -> float:
        """The invisible share of a random direction on average, exactly: 1 - rank / d_mlp. Also the mean over single neurons."""
        d_mlp, rank = self.basis.shape
        return float(1 - rank / d_mlp)

    def invisible(self, rows: NDArray[np.floating]) -> Floats:
        """Share [row] of the squared norm of each row [row, d_mlp] that lies in the null space; NaN for a row of zeros."""
        return 1 - self._share(rows, self.basis)

    def only_mean(self, rows: NDArray[np.floating]) -> Floats:
        """Share [row] of the squared norm that moves the stream's mean alone, which the next layer norm takes off."""
        return self._share(rows, self.mean)

    def gain(self, rows: NDArray[np.floating]) -> Floats:
        """|v W_out|^2 / |v|^2 [row] over its mean for random directions: how loudly a direction is written, without a cut at zero."""
        return self._share(rows, self.W_out) / float(np.square(self.W_out).sum() / len(self.W_out))

    def without_invisible(self, rows: NDArray[np.floating]) -> Floats:
        """The rows [row, d_mlp] with their part in the null space set to zero."""
        return np.asarray((rows.astype(np.float64) @ self.basis) @ self.basis.T)

    @staticmethod
    def _share(rows: NDArray[np.floating], matrix: Floats) -> Floats:
        rows = rows.astype(np.float64)
        norms = np.square(rows).sum(1)
        return np.asarray(np.divide(np.square(rows @ matrix).sum(1), norms, out=np.full(len(rows), np.nan), where=norms > 0))

