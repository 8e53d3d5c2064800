"""Single-token features of a shuffled model, on planted examples and vectors."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from replication.features.examples import INTERVALS
from replication.model.transformer import Architecture, Transformer
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.overall.random_transformer import choose, depth, headline, on_token, token_share, windows
from tests.planted import raw


def example(feature, group, interval, rank, tokens, strongest):
    values = np.zeros(len(tokens), np.float32)
    values[strongest] = 1.0
    return {"feature": feature, "group": group, "interval": interval, "rank": rank, "window_tokens": np.array(tokens),
            "window_activations": values, "centre": 1}


@pytest.fixture
def examples():
    """Feature 3 is on token 7; it leaves it in one example of interval 4, and returns in 5. Feature 8 stays on token 9 throughout."""
    rows = [example(3, "top", -1, rank, [1, 7, 2], 1) for rank in range(2)] + [example(8, "top", -1, 0, [9, 1, 1], 0)]
    for interval in range(INTERVALS):
        for rank in range(5):
            strays = interval == 4 and rank == 2
            rows.append(example(3, "interval", interval, rank, [7, 5, 2], 1 if strays else 0))
            rows.append(example(8, "interval", interval, rank, [1, 1, 9], 2))
    rows += [example(5, "top", -1, 0, [4, 4, 4], 0), example(3, "bottom", -1, 0, [5, 5, 5], 0)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_the_token_stays_the_same_down_to_an_interval(examples):
    same = on_token(examples, np.array([3, 8]))
    assert same[0].tolist() == [True] * 4 + [False] + [True] * 6
    assert same[1].all()
    np.testing.assert_allclose(depth(same), [4 / 11, 1])
    assert on_token(examples, np.array([], dtype=int)).shape == (0, INTERVALS)


def test_windows_hold_the_strongest_and_a_weak_example(examples):
    table = pd.DataFrame({"feature": [3, 5, 8], "single_token": [True, False, True]})
    chosen = choose(table, np.random.default_rng(0))
    assert dict(zip(chosen["feature"], chosen["kind"], strict=True)) == {3: "single", 8: "single", 5: "other"}
    found = windows(examples, chosen, SimpleNamespace(strings=[f"t{i}" for i in range(10)]))
    weak = found[(found["feature"] == 3) & (found["interval"] == 8)].iloc[0]
    assert (json.loads(weak["tokens"]), json.loads(weak["values"])) == (["t7", "t5", "t2"], [1, 0, 0])
    assert sorted(found.loc[found["feature"] == 5, "interval"]) == [-1]


def test_differences_have_the_sign_of_the_statement():
    given = raw(bootstrap=50)
    given["dictionaries"] = {"A/1": {"d_sae": 40, "replicates": 3}, "B/1": {"d_sae": 40}, "random/1": {"d_sae": 40, "replicates": 3}}
    settings = STUDIES["random_transformer"].settings(resolve(given))
    assert list(settings.dictionaries) == ["A/1", "A/1-r1", "A/1-r2", "random/1", "random/1-r1", "random/1-r2"]
    kept = {name: np.repeat([1.0, 0.0], [80, 20] if name.startswith("random") else [50, 50]) for name in settings.dictionaries}
    depths = {name: np.full(30, 0.9 if name.startswith("random") else 0.5) for name in settings.dictionaries}
    numbers = headline(kept, depths, ["A/1", "A/1-r1", "A/1-r2"], settings)
    assert numbers["single_token_difference"].value == pytest.approx(0.3)
    assert (numbers["single_token_difference"].replicates, numbers["single_token_difference"].low > 0) == (3, True)
    assert numbers["purity_difference"].value == pytest.approx(0.4)
    assert numbers["single_token_share_A"].value == pytest.approx(0.5)
    alone = headline({"A/1": kept["A/1"]}, {"A/1": np.array([])}, ["A/1"], settings)
    assert set(alone) == {"single_token_share_A"}


def test_variance_between_tokens_is_all_without_attention_and_little_without_embedding():
    shape = Architecture(d_model=16, d_mlp=32, n_heads=2, n_ctx=64, act_fn="relu", d_vocab=2000)
    model = Transformer(shape).initialise(0).eval().requires_grad_(False)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 2000, (64, 64), dtype=np.int32))
    model.pos_embed["W_pos"].zero_()
    model.block.attn.W_O.zero_()
    assert token_share(model, tokens, "mlp_act") == pytest.approx(1.0, abs=1e-4)
    model.embed["W_E"].zero_()
    model.pos_embed["W_pos"].normal_(generator=torch.Generator().manual_seed(0))
    assert token_share(model, tokens, "mlp_act") == pytest.approx(0.0, abs=0.05)
