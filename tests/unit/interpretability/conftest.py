"""A run with a dictionary whose features are planted, each of another kind, and explainers that know how they are made."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.features import profile
from replication.features.examples import NO_TOKEN
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.interpretability import units
from replication.resolution import resolve
from replication.sae.dictionary import describe
from tests import planted

SINGLE, CONTEXT, NOISE, SELDOM, REPEATED, DEAD, ULTRALOW = range(7)
KINDS = 7
TOKEN, BEFORE = 7, 5  # the single token fires the first feature; after BEFORE it fires the second
CONTEXTS, N_CTX, D_VOCAB = 256, 32, 300


def activations(tokens, rng):
    """Activations [token, feature] of the planted features."""
    flat = tokens.ravel()
    before = np.concatenate(([-1], flat[:-1]))
    before[::N_CTX] = -1
    size = 1 - 0.02 * rng.random(len(flat))
    found = np.zeros((len(flat), KINDS), np.float32)
    found[:, SINGLE] = (flat == TOKEN) * size
    found[:, CONTEXT] = ((flat == TOKEN) & (before == BEFORE)) * size
    found[:, NOISE] = (rng.random(len(flat)) < 0.05) * (0.1 + rng.random(len(flat)))
    found[rng.choice(len(flat), 19, replace=False), SELDOM] = 1
    found[np.arange(100, 140) * N_CTX + 12, REPEATED] = 1  # the same place of contexts that are all the same
    found[:, ULTRALOW] = (rng.random(len(flat)) < 0.005) * size
    return found


@dataclass
class World:
    """The folders of a run with the table A/1."""

    layout: Layout
    config: object
    tokens: np.ndarray
    dense: np.ndarray

    def make(self, name="A/1", count=0):
        """Draw the units of a table; returns their folder."""
        layout, out = self.layout, self.layout.interpretability(name)
        units.make(settings=self.config.settings("compute", "activations", "features"), name=name, units=count, features=layout.features(name),
                   evaluation=layout.evaluation(), models=layout.root / "model", dictionaries=layout.root / "sae", corpus=layout.corpus(), out=out)
        return out


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    raw = planted.few()
    raw["dictionaries"] = {"A/1": {"d_sae": KINDS}, "B/1": {"d_sae": KINDS}}
    raw["features"] = {"contexts": CONTEXTS, "shard_contexts": 100, "rare_token": 0}
    config, rng = resolve(raw), np.random.default_rng(0)
    layout = Layout(tmp_path_factory.mktemp("scored"))
    planted.write_json(config, layout.corpus(), artifacts.CORPUS, {})
    planted.text(layout, config)
    tokens = rng.integers(D_VOCAB, size=(CONTEXTS, N_CTX)).astype(np.int32)
    tokens[rng.random(tokens.shape) < 0.1] = TOKEN
    after = rng.random((CONTEXTS, N_CTX - 1)) < 0.5
    tokens[:, :-1][(tokens[:, 1:] == TOKEN) & after] = BEFORE
    tokens[100:140] = tokens[100]
    planted.save_tokens(config, layout, tokens)
    planted.transformer(layout, config, "A")
    dense, folder = activations(tokens, rng), layout.features("A/1")
    with MatrixWriter(folder / artifacts.MATRIX, n_features=KINDS, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=100, dense=False) as writer:
        for start in range(0, CONTEXTS, 100):
            writer.append(sparse.csr_array(dense[start * N_CTX:(start + 100) * N_CTX]))
    table, examples = profile.activations(EvaluationMatrix(folder / artifacts.MATRIX), tokens, side=4)
    table["part"] = "other"
    table.loc[DEAD, "part"], table.loc[ULTRALOW, "part"] = "dead", "ultralow"
    table.to_parquet(folder / artifacts.FEATURES, index=False)
    examples.to_parquet(folder / artifacts.EXAMPLES, index=False)
    planted.finish(config, folder, artifacts.MATRIX, artifacts.FEATURES, artifacts.EXAMPLES)
    W_dec = rng.normal(size=(KINDS, config.models["A"].d_mlp)).astype(np.float32)
    planted.save(config, layout.sae("A/1"), artifacts.SAE_WEIGHTS, {"W_enc": W_dec.T.copy(), "b_enc": np.zeros(KINDS, np.float32), "W_dec": W_dec,
                                                                    "b_dec": np.zeros(W_dec.shape[1], np.float32)})
    describe(layout.sae("A/1"), d_in=W_dec.shape[1], sae=config.dictionaries["A/1"], model=config.models["A"], name="A")
    return World(layout, config, tokens, dense)


@pytest.fixture(scope="session")
def folder(world):
    """The units and windows of A/1."""
    return world.make()


@dataclass(frozen=True)
class Means:
    """Mean levels of what was seen."""

    levels: dict
    promoted: frozenset

    @property
    def text(self):
        return f"fires on {len(self.levels)} things"


class Mean:
    """Predicts the mean level that a token had in the evidence, told apart by the token before it or not; 0 for what was not seen."""

    def __init__(self, name="token", *, context=False, concurrency=1):
        self.name, self.context, self.concurrency = name, context, concurrency

    def explain(self, evidence):
        keys, inside = self.keys(evidence.windows.tokens), evidence.windows.tokens != NO_TOKEN
        found = pd.Series(evidence.windows.activations[inside].astype(float)).groupby(keys[inside]).mean()
        return Means(found.to_dict(), frozenset(evidence.positive.tolist()))

    def predict(self, explanation, tokens):
        levels = pd.Series(self.keys(tokens).ravel()).map(explanation.levels).fillna(0).round().to_numpy(np.int8).reshape(tokens.shape)
        return np.where(tokens == NO_TOKEN, 0, levels).astype(np.int8)

    def judge_logits(self, explanation, tokens):
        return np.isin(tokens, list(explanation.promoted))

    def keys(self, tokens):
        before = np.pad(tokens, ((0, 0), (1, 0)), constant_values=NO_TOKEN)[:, :-1]
        return tokens + (before + 1) * 10_000 * self.context


@pytest.fixture
def mean():
    return Mean
