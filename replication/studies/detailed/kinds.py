"""Features that fire on one kind of token: an Arabic prefix, or the first byte of a character that is split over tokens."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from replication.studies.detailed.activations import Activations

MAJORITY = 0.5  # of the tokens on which a feature fires, on each half of the evaluation tokens
LEAD_BYTE = re.compile(r"\\x(?:c[2-9a-f]|[de][0-9a-f]|f[0-4])$")
AL = "\u0627\u0644"  # alif and lam


def begins_with_al(strings: Sequence[str]) -> NDArray[np.bool_]:
    """Which tokens begin with the Arabic prefix al-, after a space or not."""
    return np.array([string.lstrip(" ").startswith(AL) for string in strings])


def ends_with_lead_byte(strings: Sequence[str]) -> NDArray[np.bool_]:
    r"""Which tokens end with the first byte of a character, written `\xd8`, so that the rest of it is another token."""
    return np.array([LEAD_BYTE.search(string) is not None for string in strings])


def share(
    features: Activations, feature: int, kind: NDArray[np.bool_], text: NDArray[np.int32], half: NDArray[np.int8],
) -> NDArray[np.float64]:
    """Of the tokens on which a feature fires, the share that is of a kind, on each half; NaN where it is silent.

    `kind` [d_vocab] says which tokens are; `text` [token] are the evaluation tokens.
    """
    fires = features.fires(feature)
    return np.array([kind[text[at]].mean() if len(at := fires[half[fires] == which]) else np.nan for which in (0, 1)])


def mostly(
    features: Activations, some: Iterable[int], kind: NDArray[np.bool_], text: NDArray[np.int32], half: NDArray[np.int8],
) -> list[int]:
    """Those of `some` features that fire mostly on a kind of token on both halves: found on half 0, confirmed on half 1."""
    return [feature for feature in some if (share(features, feature, kind, text, half) > MAJORITY).all()]
