"""Samples with features pinned, as studies draw them: the paper's start text, and the same draws under every condition."""

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from replication import artifacts
from replication.config import Settings, UserError, model_of
from replication.corpus.tokenizer import load
from replication.features.sampling import sample
from replication.studies.tables import Reader

START = "1,2,3,4,5,6,7,8,9,10"
LENGTH = 60  # tokens of a sample (ours), fewer where the model's context is shorter


def continuations(
    reader: Reader, settings: Settings, feature: NDArray[np.int64], value: NDArray[np.float32], rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Tokens [condition, sample, new] that follow START when a feature of the main dictionary is pinned at a value, [condition, sample] each.

    A sample's draws are those of the same sample under every other condition. Raises UserError when START leaves no room.
    """
    assert settings.studies
    main = settings.studies.main
    model, start = reader.model(model_of(main)), start_tokens(reader)
    new = min(LENGTH, model.architecture.n_ctx - len(start))
    if new < 1:
        raise UserError(f"the start text {START} has {len(start)} tokens, which leaves no room in a context of {model.architecture.n_ctx}; raise model.n_ctx")
    conditions, samples = feature.shape
    draws = torch.from_numpy(np.tile(rng.random((samples, new)), (conditions, 1)))
    found = sample(model, reader.sae(main), settings.site(main), start=start, feature=torch.from_numpy(feature.ravel().astype(np.int64)),
                   value=torch.from_numpy(value.ravel().astype(np.float32)), draws=draws)
    return found.numpy().astype(np.int32).reshape(conditions, samples, new)


def start_tokens(reader: Reader) -> Int[Tensor, " pos"]:
    """START as the run's tokenizer reads it."""
    reader.vocabulary()  # checks the tokenizer, and notes it as an input
    return torch.tensor(load(reader.layout.corpus() / artifacts.TOKENIZER).encode(START).ids)
