"""Loss recovered, L0, reconstruction error and explained variance against `sae_lens.evals.run_evals` on the same tokens, offline."""

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Activations, Compute, Features, Model, Sae, Settings
from replication.corpus import shards, tokenizer
from replication.features import evaluate, site, tokens
from replication.model import load, to_hooked
from replication.model.store import save as save_model
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.sae.dictionary import Dictionary
from replication.sae.dictionary import save as save_dictionary

CONTEXTS, N_CTX, D_MLP, D_SAE, WORDS = 48, 16, 32, 64, 97
SETTINGS = Settings(run="golden", seed=0, compute=Compute(device="cpu"), activations=Activations(), sae=Sae(d_sae=D_SAE),
                    features=Features(contexts=CONTEXTS, shard_contexts=20, rare_token=0), model=Model(d_model=16, d_mlp=D_MLP, n_heads=2, n_ctx=N_CTX))


def finish(folder, *files, name=artifacts.META):
    artifacts.write_meta(folder, stage="test", settings=SETTINGS, files={file: folder / file for file in files}, inputs={}, stopwatch=Stopwatch(), name=name)


def learn(model, text):
    """Teach the MLP alone to predict the next token, so that the loss depends on it."""
    with torch.no_grad():
        for parameter in (model.embed["W_E"], model.unembed["W_U"]):
            parameter *= 30
    adam = torch.optim.Adam(model.block.mlp.parameters(), lr=0.02)
    for _ in range(60):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(model(text)[:, :-1].flatten(0, 1), text[:, 1:].flatten()).backward()
        adam.step()


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """A run with a corpus, a model whose MLP matters, and a dictionary that recovers a part of it, measured by us."""
    layout, draw = Layout(tmp_path_factory.mktemp("golden") / "run"), np.random.default_rng(0)
    corpus = layout.corpus()
    corpus.mkdir(parents=True)
    trained = tokenizer.train(["a text of some words " * 9], 270)
    trained.save(str(corpus / artifacts.TOKENIZER))
    d_vocab = trained.get_vocab_size()
    text = torch.from_numpy(draw.integers(0, WORDS, (CONTEXTS + 9, 1)) * 5 ** np.arange(N_CTX) % WORDS).int()  # each token tells the next
    shards.write_tokens(corpus / artifacts.HELD_OUT_TOKENS, text)
    shards.write_sources(corpus / artifacts.HELD_OUT_SOURCES, torch.arange(len(text)))
    artifacts.write_tensors(corpus / artifacts.UNIGRAMS, {"counts": torch.bincount(text.flatten().long(), minlength=d_vocab)})
    finish(corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    finish(corpus, artifacts.HELD_OUT_TOKENS, artifacts.HELD_OUT_SOURCES, artifacts.UNIGRAMS, name=artifacts.TOKENS_META)
    model = Transformer(Architecture.of(SETTINGS.model, d_vocab)).initialise(0)
    learn(model, text.long())
    save_model(model, layout.model("A"))
    finish(layout.model("A"), artifacts.WEIGHTS, artifacts.ARCHITECTURE)
    tokens.make(settings=SETTINGS, corpus=corpus, out=layout.evaluation())
    x = load(layout.model("A")).read(tokens.read(layout.evaluation()).long(), "mlp_act").flatten(0, 1)
    rows = np.concatenate((np.eye(D_MLP), draw.normal(size=(D_SAE - D_MLP, D_MLP))))
    W_dec = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).float()
    b_enc = torch.from_numpy(draw.normal(-0.3, 0.1, D_SAE)).float() * x[x > 0].mean()
    b_enc[D_MLP:] *= 10
    sae = Dictionary(W_enc=W_dec.T.contiguous(), b_enc=b_enc, W_dec=W_dec, b_dec=0.3 * x.mean(dim=0))
    folder = layout.sae("A/1")
    save_dictionary(sae, folder, sae=SETTINGS.sae, model=SETTINGS.model, name="A")
    artifacts.write_tensors(folder / artifacts.SAE_START, {"W_dec": W_dec, "resampled": torch.zeros(D_SAE, dtype=torch.int32)})
    finish(folder, artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG, artifacts.SAE_START)
    shared = {"settings": SETTINGS, "evaluation": layout.evaluation(), "model": layout.model("A")}
    site.measure(**shared, site="mlp_act", out=layout.features("A/mlp_act"))
    evaluate.evaluate(**shared, name="A/1", dictionary=folder, site=layout.features("A/mlp_act"), corpus=corpus, out=layout.features("A/1"))
    return layout


@pytest.fixture(scope="module")
def theirs(layout):
    """SAELens's metrics and features on the evaluation tokens, in two batches."""
    from datasets import Dataset
    from sae_lens import SAE
    from sae_lens.evals import EvalConfig, run_evals
    from sae_lens.training.activation_scaler import ActivationScaler
    from sae_lens.training.activations_store import ActivationsStore

    hooked, sae = to_hooked(layout.model("A")), SAE.load_from_disk(layout.sae("A/1"))
    dataset = Dataset.from_dict({"tokens": tokens.read(layout.evaluation()).tolist()})
    store = ActivationsStore.from_sae(hooked, sae, dataset, streaming=False, store_batch_size_prompts=CONTEXTS // 2, total_tokens=CONTEXTS)
    config = EvalConfig(batch_size_prompts=CONTEXTS // 2, n_eval_reconstruction_batches=2, n_eval_sparsity_variance_batches=2, compute_ce_loss=True,
                        compute_l2_norms=True, compute_sparsity_metrics=True, compute_variance_metrics=True, compute_featurewise_density_statistics=True)
    metrics, features = run_evals(sae, store, hooked, ActivationScaler(), config, exclude_special_tokens=False)
    return {name: value for group in metrics.values() for name, value in group.items()}, features


@pytest.mark.filterwarnings("ignore")
def test_losses_sparsity_and_reconstruction(layout, theirs):
    metrics, _ = theirs
    ours = artifacts.read_json(layout.features("A/1") / artifacts.EVALUATION)
    expected = {
        "loss": metrics["ce_loss_without_sae"], "loss_zero": metrics["ce_loss_with_ablation"], "loss_reconstructed": metrics["ce_loss_with_sae"],
        "recovered": metrics["ce_loss_score"], "l0": metrics["l0"], "l1_norm": metrics["l1"], "mse": metrics["mse"] / D_MLP,
        "explained_variance": metrics["explained_variance"]}
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-3, rel=1e-4)
    assert 0.2 < ours["recovered"] < 0.99 and 1 < ours["l0"] < D_MLP and 0.1 < ours["explained_variance"] < 0.99  # the comparison is not of trivial values


@pytest.mark.filterwarnings("ignore")
def test_density_and_weights_of_every_feature(layout, theirs):
    _, features = theirs
    table = artifacts.read_table(layout.features("A/1") / artifacts.FEATURES)
    assert np.allclose(table["density"], features["feature_density"], atol=1e-4) and table["density"].max() > 0.05
