"""Attribution of matched features, beside numpy on dense tables; and the extreme pair."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.phenomenology import similarity_scatter
from tests.planted import raw


def test_correlation_of_sparse_columns_is_numpys():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(200, 3)) * (rng.random((200, 3)) < 0.2) for _ in range(2))
    x[:, 2] = y[:, 2]
    x[:, 1] = 0
    sums = sum(similarity_scatter.moments(sparse.csc_array(x[some]), sparse.csc_array(y[some])) for some in (slice(0, 90), slice(90, 200)))
    found = similarity_scatter.correlation(sums, 200)
    assert found[0] == pytest.approx(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(1)


@pytest.fixture
def table():
    return pd.DataFrame({"feature": range(5), "match": range(5), "chosen": [0.95, 0.92, 0.5, 0.97, 0.2], "activation": [0.9, 0.93, 0.5, 0.96, 0.1],
                         "logits": [0.5, -0.2, -0.9, 0.1, 0.0], "attribution": [0.8, 0.7, 0.6, 0.5, 0.4], "density": [0.1, 0.2, 0.3, 0.4, 0.5]})


def test_the_extreme_pair_is_alike_in_activation_and_not_in_logit_weights(table):
    assert similarity_scatter.most_extreme(table)["feature"] == 1  # 2 has lower logit weights, but does not match
    assert similarity_scatter.most_extreme(table[table["chosen"] < 0.9]) is None


def test_numbers(table):
    settings = STUDIES["similarity_scatter"].settings(resolve(raw(bootstrap=50)))
    found = similarity_scatter.headline({"A/1": table}, similarity_scatter.most_extreme(table), settings)
    assert found["attribution_minus_logits"].value == pytest.approx(0.6 - 0.0)
    assert found["activation_minus_logits"].value == pytest.approx(0.9 - 0.0)
    assert found["attribution_minus_logits_same"].value == pytest.approx(np.median([0.8, 0.7, 0.6, 0.5]) - np.median([0.5, -0.2, -0.9, 0.1]))
    assert (found["extreme_activation"].value, found["extreme_logits"].value, found["extreme_density"].value) == (0.93, -0.2, 0.2)
    assert found["extreme_logits"].n == 3


def test_a_sample_keeps_the_extreme_pair(table, monkeypatch):
    monkeypatch.setattr(similarity_scatter, "DRAWN", 1)
    settings = STUDIES["similarity_scatter"].settings(resolve(raw(bootstrap=50)))
    assert 1 in similarity_scatter.sample(table, settings)["feature"].tolist()
