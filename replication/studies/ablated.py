"""What ablating some features does to the next token, on as many of their tokens as a study wants."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from replication.features.ablation import effects
from replication.model.transformer import Transformer

TOKENS_AT_ONCE = 8_192  # of one forward pass
LOGITS_AT_ONCE = 2**21
Fired = tuple[NDArray[np.int64], NDArray[np.float32]]


@torch.no_grad()
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
    token, effect = pairs["token"].to_numpy(), np.empty(len(pairs), np.float32)
    text, texts = torch.from_numpy(tokens.astype(np.int64)), np.unique(token // n_ctx)
    for batch in np.split(texts, range(step := max(1, TOKENS_AT_ONCE // n_ctx), len(texts), step)):
        mid = model.resid_mid(text[batch]).flatten(0, 1)
        low, high = np.searchsorted(token, [batch[0] * n_ctx, (batch[-1] + 1) * n_ctx]) if len(batch) else (0, 0)
        for start in range(low, high, at_once := max(1, LOGITS_AT_ONCE // model.architecture.d_vocab)):
            some = slice(start, min(start + at_once, high))
            here, place = np.unique(token[some], return_inverse=True)
            rows = torch.from_numpy(np.searchsorted(batch, here // n_ctx) * n_ctx + here % n_ctx)
            feature, activation = (torch.from_numpy(pairs[name].to_numpy()[some].copy()) for name in ("feature", "activation"))
            found = effects(model, model.read_from(mid[rows], "resid_post"), text.flatten()[torch.from_numpy(here + 1)], directions,
                            torch.from_numpy(place), feature, activation)
            effect[some] = found.numpy()
    return pairs.assign(effect=effect).sort_values(["feature", "token"], ignore_index=True)
