"""The gradients of a batch, the cheaper way: from fired pairs when few fire, else by dense products."""

import functools
import importlib.util
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float
from torch import Tensor

from replication.sae.dictionary import Dictionary
from replication.sae.ranks import ALONE, Ranks
from replication.sae.step import Step, dense

if TYPE_CHECKING:
    from replication.sae.sparse import Sparse

DENSE_FROM = 0.3  # share of fired pairs from which dense products are cheaper (measured on one CPU thread)


class Gradients:
    """Loss parts and gradients of one batch after another. `how` and `threads` never change them beyond rounding.

    A `Step` is valid until the next one, because its buffers are used again. Fired pairs need numba and a CPU; elsewhere
    `auto` is dense, and so is `sparse`. Of several ranks each finds its share, for `step.add_up`.
    """

    def __init__(self, how: Literal["auto", "dense", "sparse"] = "auto", *, threads: int = 1, ranks: Ranks = ALONE) -> None:
        """`auto` looks at each batch alone, so a training that was resumed chooses as one that was not."""
        self.threads, self.ranks, self.most = threads, ranks, {"auto": DENSE_FROM, "dense": 0.0, "sparse": 1.0}[how]
        self.sparse: Sparse | None = None

    def __call__(self, dictionary: Dictionary, x: Float[Tensor, "batch d_in"], l1: float) -> Step:
        """Loss parts and gradients of `x`."""
        if not self.most or x.is_cuda or not compiled():
            return dense(dictionary, x, l1, self.ranks)
        from replication.sae.sparse import Sparse

        (batch, d_in), d_sae = x.shape, len(dictionary.b_enc)
        if self.sparse is None or self.sparse.shape != (batch, d_in, d_sae):
            self.sparse = Sparse(batch, d_in, d_sae, threads=self.threads, ranks=self.ranks)
        return self.sparse(dictionary, x, l1, most=self.most) or dense(dictionary, x, l1, self.ranks)


@functools.cache  # asked at each step, and where numba is missing every folder is searched for it
def compiled() -> bool:
    """Whether numba is there; a bare GPU image lacks it."""
    return importlib.util.find_spec("numba") is not None
