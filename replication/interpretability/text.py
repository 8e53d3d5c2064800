"""The evaluation text as windows: a token with a few on each side, and the places where a token stands."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from replication.features.examples import NO_TOKEN


class Text:
    """Evaluation tokens, int32 [context, n_ctx]. A place is a token's number in all of them; windows have `side` tokens a side."""

    def __init__(self, tokens: NDArray[np.int32], side: int) -> None:
        self.tokens, self.side = tokens, side
        self._padded = np.pad(tokens, ((0, 0), (side, side)), constant_values=NO_TOKEN)

    def windows(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """The windows around places [window, width], with NO_TOKEN outside of the context."""
        context, pos = np.divmod(places, self.tokens.shape[1])
        return self._padded[context[:, None], pos[:, None] + np.arange(2 * self.side + 1)]

    @cached_property
    def whole(self) -> NDArray[np.int64]:
        """The places whose whole window is inside the context."""
        contexts, n_ctx = self.tokens.shape
        places: NDArray[np.int64] = (np.arange(contexts)[:, None] * n_ctx + np.arange(self.side, n_ctx - self.side)).ravel()
        return places

    def where(self, token: int) -> NDArray[np.int64]:
        """The places of a token whose whole window is inside the context."""
        tokens, places = self._sorted
        # a Python number would have all tokens converted to a wider type
        start, stop = np.searchsorted(tokens, np.array([token, token + 1], dtype=tokens.dtype))
        return places[start:stop]

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        tokens = self.tokens.ravel()[self.whole]
        order = np.argsort(tokens, kind="stable")
        return tokens[order], self.whole[order]
