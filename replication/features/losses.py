"""The model's loss when a site's vectors are kept, zeroed, replaced by their mean, or replaced by a reconstruction."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from replication.model.head import token_losses
from replication.model.transformer import Transformer

FORWARD_TOKENS = {"cpu": 8_192, "cuda": 262_144}  # tokens of one forward pass: small keeps a CPU's cache warm, large fills a GPU
HEAD_CHUNK = {"cpu": 512, "cuda": 8_192}  # tokens whose logits exist at one time


def batches(
    tokens: Int[Tensor, "context n_ctx"], model: Transformer, *, shard_contexts: int,
) -> Iterator[tuple[bool, Int[Tensor, "batch n_ctx"]]]:
    """The contexts in order, a few at a time on the model's device, never across a shard's end; True marks a shard's last batch."""
    device = model.unembed["W_U"].device
    at_once = max(1, FORWARD_TOKENS[device.type] // tokens.shape[1])
    for shard in tokens.split(shard_contexts):
        parts = shard.long().split(at_once)
        for number, part in enumerate(parts, start=1):
            yield number == len(parts), part.to(device)


@torch.no_grad()
def context_losses(
    model: Transformer, tokens: Int[Tensor, "batch n_ctx"], resid_post: Float[Tensor, "batch n_ctx d_model"],
) -> Float64[Tensor, " batch"]:
    """Loss in nats summed over the tokens of a context that are predicted: all but its first."""
    x = model.final(resid_post[:, :-1])
    W_U, b_U = model.unembed["W_U"], model.unembed["b_U"]
    losses = token_losses(x.flatten(0, 1), W_U, b_U, tokens[:, 1:].flatten(), HEAD_CHUNK[x.device.type])
    return losses.view(len(tokens), -1).double().sum(dim=1).cpu()


def recovered(*, loss: float, ablated: float, reconstructed: float) -> float:
    """Share of the loss that the reconstruction recovers: ``(ablated - reconstructed) / (ablated - loss)``.

    A ratio of means over tokens, with the site zeroed (the paper's baseline) or replaced by its mean (which is harder to
    beat); NaN when ablation does not raise the loss, because then there is nothing to recover. Source: paper, "How much of
    the model does our interpretation explain?".
    """
    return (ablated - reconstructed) / (ablated - loss) if ablated > loss else float("nan")
