"""Effects around examples: which tokens they are told of, and that they are those of a pass without the feature."""

import numpy as np
import pandas as pd
import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.features.effects import firings, measure
from replication.features.matrix import EvaluationMatrix
from replication.features.tokens import read
from replication.model import load as load_model
from replication.sae import load as load_dictionary


def test_tokens_around_examples_and_the_one_before_each_once(tmp_path, write):
    n_ctx = 8
    dense = np.ones((3 * n_ctx, 2), dtype=np.float32) * np.arange(1, 3 * n_ctx + 1)[:, None]
    dense[3, 1] = 0
    for as_dense in (False, True):
        matrix = write(tmp_path / f"matrix{as_dense}", dense, shard_contexts=2, n_ctx=n_ctx, as_dense=as_dense)
        # two windows of feature 0 that overlap, one at the end of a context; feature 1 beside a token on which it is silent
        examples = pd.DataFrame([(0, 0, 3), (0, 0, 4), (0, 2, 7), (1, 0, 1)], columns=["feature", "context", "pos"])
        found = pd.concat(firings(matrix, examples, side=1))
        places = [(feature, *divmod(token, n_ctx)) for feature, token in zip(found["feature"], found["token"], strict=True)]
        assert sorted(places) == [*((0, 0, pos) for pos in range(1, 6)), (0, 2, 5), (0, 2, 6), *((1, 0, pos) for pos in range(3))]
        assert found["activation"].tolist() == (found["token"] + 1).tolist()
        assert found["token"].is_monotonic_increasing
        assert [len(part) for part in firings(matrix, examples.iloc[:0], side=1)] == [0, 0]


@pytest.fixture(scope="module")
def plain(measured):
    """Tokens, model, vectors of the site, and the log-likelihood of every next token."""
    tokens, model = read(measured.layout.evaluation()).long(), load_model(measured.layout.model("A"))
    return tokens, model, model.read(tokens, "mlp_act")


def likelihood(model, tokens, vectors):
    logits = model.logits(model.splice(tokens, "mlp_act", vectors))[:, :-1]
    return torch.log_softmax(logits, dim=-1).gather(2, tokens[:, 1:, None])[..., 0]


@pytest.mark.parametrize("name", ["A/1", "A/neurons"])
def test_effects_are_those_of_passes_without_the_feature(measured, plain, name):
    tokens, model, x = plain
    table = artifacts.read_table(measured.layout.features(name) / artifacts.EFFECTS)
    sae = load_dictionary(measured.layout.sae("A/1"))
    f, W = (x, torch.eye(x.shape[-1])) if name == "A/neurons" else (sae.encode(x.flatten(0, 1)).view(*tokens.shape, -1), sae.W_dec)
    intact = likelihood(model, tokens, x)
    for feature in table["feature"].unique()[:20]:
        rows = table[table["feature"] == feature]
        change = likelihood(model, tokens, x - f[..., feature, None] * W[feature]) - intact
        context, pos = (rows[column].to_numpy() for column in ("context", "pos"))
        assert np.allclose(rows["activation"], f.numpy()[context, pos, feature], rtol=2e-3, atol=1e-5)  # neurons are stored in 16 bits
        assert np.allclose(rows["effect"], change.numpy()[context, pos], rtol=2e-3, atol=2e-4)
    assert table["effect"].abs().max() > 0.05


@pytest.mark.parametrize("name", ["A/1", "A/neurons"])
def test_each_firing_of_a_window_has_one_row(measured, name):
    folder, side, n_ctx = measured.layout.features(name), measured.settings.features.window, 12
    examples = artifacts.read_table(folder / artifacts.EXAMPLES)
    wanted = {(row.feature, row.context, pos) for row in examples.itertuples() for pos in range(max(0, row.pos - side - 1), min(n_ctx - 1, row.pos + side + 1))}
    matrix = EvaluationMatrix(folder / artifacts.MATRIX)
    dense = np.concatenate([shard if isinstance(shard, np.ndarray) else shard.toarray() for shard in matrix]).reshape(-1, n_ctx, matrix.n_features)
    table = artifacts.read_table(folder / artifacts.EFFECTS)
    found = list(zip(table["feature"], table["context"], table["pos"], strict=True))
    assert found == sorted(place for place in wanted if dense[place[1], place[2], place[0]] > 0)
    assert (table["activation"] == [dense[context, pos, feature] for feature, context, pos in found]).all()


def test_examples_that_were_changed_are_refused(world, stage):
    stage(world)
    path = world.layout.features("A/1") / artifacts.EXAMPLES
    artifacts.write_table(path, artifacts.read_table(path).iloc[1:])
    with pytest.raises(ArtifactError, match="examples.parquet.*checksum"):
        measure(settings=world.settings, name="A/1", models=world.layout.root / "model", dictionaries=world.layout.root / "sae",
                evaluation=world.layout.evaluation(), out=world.layout.features("A/1"))
