"""How much of an MLP's worth a set of its neurons carries while all others are held at their mean.

    share = (loss with every neuron at its mean - loss with the set intact) / (loss with every neuron at its mean - loss)

A neuron is taken where it acts on the stream, after the nonlinearity and, with SoLU, after the layer norm that may follow. Means are
over tokens of the choosing half, losses are exact and of tokens that are spread evenly over the reporting half. Source: ours, in the
manner of the paper's loss recovered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from replication.config import Settings
from replication.features.losses import HEAD_CHUNK, batches
from replication.features.matrix import CHOOSING, HALVES, REPORTING
from replication.model.head import token_losses
from replication.model.transformer import Transformer
from replication.randomness import generator

CONTEXTS, POSITIONS = 512, 8  # at most so many contexts of a half, and tokens of each whose successor's loss is measured
MEAN_CONTEXTS = 128  # of the other half, for the means
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where losses are measured: contexts [context] of the reporting half and positions [context, position] with a next token."""

    contexts: NDArray[np.int64]
    positions: NDArray[np.int64]

    @staticmethod
    def of(tokens: NDArray[np.int32], settings: Settings) -> "Places":
        """The same places for every model of a run."""
        contexts = spread(np.arange(REPORTING, len(tokens), len(HALVES)), CONTEXTS)
        draws = generator(settings.seed, "studies.carried.positions").random((len(contexts), tokens.shape[1] - 1))
        return Places(contexts, np.sort(draws.argsort(axis=1)[:, :POSITIONS], axis=1))

    def flat(self, n_ctx: int) -> NDArray[np.int64]:
        """Numbers of the tokens in the whole evaluation set [context, position]."""
        return np.asarray(self.contexts[:, None] * n_ctx + self.positions)


@dataclass(frozen=True)
class Neurons:
    """The last MLP of a model at some places: `before` [token, d_model], `act` [token, d_mlp], the token that follows, and the neurons' means."""

    model: Transformer
    before: torch.Tensor
    act: torch.Tensor
    following: torch.Tensor
    mean: torch.Tensor
    shape: tuple[int, int]

    @staticmethod
    @torch.no_grad()
    def of(model: Transformer, tokens: NDArray[np.int32], places: Places) -> "Neurons":
        """Read from the model."""
        others = torch.from_numpy(tokens[spread(np.arange(CHOOSING, len(tokens), len(HALVES)), MEAN_CONTEXTS)])
        mean = torch.cat([model.mlp_act(model.resid_mid(batch)).flatten(0, 1) for _, batch in batches(others, model, shard_contexts=len(others))]).mean(0)
        text, at = torch.from_numpy(tokens[places.contexts]), torch.from_numpy(places.positions)
        streams = torch.cat([model.resid_mid(batch) for _, batch in batches(text, model, shard_contexts=len(text))])
        before = torch.take_along_dim(streams, at[:, :, None], dim=1).flatten(0, 1)
        following = torch.take_along_dim(text.long(), at + 1, dim=1).flatten()
        return Neurons(model, before, model.mlp_act(before), following, mean, (at.shape[0], at.shape[1]))

    @torch.no_grad()
    def losses(self, kept: NDArray[np.bool_]) -> Floats:
        """Losses [context, position] in nats with the neurons `kept` [d_mlp] intact and the others at their mean."""
        act = torch.where(torch.from_numpy(kept), self.act, self.mean)
        x, unembed = self.model.final(self.before + self.model.mlp_out(act)), self.model.unembed
        found = token_losses(x, unembed["W_U"], unembed["b_U"], self.following, HEAD_CHUNK["cpu"])
        return np.asarray(found.double().numpy().reshape(self.shape))

    def negative_share(self) -> float:
        """Share of the squared activation that lies in negative values, which the neuron tables do not count as firing."""
        squared = self.act.double().square()
        return float(squared[self.act < 0].sum() / squared.sum())


def spread(half: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of some contexts, evenly spread."""
    return np.asarray(half[np.linspace(0, len(half) - 1, min(count, len(half))).astype(int)])


def first(order: NDArray[np.int64], counts: Sequence[int], d_mlp: int) -> list[NDArray[np.bool_]]:
    """For each count the first neurons of an order, as a mask [d_mlp]; neurons that the order leaves out are in none."""
    rank = np.full(d_mlp, d_mlp)
    rank[order] = np.arange(len(order))
    return [rank < count for count in counts]


def shares(kept: Floats, intact: Floats | np.floating, ablated: Floats | np.floating) -> Floats:
    """Shares of the worth, from losses or sums of losses of shapes that broadcast."""
    return np.asarray((ablated - kept) / (ablated - intact))
