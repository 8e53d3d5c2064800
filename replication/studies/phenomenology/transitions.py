"""From which feature to which: features as the states of automata (paper, "Finite state automata").

    w(i -> j) = sum_t a_i(t) [f_j(t+1) > 0] / ( |a_i| |f_j > 0| )

with a_i the attribution to the next token and |.| the length of a vector over tokens: the cosine between what i raises and
where j then fires. It is 1 if i raises, always alike, just the tokens on which j fires, and depends neither on the scale of i
nor on the number of tokens. The paper draws its edges from logit weights; edge weight and normalisation are ours.

Edges are found on half 0 of the tokens; `held` is their weight on half 1. The null is the same with the firing of j taken
from another text: an edge must be above the largest null of its source, and weigh at least `LEAST`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import HALVES, EvaluationMatrix
from replication.studies.attribution import Attribution, Ids, following

LEAST = 0.1
KEPT = 32  # edges that are kept of each state, the heaviest on half 0
BLOCK = 2**24  # weights of one kind that exist at one time: 64 MB
NULL = 2


@dataclass(frozen=True)
class Sums:
    """Products [kind, source, target], and squared lengths of attribution [kind, source] and of firing [kind, target].

    The kinds are half 0, half 1, and half 0 with the firing of another text.
    """

    products: NDArray[np.float32]
    raised: NDArray[np.float64]
    fired: NDArray[np.float64]

    @staticmethod
    def empty(sources: int, targets: int) -> "Sums":
        """Before any token."""
        return Sums(np.zeros((3, sources, targets), np.float32), np.zeros((3, sources)), np.zeros((3, targets)))

    def add(self, kind: int, raised: sparse.csr_array, fires: sparse.csr_array) -> None:
        """Rows of attribution, and of firing one token later."""
        self.products[kind] += (raised.T @ fires).toarray()
        self.raised[kind] += (raised * raised).sum(0)
        self.fired[kind] += fires.sum(0)

    @property
    def weights(self) -> NDArray[np.float32]:
        """Cosines [kind, source, target], 0 where one of the two is silent."""
        scale = np.sqrt(self.raised[:, :, None] * self.fired[:, None, :]).astype(np.float32)
        return np.divide(self.products, scale, out=np.zeros_like(self.products), where=scale > 0)


def transitions(
    matrix: EvaluationMatrix, attribution: Attribution, tokens: NDArray[np.int32], states: Ids, *, block: int = BLOCK,
) -> pd.DataFrame:
    """Edges between some features: source, target, chosen (weight on half 0), held (on half 1), null (the source's largest).

    `tokens` [context, n_ctx] are the evaluation tokens.
    """
    width = max(1, block // max(1, len(states)))
    parts = [edges(sums(matrix, attribution, tokens, states[start : start + width], states).weights, states[start : start + width], states)
             for start in range(0, len(states), width)]
    return pd.concat(parts, ignore_index=True) if parts else edges(np.zeros((3, 0, 0), np.float32), states, states)


def sums(matrix: EvaluationMatrix, attribution: Attribution, tokens: NDArray[np.int32], sources: Ids, targets: Ids) -> Sums:
    """In one pass over the tokens."""
    found = Sums.empty(len(sources), len(targets))
    for k in range(matrix.shards):
        shard, contexts = matrix.shard(k), matrix.contexts_of(k)
        assert not isinstance(shard, np.ndarray)
        raised = attribution(sparse.csr_array(shard[:, sources]), following(tokens[contexts.start : contexts.stop]), sources)
        fires = sparse.csr_array(shard[:, targets] > 0).astype(np.float32)
        place = np.arange(shard.shape[0]).reshape(len(contexts), -1)
        for half in HALVES:
            text = place[np.array(contexts) % 2 == half]
            here, there = text[:, :-1], text[:, 1:]
            found.add(half, raised[here.ravel()], fires[there.ravel()])
            if half == 0:
                found.add(NULL, raised[here.ravel()], fires[np.roll(there, 1, axis=0).ravel()])
    return found


def edges(weights: NDArray[np.float32], sources: Ids, targets: Ids) -> pd.DataFrame:
    """The heaviest edges of each source that are above its null."""
    chosen, held, null = weights
    kept = min(KEPT, len(targets))
    target = np.argsort(-chosen, axis=1, kind="stable")[:, :kept].ravel()
    source = np.repeat(np.arange(len(sources)), kept)
    table = pd.DataFrame({"source": sources[source], "target": targets[target], "chosen": chosen[source, target],
                          "held": held[source, target], "null": null.max(1, initial=0.0)[source]})
    return table[(table["chosen"] > table["null"]) & (table["chosen"] >= LEAST)].reset_index(drop=True)


def holds(edge: pd.DataFrame) -> pd.Series:
    """Which edges weigh enough on half 1 too."""
    return (edge["held"] > edge["null"]) & (edge["held"] >= LEAST)
