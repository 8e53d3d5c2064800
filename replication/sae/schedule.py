"""When dead features are resampled, and how long a dead one has been silent. Source: paper; `min_window` is ours.

Needs no torch, since a run is checked and planned by it too.
"""

from replication.config import Sae


def resampling_window(sae: Sae) -> int:
    """Steps over which a silent feature counts as dead: 1.25 % of the run (12,500 of 1,000,000), at least `min_window` vectors."""
    steps = sae.vectors // sae.batch
    return max(round(0.0125 * steps), -(-sae.min_window // sae.batch))


def resampling_steps(sae: Sae) -> tuple[int, ...]:
    """Steps after which dead features are resampled: every 2.5 % of the run (25,000 of 1,000,000), at least a window apart."""
    steps = sae.vectors // sae.batch
    spacing = max(round(0.025 * steps), resampling_window(sae))
    return tuple(spacing * k for k in range(1, sae.resamplings + 1))
