"""What ablating one feature does to the next token: exact, without another pass through the model.

Ablation subtracts the feature's part f_i(x) d_i from the MLP's activations at every position of a text and finishes the pass
(paper, "Feature ablations"; not: replaces the activations by the reconstruction). Past the MLP a position is on its own, so the
change of a token's log-likelihood comes from the position before it alone:

    r' = r - f W_dec[i] W_out,    effect = log p(next | r') - log p(next | r)

The final layer norm is linear in r but for its scale, so logits of r' are those of r minus f times the feature's own, over the
new scale: no product with the unembedding is needed per pair.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings
from replication.features.logit_weights import written
from replication.features.matrix import HALVES, REPORTING, EvaluationMatrix
from replication.features.tokens import read
from replication.model.store import load as load_model
from replication.model.transformer import EPS, Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae import load as load_dictionary

BLOCK = 2**21  # logits of pairs that exist at one time: 8 MB stay near a CPU's cache


@torch.no_grad()
def effects(
    model: Transformer, resid_post: Float[Tensor, "token d_model"], following: Int[Tensor, " token"],
    directions: Float[Tensor, "feature d_model"], token: Int[Tensor, " pair"], feature: Int[Tensor, " pair"], activation: Float[Tensor, " pair"],
) -> Float[Tensor, " pair"]:
    """Change of the log-likelihood of `following[token]` in nats when `activation` times a direction is taken from the stream.

    Negative: ablating hurts. `directions` are what features write to the stream (`logit_weights.written`). Pairs in any order.
    """
    w, W_U, bias = model.ln_final.w, model.unembed["W_U"], model.ln_final.b @ model.unembed["W_U"] + model.unembed["b_U"]
    centred = resid_post - resid_post.mean(dim=1, keepdim=True)
    ablated = directions - directions.mean(dim=1, keepdim=True)
    readout = w[:, None] * W_U
    intact = torch.log_softmax(centred / (centred.square().mean(dim=1, keepdim=True) + EPS).sqrt() @ readout + bias, dim=1)
    likelihood = intact.gather(1, following[:, None].long()).squeeze(1)
    found = torch.empty_like(activation)
    order = torch.argsort(token, stable=True)
    at_once = max(1, BLOCK // W_U.shape[1])
    of_feature = ablated @ readout
    for some in order.split(at_once):
        at, which, f = token[some], feature[some], activation[some, None]
        scale = ((centred[at] - f * ablated[which]).square().mean(dim=1, keepdim=True) + EPS).sqrt()
        # the intact logits before the scale are a product per token, not per pair: pairs are sorted by token
        tokens, place = torch.unique_consecutive(at, return_inverse=True)
        plain = centred[tokens] @ readout
        logits = plain[place].sub_(f * of_feature[which]).div_(scale).add_(bias)
        aimed = logits.gather(1, following[at, None].long()).squeeze(1)
        found[some] = aimed - torch.logsumexp(logits, dim=1) - likelihood[at]
    return found


def measure(*, settings: Settings, dictionary: Path, model: Path, evaluation: Path, matrix: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `ablation.parquet`: context, pos, feature, activation, effect of every fired pair that has a next token.

    On the first `studies.ablation_contexts` texts of the half that is not used for choosing. Raises ArtifactError when an upstream
    file is missing or changed.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.studies and settings.activations and settings.compute
    device = compute.device(settings.compute)
    transformer, sae = load_model(model, device), load_dictionary(dictionary, str(device))
    tokens = read(evaluation)
    artifacts.check(matrix, artifacts.MATRIX)
    fired = EvaluationMatrix(matrix / artifacts.MATRIX)
    directions = written(transformer, settings.activations.site, sae.W_dec)
    chosen = np.arange(REPORTING, len(tokens), len(HALVES))[: settings.studies.ablation_contexts]
    parts = []
    for k in range(fired.shards):
        shard, contexts = fired.shard(k), fired.contexts_of(k)
        assert not isinstance(shard, np.ndarray)
        for context in (context for context in contexts if context in chosen):
            rows = shard[(context - contexts.start) * fired.n_ctx : (context - contexts.start + 1) * fired.n_ctx - 1].tocoo()
            text = tokens[context].long().to(device)
            pos, feature, activation = (torch.from_numpy(part).to(device) for part in (rows.row.astype(np.int64), rows.col.astype(np.int64), rows.data))
            effect = effects(transformer, transformer.resid_post(text[None])[0, :-1], text[1:], directions, pos, feature, activation)
            parts.append(pd.DataFrame({"context": np.int32(context), "pos": rows.row.astype(np.int32), "feature": rows.col.astype(np.int32),
                                       "activation": rows.data, "effect": effect.cpu().numpy()}))
            progress(len(parts), len(chosen))
    path = out / artifacts.ABLATION
    artifacts.write_table(path, pd.concat(parts, ignore_index=True))
    inputs = {"matrix": fired.path, "dictionary": dictionary / artifacts.SAE_WEIGHTS, "model": model / artifacts.WEIGHTS}
    artifacts.write_meta(out, stage="features", settings=settings, files={"ablation": path}, inputs=inputs, stopwatch=stopwatch,
                         device=str(device), name=artifacts.ABLATION_META)
