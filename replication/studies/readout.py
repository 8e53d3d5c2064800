"""Logit weights of some features, as studies read them."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.logit_weights import Readout, written
from replication.studies.tables import Reader


@torch.no_grad()
def logit_weights(reader: Reader, settings: Settings, name: str, features: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids of the tokens that are not rare [kept], and the logit weights on them of features of a dictionary, or of neurons (`A/neurons`) [feature, kept]."""
    assert settings.features
    model = reader.model(model_of(name))
    readout = Readout.of(model, reader.vocabulary().counts, rare_token=settings.features.rare_token)
    some = np.asarray(features, np.int64)
    if name == f"{model_of(name)}/{NEURONS}":
        return readout.kept.numpy(), readout(model.block.mlp.W_out[some]).numpy()
    return readout.kept.numpy(), readout(written(model, settings.site(name), torch.from_numpy(reader.weights(name)["W_dec"][some]))).numpy()
