"""What others saved comes in and computes what they compute: TransformerLens's models, SAELens's dictionaries."""

import dataclasses
import json

import pytest
import torch

from replication import artifacts, sae
from replication.config import Model, Sae, Settings
from replication.model import imported as imported_model
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.sae import imported as imported_sae

pytestmark = pytest.mark.filterwarnings("ignore")
D_VOCAB = 31
MODEL = Model(load="here", d_model=16, d_mlp=32, n_heads=2, n_ctx=12, act_fn="gelu", tokens=0)
ASPECTS = [("gelu", "LN", ".pth", 12), ("solu_ln", "LN", ".safetensors", 12), ("gelu", "LNPre", ".safetensors", 12), ("solu_ln", "LNPre", ".pth", 7)]


def hooked(act_fn, normalization):
    """A random model of TransformerLens with no bias or layer norm at its start; with LNPre one whose layer norms are folded, as people publish them."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(n_layers=1, d_model=16, d_head=8, n_heads=2, d_mlp=32, n_ctx=12, d_vocab=D_VOCAB, act_fn=act_fn,
                                     normalization_type="LN", seed=0, device="cpu")
    model = HookedTransformer(config)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
    if normalization == "LNPre":
        model.process_weights_(fold_ln=True, center_writing_weights=True, center_unembed=True)
    assert model.cfg.normalization_type == normalization
    return model.eval()


def saved(model, folder, suffix):
    """As people save one: the configuration as JSON, what JSON cannot hold as text; the state dict, buffers and all."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model.cfg.to_dict(), default=str))
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    if suffix == ".pth":
        torch.save(state, folder / "model_final.pth")
    else:
        artifacts.write_tensors(folder / "model.safetensors", state)


@pytest.mark.parametrize(("act_fn", "normalization", "suffix", "n_ctx"), ASPECTS, ids=lambda value: str(value))
def test_logits_and_neurons_of_an_imported_model_are_transformer_lenses(act_fn, normalization, suffix, n_ctx, tmp_path):
    theirs = hooked(act_fn, normalization)
    saved(theirs, tmp_path / "theirs", suffix)
    artifacts.write_tensors(tmp_path / artifacts.UNIGRAMS, {"counts": torch.ones(D_VOCAB, dtype=torch.int64)})
    wanted = dataclasses.replace(MODEL, load=str(tmp_path / "theirs"), act_fn=act_fn, n_ctx=n_ctx)
    imported_model.bring(settings=Settings("test", 0, model=wanted), name="gelu", unigrams=tmp_path / artifacts.UNIGRAMS, out=tmp_path / "ours")
    ours, tokens = store.load(tmp_path / "ours"), torch.randint(D_VOCAB, (3, n_ctx), generator=torch.Generator().manual_seed(2))
    logits, cache = theirs.run_with_cache(tokens)
    assert logits.std() > 0.3 and ours.architecture.n_ctx == n_ctx
    difference = ours(tokens) - logits
    torch.testing.assert_close(difference, torch.zeros_like(difference), atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.read(tokens, "mlp_act"), cache["blocks.0.mlp.hook_post"], atol=2e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model whose MLP has 32 neurons."""
    folder = tmp_path_factory.mktemp("model")
    shape = Architecture(d_model=16, d_mlp=32, n_heads=2, n_ctx=12, act_fn="gelu", d_vocab=D_VOCAB)
    artifacts.write_meta(folder, stage="model", settings=Settings("test", 0), files=store.save(Transformer(shape).initialise(0), folder), inputs={}, stopwatch=Stopwatch())
    return folder


def standard_sae(folder, **changes):
    """A random dictionary of SAELens's, saved by it, whose decoder rows have norms of their own (one of them 0)."""
    from sae_lens import StandardSAE, StandardSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    about = SAEMetadata(hook_name="blocks.0.mlp.hook_post", context_size=128, prepend_bos=True)
    theirs = StandardSAE(StandardSAEConfig(d_in=32, d_sae=48, metadata=about, **changes))
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
        theirs.W_dec *= torch.rand(48, 1, generator=draw) * 3
        theirs.W_dec[5] = 0
    theirs.save_model(folder)
    return theirs


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_an_imported_dictionary_encodes_and_decodes_as_sae_lens_does(apply_b_dec_to_input, model, tmp_path):
    theirs = standard_sae(tmp_path / "theirs", apply_b_dec_to_input=apply_b_dec_to_input)
    settings = Settings("test", 0, model=MODEL, sae=Sae(load=str(tmp_path / "theirs"), d_sae=48))
    imported_sae.bring(settings=settings, name="gelu/1", model=model, out=tmp_path / "ours")
    ours, x = sae.load(tmp_path / "ours"), torch.randn(100, 32, generator=torch.Generator().manual_seed(4))
    norms = theirs.W_dec.norm(dim=1)
    f = theirs.encode(x)
    assert 0.1 < (f > 0).float().mean() < 0.9 and norms.max() > 2
    torch.testing.assert_close(ours.encode(x), f * torch.where(norms > 0, norms, 1), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(ours.decode(ours.encode(x)), theirs.decode(f), atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(ours.W_dec.norm(dim=1), (norms > 0).float())
    meta = artifacts.check(tmp_path / "ours")
    assert meta["decoder_norms"] == pytest.approx({"least": 0, "most": float(norms.max())})


def test_what_came_in_is_what_sae_lens_loads_again(model, tmp_path):
    from sae_lens import SAE

    theirs = standard_sae(tmp_path / "theirs", apply_b_dec_to_input=False)
    settings = Settings("test", 0, model=MODEL, sae=Sae(load=str(tmp_path / "theirs"), d_sae=48))
    imported_sae.bring(settings=settings, name="gelu/1", model=model, out=tmp_path / "ours")
    again, x = SAE.load_from_disk(tmp_path / "ours"), torch.randn(20, 32, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(again(x), theirs(x), atol=1e-2, rtol=1e-4)
    assert again.cfg.metadata.prepend_bos is True and again.cfg.metadata.hook_name == "blocks.0.mlp.hook_post"
