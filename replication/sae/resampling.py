"""Resampling of dead features, each step of the paper a function (appendix of the paper, neuron resampling)."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from replication.sae.dictionary import Dictionary, unit
from replication.sae.ranks import ALONE, Ranks

ENCODER_SCALE = 0.2  # of the mean norm of live encoder rows


def dead(last_fired: Int[Tensor, " d_sae"], step: int, window: int) -> Bool[Tensor, " d_sae"]:
    """Features that fired on none of the last `window` of `step` steps; `last_fired` counts steps from 1, 0 is never."""
    return last_fired <= step - window


def draw_inputs(losses: Float[Tensor, "input"], count: int, chance: np.random.Generator) -> Int[Tensor, " count"]:
    """Indices of inputs, drawn with probability proportional to the square of their loss.

    Ours: the loss holds the L1 term, and no input is drawn twice while enough of them have a loss above zero.
    """
    weight = losses.double().square().cpu().numpy()
    if weight.sum() == 0:
        weight = np.ones_like(weight)
    enough = np.count_nonzero(weight) >= count
    return torch.from_numpy(chance.choice(len(weight), size=count, replace=not enough, p=weight / weight.sum())).to(losses.device)


def reset(dictionary: Dictionary, which: Bool[Tensor, " d_sae"], inputs: Float[Tensor, "dead d_in"], *, left: Bool[Tensor, " d_sae"] | None = None,
          ranks: Ranks = ALONE) -> None:
    """Give each dead feature one input's direction, in place.

    The decoder row becomes the input (the raw one, not the input minus `b_dec`) at unit norm; the encoder row the same
    direction at 0.2 of the mean norm of the live encoder rows; the encoder bias 0. Where no feature is live, the mean
    is over all of them (ours). `left`: dead features that are not touched, which are not live either. `ranks`: those that
    hold the other features, each of which calls this at the same time.
    """
    direction = unit(inputs)
    live = ~which if left is None else ~(which | left)
    live = live if any(ranks.counts(int(live.any()))) else torch.ones_like(which)
    scale = ENCODER_SCALE * ranks.mean(dictionary.W_enc[:, live].norm(dim=0))
    dictionary.W_dec[which] = direction
    dictionary.W_enc[:, which] = scale * direction.T
    dictionary.b_enc[which] = 0


def restart(dictionary: Dictionary, which: Bool[Tensor, " d_sae"], fresh: Dictionary) -> None:
    """Give each dead feature the weights of its namesake in a dictionary that was just started, in place (the paper's first try)."""
    dictionary.W_dec[which] = fresh.W_dec[which]
    dictionary.W_enc[:, which] = fresh.W_enc[:, which]
    dictionary.b_enc[which] = fresh.b_enc[which]


def reset_moments(moments: Mapping[str, tuple[Tensor, Tensor]], which: Bool[Tensor, " d_sae"]) -> None:
    """Set both Adam moments of every element that `reset` or `restart` touched to 0, in place. A feature is a row, also of W_enc's [d_sae, d_in]."""
    for name in ("W_enc", "b_enc", "W_dec"):
        for moment in moments[name]:
            moment[which] = 0
