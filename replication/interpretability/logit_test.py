"""The tokens of the second test: does a unit make a token likelier? Half of them it does, half are random.

The ten strongest logit weights are evidence that an explainer sees; the next fifty are tested. Source: paper, appendix
"Automated interpretability".
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.features.logit_weights import Readout
from replication.interpretability.protocol import RANDOM_LOGITS, SHOWN_LOGITS, TESTED_LOGITS
from replication.randomness import Seed, generator


@torch.no_grad()
def draw(readout: Readout, directions: Float[Tensor, "unit d_model"], features: NDArray[np.int64], *, seed: Seed) -> pd.DataFrame:
    """A row per unit: `positive` and `negative` (token ids of the strongest logit weights, strongest first), and the test in random
    order: `test_tokens`, `test_promoted`. With few kept tokens there are fewer.
    """
    rows = []
    kept = readout.kept.cpu().numpy()
    at_most = len(kept)
    for some, names in zip(directions.split(readout.block), np.split(features, range(readout.block, len(features), readout.block)), strict=True):
        weights = readout(some)
        upper = weights.topk(min(SHOWN_LOGITS + TESTED_LOGITS, at_most), dim=1).indices.cpu().numpy()
        lower = weights.topk(min(SHOWN_LOGITS, at_most), dim=1, largest=False).indices.cpu().numpy()
        for feature, high, low in zip(names.tolist(), upper, lower, strict=True):
            rng = generator(seed, "interpretability.logits", feature)
            others = np.delete(np.arange(at_most), high)
            random = rng.choice(others, min(RANDOM_LOGITS, len(others)), replace=False)
            tested = np.concatenate((high[SHOWN_LOGITS:], random))
            order = rng.permutation(len(tested))
            rows.append({"positive": kept[high[:SHOWN_LOGITS]], "negative": kept[low], "test_tokens": kept[tested[order]],
                         "test_promoted": order < len(high) - SHOWN_LOGITS})
    table = pd.DataFrame(rows, columns=["positive", "negative", "test_tokens", "test_promoted"])
    return table.map(lambda tokens: tokens if tokens.dtype == bool else tokens.astype(np.int32))
