import json

import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.disagreement import grid, headline
from tests.planted import raw

N_CTX, CONTEXTS = 12, 6
PLACE = np.arange(N_CTX * CONTEXTS) % N_CTX


@pytest.fixture
def settings():
    return STUDIES["disagreement"].settings(resolve(raw(bootstrap=50)))


def test_cells_hold_every_token_once_and_windows_are_of_their_cell():
    activation = np.where(PLACE < 3, PLACE + 1, 0).astype(np.float32)  # a token in each third
    on = np.isin(PLACE, (2, 3))
    texts = np.arange(len(PLACE), dtype=np.int32).reshape(-1, N_CTX)
    rows = grid(activation, on, texts, [str(k) for k in range(len(PLACE))], np.random.default_rng(0))
    cells = rows[rows["kind"] == "cell"].set_index(["level", "proxy"])["count"]
    assert cells.to_dict() == {(0, 0): 8 * CONTEXTS, (0, 1): CONTEXTS, (1, 0): CONTEXTS, (1, 1): 0, (2, 0): CONTEXTS, (2, 1): 0, (3, 0): 0,
                               (3, 1): CONTEXTS}
    for row in rows[rows["kind"] == "window"].itertuples():
        token = int(json.loads(row.tokens)[int(row.centre)])
        assert on[token] == row.proxy
        assert activation[token] == row.activation == row.level


def test_disagreement_is_counted_by_hand(settings):
    """The feature fires at places 0, 6 and 11, the proxy is on at 5, 6 and 10: it is on at 5 before the feature, and at 10 before it too."""
    fires, on = np.isin(PLACE, (0, 6, 11)), np.isin(PLACE, (5, 6, 10))
    found = {key: number.value for key, number in headline(fires, on, np.arange(CONTEXTS), settings).items()}
    assert found == pytest.approx({"feature_only": 2 / 3, "proxy_only": 2 / 3, "feature_only_near": 1 / 2, "proxy_only_near": 1, "proxy_only_next": 1})


def test_the_next_token_is_of_the_same_text(settings):
    fires, on = PLACE == 0, PLACE == N_CTX - 1
    assert headline(fires, on, np.arange(CONTEXTS), settings)["proxy_only_next"].value == 0
