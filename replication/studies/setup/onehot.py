"""A layer with one state on at a time, trained without sampling: superposition cannot arise in it, polysemanticity can.

Exclusive features f with probabilities P(f) turn on one of n states (neurons; for a single binary neuron: on, off), and the
model tells from the state alone which feature it was:

    loss = - sum_f P(f) sum_j p(j | f) log q(f | j),    p(. | f) = softmax(W_in[f]),    q(. | j) = softmax(W_out[j])

The sum over states is exact, so that gradients are too. Every feature predicts a token of its own, so any two are unrelated.
Source: paper, "Why not use architectural approaches?" for the losses; the training is ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int

from replication.randomness import Seed, generator

STEPS, LR, START = 600, 0.05, 0.1  # START: deviation of every weight before training
HELD = 100.0  # logit of a state that a feature is held at
PURE = 0.9  # a neuron is polysemantic when its commonest feature makes up less of the tokens that turn it on


@dataclass(frozen=True)
class Trained:
    """`states` [restart, feature]: the likeliest state of each feature; `losses` [restart]: nats when that one is on alone."""

    states: Int[np.ndarray, "restart feature"]
    losses: Float[np.ndarray, " restart"]


def train(
    probabilities: Float[np.ndarray, " feature"], n_states: int, restarts: int, *, seed: Seed, what: str,
    held: Int[np.ndarray, "restart feature"] | None = None,
) -> Trained:
    """Adam from `restarts` random starts at once; with `held` the states of the features are given and only W_out is trained."""
    draws, n = generator(seed, f"studies.onehot.{what}"), len(probabilities)
    P = torch.from_numpy(probabilities).float()[:, None]
    starts = (START * draws.standard_normal(shape, dtype=np.float32) for shape in ((restarts, n, n_states), (restarts, n_states, n)))
    W_in, W_out = (torch.from_numpy(start).requires_grad_() for start in starts)
    if held is not None:
        W_in = HELD * F.one_hot(torch.from_numpy(held), n_states).float()
    adam = torch.optim.Adam([W_out] if held is not None else [W_in, W_out], lr=LR)
    for _ in range(STEPS):
        adam.zero_grad()
        loss = -(P * W_in.softmax(-1) * W_out.log_softmax(-1).mT).sum()
        loss.backward()
        adam.step()
    states = W_in.detach().argmax(-1)
    told = W_out.detach().log_softmax(-1).mT.gather(2, states[..., None]).squeeze(2)
    return Trained(states.numpy(), -(told.double().numpy() @ probabilities))


def exact_loss(states: Int[np.ndarray, " feature"], probabilities: Float[np.ndarray, " feature"]) -> float:
    """The lowest loss in nats that a given assignment of features to states allows: the entropy of the feature given the state."""
    together = np.bincount(states, weights=probabilities)[states]
    return float(-(probabilities * np.log(probabilities / together)).sum())


def polysemantic(states: Int[np.ndarray, " feature"], probabilities: Float[np.ndarray, " feature"], n_states: int) -> float:
    """Share of polysemantic neurons among those that some feature turns on."""
    held = np.zeros((n_states, len(states)))
    held[states, np.arange(len(states))] = probabilities
    used = held[held.any(1)]
    return float((used.max(1) < PURE * used.sum(1)).mean())
