"""Batches of shuffled vectors: blocks from disk, or recomputed from tokens as training asks for them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from replication import artifacts
from replication.activations.ahead import in_order
from replication.activations.plan import Plan, plan
from replication.config import Settings, UserError
from replication.corpus.shards import read_tokens
from replication.model.store import load
from replication.model.transformer import Transformer

FORWARD_TOKENS = {"cpu": 2_048, "cuda": 262_144}  # tokens of one forward pass: small keeps a CPU's cache warm, large fills a GPU
DTYPES = {"float16": torch.float16, "float32": torch.float32}


class Blocks(Protocol):
    """Where a block's vectors come from."""

    def __call__(self, block: int) -> Float[Tensor, "block d_in"]:
        """The shuffled vectors of a block, by its number."""


@dataclass(frozen=True)
class Stream:
    """The vectors of one model and site in their fixed random order.

    `ahead` says whether the next block is made while the current one is used; the batches are the same.
    """

    d_in: int
    block: int
    blocks: int
    read: Blocks
    device: torch.device
    ahead: bool

    def batches(self, *, start: int, batch: int, steps: int) -> Iterator[Float[Tensor, "batch d_in"]]:
        """`steps` batches in float32 from step `start` on. Raises UserError past the end: no vector is seen twice."""
        asked, held = (start + steps) * batch, self.block * self.blocks
        if asked > held:
            raise UserError(f"{asked} vectors are asked for, but the activations hold {held}, and none is seen twice; raise activations.vectors")
        per_block, end = self.block // batch, start + steps
        numbers = range(start // per_block, -(-end // per_block) if steps else 0)
        with contextlib.closing(in_order(self._on_device, numbers, device=self.device, ahead=self.ahead)) as made:
            for number in numbers:
                vectors = next(made)
                for step in range(max(start, number * per_block), min(end, (number + 1) * per_block)):
                    place = step % per_block
                    yield vectors[place * batch : (place + 1) * batch].float()
                del vectors  # before the next is asked for, so that there are two blocks at most

    def last(self, count: int) -> Float[Tensor, "count d_in"]:
        """The last vectors of the order, as they are kept. Raises UserError when there are not so many."""
        held = self.block * self.blocks
        if count > held:
            raise UserError(f"the last {count} vectors are asked for, but the activations hold {held}; raise activations.vectors")
        first = (held - count) // self.block
        return torch.cat([self._on_device(block) for block in range(first, self.blocks)])[held - count - first * self.block :]

    def _on_device(self, block: int) -> Float[Tensor, "block d_in"]:
        return self.read(block).to(self.device)


@dataclass(frozen=True)
class Stored:
    """Blocks from disk, each compared with its checksum when it is opened."""

    folder: Path

    def __call__(self, block: int) -> Float[Tensor, "block d_in"]:
        """A block's vectors. Raises ArtifactError when its file is missing or changed."""
        name = f"{artifacts.BLOCKS}/{block:05d}.safetensors"
        artifacts.check(self.folder, name)
        return artifacts.read_tensors(self.folder / name)["vectors"]


@dataclass(frozen=True)
class Thinned:
    """Blocks with only some tokens of each context: `per_context` at random of those that the plan drew."""

    read: Blocks
    plan: Plan
    per_context: int

    def __call__(self, block: int) -> Float[Tensor, "block d_in"]:
        """A block's vectors that stay, in their order."""
        return self.read(block)[torch.from_numpy(self.plan.some(block, self.per_context))]


@dataclass(frozen=True)
class Recomputed:
    """Blocks from tokens. What is stored is made by this too, so both give the same vectors."""

    plan: Plan
    transformer: Transformer
    tokens: Int32[Tensor, "context n_ctx"]
    site: str
    dtype: torch.dtype
    device: torch.device

    @torch.no_grad()
    def __call__(self, block: int) -> Float[Tensor, "block d_in"]:
        """A block's vectors, by a forward pass up to the site."""
        contexts, positions, slots = (torch.from_numpy(part) for part in self.plan.vectors(block))
        at_once = max(1, FORWARD_TOKENS[self.device.type] // self.plan.n_ctx)
        out: Tensor | None = None
        done = 0
        for some, where in zip(contexts.split(at_once), positions.split(at_once), strict=True):
            mid = self.transformer.before(self.tokens[some].to(self.device), self.site)
            picked = mid.gather(1, where.to(self.device)[:, :, None].expand(-1, -1, mid.shape[-1])).flatten(0, 1)
            vectors = self.transformer.read_from(picked, self.site)  # the MLP sees the sampled positions only
            if out is None:
                out = torch.empty(self.plan.block, vectors.shape[1], dtype=self.dtype, device=self.device)
            out.index_copy_(0, slots[done : done + len(vectors)].to(self.device), vectors.to(self.dtype))
            done += len(vectors)
        assert out is not None
        return out


def recompute(settings: Settings, *, site: str, model_folder: Path, tokens: Path, device: torch.device) -> Recomputed:
    """Blocks from tokens by a model's forward pass up to a site. Raises UserError when the text is too short."""
    assert settings.activations
    text = read_tokens(tokens)
    return Recomputed(plan=plan_of(settings, text), transformer=load(model_folder, device), tokens=text, site=site,
                      dtype=DTYPES[settings.activations.dtype], device=device)


def plan_of(settings: Settings, text: Int32[Tensor, "context n_ctx"]) -> Plan:
    """The plan of a model's stream over the training text. Raises UserError when the text is too short."""
    assert settings.activations and settings.model
    return plan(settings.activations, contexts=len(text), n_ctx=text.shape[1], seed=settings.seed, stream=settings.model.stream)


def open_stream(settings: Settings, *, model: Path, tokens: Path, folder: Path, device: torch.device) -> Stream:
    """The stream that a config asks for. Raises ArtifactError when stored activations are missing or broken."""
    artifacts.check(folder, artifacts.STATISTICS)
    assert settings.sae
    statistics = artifacts.read_json(folder / artifacts.STATISTICS)
    stored, size = statistics["storage"] == "stored", statistics["block"]
    read: Blocks = Stored(folder) if stored else recompute(settings, site=settings.sae.site, model_folder=model, tokens=tokens, device=device)
    if settings.sae.per_context:
        read = Thinned(read, plan_of(settings, read_tokens(tokens)), settings.sae.per_context)
        size = size // statistics["per_context"] * settings.sae.per_context
    # Not where blocks are recomputed on the CPU: that is work for the same cores, and a job keeps to the threads that it was given.
    ahead = stored or device.type == "cuda"
    return Stream(d_in=statistics["d_in"], block=size, blocks=statistics["blocks"], read=read, device=device, ahead=ahead)
