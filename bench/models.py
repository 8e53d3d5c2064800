"""Training a transformer: our step beside the same architecture through TransformerLens's forward and loss."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.table import Row, timed
from bench.timing import interleave
from replication.config import Model, Settings
from replication.randomness import generator

if TYPE_CHECKING:
    from torch import Tensor
    from transformer_lens import HookedTransformer

    from replication.model.transformer import Transformer

Step = Callable[["Tensor"], "Tensor"]  # contexts [batch, n_ctx] -> the loss before the step

TRAINING = Model(lr_warmup=0, schedule="constant")  # rate, clipping and the rest are our defaults, for both sides
CURVE = 20  # steps from equal weights over which the losses are compared
BATCHES = 8


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a transformer and its batch."""

    d_model: int
    d_mlp: int
    n_heads: int
    n_ctx: int
    d_vocab: int
    batch: int

    def __str__(self) -> str:
        return f"d_model {self.d_model}, d_mlp {self.d_mlp}, n_ctx {self.n_ctx}, d_vocab {self.d_vocab}"


LAPTOP, LARGER = ModelShape(64, 256, 4, 128, 4096, 16), ModelShape(128, 512, 4, 128, 16_384, 16)


def measure(shape: ModelShape, device: str, **timing: Any) -> list[Row]:
    """Tokens per second of both, and by how much their losses differ over the first steps from equal weights."""
    batches = contexts(shape, device)
    steps = {what: make(shape, device) for what, make in MAKERS.items()}
    curves = [[steps[what](batches[n % BATCHES]).item() for n in range(CURVE)] for what in steps]
    seconds = interleave({what: lambda call, step=step: step(batches[call % BATCHES]) for what, step in steps.items()}, **timing)
    predictions = shape.batch * (shape.n_ctx - 1)
    rows: list[Row] = []
    for what in steps:
        row = {"what": what, "batch": shape.batch, "device": device, "shape": str(shape), "data": "synthetic",
               "loss_difference": max(abs(a - b) for a, b in zip(*curves, strict=True)), **timed(seconds[what], ours=seconds["model_ours"])}
        rows.append(row | {"tokens_per_s": predictions / row["median_s"]})
    return rows


def contexts(shape: ModelShape, device: str) -> "list[Tensor]":
    """Batches of unevenly distributed tokens, half of which the token before tells, so that there is something to learn."""
    import torch

    draw = generator(0, "bench.tokens", shape.d_vocab)
    found = (shape.d_vocab * draw.random((BATCHES, shape.batch, shape.n_ctx)) ** 3).astype(int)
    told = draw.random(found.shape) < 0.5
    for place in range(1, shape.n_ctx):
        found[..., place] = (5 * found[..., place - 1] + 1) % shape.d_vocab * told[..., place] + found[..., place] * ~told[..., place]
    return list(torch.from_numpy(found).to(device))


def ours(shape: ModelShape, device: str) -> Step:
    """A step of `replication.model.train`: chunked cross-entropy, check, clipping, fused Adam; on a GPU bfloat16 products and a compiled forward."""
    import torch
    from torch.nn.utils import clip_grads_with_norm_, get_total_norm

    from replication.model.head import mean_loss

    model = start(shape).to(device)
    unembed, parameters = model.unembed, list(model.parameters())
    adam = torch.optim.Adam(parameters, lr=TRAINING.lr, betas=(TRAINING.beta1, TRAINING.beta2), fused=True)

    def normalised(tokens: "Tensor") -> "Tensor":
        return model.final(model.resid_post(tokens)).flatten(0, 1)

    forward = torch.compile(normalised) if device == "cuda" else normalised

    def step(tokens: "Tensor") -> "Tensor":
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = mean_loss(forward(tokens[:, :-1]), unembed["W_U"], unembed["b_U"], tokens[:, 1:].flatten(), TRAINING.head_chunk)
        loss.backward()
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        assert device == "cuda" or (loss + norm).isfinite()  # the trainer looks at both; on a GPU, some steps later and at many at once
        clip_grads_with_norm_(parameters, TRAINING.grad_clip, norm)
        adam.step()
        adam.zero_grad()
        return loss.detach()

    return step


def transformer_lens(shape: ModelShape, device: str) -> Step:
    """A step of `transformer_lens.train.train`, with our settings: their forward, their loss over all logits, clipping, torch's Adam."""
    import torch

    model = hooked(start(shape), device).train().requires_grad_(True)
    adam = torch.optim.Adam(model.parameters(), lr=TRAINING.lr, betas=(TRAINING.beta1, TRAINING.beta2))

    def step(tokens: "Tensor") -> "Tensor":
        loss = model(tokens, return_type="loss")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING.grad_clip)
        adam.step()
        adam.zero_grad()
        return loss.detach()

    return step


MAKERS: dict[str, Callable[[ModelShape, str], Step]] = {"model_ours": ours, "model_transformer_lens": transformer_lens}


def start(shape: ModelShape) -> "Transformer":
    """The weights that both sides start from."""
    from replication.model.transformer import Architecture, Transformer

    return Transformer(Architecture(shape.d_model, shape.d_mlp, shape.n_heads, shape.n_ctx, "relu", shape.d_vocab)).initialise(0)


def hooked(model: "Transformer", device: str) -> "HookedTransformer":
    """The model in TransformerLens, by way of a folder, as a user would get it."""
    import warnings

    from replication.artifacts import write_meta
    from replication.model import store, to_hooked
    from replication.provenance import Stopwatch

    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HookedTransformer is deprecated in favour of version 4, which the lock excludes
        folder = Path(name)
        write_meta(folder, stage="model", settings=Settings("bench", 0), files=store.save(model, folder), inputs={}, stopwatch=Stopwatch())
        return to_hooked(folder, device)
