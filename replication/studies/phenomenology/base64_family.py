"""Which features of a dictionary are of the base64 family, and what each of them does.

A token is base64 where it has a part in a run of base64 (`studies.patterns`). A feature is of the family if at least half of its
activation on half 0 falls on such tokens, and counts if that holds on half 1 too. Source: ours.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import HALVES, EvaluationMatrix
from replication.features.proxies import Pieces
from replication.studies.patterns import base64_runs, marked
from replication.studies.phenomenology.base64_text import is_ascii, run_around

SHARE = 0.5
FEWEST = 20  # tokens on which a feature must fire on each half
FEWEST_TEXTS = 2  # of each half that must hold base64
TOP = 20  # examples
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """Evaluation `tokens` [context, n_ctx] of the texts `sources` [context], and per token its `half`, whether it is `base64`, whether it is all `digits`."""

    tokens: NDArray[np.int32]
    sources: NDArray[np.int64]
    pieces: Pieces
    half: Ids
    base64: NDArray[np.bool_]
    digits: NDArray[np.bool_]

    @staticmethod
    def of(tokens: NDArray[np.int32], sources: NDArray[np.int64], pieces: Pieces) -> "Text":
        """From the evaluation tokens."""
        digits = np.array([piece.isdigit() for piece in pieces.bytes])
        half = np.repeat(np.arange(len(tokens)) % 2, tokens.shape[1])
        return Text(tokens, sources, pieces, half, marked(pieces, tokens, [base64_runs]).ravel(), digits[tokens.ravel()])

    @property
    def texts(self) -> NDArray[np.bool_]:
        """Which contexts hold base64."""
        return np.asarray(self.base64.reshape(self.tokens.shape).any(1), dtype=bool)

    @property
    def absent(self) -> str:
        """Why the family cannot be looked for, if so."""
        if min(len(np.unique(self.sources[half::2][self.texts[half::2]])) for half in HALVES) >= FEWEST_TEXTS:
            return ""
        seen = f"{self.base64.mean():.2%} of {len(self.base64):,} evaluation tokens, in {len(np.unique(self.sources[self.texts]))} texts"
        return f"the text holds too little base64: {seen}"

    def run(self, token: int) -> bytes:
        """The run of base64 characters around a token (number in the evaluation set), or around its first byte that is one."""
        context, place = divmod(token, self.tokens.shape[1])
        said = [self.pieces.bytes[k] for k in self.tokens[context]]
        start = sum(map(len, said[:place]))
        runs = (run_around(b"".join(said), start + byte) for byte in range(len(said[place])))
        return next((run for run in runs if run), b"")


@dataclass(frozen=True)
class Family:
    """The features that count, the surest first, and their activations [token, feature]."""

    features: Ids
    columns: sparse.csc_array

    def fires(self, place: int) -> Ids:
        """The tokens on which the feature at a place fires."""
        tokens: Ids = self.columns.indices[self.columns.indptr[place] : self.columns.indptr[place + 1]].astype(np.int64)
        return tokens

    def top(self, place: int, text: Text, half: int) -> Ids:
        """The tokens of a half on which it is largest, the largest first."""
        values = self.columns.data[self.columns.indptr[place] : self.columns.indptr[place + 1]]
        tokens = self.fires(place)
        order = np.argsort(-values, kind="stable")
        return np.asarray(tokens[order[text.half[tokens[order]] == half]][:TOP])


def find(matrix: EvaluationMatrix, live: Ids, text: Text) -> Family:
    """The family of a dictionary."""
    share, fired = _shares(matrix, text)
    of = live[(share[:, live].min(0) >= SHARE) & (fired[:, live].min(0) >= FEWEST)]
    of = of[np.argsort(-share[0, of], kind="stable")]
    parts = [sparse.csc_array(matrix.shard(k)[:, of]) for k in range(matrix.shards)]
    columns = sparse.csc_array(sparse.vstack(parts, format="csc"))
    columns.sort_indices()
    return Family(of, columns)


def _shares(matrix: EvaluationMatrix, text: Text) -> tuple[NDArray[np.float64], Ids]:
    """Share of each feature's activation that falls on base64, and tokens on which it fires [half, feature]."""
    inside, total, fired = (np.zeros((2, matrix.n_features)) for _ in range(3))
    start = 0
    for k in range(matrix.shards):
        shard = matrix.shard(k)
        assert not isinstance(shard, np.ndarray)
        for half in HALVES:
            rows = np.flatnonzero(matrix.half(k) == half)
            some = shard[rows]
            inside[half] += some.T @ text.base64[start + rows].astype(np.float32)
            total[half] += some.sum(0)
            fired[half] += np.bincount(some.indices, minlength=matrix.n_features)
        start += shard.shape[0]
    return np.divide(inside, total, out=np.zeros_like(inside), where=total > 0), fired.astype(np.int64)


def described(family: Family, text: Text) -> pd.DataFrame:
    """One row per feature of a family: feature, density, and by half the share of its firing base64 tokens that are digits (`digits_0`,
    `digits_1`) and the share of its top examples that decode to printable ASCII (`ascii_0`, `ascii_1`).
    """
    rows = []
    for place, feature in enumerate(family.features):
        tokens = family.fires(place)
        row = {"feature": int(feature), "density": len(tokens) / len(text.base64)}
        for half in HALVES:
            on = tokens[text.base64[tokens] & (text.half[tokens] == half)]
            row[f"digits_{half}"] = float(text.digits[on].mean()) if len(on) else 0.0
            row[f"ascii_{half}"] = float(np.mean([is_ascii(text.run(int(token))) for token in family.top(place, text, half)]))
        rows.append(row)
    return pd.DataFrame(rows, columns=["feature", "density", "digits_0", "ascii_0", "digits_1", "ascii_1"])
