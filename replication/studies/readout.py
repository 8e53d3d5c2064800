"""Logit weights of some features, as studies read them."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from replication.config import Settings, model_of
from replication.features.logit_weights import Readout, written
from replication.studies.tables import Reader


@torch.no_grad()
def logit_weights(reader: Reader, settings: Settings, name: str, features: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids of the tokens that are not rare [kept], and the logit weights of features of a dictionary on them [feature, kept]."""
    assert settings.features and settings.activations
    model = reader.model(model_of(name))
    readout = Readout.of(model, reader.vocabulary().counts, rare_token=settings.features.rare_token)
    rows = torch.from_numpy(reader.weights(name)["W_dec"][np.asarray(features, np.int64)])
    return readout.kept.numpy(), readout(written(model, settings.activations.site, rows)).numpy()
