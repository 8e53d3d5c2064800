"""How many modes a distribution has, by one rule fixed beforehand.

The density is a sum of Gaussians of one given width. A mode is a maximum of it that is at least a tenth as high as the highest, with
a valley on each side, down to half of its own height or lower, before anything higher comes. Source: ours.
"""

import numpy as np
from scipy.signal import find_peaks

LEAST, VALLEY = 0.1, 0.5
STEPS = 20  # of the grid, in a width


def modes(values: np.ndarray, width: float) -> np.ndarray:
    """Places of the modes, ascending; `width` is the standard deviation of the Gaussians, in the unit of the values."""
    grid = np.arange(values.min() - 4 * width, values.max() + 4 * width, width / STEPS)
    density = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2).sum(1)
    peaks, found = find_peaks(density, height=LEAST * density.max(), prominence=0)
    return np.asarray(grid[peaks[found["prominences"] >= VALLEY * density[peaks]]])
