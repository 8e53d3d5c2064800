"""What a feature's activation falls on: sums over tokens of one kind (a token of the vocabulary, a trigram, a word's start)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.columns import column_blocks, fired_counts
from replication.features.matrix import HALVES, EvaluationMatrix

BUDGET = 2**22  # entries that are grouped at one time: 250 MB
Numbers = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Of one half of the tokens: summed activation and firing tokens by kind, sparse [feature, kind], and tokens of each kind [kind]."""

    mass: sparse.csr_array
    fired: sparse.csr_array
    tokens: Numbers

    @property
    def strongest(self) -> Numbers:
        """The kind on which most of each feature's activation falls; 0 for a feature that is silent."""
        return np.asarray(self.mass.argmax(axis=1)).ravel()

    def share(self, feature: Numbers, kind: Numbers) -> Values:
        """Share of a feature's activation that falls on a kind; 0 for a feature that is silent."""
        return ratio(picked(self.mass, feature, kind), np.asarray(self.mass.sum(axis=1)).ravel()[feature])

    def rate(self, feature: Numbers, kind: Numbers) -> Values:
        """How often a feature fires on tokens of a kind; 0 where there is no such token."""
        return ratio(picked(self.fired, feature, kind), self.tokens[kind])

    def rate_elsewhere(self, feature: Numbers, kind: Numbers, but: "Sums", part: Numbers) -> Values:
        """How often it fires on tokens of a kind that are not of the narrower kind `part` of `but`; 0 where there is no such token."""
        fired = picked(self.fired, feature, kind) - picked(but.fired, feature, part)
        return ratio(fired, self.tokens[kind] - but.tokens[part])


def sums(matrix: EvaluationMatrix, kinds: Numbers, n_kinds: int) -> tuple[Sums, Sums]:
    """Sums on the half for choosing and on the half for reporting. `kinds` [token] are numbers below `n_kinds`."""
    found: list[list[sparse.csr_array]] = [[], []]
    for columns in column_blocks(matrix, fired_counts(matrix), budget=BUDGET):
        half_of = columns.tokens // matrix.n_ctx % len(HALVES)
        entries = columns.values + np.complex128(1j)  # activation and count are summed in one sort: real and imaginary part
        for half in HALVES:
            inside = half_of == half
            place = columns.owner[inside], kinds[columns.tokens[inside]]
            found[half].append(sparse.csr_array((entries[inside], place), shape=(columns.stop - columns.start, n_kinds)))
    half_of = np.arange(matrix.tokens) // matrix.n_ctx % len(HALVES)
    both = [sparse.csr_array(sparse.vstack(blocks)) for blocks in found]
    tokens = [np.bincount(kinds[half_of == half], minlength=n_kinds) for half in HALVES]
    chosen, reported = (Sums(part(table, table.data.real), part(table, table.data.imag), n) for table, n in zip(both, tokens, strict=True))
    return chosen, reported


def part(table: sparse.csr_array, data: Values) -> sparse.csr_array:
    """A table with the places of another one."""
    return sparse.csr_array((np.ascontiguousarray(data), table.indices, table.indptr), shape=table.shape)


def picked(table: sparse.csr_array, row: Numbers, column: Numbers) -> Values:
    """Entries of a sparse table."""
    return np.asarray(table[row, column], dtype=np.float64).ravel()


def ratio(part: Values, whole: Values | Numbers) -> Values:
    """The ratio, 0 where the whole is nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
