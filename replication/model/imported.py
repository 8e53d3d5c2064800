"""A one-layer transformer that TransformerLens trained or saved, as a model of the run.

A folder holds `config.json` and the state dict: `*.safetensors`, or a file of torch, of which only tensors are read. `config.json` has the names of
`HookedTransformerConfig`, or those of the older published models (`normalization`, `shortformer_pos`). What changes the function that the weights
compute and has no place here is refused by name. Exact, and therefore done:

    LNPre            layer norms that are folded into the weights after them are layer norms with weight 1 and bias 0
    missing biases   are 0, as TransformerLens fills them in
    fewer positions  the first `n_ctx` rows of W_pos: a causal model's logits there depend on no later one
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from replication import artifacts
from replication.config import Settings
from replication.corpus.shards import read_counts
from replication.foreign import PICKLED, ForeignError, locate, read_settings, read_tensors
from replication.model import store
from replication.model.transformer import ACTIVATIONS, EPS, Architecture, Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch

CONFIG = "config.json"
WANTED = (CONFIG, "*.safetensors", "*final.pth")
# settings that change what is computed, and the value under which it is what our transformer computes; absent and null mean that value too
HELD = {
    "attn_only": False, "gated_mlp": False, "parallel_attn_mlp": False, "final_rms": False, "post_embedding_ln": False, "uses_rms_norm": False,
    "use_normalization_before_and_after": False, "use_qk_norm": False, "use_local_attn": False, "use_logn_attn": False, "use_attention_sinks": False,
    "scale_attn_by_inverse_layer_idx": False, "shortformer_pos": False, "use_attn_scale": True, "positional_embedding_type": "standard",
    "attention_dir": "causal", "num_experts": None, "clip_qkv": None, "attn_scores_soft_cap": -1.0, "output_logits_soft_cap": -1.0, "eps": EPS}
SHAPE = ("d_model", "d_mlp", "n_heads", "n_ctx", "d_vocab", "n_layers")
NORMALIZATION, NORMS = "normalization_type", ("LN", "LNPre")
BUFFERS = (".mask", ".IGNORE")  # the causal mask and its value, which older versions saved


def bring(*, settings: Settings, name: str, unigrams: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the folder of the model that `model.load` names. Raises ForeignError when it cannot be had or held, or is not what the config says."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.model
    source = settings.model.load
    folder = locate(published(source), WANTED)
    weights = state_file(folder)
    found, normalization = architecture(read_settings(folder / CONFIG), folder / CONFIG)
    d_vocab = len(read_counts(unigrams))
    if found.d_vocab != d_vocab:
        raise ForeignError(f"models.{name}: {source} has {found.d_vocab} tokens, but the run's tokenizer {d_vocab}; set corpus.tokenizer to the model's own")
    wanted = Architecture.of(settings.model, d_vocab)
    if dataclasses.replace(found, n_ctx=wanted.n_ctx) != wanted or wanted.n_ctx > found.n_ctx:
        raise ForeignError(f"models.{name} says {_said(wanted)}, but {source} has {_said(found)}; write the latter into the config (n_ctx may be smaller)")
    model = converted(read_tensors(weights), found, normalization, weights)
    files = store.save(shortened(model, wanted), out)
    artifacts.write_meta(out, stage="model", settings=settings, files=files, inputs={"config": folder / CONFIG, "weights": weights, "unigrams": unigrams},
                         stopwatch=stopwatch, device="cpu", dtype="float32", source=source)
    progress(1, 1, f"{source}: {_said(wanted)}")


def published(source: str) -> str:
    """The repository of a model that TransformerLens knows by a short name, such as gelu-1l; any other source as it is. Raises ForeignError."""
    if "/" in source or Path(source).is_dir():
        return source
    from transformer_lens.loading_from_pretrained import get_official_model_name

    try:
        return get_official_model_name(source)
    except ValueError:
        raise ForeignError(f"{source} is no folder here and no name that TransformerLens knows; name a folder, such a name (gelu-1l, solu-1l), "
                           "or owner/repository of the Hugging Face Hub") from None


def state_file(folder: Path) -> Path:
    """The one file of weights in a folder: safetensors before files of torch. Raises ForeignError when there is none, or several."""
    for kinds in ((".safetensors",), PICKLED):
        found = sorted(path for path in folder.glob("*") if path.suffix in kinds)
        if len(found) > 1:
            raise ForeignError(f"{folder} holds {', '.join(path.name for path in found)}; leave the one that is the model")
        if found:
            return found[0]
    raise ForeignError(f"{folder} holds no weights: neither *.safetensors nor *{PICKLED[0]}")


def architecture(config: Mapping[str, Any], path: Path) -> tuple[Architecture, str]:
    """The shape that a `config.json` says, and its normalization, LN or LNPre. Raises ForeignError for what has no place in our transformer."""
    for key, ours in HELD.items():
        if config.get(key) not in (None, ours):
            raise ForeignError(f"{path}: {key} is {config[key]!r}, but a model of the run computes as with {ours!r}; such a model cannot be imported")
    for key in SHAPE:
        least = 0 if key == "d_mlp" else 1
        if isinstance(config.get(key), bool) or not isinstance(config.get(key), int) or config[key] < least:
            raise ForeignError(f"{path}: {key} is {config.get(key)!r}, but must be a whole number from {least} on")
    d_head = config["d_model"] // config["n_heads"]
    own: dict[str, tuple[Any, ...]] = {"d_head": (d_head,), "n_key_value_heads": (config["n_heads"],), "d_vocab_out": (config["d_vocab"],),
                                       "attn_scale": (d_head**0.5,), "act_fn": tuple(ACTIVATIONS), NORMALIZATION: NORMS}
    said = {**config, NORMALIZATION: config.get("normalization", config.get(NORMALIZATION))}
    for key, allowed in own.items():
        if said.get(key) not in (*allowed, None, -1):
            raise ForeignError(f"{path}: {key} is {said[key]!r}, but can be {' or '.join(map(str, allowed))} only; such a model cannot be imported")
    for key in ("act_fn", NORMALIZATION):
        if said.get(key) is None:
            raise ForeignError(f"{path}: {key} is missing; it is one of {', '.join(own[key])}")
    return Architecture(act_fn=config["act_fn"], **{key: config[key] for key in SHAPE}), said[NORMALIZATION]


def converted(tensors: Mapping[str, Tensor], shape: Architecture, normalization: str, path: Path) -> Transformer:
    """Our transformer with the tensors of a state dict of TransformerLens, as float32. Raises ForeignError when one is missing, unknown or of another shape."""
    model = Transformer(shape)
    expected = model.state_dict()  # biases are 0, layer norms 1 and 0
    norms = {name for name in expected if "ln" in name.split(".")[-2]} if normalization == "LNPre" else set()
    for name, tensor in tensors.items():
        if name.endswith(BUFFERS):
            continue
        if name not in expected or name in norms:
            raise ForeignError(f"{path} holds {name}, for which a model of the run {'with folded layer norms ' if name in norms else ''}has no place")
        if tensor.shape != expected[name].shape:
            raise ForeignError(f"{path}: {name} has shape {list(tensor.shape)}, but {CONFIG} asks for {list(expected[name].shape)}")
        expected[name] = tensor.float()
    missing = [name for name, _ in model.matrices() if name not in tensors]
    if missing:
        raise ForeignError(f"{path} lacks {', '.join(missing)}")
    model.load_state_dict(expected)
    return model


@torch.no_grad()
def shortened(model: Transformer, shape: Architecture) -> Transformer:
    """The same model for contexts of `shape.n_ctx` tokens."""
    shorter = Transformer(shape)
    state = model.state_dict()
    shorter.load_state_dict(state | {"pos_embed.W_pos": state["pos_embed.W_pos"][: shape.n_ctx]})
    return shorter


def _said(shape: Architecture) -> str:
    return ", ".join(f"{key} {value}" for key, value in dataclasses.asdict(shape).items() if key != "d_vocab")
