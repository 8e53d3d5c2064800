"""A dictionary that SAELens trained or saved, as a dictionary of the run.

A folder holds `cfg.json` (of versions 3 to 6) and `sae_weights.safetensors`; the architecture is `standard` with a ReLU. Ours has rows of unit norm
and takes b_dec off before the encoder; both forms compute the same, so these folds are exact (to rounding; they are made in float64):

    decoder rows of any norm      f_i' = |d_i| f_i:  W_enc[:, i]' = |d_i| W_enc[:, i],  b_enc' = |d| b_enc,  W_dec[i]' = d_i / |d_i|
    apply_b_dec_to_input false    f = relu(W_enc' x + b) is ours at  b_enc = b + W_enc' b_dec

A feature's activations are therefore SAELens's times the norm of its decoder row: the size of what it writes. A row of zeros stays as it is. What has
no such form (other architectures, inputs that are normalised vector by vector) is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from replication import artifacts
from replication.config import Settings, model_of
from replication.foreign import ForeignError, locate, read_settings, read_tensors
from replication.model.store import architecture, load
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae.dictionary import Dictionary, describe, site_of_hook

RENAMED = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}  # by older versions of SAELens
# settings under which a dictionary is one of ours, and what SAELens takes where `cfg.json` says nothing
HELD: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "architecture": ("standard", ("standard",)), "activation_fn": ("relu", ("relu",)), "normalize_activations": ("none", ("none", False, None)),
    "reshape_activations": ("none", ("none",)), "hook_head_index": (None, (None,)), "finetuning_scaling_factor": (False, (False, None))}
HINTS = {"normalize_activations": "a constant scale can be folded in by SAELens (fold_activation_norm_scaling_factor) and saved again"}


def bring(*, settings: Settings, name: str, model: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the folder of the dictionary that `sae.load` names. Raises ForeignError when it cannot be had or held, or is not what the config says."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.sae and settings.model
    sae, shape = settings.sae, architecture(model)
    folder = locate(released(sae.load), (artifacts.SAE_CONFIG, artifacts.SAE_WEIGHTS))
    config, weights = folder / artifacts.SAE_CONFIG, folder / artifacts.SAE_WEIGHTS
    said = understood(read_settings(config), config, overrides=overridden(sae.load))
    site = site_of_hook(said["hook_name"], shape.n_layers, config)
    if site != sae.site:
        raise ForeignError(f"dictionaries.{name}.site is {sae.site}, but {config} says {said['hook_name']}, which is {site}; write that into the config")
    if said["centred"] and not site.startswith("mlp_act") and not writes_centred(load(model)):
        raise ForeignError(f"{config} says center_writing_weights, so the dictionary saw vectors of {site} without their mean over d_model, which "
                           f"models.{model_of(name)} does not write; load a model that was saved with centred weights")
    tensors = read_tensors(weights)
    dictionary, norms = standard(tensors, apply_b_dec_to_input=said["apply_b_dec_to_input"], path=weights)
    d_in = shape.d_mlp if site.startswith("mlp_act") else shape.d_model
    for key, found, wanted, of in (("d_in", len(dictionary.b_dec), d_in, f"the site {site} of models.{model_of(name)}"),
                                   ("d_sae", len(dictionary.b_enc), sae.d_sae, f"dictionaries.{name}.d_sae")):
        if found != wanted:
            raise ForeignError(f"{weights} has {key} {found}, but {of} is {wanted}")
    artifacts.write_tensors(out / artifacts.SAE_WEIGHTS, dictionary.tensors())
    describe(out, d_in=d_in, sae=sae, model=settings.model, name=model_of(name), prepend_bos=said["prepend_bos"])
    progress.say(f"decoder rows had norms from {norms.min():.4g} to {norms.max():.4g}; their features' activations are times that")
    progress.say(f"trained on contexts of {said['context_size'] or 'unknown'} tokens{' after a BOS token' if said['prepend_bos'] else ''}; "
                 f"here they have {settings.model.n_ctx}")
    artifacts.write_meta(out, stage="sae", settings=settings, inputs={"config": config, "weights": weights, "model": model / artifacts.WEIGHTS},
                         stopwatch=stopwatch, device="cpu", dtype="float32", dictionary=name, source=sae.load,
                         decoder_norms={"least": float(norms.min()), "most": float(norms.max())},
                         files={part: out / part for part in (artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG)})
    progress(1, 1, sae.load)


def writes_centred(model: Transformer) -> bool:
    """Whether all that a model writes to the residual stream has mean zero over d_model, up to rounding."""
    written = [tensor for name, tensor in model.state_dict().items() if name.endswith(("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"))]
    return all(float(tensor.mean(dim=-1).abs().max()) <= 1e-4 * float(tensor.abs().max()) for tensor in written if tensor.numel())


def overridden(source: str) -> dict[str, Any]:
    """What SAELens's list of releases puts in place of settings in the `cfg.json` of `release:id`; nothing for any other source."""
    release, colon, short = source.partition(":")
    if not colon or "/" in release:
        return {}
    from sae_lens.loading.pretrained_saes_directory import get_config_overrides

    return dict(get_config_overrides(release, short))


def released(source: str) -> str:
    """The place on the Hub of a dictionary that SAELens lists as `release:id`; any other source as it is. Raises ForeignError."""
    release, colon, short = source.partition(":")
    if not colon or "/" in release:
        return source
    from sae_lens.loading.pretrained_sae_loaders import get_conversion_loader_name
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    listed = get_pretrained_saes_directory().get(release)
    if listed is None or short not in listed.saes_map:
        known = "no release that SAELens lists" if listed is None else f"a release without {short}; it has {', '.join(list(listed.saes_map)[:5])}, ..."
        raise ForeignError(f"{source}: {release} is {known}; name a folder, release:id, or owner/repository:folder of the Hugging Face Hub")
    if get_conversion_loader_name(release) != "sae_lens":
        raise ForeignError(f"{source} is not kept in SAELens's own format; load it with SAELens, save it with save_model, and name that folder")
    return f"{listed.repo_id}:{listed.saes_map[short]}"


def understood(config: Mapping[str, Any], path: Path, *, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of a `cfg.json` under the names of version 6, its metadata among them. Raises ForeignError for a dictionary that is none of ours."""
    for key in ("metadata", "model_from_pretrained_kwargs"):
        if not isinstance(config.get(key) or {}, Mapping):
            raise ForeignError(f"{path}: {key} is {config[key]!r}, not a JSON object")
    flat = {RENAMED.get(key, key): value for key, value in {**config, **(config.get("metadata") or {}), **(overrides or {})}.items() if value is not None}
    for key, (default, allowed) in HELD.items():
        if flat.get(key, default) not in allowed:
            hint = HINTS.get(key, f"only {key} {allowed[0]} can be imported")
            raise ForeignError(f"{path}: {key} is {flat[key]!r}, which no dictionary of the run can hold; {hint}")
    if not isinstance(flat.get("hook_name"), str):
        raise ForeignError(f"{path} has no hook_name, so it is not known where its vectors are read")
    old = "metadata" not in config  # before version 6 a missing prepend_bos meant true
    return {"hook_name": flat["hook_name"], "apply_b_dec_to_input": bool(flat.get("apply_b_dec_to_input", True)),
            "prepend_bos": bool(flat.get("prepend_bos", old)), "context_size": flat.get("context_size"),
            "centred": bool((flat.get("model_from_pretrained_kwargs") or {}).get("center_writing_weights"))}


def standard(tensors: Mapping[str, Tensor], *, apply_b_dec_to_input: bool, path: Path) -> tuple[Dictionary, Tensor]:
    """A dictionary of ours that computes the same, and the norms [d_sae] that its decoder rows had. Raises ForeignError for other tensors."""
    scale = tensors.get("scaling_factor")
    wide = {name: tensor.double() for name, tensor in tensors.items() if name != "scaling_factor"}
    shapes = {name: list(tensor.shape) for name, tensor in wide.items()}
    d_sae, d_in = shapes["W_dec"] if len(shapes.get("W_dec", ())) == 2 else (0, 0)
    if shapes != {"W_enc": [d_in, d_sae], "b_enc": [d_sae], "W_dec": [d_sae, d_in], "b_dec": [d_in]}:
        raise ForeignError(f"{path} holds {shapes}, not W_enc [d_in, d_sae], b_enc, W_dec [d_sae, d_in], b_dec")
    if scale is not None and not bool((scale == 1).all()):
        raise ForeignError(f"{path} holds a scaling_factor other than 1, which no dictionary of the run can hold")
    b_enc = wide["b_enc"] if apply_b_dec_to_input else wide["b_enc"] + wide["b_dec"] @ wide["W_enc"]
    norms = wide["W_dec"].norm(dim=1)
    factor = torch.where(norms > 0, norms, 1.0)
    made = {"W_enc": wide["W_enc"] * factor, "b_enc": b_enc * factor, "W_dec": wide["W_dec"] / factor[:, None], "b_dec": wide["b_dec"]}
    return Dictionary(**{name: tensor.float() for name, tensor in made.items()}), norms
