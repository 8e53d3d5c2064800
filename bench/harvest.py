"""Reading activations off a model: our stream beside SAELens's activation store, on the same model and tokens."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.models import ModelShape, hooked, start
from bench.table import Row, timed
from bench.timing import interleave
from replication.randomness import generator

if TYPE_CHECKING:
    from torch import Tensor

HOOK = "blocks.0.mlp.hook_post"
CONTEXTS = 4096
FORWARD = 8192  # tokens of a forward pass, on both sides
BUFFER = 32_768  # vectors that are shuffled among each other: our block, their mixing buffer
BATCH = 4096  # vectors that SAELens hands out at a time


def measure(shape: ModelShape, device: str, **timing: Any) -> list[Row]:
    """Shuffled float32 vectors per second, every token of a context used."""
    import torch

    tokens = torch.from_numpy(generator(0, "bench.harvest").integers(0, shape.d_vocab, (CONTEXTS, shape.n_ctx), dtype=np.int32))
    sources = {"harvest_ours": ours(shape, tokens, device), "harvest_sae_lens": sae_lens(shape, tokens, device)}
    seconds = interleave(sources, **timing)
    rows: list[Row] = []
    for what in sources:
        row = {"what": what, "d_in": shape.d_mlp, "batch": BUFFER, "device": device, "shape": str(shape), "data": "synthetic",
               **timed(seconds[what], ours=seconds["harvest_ours"])}
        rows.append(row | {"vectors_per_s": BUFFER / row["median_s"]})
    return rows


def ours(shape: ModelShape, tokens: "Tensor", device: str) -> Callable[[int], object]:
    """A shuffled block, recomputed from tokens."""
    import torch

    from replication.activations.plan import Plan
    from replication.activations.stream import Recomputed

    blocks = tokens.numel() // BUFFER
    plan = Plan(seed=0, stream=0, n_ctx=shape.n_ctx, per_context=shape.n_ctx, block=BUFFER, blocks=blocks, contexts=np.arange(len(tokens)))
    source = Recomputed(plan=plan, transformer=start(shape).to(device).requires_grad_(False), tokens=tokens, site="mlp_act", dtype=torch.float32,
                        device=torch.device(device))
    return lambda call: source(call % blocks)


def sae_lens(shape: ModelShape, tokens: "Tensor", device: str) -> Callable[[int], object]:
    """As many vectors from `ActivationsStore`, which forwards a batch of contexts and mixes half a buffer of old vectors with new ones."""
    from datasets import Dataset
    from sae_lens.training.activations_store import ActivationsStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have as many rows as tokens
        store = ActivationsStore(
            model=hooked(start(shape), device), dataset=Dataset.from_dict({"tokens": tokens.tolist()}), streaming=False, hook_name=HOOK, hook_head_index=None,
            context_size=shape.n_ctx, d_in=shape.d_mlp, n_batches_in_buffer=BUFFER // shape.n_ctx, total_training_tokens=tokens.numel(),
            store_batch_size_prompts=FORWARD // shape.n_ctx, train_batch_size_tokens=BATCH, prepend_bos=False, normalize_activations="none",
            device=device, dtype="float32")

    def read(_: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says so when it begins the text anew
            for _ in range(BUFFER // BATCH):
                store.next_batch()

    return read
