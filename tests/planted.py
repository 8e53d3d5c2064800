"""A run made of planted tables: what the stages up to `features` leave behind, without training anything."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from scipy import sparse

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Config, Sae, resampling_steps
from replication.features import pairs, tables
from replication.features.matrix import MatrixWriter
from replication.provenance import Stopwatch


def raw(d_sae: int = 160, d_mlp: int = 24, contexts: int = 64, bootstrap: int = 60) -> dict:
    """A config in the shape of `laptop`, small."""
    return {
        "run": "planted", "corpus": {"d_vocab": 512}, "model": {"d_model": 16, "d_mlp": d_mlp, "n_ctx": 32, "tokens": 10_000},
        "models": {"A": {}, "B": {"seed": 1, "stream": 1}, "random": {"shuffle_of": "A"}},
        "activations": {"vectors": 400_000, "per_context": 8, "block": 8000},
        "sae": {"l1": 0.003, "batch": 1000, "vectors": 200_000, "min_window": 5000, "init": "kaiming", "l1_warmup": 0.5, "log_every": 10},
        "dictionaries": {
            "A/2": {"d_sae": 4 * d_sae}, "A/1": {"d_sae": d_sae, "replicates": 3}, "A/0": {"d_sae": d_sae // 8, "replicates": 3},
            "A/l1_low": {"d_sae": d_sae, "l1": 0.002}, "A/l1_high": {"d_sae": d_sae, "l1": 0.005},
            "A/kaiming": {"d_sae": d_sae, "l1_warmup": 0},
            "B/1": {"d_sae": d_sae}, "random/1": {"d_sae": d_sae}},
        "features": {"contexts": contexts, "shard_contexts": contexts // 2}, "studies": {"bootstrap": bootstrap},
    }


def plant(root: Path, config: Config) -> Layout:
    """Every table that a study reads."""
    layout = Layout(root)
    write_json(config, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10 + "beef", "matches_reference": True})
    for index, (name, sae) in enumerate(config.dictionaries.items()):
        dictionary(layout, config, name, sae, np.random.default_rng(index))
    match_table(layout, config)
    return layout


def dictionary(layout: Layout, config: Config, name: str, sae: Sae, rng: np.random.Generator) -> None:
    """Two clusters of features; the lower one shares its encoder direction."""
    d_in, n_ctx = config.models[name.partition("/")[0]].d_mlp, config.models["A"].n_ctx
    contexts = config.features.contexts
    tokens = contexts * n_ctx
    lower = rng.random(sae.d_sae) < (0.75 if name == "A/kaiming" else 0.2)
    shrink = 0.3 * np.log10(sae.d_sae / config.dictionaries["A/1"].d_sae)
    expected = 10 ** np.where(lower, rng.normal(-3.4, 0.3, sae.d_sae), rng.normal(-2.2 - shrink, 0.5, sae.d_sae))
    wanted = rng.binomial(tokens, np.minimum(expected, 0.5))
    places = np.unique(rng.integers(tokens, size=wanted.sum()) * sae.d_sae + np.repeat(np.arange(sae.d_sae), wanted))
    values = rng.exponential(1, len(places)).astype(np.float32) + np.float32(0.01)
    chosen = sparse.csr_array((values, (places // sae.d_sae, places % sae.d_sae)), shape=(tokens, sae.d_sae))
    folder = layout.features(name)
    with MatrixWriter(path := folder / artifacts.MATRIX, n_features=sae.d_sae, contexts=contexts, n_ctx=n_ctx,
                      shard_contexts=config.features.shard_contexts, dense=False) as writer:
        step = config.features.shard_contexts * n_ctx
        for start in range(0, tokens, step):
            writer.append(chosen[start:start + step])
    shared = rng.normal(size=d_in)
    encoder = rng.normal(size=(sae.d_sae, d_in))
    decoder = rng.laplace(size=(sae.d_sae, d_in)) ** 3
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    encoder = np.where(lower[:, None], 3 * shared + encoder, 0.8 * decoder * np.sqrt(d_in) + 0.5 * encoder) / np.sqrt(d_in)
    bias = np.where(lower, rng.normal(-0.6, 0.1, sae.d_sae), rng.normal(-0.3, 0.15, sae.d_sae)).astype(np.float32)
    save(config, layout.sae(name), artifacts.SAE_WEIGHTS, {
        "W_enc": np.ascontiguousarray(encoder.T, np.float32), "b_enc": bias,
        "W_dec": decoder.astype(np.float32), "b_dec": np.zeros(d_in, np.float32)})
    fired = np.bincount(places % sae.d_sae, minlength=sae.d_sae)
    live = fired > 0
    part = np.where(~live, "dead", np.where(lower, "ultralow", "other"))
    table = pd.DataFrame({
        "feature": np.arange(sae.d_sae), "density": fired / tokens, "fired": fired,
        "bias": bias, "decoder_encoder": (encoder * decoder).sum(1),
        "moved": ~lower | (rng.random(sae.d_sae) < 0.1), "part": part, "cluster": np.where(live, np.where(lower, "lower", "upper"), None)})
    table.to_parquet(folder / artifacts.FEATURES, index=False)
    size, strength = np.log2(sae.d_sae), np.log(sae.l1 / 0.003)
    share = (0.55 + 0.035 * size - 0.06 * strength + 0.004 * rng.normal()) if not name.startswith("random") else 0.5
    base = rng.normal(4.0, 0.3, contexts)
    per = n_ctx - 1
    zero = base + (0.5 + 0.1 * rng.random(contexts) if not name.startswith("random") else 0.01 * rng.normal(size=contexts))
    mean = base + (zero - base) * 0.7
    losses = pd.DataFrame({"context": np.arange(contexts), "tokens": n_ctx, "predicted": per, "loss": per * base, "loss_zero": per * zero,
                           "loss_mean": per * mean, "loss_reconstructed": per * (zero - share * (zero - base)),
                           "l0": n_ctx * 10 * np.exp(-0.9 * strength) * rng.gamma(50, 1 / 50, contexts) * (size / 10)})
    losses.to_parquet(folder / artifacts.LOSSES, index=False)
    (folder / artifacts.EVALUATION).write_text(json.dumps({
        "dictionary": name, "tokens": tokens, "contexts": contexts, "ultralow_measurable": False, "l0": float(losses["l0"].sum() / tokens),
        "mixture": {"separation": 4.2, "bic_gain": 100.0, "valley": 0.2, "clear": True}, "features": sae.d_sae}))
    finish(config, folder, path.name, artifacts.FEATURES, artifacts.LOSSES, artifacts.EVALUATION)
    training_log(config, layout.sae(name), sae, rng)
    finish(config, layout.sae(name), artifacts.SAE_WEIGHTS, artifacts.TRAINING_LOG)


def training_log(config: Config, folder: Path, sae: Sae, rng: np.random.Generator) -> None:
    """Loss that falls, and rises by a tenth in the row after each resampling."""
    steps, after = sae.vectors // sae.batch, resampling_steps(sae)
    rows = []
    for step in sorted({*range(sae.log_every, steps + 1, sae.log_every), *after, *(s + 1 for s in after), steps}):
        spike = 1.1 if step - 1 in after else 1.0
        l1 = sae.l1 * min(1.0, step / (sae.l1_warmup * steps)) if sae.l1_warmup else sae.l1
        mse, norm = 0.01 * (1 + 20 / step) * spike, 4.0 * spike * (1 + 5 / step)
        rows.append({"step": step, "vectors": step * sae.batch, "loss": mse + l1 * norm, "mse": mse, "l1": norm, "l1_coefficient": l1,
                     "l0": 12 + 100 / step + 0.1 * rng.normal(), "dead": 12 if step in after else int(20 * np.exp(-step / 60)),
                     "resampled": 12 if step in after else 0})
    artifacts.write_rows(folder / artifacts.TRAINING_LOG, rows)


def match_table(layout: Layout, config: Config) -> None:
    """Correlations as in the paper: features match features best, their own neurons least."""
    rng = np.random.default_rng(7)
    wanted = dict.fromkeys(pairs(config))
    wanted |= dict.fromkeys((name, other) for name in config.dictionaries if name.startswith("A/1-r") for other in ("B/1", "A/neurons"))
    parts = []
    for left, right in wanted:
        n = config.models["A"].d_mlp if left.endswith("neurons") else config.dictionaries[left].d_sae
        centre = 0.46 if left.endswith("neurons") else 0.38 if right.endswith("neurons") else 0.74
        value = np.clip(rng.normal(centre, 0.15, n), -0.1, 0.99)
        parts.append(pd.DataFrame({"dictionary": left, "feature": np.arange(n), "other": right, "match": 0, "correlation_chosen": value,
                                   "correlation": value, "logit_correlation": value}))
    folder = layout.evaluation()
    pd.concat(parts, ignore_index=True).to_parquet(folder / artifacts.MATCHES, index=False)
    finish(config, folder, artifacts.MATCHES, name=artifacts.MATCHES_META)
    assert tables(config)


def write_json(config: Config, folder: Path, file: str, value: dict) -> None:
    artifacts.write_json(folder / file, value)
    finish(config, folder, file)


def save(config: Config, folder: Path, file: str, tensors: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / file)
    finish(config, folder, file)


def finish(config: Config, folder: Path, *files: str, name: str = artifacts.META) -> None:
    artifacts.write_meta(folder, stage="planted", settings=config.settings(), files={file: folder / file for file in files}, inputs={},
                         stopwatch=Stopwatch(), name=name)
