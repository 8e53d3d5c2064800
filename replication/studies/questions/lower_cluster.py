"""What the encoders of the low-density cluster have in common: the input they fire on, a direction, weak neurons, and the tied bias.

Weak neurons are the quarter with the smallest mean activation over the evaluation tokens. An encoder's tied bias on some neurons is what
`b_dec` adds to its bias through them, -W_enc' b_dec over these rows; the paper's architecture takes `b_dec` off before the encoder.
Source of the questions: Nanda (one input, one direction), Anthropic's update of February 2024 (weak neurons, tied bias); the measures are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from replication.features.matrix import EvaluationMatrix
from replication.sae.dictionary import Dictionary
from replication.studies.directions import unit

QUARTER = 4
PAIRS = 2**24  # token-feature pairs that exist at one time
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoders:
    """Of one dictionary: `lower` and `upper` cluster [feature]; of each feature the share of its encoder's squared norm on `weak` neurons, its
    norm, and the tied bias through weak neurons; `directions` of the lower cluster's encoders [feature, neuron] at unit norm, and `b_dec`.
    """

    lower: Bools
    upper: Bools
    weak_share: Floats
    norm: Floats
    tied: Floats
    directions: Floats
    b_dec: Floats
    weak: Bools


def encoders(W_enc: NDArray[np.float32], b_dec: NDArray[np.float32], *, lower: Bools, upper: Bools, weak: Bools) -> Encoders:
    """From the weights ([neuron, feature] and [neuron]) and the neurons that are weak."""
    rows, bias = W_enc.T.astype(np.float64), b_dec.astype(np.float64)
    norm = np.linalg.norm(rows, axis=1)
    share = np.square(rows[:, weak]).sum(1) / np.maximum(np.square(norm), np.finfo(np.float64).tiny)
    return Encoders(lower, upper, share, norm, -(rows[:, weak] @ bias[weak]), unit(rows[lower]), bias, weak)


def weakest(mean: Floats) -> Bools:
    """The quarter of the neurons whose mean activation is smallest; of equals the first."""
    found = np.zeros(len(mean), bool)
    found[np.argsort(mean, kind="stable")[: len(mean) // QUARTER]] = True
    return found


def one_input(matrix: EvaluationMatrix, features: NDArray[np.int64], rng: np.random.Generator) -> tuple[Bools, float]:
    """Which features [feature] fire on the token on which most of the others do; and the share of them that fires on a token on average.

    The features are split at random; each half's busiest token of the whole text is looked at on the other half, so that a large share
    is no luck of the best of many tokens.
    """
    half = rng.permutation(len(features)) % 2
    best = [(-1, np.zeros(0, bool))] * 2
    fired, tokens = 0, 0
    for number in range(matrix.shards):
        on = matrix.shard(number)[:, features] > 0
        fired, tokens = fired + int(on.sum()), tokens + on.shape[0]
        for choosing in (0, 1):
            counts = np.asarray(on[:, np.flatnonzero(half == choosing)].sum(1)).ravel()
            token = int(counts.argmax())
            if counts[token] > best[choosing][0]:
                best[choosing] = int(counts[token]), (np.asarray(on[[token]].sum(0)).ravel() > 0)[half != choosing]
    return np.concatenate([found for _, found in best]), fired / (tokens * len(features))


def without_tied_bias(dictionary: Dictionary, x: torch.Tensor, neurons: Sequence[Bools]) -> NDArray[np.int64]:
    """On how many vectors [1 + set, feature] each feature fires: as it is, and without the tied bias through each set of neurons."""
    sets = torch.from_numpy(np.stack([np.zeros_like(neurons[0]), *neurons])).to(x.dtype)
    tied = (sets * dictionary.b_dec) @ dictionary.W_enc
    counts = torch.zeros(tied.shape, dtype=torch.int64)
    for part in x.split(max(1, PAIRS // len(dictionary.b_enc))):
        pre = dictionary.pre_activations(part)
        counts += torch.stack([(pre + more > 0).sum(0) for more in tied])
    return np.asarray(counts.numpy())
