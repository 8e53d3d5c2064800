"""What a dictionary must beat: sums per context, and the order of the differences."""

import numpy as np
import pandas as pd
import pytest
import torch

from replication.features.losses import context_losses
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress
from replication.resolution import resolve
from replication.studies import STUDIES, recovered
from replication.studies.overall import baselines
from tests.planted import raw


def test_a_perfect_description_leaves_the_models_own_loss_and_none_that_of_the_zeroed_site():
    shape = Architecture(d_model=8, d_mlp=16, n_heads=2, n_ctx=10, act_fn="relu", d_vocab=30)
    model = Transformer(shape).initialise(0).eval().requires_grad_(False)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 30, (5, 10), dtype=np.int32))
    fitted = {"perfect": lambda x: (x, (x > 0).sum(1)), "nothing": lambda x: (torch.zeros_like(x), torch.zeros(len(x), dtype=torch.int64))}
    found = baselines.measure(model, tokens, fitted, "mlp_act", Progress())
    batch = tokens.long()
    mid = model.resid_mid(batch)
    x = model.mlp_act(mid)
    np.testing.assert_allclose(found["perfect"]["loss_reconstructed"], context_losses(model, batch, model.resid_post(batch)), rtol=1e-5)
    np.testing.assert_allclose(found["nothing"]["loss_reconstructed"],
                               context_losses(model, batch, model.splice_into(mid, "mlp_act", torch.zeros_like(x))), rtol=1e-5)
    np.testing.assert_allclose(found["perfect"]["l0"], (x > 0).sum((1, 2)))
    np.testing.assert_allclose(found["perfect"]["squared_error"], 0)
    np.testing.assert_allclose(found["nothing"]["squared_error"], x.square().mean(2).sum(1), rtol=1e-5)


def test_differences_are_paired_and_positive_where_the_dictionary_is_ahead():
    settings = STUDIES["baselines"].settings(resolve(raw(bootstrap=100)))
    assert list(settings.dictionaries) == ["A/1"]
    base = np.linspace(2, 6, 40)
    table = pd.DataFrame({"source": range(40), "tokens": 10, "predicted": 9, "loss": 9 * base, "loss_zero": 9 * (base + 1), "loss_mean": 9 * (base + 0.5),
                          "l0": 80.0, "squared_error": 1.0, "variance": 10.0})
    shares = {"trained": 0.9, "topk": 0.85, "refit": 0.95, "neurons": 0.8, "pca": 0.6, "untrained": 0.5, "random": 0.4}
    tables = {name: table.assign(loss_reconstructed=9 * (base + 1 - share)) for name, share in shares.items()}
    measured = recovered.paired(tables, settings)
    numbers = baselines.headline(measured)
    assert numbers["trained_minus_neurons"].value == pytest.approx(0.1)
    assert (numbers["trained_minus_neurons"].low, numbers["trained_minus_neurons"].high) == pytest.approx((0.1, 0.1))
    assert numbers["trained_minus_topk"].value == pytest.approx(0.05)
    assert numbers["refit_minus_trained"].value == pytest.approx(0.05)
    rows = baselines.rows(tables, measured, "A/1").set_index("method")
    assert rows.loc["pca", "recovered"] == pytest.approx(0.6)
    assert rows.loc["pca", "explained"] == pytest.approx(0.9)
    assert rows.loc["random", "l0"] == 8.0


def test_contexts_of_a_half_are_spread_over_it():
    half = np.arange(1, 4096, 2)
    chosen = baselines.spread(half)
    assert (len(chosen), chosen[0], chosen[-1]) == (baselines.CONTEXTS, 1, 4095)
    assert set(chosen) <= set(half)
    assert baselines.spread(half[:5]).tolist() == half[:5].tolist()
