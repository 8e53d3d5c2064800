"""What ablating some features does to the next token, on as many of their tokens as a study wants."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.features.ablation import in_texts
from replication.model.transformer import Transformer

Fired = tuple[NDArray[np.int64], NDArray[np.float32]]


def ablated(
    model: Transformer, directions: Float[Tensor, "feature d_model"], tokens: NDArray[np.int32], fired: Sequence[Fired],
) -> pd.DataFrame:
    """Columns feature (its place in `fired`), token, activation, effect (change of the next token's log-likelihood in nats).

    `tokens` [context, n_ctx] are texts, `fired` the tokens (flat numbers) and activations of each feature, `directions` what
    the features write to the stream. A text's last token has no next one and is left out.
    """
    n_ctx = tokens.shape[1]
    pairs = pd.concat([pd.DataFrame({"feature": place, "token": token, "activation": activation.astype(np.float32)})
                       for place, (token, activation) in enumerate(fired)], ignore_index=True)
    pairs = pairs[pairs["token"] % n_ctx < n_ctx - 1].sort_values(["token", "feature"], ignore_index=True)
    token, feature, activation = (pairs[name].to_numpy() for name in ("token", "feature", "activation"))
    effect = in_texts(model, tokens, directions, token, feature, activation)
    return pairs.assign(effect=effect).sort_values(["feature", "token"], ignore_index=True)
