"""Logit weights: what a feature adds to each token's logit along the direct path.

    W_dec[i] W_out P diag(ln_final.w) W_U,    P removes the mean over d_model

shifted so that the median token is zero. The layer norm's scale (1 / sigma of each token's stream) and its shift are
left out: the one is positive, the other the same for every feature. Tokens that the training text holds fewer than
`rare_token` times are left out. Source: paper, "Feature downstream effects"; the cut is ours.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.config import UserError
from replication.model.transformer import Transformer

BLOCK = 2**22  # logit weights that exist at one time: 16 MB


@dataclass(frozen=True)
class Readout:
    """The linear path from the residual stream to the logits of the tokens that are kept (`kept`: their ids)."""

    matrix: Float[Tensor, "d_model kept"]
    kept: Int[Tensor, " kept"]

    @staticmethod
    def of(model: Transformer, counts: Int[Tensor, " d_vocab"], *, rare_token: int) -> "Readout":
        """The path of a model. `counts` are the training text's unigram counts. Raises UserError when no token is kept."""
        W_U = model.unembed["W_U"]
        kept = torch.nonzero(counts.to(W_U.device) >= rare_token).squeeze(1)
        if not len(kept):
            raise UserError(f"features.rare_token is {rare_token}, but no token of the training text occurs as often; "
                            f"lower it (the commonest token occurs {int(counts.max())} times)")
        scaled = model.ln_final.w[:, None] * W_U[:, kept]
        return Readout(matrix=scaled - scaled.mean(dim=0, keepdim=True), kept=kept)

    @property
    def block(self) -> int:
        """How many features to take at a time."""
        return max(1, BLOCK // len(self.kept))

    def __call__(self, directions: Float[Tensor, "feature d_model"]) -> Float[Tensor, "feature kept"]:
        """Logit weights of directions in the residual stream; with an even number of tokens the lower median is zero."""
        weights = directions @ self.matrix
        return weights.sub_(weights.median(dim=1, keepdim=True).values)


def written(model: Transformer, site: str, vectors: Float[Tensor, "feature d_in"]) -> Float[Tensor, "feature d_model"]:
    """What directions at a site write to the residual stream directly.

    For `resid_mid`, and where layers follow, this leaves out the ways through them; for `logit_update` the positive scale sigma of each token.
    """
    kind, layer = model.place(site)
    if kind == "mlp_act":
        return vectors @ model.layer(layer).mlp.W_out
    return vectors @ model.metric.inverse if kind == "logit_update" else vectors
