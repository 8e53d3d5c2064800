"""The low-density cluster: a two-component Gaussian mixture on log10 density, bias and decoder-encoder product.

It stands in for the paper's ultralow part (density below one in a million) where the evaluation tokens are too few to
measure that. The paper separates the cluster on the same three axes; the mixture and the test for two modes are ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.randomness import Seed, generator

CONSTANT = 1e-5  # deviation of an axis that counts as not varying: a unit vector's product with itself is 1 but for rounding
FEWEST = 20  # features; fewer give no mixture
VALLEY = 0.5  # two modes are clear when the density between them falls below this share of the lower peak


@dataclass(frozen=True)
class Clusters:
    """Which features lie in the lower component, and how far the two are apart.

    `separation`: distance of the two means over the pooled deviation, along the discriminant between the components.
    `bic_gain`: Bayesian information criterion of one component minus that of two; two describe the features better when it
    is positive, otherwise `lower` is empty. `valley`: smallest density (kernel estimate along the discriminant) between the
    means as a share of the lower of the two peaks; 1 when there is no valley.
    """

    lower: NDArray[np.bool_]
    separation: float = 0.0
    bic_gain: float = 0.0
    valley: float = 1.0

    @property
    def clear(self) -> bool:
        """Whether there are two components with a valley between them."""
        return bool(self.bic_gain > 0 and self.valley < VALLEY)


def find(log10_density: NDArray[np.floating], bias: NDArray[np.floating], decoder_encoder: NDArray[np.floating], *, seed: Seed) -> Clusters:
    """The two clusters of the features that fire. An axis that does not vary is left out; too few features are all upper."""
    from sklearn.mixture import GaussianMixture

    axes = np.stack((log10_density, bias, decoder_encoder), axis=1).astype(np.float64)
    spread = axes.std(axis=0) if len(axes) else np.zeros(3)
    none = Clusters(lower=np.zeros(len(axes), dtype=bool))
    if len(axes) < FEWEST or spread[0] < CONSTANT:
        return none
    varies = spread > CONSTANT
    x = (axes[:, varies] - axes[:, varies].mean(axis=0)) / spread[varies]
    one = GaussianMixture(1).fit(x)
    two = GaussianMixture(2, n_init=5, random_state=int(generator(seed, "features.cluster").integers(2**31))).fit(x)
    gain = float(one.bic(x) - two.bic(x))
    low = int(np.argmin(two.means_[:, 0]))
    lower = two.predict(x) == low
    if gain <= 0 or lower.all() or not lower.any():
        return Clusters(lower=none.lower, bic_gain=gain)
    apart = two.means_[1 - low] - two.means_[low]
    direction = np.linalg.solve(np.einsum("k,kij->ij", two.weights_, two.covariances_), apart)
    return Clusters(lower=lower, bic_gain=gain, separation=float(np.sqrt(apart @ direction)),
                    valley=_valley(x @ direction, two.means_[low] @ direction, two.means_[1 - low] @ direction))


def _valley(x: NDArray[np.float64], low: float, high: float) -> float:
    """Depth of the valley between two means on a line, for points `x`."""
    from scipy.stats import gaussian_kde

    grid = np.linspace(min(x.min(), low), max(x.max(), high), 256)
    density = gaussian_kde(x)(grid)
    between = np.flatnonzero((grid >= low) & (grid <= high))
    deepest = between[np.argmin(density[between])] if len(between) else int(np.argmax(density))
    peaks = density[: deepest + 1].max(), density[deepest:].max()
    return float(density[deepest] / min(peaks))
