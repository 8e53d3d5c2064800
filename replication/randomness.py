"""Randomness is an argument: a seed gives one named generator per purpose, and no other source of chance exists.

Draws are made by numpy on the CPU, also for a GPU run, so that a seed means the same start on every device.
"""

import zlib

import numpy as np

Seed = int


def generator(seed: Seed, purpose: str, *index: int) -> np.random.Generator:
    """The generator of one purpose (``"model.init"``, ``"sae.resampling"``) and, where it recurs, of one index.

    The same arguments always give the same draws; different purposes or indices give independent ones. Because a
    generator can be made anew for any step, a checkpoint needs no generator state. Source: ours.
    """
    # the count of indices is part of the entropy, because numpy reads missing and zero words alike
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), len(index), *index]))
