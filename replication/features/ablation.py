"""What ablating one feature does to the next token: exact, without another pass through the model.

Ablation subtracts the feature's part f_i(x) d_i from the MLP's activations at every position of a text and finishes the pass
(paper, "Feature ablations"; not: replaces the activations by the reconstruction). Past the MLP a position is on its own, so the
change of a token's log-likelihood comes from the position before it alone:

    r' = r - f W_dec[i] W_out,    effect = log p(next | r') - log p(next | r)

A product with the unembedding for each pair is cheaper than the passes over memory that changing the intact logits would take.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features.logit_weights import written
from replication.features.losses import FORWARD_TOKENS
from replication.features.matrix import HALVES, REPORTING, EvaluationMatrix
from replication.features.tokens import read
from replication.model.store import load as load_model
from replication.model.transformer import EPS, Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae import load as load_dictionary
from replication.sae import site_of

BLOCK = {"cpu": 2**21, "cuda": 2**27}  # logits that exist at one time: 8 MB stay near a CPU's cache


@torch.no_grad()
def effects(
    model: Transformer, resid_post: Float[Tensor, "token d_model"], following: Int[Tensor, " token"],
    directions: Float[Tensor, "feature d_model"], token: Int[Tensor, " pair"], feature: Int[Tensor, " pair"], activation: Float[Tensor, " pair"],
) -> Float[Tensor, " pair"]:
    """Change of the log-likelihood of `following[token]` in nats when `activation` times a direction is taken from the stream.

    Negative: ablating hurts. `directions` are what features write to the stream (`logit_weights.written`). Pairs in any order.
    """
    w, W_U = model.ln_final.w, model.unembed["W_U"]
    readout, bias = w[:, None] * W_U, model.ln_final.b @ W_U + model.unembed["b_U"]
    centred, ablated = (rows - rows.mean(dim=1, keepdim=True) for rows in (resid_post, directions))
    at_once = max(1, BLOCK[W_U.device.type] // W_U.shape[1])

    def likelihood(stream: Tensor, target: Tensor) -> Tensor:
        logits = torch.addmm(bias, stream / (stream.square().mean(dim=1, keepdim=True) + EPS).sqrt(), readout)
        largest = logits.amax(dim=1, keepdim=True)
        aimed = logits.sub_(largest).gather(1, target[:, None].long()).squeeze(1)
        return aimed - logits.exp_().sum(dim=1).log()  # in place, where `logsumexp` copies

    tokens, place = torch.unique(token, return_inverse=True)
    intact = torch.cat([likelihood(centred[some], following[some]) for some in tokens.split(at_once)])
    without = torch.cat([likelihood(centred[at] - f[:, None] * ablated[which], following[at]) for at, which, f in zip(
        token.split(at_once), feature.split(at_once), activation.split(at_once), strict=True)])
    return without - intact[place]


@torch.no_grad()
def in_texts(
    model: Transformer, texts: NDArray[np.int32], directions: Float[Tensor, "feature d_model"], token: NDArray[np.int64], feature: NDArray[np.int64],
    activation: NDArray[np.float32], progress: Progress | None = None,
) -> NDArray[np.float32]:
    """`effects` of pairs in many texts [context, n_ctx], a few texts at a time, on the model's device.

    `token` are flat numbers (context * n_ctx + position) in ascending order, none of them a text's last, which has no next token.
    """
    device, n_ctx = directions.device, texts.shape[1]
    found, contexts = np.empty(len(token), dtype=np.float32), np.unique(token // n_ctx)
    at_once = max(1, FORWARD_TOKENS[device.type] // n_ctx)
    for start in range(0, len(contexts), at_once):
        some = contexts[start : start + at_once]
        pairs = slice(*np.searchsorted(token, [some[0] * n_ctx, (some[-1] + 1) * n_ctx]))
        text = torch.from_numpy(texts[some].astype(np.int64)).to(device)
        at = np.searchsorted(some, token[pairs] // n_ctx) * n_ctx + token[pairs] % n_ctx
        given = (torch.tensor(part, device=device) for part in (at, feature[pairs], activation[pairs]))
        following = text.flatten().roll(-1)
        found[pairs] = effects(model, model.resid_post(text).flatten(0, 1), following, directions, *given).cpu().numpy()
        if progress:
            progress(start + len(some), len(contexts))
    return found


def measure(*, settings: Settings, dictionary: Path, model: Path, evaluation: Path, matrix: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `ablation.parquet`: context, pos, feature, activation, effect of every fired pair that has a next token.

    On the first `studies.ablation_contexts` texts of the half that is not used for choosing. Raises ArtifactError when an upstream
    file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.studies and settings.compute
    device = compute.device(settings.compute, progress)
    transformer, sae = load_model(model, device), load_dictionary(dictionary, str(device))
    tokens = read(evaluation)
    artifacts.check(matrix, artifacts.MATRIX)
    fired = EvaluationMatrix(matrix / artifacts.MATRIX)
    directions = written(transformer, site_of(dictionary, transformer.architecture.n_layers), sae.W_dec)
    chosen = np.arange(REPORTING, len(tokens), len(HALVES))[: settings.studies.ablation_contexts]
    parts = []
    for k in range(fired.shards):
        shard, contexts = fired.shard(k), fired.contexts_of(k)
        assert not isinstance(shard, np.ndarray)
        for context in (context for context in contexts if context in chosen):
            rows = shard[(context - contexts.start) * fired.n_ctx : (context - contexts.start + 1) * fired.n_ctx - 1].tocoo()
            parts.append(pd.DataFrame({"context": np.int32(context), "pos": rows.row.astype(np.int32), "feature": rows.col.astype(np.int32),
                                       "activation": rows.data}))
    pairs = pd.concat(parts, ignore_index=True)
    token = pairs["context"].to_numpy(np.int64) * fired.n_ctx + pairs["pos"].to_numpy(np.int64)
    effect = in_texts(transformer, tokens.numpy(), directions, token, pairs["feature"].to_numpy(np.int64), pairs["activation"].to_numpy(), progress)
    path = out / artifacts.ABLATION
    artifacts.write_table(path, pairs.assign(effect=effect))
    inputs = {"matrix": fired.path, "dictionary": dictionary / artifacts.SAE_WEIGHTS, "model": model / artifacts.WEIGHTS}
    artifacts.write_meta(out, stage="features", settings=settings, files={"ablation": path}, inputs=inputs, stopwatch=stopwatch,
                         device=str(device), name=artifacts.ABLATION_META)
