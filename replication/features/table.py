"""The table of a dictionary's features: what they do, what they are made of, and which part each belongs to."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from replication.features import cluster
from replication.randomness import Seed
from replication.sae.dictionary import Dictionary

ULTRALOW = 1e-6  # density; source: paper, appendix on feature density
MEASURABLE_TOKENS = 10_000_000  # fewer cannot tell a density of one in a million from silence
MOVED = 0.5  # cosine with its start below which a direction counts as moved (ours)
ALIGNED = 3  # neurons listed for each feature, as in the paper's published viewer


@dataclass(frozen=True)
class Start:
    """Directions of the features when they were last (re)started [d_sae, d_in], and how often each was resampled."""

    W_dec: Float[Tensor, "d_sae d_in"]
    resampled: Int[Tensor, " d_sae"]


def weights(dictionary: Dictionary, start: Start | None) -> pd.DataFrame:
    """Columns from the weights: bias (b_enc), decoder_encoder (W_dec[i] . W_enc[:, i]), cosine of the two, encoder_norm,
    start_cosine, moved, resampled (times; these three are missing without a start), and the elements of the site (neurons, for `mlp_act`) that the decoder row
    lies on most: top_neurons, top_neuron_weights (signed) and top_neuron_shares (of the row's L1 norm).
    """
    W_enc, W_dec = dictionary.W_enc.T.cpu(), dictionary.W_dec.cpu()
    start_cosine = F.cosine_similarity(W_dec, start.W_dec.cpu(), dim=1) if start else torch.full((len(W_dec),), torch.nan)
    size, place = W_dec.abs().topk(min(ALIGNED, W_dec.shape[1]), dim=1)
    return pd.DataFrame({
        "bias": dictionary.b_enc.cpu().numpy(),
        "decoder_encoder": (W_enc * W_dec).sum(dim=1).numpy(),
        "cosine": F.cosine_similarity(W_enc, W_dec, dim=1).numpy(),
        "encoder_norm": W_enc.norm(dim=1).numpy(),
        "start_cosine": start_cosine.numpy(),
        "moved": (start_cosine < MOVED).numpy() if start else pd.array([pd.NA] * len(W_dec), dtype="boolean"),
        "resampled": start.resampled.cpu().numpy().astype(np.int32) if start else pd.array([pd.NA] * len(W_dec), dtype="Int32"),
        "top_neurons": list(place.numpy().astype(np.int32)),
        "top_neuron_weights": list(torch.gather(W_dec, 1, place).numpy()),
        "top_neuron_shares": list((size / W_dec.abs().sum(dim=1, keepdim=True)).numpy()),
    })


def parts(table: pd.DataFrame, *, n_tokens: int, seed: Seed) -> tuple[pd.DataFrame, cluster.Clusters]:
    """Columns `part` and `cluster`, and how far the clusters are apart.

    `part` is dead (silent on all evaluation tokens), ultralow or other. With at least ten million evaluation tokens
    ultralow means a density below one in a million, as in the paper. With fewer, that cannot be measured, and the lower
    cluster of the mixture stands in for it where two modes are clear (`Clusters.clear`), else no feature is ultralow.
    `cluster` is lower or upper, missing for dead features. Needs fired, density, bias and decoder_encoder.
    """
    live = (table["fired"] > 0).to_numpy()
    alive = table[live]
    found = cluster.find(np.log10(alive["density"].to_numpy()), alive["bias"].to_numpy(), alive["decoder_encoder"].to_numpy(), seed=seed)
    names = pd.Series([None] * len(table), dtype="str")
    names[live] = np.where(found.lower, "lower", "upper")
    low = np.zeros(len(table), dtype=bool)
    if n_tokens >= MEASURABLE_TOKENS:
        low = live & (table["density"].to_numpy() < ULTRALOW)
    elif found.clear:
        low[live] = found.lower
    return pd.DataFrame({"part": np.select([~live, low], ["dead", "ultralow"], "other"), "cluster": names}), found
