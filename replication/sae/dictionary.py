"""A dictionary: four tensors, and what they do to a vector."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from replication import artifacts
from replication.config import Model, Sae, place
from replication.randomness import generator

SAELENS_VERSION = "6.54.12"  # the release whose format `cfg.json` follows
HOOKS = {  # TransformerLens's names of sites; the last is ours, for TransformerLens has none
    "resid_mid": "hook_resid_mid", "mlp_act": "mlp.hook_post", "mlp_out": "hook_mlp_out", "resid_post": "hook_resid_post", "logit_update": "logit_update"}


@dataclass(frozen=True)
class Dictionary:
    """``f = relu(W_enc' (x - b_dec) + b_enc)`` and ``xhat = W_dec' f + b_dec`` (appendix of the paper, autoencoder architecture).

    `b_dec` is tied: it is taken off before the encoder and put back after the decoder. Rows of `W_dec` have unit norm.
    """

    W_enc: Float[Tensor, "d_in d_sae"]
    b_enc: Float[Tensor, " d_sae"]
    W_dec: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, " d_in"]

    def pre_activations(self, x: Float[Tensor, "token d_in"]) -> Float[Tensor, "token d_sae"]:
        """The encoder before its ReLU; the tied bias is folded into one bias per feature."""
        return torch.addmm(self.folded_bias(), x, self.W_enc)

    def folded_bias(self) -> Float[Tensor, " d_sae"]:
        """``b_enc - W_enc' b_dec``: with it the encoder reads x itself."""
        return self.b_enc - self.b_dec @ self.W_enc

    def encode(self, x: Float[Tensor, "token d_in"]) -> Float[Tensor, "token d_sae"]:
        """Feature activations."""
        return self.pre_activations(x).relu_()

    def decode(self, f: Float[Tensor, "token d_sae"]) -> Float[Tensor, "token d_in"]:
        """The reconstruction of activations `f`."""
        return torch.addmm(self.b_dec, f, self.W_dec)

    def encoder_rows(self) -> Float[Tensor, "d_sae d_in"]:
        """The encoder as training holds it, a row for each feature. Raises ValueError where it does not lie in memory like that."""
        rows = self.W_enc.T
        if not rows.is_contiguous():
            raise ValueError("W_enc is not the transpose of a contiguous [d_sae, d_in] tensor, which training needs; give W_enc.T.contiguous().T")
        return rows

    def part(self, features: slice, device: torch.device) -> "Dictionary":
        """The dictionary of some of the features, copied to a device and laid out as training needs it."""
        W_enc, b_enc, W_dec = (rows[features].to(device, copy=True) for rows in (self.encoder_rows(), self.b_enc, self.W_dec))
        return Dictionary(W_enc=W_enc.T, b_enc=b_enc, W_dec=W_dec, b_dec=self.b_dec.to(device, copy=True))

    def tensors(self) -> dict[str, Tensor]:
        """The four tensors by name."""
        return {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec, "b_dec": self.b_dec}


def start(sae: Sae, d_in: int, b_dec: Float[Tensor, " d_in"], *, seed: int, restart: int = 0) -> Dictionary:
    """A dictionary before training: PyTorch's default for linear layers, decoder rows at unit norm, `b_dec` as given.

    With ``init: transpose`` the encoder starts as the decoder's transpose and with no bias (ours, for short runs). `restart`
    is the step at which features start anew, with draws of their own.
    """
    draw = generator(seed, "sae.init", *([restart] if restart else []))

    def uniform(*shape: int, fan_in: int) -> Tensor:
        drawn: Tensor = torch.from_numpy(draw.uniform(-(fan_in**-0.5), fan_in**-0.5, shape))
        return drawn.to(b_dec.device, b_dec.dtype)

    # W_enc is held as the transpose of a [d_sae, d_in] array, so that a feature's encoder weights lie together as its gradient does
    W_enc, b_enc, W_dec = uniform(sae.d_sae, d_in, fan_in=d_in).T, uniform(sae.d_sae, fan_in=d_in), unit(uniform(sae.d_sae, d_in, fan_in=sae.d_sae))
    if sae.init == "transpose":
        W_enc, b_enc = W_dec.clone().T, torch.zeros_like(b_enc)
    return Dictionary(W_enc=W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec.clone())


def unit(rows: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_in"]:
    """Rows at unit norm; a row of zeros stays."""
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / norm.clamp_min(torch.finfo(rows.dtype).tiny)


def save(dictionary: Dictionary, folder: Path, *, sae: Sae, model: Model, name: str) -> None:
    """Write the folder that `sae_lens.SAE.load_from_disk` loads (architecture `standard`); `name` is the model's."""
    artifacts.write_tensors(folder / artifacts.SAE_WEIGHTS, dictionary.tensors())
    describe(folder, d_in=len(dictionary.b_dec), sae=sae, model=model, name=name)


def describe(folder: Path, *, d_in: int, sae: Sae, model: Model, name: str, prepend_bos: bool = False) -> None:
    """Write `cfg.json`, which says what the tensors are and where they belong."""
    kind, layer = place(sae.site, model.n_layers)
    artifacts.write_json(folder / artifacts.SAE_CONFIG, {
        "architecture": "standard", "d_in": d_in, "d_sae": sae.d_sae, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        # SAELens assumes values of its own for whatever is missing here, so each is said
        "metadata": {"sae_lens_version": SAELENS_VERSION, "model_name": name, "hook_name": f"blocks.{layer}.{HOOKS[kind]}", "hook_head_index": None,
                     "context_size": model.n_ctx, "prepend_bos": prepend_bos, "l1_coefficient": sae.l1, "l1_coefficient_summed_squares": sae.l1 * d_in},
    })


def site_of(folder: Path, n_layers: int = 1) -> str:
    """The site that a dictionary's `cfg.json` names, in a model of so many layers. Raises ArtifactError when it names none of ours."""
    path = folder / artifacts.SAE_CONFIG
    return site_of_hook(artifacts.read_json(path)["metadata"]["hook_name"], n_layers, path)


def site_of_hook(hook: str, n_layers: int, path: Path) -> str:
    """The site of TransformerLens's name of it, which the file `path` gives, in a model of so many layers. Raises ArtifactError when it is none of ours."""
    layer, _, inside = re.sub(r"^blocks\.", "", hook).partition(".")
    kinds = [kind for kind, name in HOOKS.items() if name == inside]
    if not kinds or not layer.isdigit() or int(layer) >= n_layers:
        raise artifacts.ArtifactError(f"{path} names the hook {hook!r}, which is no site of a model of {n_layers} layers; "
                                      f"sites are blocks.<layer>. and one of {', '.join(HOOKS.values())}")
    return kinds[0] if n_layers == 1 else f"{kinds[0]}_{layer}"


def load(folder: Path, device: str = "cpu") -> Dictionary:
    """The dictionary of a folder. Raises ArtifactError when missing, changed on disk, or of shapes that do not fit."""
    artifacts.check(folder, artifacts.SAE_WEIGHTS)
    tensors = artifacts.read_tensors(folder / artifacts.SAE_WEIGHTS, device)
    try:
        found = Dictionary(**tensors)
        d_in, d_sae = found.W_enc.shape
        fits = found.W_dec.shape == (d_sae, d_in) and found.b_enc.shape == (d_sae,) and found.b_dec.shape == (d_in,)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        shapes = json.dumps({name: list(tensor.shape) for name, tensor in tensors.items()})
        raise artifacts.ArtifactError(
            f"{folder / artifacts.SAE_WEIGHTS} holds {shapes}, not W_enc [d_in, d_sae], b_enc, W_dec [d_sae, d_in], b_dec; "
            f"delete {folder} and run `snakemake --cores all`")
    return found
