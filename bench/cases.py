"""What a training step is given: a dictionary and batches, made so that a nominal number of features fires, or taken from a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from replication import artifacts
from replication.artifacts import Layout
from replication.randomness import generator

if TYPE_CHECKING:
    from torch import Tensor

    from replication.sae.dictionary import Dictionary

BATCH = 8192  # the paper's
BATCHES = 3  # that the steps walk through, so that no batch stays in a cache
LR = 1e-9  # far below the last bit of a weight: every step does all of its work, and the L0 stays what it is
UNEVENNESS = 1.2  # deviation of the natural log of a feature's density; the middle half of the paper's A/1 gives 1.5
L0S = (5, 20, 100)
MAIN_L0 = 20
DICTIONARY, MODEL, SITE = "A/1", "A", "mlp_act"  # of a run


@dataclass(frozen=True)
class Shape:
    """Sizes of a dictionary, the L0s at which our step is timed, and those at which steps are whose cost does not depend on it."""

    d_in: int
    d_sae: int
    l0s: tuple[int, ...] = L0S
    dense_at: tuple[int, ...] = L0S


# a step of a peer at the last size takes seven seconds on two cores; that its cost does not depend on the L0 is seen at the other sizes
SHAPES = (Shape(256, 2048), Shape(512, 4096), Shape(512, 16_384, dense_at=(MAIN_L0,)))
QUICK = (Shape(256, 2048, dense_at=(MAIN_L0,)), Shape(512, 4096, l0s=(MAIN_L0,), dense_at=(MAIN_L0,)))


@dataclass(frozen=True)
class Case:
    """A dictionary and the batches that it is trained on."""

    dictionary: "Dictionary"
    batches: "list[Tensor]"
    l1: float
    l0_nominal: int | None
    data: str

    @property
    def d_in(self) -> int:
        """Elements of a vector."""
        return self.dictionary.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        """Features."""
        return self.dictionary.W_enc.shape[1]

    def own(self) -> "Dictionary":
        """The dictionary, for one subject to train: tensors of its own, laid out in memory as our training has them."""
        import torch

        from replication.sae.dictionary import Dictionary

        found = self.dictionary
        rows = found.W_enc.T.clone(memory_format=torch.contiguous_format)
        return Dictionary(W_enc=rows.T, b_enc=found.b_enc.clone(), W_dec=found.W_dec.clone(), b_dec=found.b_dec.clone())

    def l0(self, encode: "Callable[[Tensor], Tensor]", rows: int = 2048) -> float:
        """How many features fire on a vector, by a subject's own encoder, over the first rows of each batch."""
        return fmean((encode(x[:rows]) > 0).sum(1).float().mean().item() for x in self.batches)


def synthetic(d_in: int, d_sae: int, l0: int, *, batch: int = BATCH, device: str = "cpu", seed: int = 0) -> Case:
    """Standard normal vectors and random unit features; each feature's bias is the normal quantile of the density that it is meant to have.

    Densities are log-normal, because a step over fired pairs feels how unevenly features fire, and add up to `l0`.
    """
    import torch
    from scipy.special import ndtri

    from replication.sae.dictionary import Dictionary, unit

    draw = generator(seed, "bench.synthetic", d_in, d_sae, l0)

    def normal(*shape: int) -> "Tensor":
        return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)).to(device)

    # of unit features, pre-activations of standard normal vectors are standard normal
    b_enc = torch.from_numpy(ndtri(densities(d_sae, l0, draw)).astype(np.float32)).to(device)
    b_dec, W_dec = 0.1 * normal(d_in), unit(normal(d_sae, d_in))
    batches = [b_dec + normal(batch, d_in) for _ in range(BATCHES)]
    return Case(Dictionary(W_enc=W_dec.clone().T, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec), batches, l1=1e-3, l0_nominal=l0, data="synthetic")


def densities(d_sae: int, l0: float, draw: np.random.Generator) -> np.ndarray:
    """How often each feature fires: log-normal, at most half of the time, with `l0` as their sum (l0 at most d_sae / 4)."""
    found = np.exp(UNEVENNESS * draw.standard_normal(d_sae))
    for _ in range(100):  # what the ceiling cuts off goes to the rest
        found = np.minimum(found * (l0 / found.sum()), 0.5)
    return found


def of_run(folder: Path, *, batch: int = BATCH, device: str = "cpu") -> Case | None:
    """The dictionary A/1 of a run and vectors of its model: from stored blocks, else recomputed from its tokens; None where neither is there."""
    layout = Layout(folder)
    needed = [layout.sae(DICTIONARY) / artifacts.SAE_WEIGHTS, layout.activations(f"{MODEL}/{SITE}") / artifacts.STATISTICS]
    blocks = layout.activations(f"{MODEL}/{SITE}") / artifacts.BLOCKS
    source = [layout.corpus() / artifacts.TRAIN_TOKENS, layout.model(MODEL) / artifacts.WEIGHTS]
    if not all(path.exists() for path in needed) or not (blocks.is_dir() or all(path.exists() for path in source)):
        return None
    from replication.sae.dictionary import load

    wanted = batch * BATCHES
    vectors = (_stored(blocks, wanted) if blocks.is_dir() else _recomputed(layout, wanted))[:wanted].to(device)
    config = artifacts.read_json(layout.sae(DICTIONARY) / artifacts.SAE_CONFIG)
    return Case(load(layout.sae(DICTIONARY), device), list(vectors.split(batch)), l1=config["metadata"]["l1_coefficient"], l0_nominal=None, data=folder.name)


def _stored(blocks: Path, wanted: int) -> "Tensor":
    import torch

    found: list[Tensor] = []
    for path in sorted(blocks.glob("*.safetensors")):
        if sum(map(len, found)) < wanted:
            found.append(artifacts.read_tensors(path)["vectors"].float())
    return torch.cat(found)


def _recomputed(layout: Layout, wanted: int) -> "Tensor":
    """Vectors of random contexts of the training text, shuffled."""
    import torch

    from replication.corpus.shards import read_tokens
    from replication.model.store import load

    tokens, model, draw = read_tokens(layout.corpus() / artifacts.TRAIN_TOKENS), load(layout.model(MODEL)), generator(0, "bench.run")
    contexts = torch.from_numpy(draw.permutation(len(tokens))[: -(-wanted // tokens.shape[1])])
    with torch.no_grad():
        vectors = torch.cat([model.read(tokens[some].long(), SITE).flatten(0, 1) for some in contexts.split(64)])
    return vectors[torch.from_numpy(draw.permutation(len(vectors)))]
