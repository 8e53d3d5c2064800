"""What the features of any table write to the residual stream, be it a dictionary or a model's neurons."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from replication.features import NEURONS
from replication.features.logit_weights import written
from replication.model.transformer import Transformer
from replication.sae import load as load_dictionary
from replication.sae import site_of


@torch.no_grad()
def directions(name: str, model: Transformer, dictionaries: Path) -> Float[Tensor, "feature d_model"]:
    """The directions of the table `name` of a model, on its device; of `A/neurons` the rows of W_out.

    `dictionaries` is the folder of all dictionaries. Raises ArtifactError when the table's own is missing or changed.
    """
    W_out, folder = model.block.mlp.W_out, dictionaries / name
    if name.partition("/")[2] == NEURONS:
        return W_out
    return written(model, site_of(folder, model.architecture.n_layers), load_dictionary(folder, str(W_out.device)).W_dec)
