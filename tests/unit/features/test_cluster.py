import numpy as np
import pytest

from replication.features import cluster


def cloud(draw, n, density, bias, product):
    return np.stack([draw.normal(density, 0.3, n), draw.normal(bias, 0.05, n), draw.normal(product, 0.1, n)], axis=1)


def test_two_planted_clusters_are_found():
    draw = np.random.default_rng(0)
    features = np.concatenate([cloud(draw, 300, -4.3, -0.2, 0.3), cloud(draw, 700, -2.5, 0.1, 0.8)])
    found = cluster.find(*features.T, seed=0)
    assert found.lower[:300].mean() > 0.99 and found.lower[300:].mean() < 0.01
    assert found.clear and found.separation > 5 and found.bic_gain > 100 and found.valley < 0.2


def test_one_cloud_has_no_clear_lower_part():
    found = cluster.find(*cloud(np.random.default_rng(1), 1000, -2.5, 0.1, 0.8).T, seed=0)
    assert not found.clear and not found.lower.any() and found.bic_gain < 0


@pytest.mark.parametrize("skew", [1.5, 4.0])
def test_a_long_tail_alone_is_no_second_mode(skew):
    draw = np.random.default_rng(2)
    density = -2 - draw.gamma(skew, 0.4, 2000)
    found = cluster.find(density, draw.normal(0, 0.1, 2000), draw.normal(0.8, 0.1, 2000), seed=0)
    assert not found.clear  # two components may describe a tail better, but there is no valley


def test_axes_without_variation_and_few_features():
    draw = np.random.default_rng(3)
    features = np.concatenate([cloud(draw, 300, -4.3, -0.2, 0.3), cloud(draw, 700, -2.5, 0.1, 0.8)])
    features[:, 2] = 1 + 1e-8 * draw.normal(size=1000)  # an encoder that is still the decoder's transpose, but for rounding
    found = cluster.find(*features.T, seed=0)
    assert found.lower[:300].mean() > 0.99 and found.lower[300:].mean() < 0.01
    few = cluster.find(*features[:10].T, seed=0)
    assert not few.lower.any() and not few.clear and few.valley == 1
    assert not cluster.find(*np.empty((0, 3)).T, seed=0).clear


def test_same_seed_same_clusters():
    features = np.random.default_rng(4).normal(size=(200, 3))
    assert cluster.find(*features.T, seed=5).valley == cluster.find(*features.T, seed=5).valley
