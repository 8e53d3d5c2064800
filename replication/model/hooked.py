"""A model as TransformerLens's `HookedTransformer`, with the weights as they are: nothing folded, nothing centred."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from replication.model.store import load
from replication.model.transformer import EPS

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer


def to_hooked(folder: Path, device: str | torch.device = "cpu") -> "HookedTransformer":
    """The model of a folder in TransformerLens, with logits equal to ours up to rounding. Needs transformer-lens 3.

    It has no tokenizer: give it token numbers. Raises ArtifactError as `load` does.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    model = load(folder)
    shape = model.architecture
    config = HookedTransformerConfig(
        n_layers=shape.n_layers, d_model=shape.d_model, n_heads=shape.n_heads, d_head=shape.d_head, d_mlp=shape.d_mlp, n_ctx=shape.n_ctx, d_vocab=shape.d_vocab,
        act_fn=shape.act_fn, normalization_type="LN", eps=EPS, default_prepend_bos=False, device=str(device), init_weights=False)
    hooked = HookedTransformer(config, move_to_device=False)
    buffers = dict(hooked.named_buffers())  # theirs only: the causal mask
    hooked.load_state_dict(model.state_dict() | buffers)
    hooked.eval().requires_grad_(False)
    hooked.to(device, print_details=False)
    return hooked
