"""How an update of the residual stream counts in the logits: a quadratic form in d_model, exact and without logits.

With the last layer norm linearised (its scale 1 / sigma frozen at the true stream) an update u adds P u diag(w) W_U / sigma to the
logits. The softmax does not see their mean over the vocabulary, so the squared error that matters is that of centred logits:

    |(u P diag(w) W_U C) / sigma|^2 = u G u' / sigma^2,    G = P diag(w) W_U C W_U' diag(w) P
    z = s u G^(1/2) / sigma,                               s^2 = d_model / d_vocab

P removes the mean over d_model, C = 1 - 11' / d_vocab the mean over the vocabulary. With the factor s the mean squared error over the
d_model elements of z is the mean squared error over the logits, so that an autoencoder of z is one of logit updates. G has rank
d_model - 1 at most (P), so u comes back from z by the pseudo-inverse but for its mean over d_model, which the layer norm removes anyway.
Source: ours; that the paper thought of autoencoding logits: its discussion of the MLP's update as a target.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST = 1e-9  # of the largest eigenvalue of G: below it a direction is one that no logit shows


@dataclass(frozen=True)
class Metric:
    """`root` is s G^(1/2) and `inverse` its pseudo-inverse, both symmetric; `rank` directions of the stream reach the logits."""

    root: Float[Tensor, "d_model d_model"]
    inverse: Float[Tensor, "d_model d_model"]
    rank: int

    @staticmethod
    def of(w: Float[Tensor, " d_model"], W_U: Float[Tensor, "d_model d_vocab"]) -> "Metric":
        """The metric of a model's last layer norm and unembedding; the root is taken in double precision."""
        readout = w.double()[:, None] * W_U.double()
        readout = readout - readout.mean(dim=0, keepdim=True)  # P
        readout = readout - readout.mean(dim=1, keepdim=True)  # C
        values, vectors = torch.linalg.eigh(readout @ readout.T * (W_U.shape[0] / W_U.shape[1]))
        seen = values > SMALLEST * values[-1]
        root = torch.where(seen, values, 0.0).sqrt()
        inverse = torch.where(seen, root.reciprocal(), 0.0)
        square = [(vectors * scale @ vectors.T).to(W_U.dtype) for scale in (root, inverse)]
        return Metric(square[0], square[1], int(seen.sum()))

    def read(self, update: Float[Tensor, "*batch d_model"], sigma: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch d_model"]:
        """Updates as the logits see them, at the true stream's scale."""
        return update / sigma @ self.root

    def write(self, z: Float[Tensor, "*batch d_model"], sigma: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch d_model"]:
        """The update of least norm that has this z."""
        return z @ self.inverse * sigma
