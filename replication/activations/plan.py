"""Which tokens become training vectors, and in which order: all chance of this stage is drawn here.

The contexts of the training text are put in random order and dealt in turn to the two streams, so that A's and B's
dictionaries see different text, as in the paper. A block is a run of contexts with `per_context` random tokens each,
all its vectors shuffled: the disk's shard, or the shuffle buffer of a stream. A block depends on the seed and its
number only, so training can start at any step. Source: sampling and shuffling from the paper's appendix (dataset),
blocks ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.config import Activations, UserError
from replication.randomness import generator

STREAMS = 2


@dataclass(frozen=True)
class Plan:
    """The vectors of one stream, as (context, position) of each."""

    seed: int
    stream: int
    n_ctx: int
    per_context: int
    block: int
    blocks: int
    contexts: NDArray[np.int64]

    def vectors(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Contexts of a block, the positions read from each [context, per_context], and the slot of each vector.

        Vector j of the block in reading order (context by context) belongs at `slot[j]` of the shuffled block.
        """
        size = self.block // self.per_context
        draw = generator(self.seed, "activations.block", self.stream, block)
        positions = np.argsort(draw.random((size, self.n_ctx)), axis=1)[:, : self.per_context]
        return self.contexts[block * size : (block + 1) * size], np.sort(positions, axis=1), draw.permutation(self.block)

    def some(self, block: int, per_context: int) -> NDArray[np.int64]:
        """Slots of a shuffled block, ascending, that hold `per_context` random ones of each context's vectors."""
        _, positions, slots = self.vectors(block)
        draw = generator(self.seed, "activations.some", self.stream, block)
        chosen = np.argsort(draw.random(positions.shape), axis=1)[:, :per_context]
        return np.sort(np.take_along_axis(slots.reshape(positions.shape), chosen, axis=1), axis=None)


def plan(settings: Activations, *, contexts: int, n_ctx: int, seed: int, stream: int) -> Plan:
    """The plan of a stream over a text of so many contexts. Raises UserError when the text is too short."""
    blocks = -(-settings.vectors // settings.block)
    wanted = blocks * settings.block // settings.per_context
    order = generator(seed, "activations.contexts").permutation(contexts)[stream::STREAMS]
    if len(order) < wanted:
        raise UserError(
            f"the training text has {contexts} contexts, {len(order)} for each of {STREAMS} streams, but activations.vectors {settings.vectors} "
            f"at per_context {settings.per_context} needs {wanted}; raise corpus.max_bytes or activations.per_context, or lower activations.vectors")
    return Plan(seed=seed, stream=stream, n_ctx=n_ctx, per_context=settings.per_context, block=settings.block, blocks=blocks, contexts=order[:wanted])
