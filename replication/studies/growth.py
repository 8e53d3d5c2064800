"""How a number of a dictionary grows with its size: the change per doubling of the number of features.

    (value of the largest - value of the smallest) / log2(d_sae of the largest / d_sae of the smallest)

over the sizes that were fitted often enough for an interval over training; over all sizes where no two were. Source: ours.
"""

from collections.abc import Mapping
from math import log2

from replication.studies.intervals import Arm, Estimate, estimate

REPLICATES = 3


def per_doubling(arms: Mapping[str, Arm], sizes: Mapping[str, int]) -> Estimate | None:
    """From an arm and the d_sae of each group of dictionaries; None with fewer than two sizes."""
    often = [name for name, arm in arms.items() if len(arm.values) >= REPLICATES]
    names = sorted(often if len({sizes[name] for name in often}) > 1 else arms, key=lambda name: sizes[name])
    if len({sizes[name] for name in names}) < 2:
        return None
    small, large = names[0], names[-1]
    return estimate(arms[large], arms[small]).times(1 / log2(sizes[large] / sizes[small]))
