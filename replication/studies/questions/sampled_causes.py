"""A sample of features of the MLP, tokens on which they are on, and what each feature of the stream that is on there does to them.

Causes are chosen on one half of the tokens; what is measured of them, and all pairs, are of the other.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from replication.features.matrix import CHOOSING, HALVES, REPORTING, EvaluationMatrix
from replication.studies.directions import unit
from replication.studies.questions.causes import POINTS, Pairs, Path, along

FEATURES, EVENTS, FEWEST = 300, 32, 12  # features drawn; tokens of each on either half, at most and at least
GATES = 8192  # first tokens over which gates are averaged
METHODS = ("weights", "mean_gates", "frozen", "gradient", "integrated")
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Activations:
    """Activations [token, feature] of a dictionary on the first contexts of the evaluation tokens, and the half of each token."""

    rows: sparse.csr_array
    half: Ids

    @staticmethod
    def of(matrix: EvaluationMatrix, contexts: int) -> "Activations":
        """Read no more shards than hold these contexts."""
        shards = [sparse.csr_array(matrix.shard(k)) for k in range(-(-contexts // matrix.shard_contexts))]
        rows = sparse.csr_array(sparse.vstack(shards, format="csr")[: contexts * matrix.n_ctx])
        return Activations(rows, np.repeat(np.arange(contexts) % len(HALVES), matrix.n_ctx))

    def on(self, token: Ids) -> tuple[Ids, Ids, NDArray[np.float32]]:
        """What is on at some tokens: which of them, the feature, its activation."""
        some = self.rows[token]
        return np.repeat(np.arange(len(token)), np.diff(some.indptr)), some.indices.astype(np.int64), some.data

    def correlation(self, features: Ids, other: "Activations", half: int) -> Floats:
        """Correlation of activations [feature, other feature] over the tokens of a half, 0 where one never changes."""
        x, y = (sparse.csr_array(rows[self.half == half]).astype(np.float64) for rows in (self.rows[:, features], other.rows))
        means = [np.asarray(of.mean(0)).ravel() for of in (x, y)]
        spreads = [np.sqrt(np.maximum(np.asarray((of * of).mean(0)).ravel() - mean**2, 0)) for of, mean in zip((x, y), means, strict=True)]
        scale = np.outer(*spreads)
        return np.asarray(np.divide((x.T @ y).toarray() / x.shape[0] - np.outer(*means), scale, out=np.zeros(scale.shape), where=scale > 0))


@dataclass(frozen=True)
class Events:
    """Tokens of one half on which a feature of the sample is on: the feature's `place` in the sample, and the token."""

    place: Ids
    token: Ids


def draw(activations: Activations, rng: np.random.Generator) -> tuple[Ids, list[Events]]:
    """Features [place] that are on often enough on either half, and for each half some of the tokens on which they are on."""
    columns = activations.rows.tocsc()
    owner, half = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr)), activations.half[columns.indices]
    able = np.flatnonzero(np.min([np.bincount(owner[half == which], minlength=columns.shape[1]) for which in HALVES], axis=0) >= FEWEST)
    features = np.sort(rng.choice(able, min(FEATURES, len(able)), replace=False)).astype(np.int64)
    drawn: list[list[Ids]] = [[np.empty(0, np.int64)] for _ in HALVES]
    for feature in features:
        own = slice(columns.indptr[feature], columns.indptr[feature + 1])
        for which in HALVES:
            tokens = columns.indices[own][half[own] == which].astype(np.int64)
            drawn[which].append(np.sort(rng.choice(tokens, min(EVENTS, len(tokens)), replace=False)))
    return features, [Events(np.repeat(np.arange(len(features)), np.array([len(some) for some in of[1:]], dtype=np.int64)), np.concatenate(of)) for of in drawn]


def others(activations: Activations, events: Events, features: Ids, rng: np.random.Generator) -> Ids:
    """For each event another feature that is on at its token, at random; -1 where there is none."""
    event, feature, _ = activations.on(events.token)
    among = feature != features[events.place[event]]
    return at_random(event[among], feature[among], len(events.token), rng)


@dataclass(frozen=True)
class Found:
    """What was measured of a dictionary of the MLP (`features` [place] of it) and one of the stream.

    `pairs` has a row for each pair on the reporting half: feature (its place), cause, active (f_j), effect (by ablation), what each of
    METHODS says, gradient_random and effect_random (a random direction of the same norm), effect_other (on another feature that is on at
    the token). `budget` has a row for each of its events: feature (its place), active, features, error, constant, and
    reconstructed (f_j of the reconstruction). Matrices [place, cause] are
    shares of the feature's mean activation: the mean gradient attribution on the choosing half (`chosen`) and the other (`attributed`),
    the mean ablation effect on the other (`effect`); `weights` are products of weights; `correlation` [half, place, cause] is that of
    activations; `together` [place] is a cause of one of the feature's pairs, drawn at random, on the choosing half.
    """

    features: Ids
    pairs: pd.DataFrame
    budget: pd.DataFrame
    chosen: Floats
    attributed: Floats
    effect: Floats
    weights: Floats
    correlation: Floats
    together: Ids


@dataclass(frozen=True)
class Reading:
    """The stream at events, the features of the MLP that are read there, and the pairs with what is on in the stream."""

    x: Float[Tensor, "event d_model"]
    feature: Int[Tensor, " event"]
    pairs: Pairs

    @staticmethod
    def of(events: Events, features: Ids, theirs: Activations, stream: Float[Tensor, "token d_model"]) -> "Reading":
        """All pairs of some events."""
        pairs = Pairs(*(torch.from_numpy(part) for part in theirs.on(events.token)))
        return Reading(stream[torch.from_numpy(events.token)], torch.from_numpy(features[events.place]), pairs)


@torch.no_grad()
def measure(path: Path, ours: Activations, theirs: Activations, stream: Float[Tensor, "token d_model"], rng: np.random.Generator) -> Found:
    """Measure a sample; `ours` are features of the MLP, `theirs` those of the stream [token, d_model]."""
    features, events = draw(ours, rng)
    shape = (len(features), theirs.rows.shape[1])
    earlier, here = (Reading.of(events[half], features, theirs, stream) for half in HALVES)
    place, event = events[REPORTING].place, here.pairs.event
    weights, active = path.weights(torch.from_numpy(features)), path.active(here.x, here.feature)
    gates = (path.neurons(stream[torch.from_numpy(ours.half == CHOOSING)][:GATES]) > 0).float().mean(0)
    found, budget = both(path, here, active, gates, rng)
    found["weights"] = here.pairs.activation * weights[torch.from_numpy(place)[event], here.pairs.cause]
    other = torch.from_numpy(others(ours, events[REPORTING], features, rng))
    elsewhere, _ = path.ablation(here.x, other.clamp_min(0), here.pairs, path.before.W_dec)
    found["effect_other"] = torch.where(other[event] < 0, torch.nan, elsewhere)
    early = along(earlier.pairs, path.gradients(earlier.x, earlier.feature)[0], path.before.W_dec)
    return Found(
        features=features,
        pairs=pd.DataFrame({"feature": place[event.numpy()], "cause": here.pairs.cause.numpy(), "active": active[event].double().numpy(),
                            **{name: values.double().numpy() for name, values in found.items()}}),
        budget=pd.DataFrame({"feature": place, "active": active.double().numpy(), **{name: of.double().numpy() for name, of in budget.items()}}),
        chosen=shares(events[CHOOSING].place, path.active(earlier.x, earlier.feature), earlier.pairs, early, shape),
        attributed=shares(place, active, here.pairs, found["gradient"], shape), effect=shares(place, active, here.pairs, found["effect"], shape),
        weights=weights.double().numpy(), correlation=np.stack([ours.correlation(features, theirs, half) for half in HALVES]),
        together=at_random(events[CHOOSING].place[earlier.pairs.event.numpy()], earlier.pairs.cause.numpy(), len(features), rng))


def both(
    path: Path, here: Reading, active: Float[Tensor, " event"], gates: Float[Tensor, " d_mlp"], rng: np.random.Generator,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Effects and attributions of all pairs, of features and of random directions; and the budget of all events."""
    decoder, pairs = path.before.W_dec, here.pairs
    anywhere = torch.from_numpy(unit(rng.normal(size=decoder.shape)).astype(np.float32)) * decoder.norm(dim=1, keepdim=True)
    through, held = path.gradients(here.x, here.feature)
    effect, integrated = path.ablation(here.x, here.feature, pairs, decoder, POINTS)
    return {
        "effect": effect, "integrated": integrated, "gradient": along(pairs, through, decoder), "frozen": along(pairs, held, decoder),
        "mean_gates": along(pairs, path.averaged(here.x, here.feature, gates), decoder),
        "gradient_random": along(pairs, through, anywhere), "effect_random": path.ablation(here.x, here.feature, pairs, anywhere)[0],
    }, {**path.budget(here.x, held, active, pairs), "reconstructed": path.reconstructed(here.feature, pairs)}


def at_random(place: Ids, cause: Ids, features: int, rng: np.random.Generator) -> Ids:
    """One of the pairs of each feature [feature], by its cause; -1 for a feature without pairs."""
    order = rng.permutation(len(place))
    found = np.full(features, -1)
    found[place[order]] = cause[order]  # of several the last one stays
    return found


def shares(place: Ids, active: Float[Tensor, " event"], pairs: Pairs, values: Float[Tensor, " pair"], shape: tuple[int, int]) -> Floats:
    """Sums of values over the events of each feature and by cause [place, cause], in shares of the sum of its activation."""
    where = place[pairs.event.numpy()] * shape[1] + pairs.cause.numpy()
    total = np.bincount(place, active.double().numpy(), minlength=shape[0])[:, None]
    sums = np.bincount(where, values.double().numpy(), minlength=shape[0] * shape[1]).reshape(shape)
    return np.divide(sums, total, out=np.zeros(shape), where=total > 0)
