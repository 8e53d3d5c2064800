"""Windows as rows of a table and back: a row holds only the tokens that are inside the context."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.features.examples import NO_TOKEN
from replication.interpretability.protocol import GROUPS, Windows


def rows(values: NDArray[np.generic], inside: NDArray[np.bool_]) -> list[NDArray[np.generic]]:
    """The entries of each row of `values` [row, width] that are `inside`."""
    ends = inside.sum(axis=1).cumsum()
    flat = values[inside]
    return [flat[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if len(ends) else []


def windows(table: pd.DataFrame) -> Windows:
    """The windows of rows with `group`, `centre`, `tokens` and `activations`, centres in the middle, as wide as the widest needs."""
    lengths = table["tokens"].map(len).to_numpy(np.int64)
    centre = table["centre"].to_numpy(np.int64)
    side = int(max(centre.max(initial=0), (lengths - centre - 1).max(initial=0)))
    at = np.arange(2 * side + 1) - side + centre[:, None]
    inside = (at >= 0) & (at < lengths[:, None])
    tokens, activations = np.full(at.shape, NO_TOKEN, dtype=np.int32), np.zeros(at.shape, dtype=np.int8)
    if len(table):
        tokens[inside], activations[inside] = np.concatenate(table["tokens"].tolist()), np.concatenate(table["activations"].tolist())
    return Windows(tokens, activations, np.array([GROUPS.index(name) for name in table["group"]], dtype=np.int8))
