"""Features that answer to a trigram: to a token only after two particular ones (paper, "Feature splitting": token features).

A feature's trigram is the one on which most of its activation falls on half 0. On half 1 it must hold a third of the
activation and make the feature fire at least every second time, while the same token after other ones hardly does, and the
same last two tokens after another one seldom do. Thresholds are ours.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.features.matrix import EvaluationMatrix
from replication.studies.token_sums import Numbers, Sums, sums

SHARE, RATE, TOKEN_ELSEWHERE, PAIR_ELSEWHERE = 1 / 3, 0.5, 0.1, 0.25
FEWEST = 5  # occurrences on half 1 of the trigram, and of its last two tokens after another one


@dataclass(frozen=True)
class Ngrams:
    """Number of each token's trigram and bigram [token]; of each trigram its bigram, its last token and one place [trigram]."""

    trigram: Numbers
    bigram: Numbers
    pair: Numbers
    last: Numbers
    place: Numbers

    @staticmethod
    def of(tokens: NDArray[np.int32], d_vocab: int) -> "Ngrams":
        """Of `tokens` [context, n_ctx]; what lies before a context counts as one more token of the vocabulary."""
        now = tokens.astype(np.int64)
        before, earlier = (np.full_like(now, d_vocab) for _ in range(2))
        before[:, 1:], earlier[:, 2:] = now[:, :-1], now[:, :-2]
        pair = (before * (d_vocab + 1) + now).ravel()
        _, bigram = np.unique(pair, return_inverse=True)
        _, place, trigram = np.unique(earlier.ravel() * (d_vocab + 1) ** 2 + pair, return_index=True, return_inverse=True)
        return Ngrams(trigram, bigram, bigram[place], now.ravel()[place], place)

    def words(self, trigram: int, tokens: NDArray[np.int32]) -> list[int]:
        """The tokens of a trigram."""
        place = int(self.place[trigram])
        return [int(token) for token in tokens.reshape(-1)[place - 2:place + 1]]


def search(matrix: EvaluationMatrix, tokens: NDArray[np.int32], alone: Sums, ngrams: Ngrams, features: Numbers) -> pd.DataFrame:
    """A row per trigram feature, the clearest first: feature, trigram, share, rate, token_elsewhere, pair_elsewhere.

    `alone` are sums over tokens of the vocabulary on half 1, `features` those that are looked at.
    """
    chosen, triples = sums(matrix, ngrams.trigram, len(ngrams.place))
    pairs = sums(matrix, ngrams.bigram, int(ngrams.bigram.max()) + 1)[1]
    at = chosen.strongest[features]
    table = pd.DataFrame({
        "feature": features, "trigram": at, "share": triples.share(features, at), "rate": triples.rate(features, at),
        "token_elsewhere": alone.rate_elsewhere(features, ngrams.last[at], triples, at),
        "pair_elsewhere": pairs.rate_elsewhere(features, ngrams.pair[at], triples, at)})
    seen = triples.tokens[at]
    tested = (seen >= FEWEST) & (pairs.tokens[ngrams.pair[at]] - seen >= FEWEST) & (ngrams.place[at] % tokens.shape[1] >= 2)
    strong = (table["share"] >= SHARE) & (table["rate"] >= RATE)
    alone_seldom = (table["token_elsewhere"] <= TOKEN_ELSEWHERE) & (table["pair_elsewhere"] <= PAIR_ELSEWHERE)
    return table[tested & strong & alone_seldom].sort_values("share", ascending=False, kind="stable", ignore_index=True)
