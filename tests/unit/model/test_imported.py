"""A model that others trained: what is refused, by name. That what comes in computes the same is in tests/golden/test_imported.py."""

import dataclasses
import json

import pytest
import torch

from replication import artifacts
from replication.config import Model, Settings
from replication.foreign import ForeignError
from replication.model.imported import architecture, bring
from replication.model.transformer import Architecture, Transformer

SHAPE = Architecture(d_model=8, d_mlp=16, n_heads=2, n_ctx=6, act_fn="gelu", d_vocab=11)
CONFIG = {"d_model": 8, "d_mlp": 16, "d_head": 4, "n_heads": 2, "n_ctx": 6, "n_layers": 1, "d_vocab": 11, "act_fn": "gelu", "attn_only": False,
          "normalization": "LN", "shortformer_pos": False, "tokenizer_name": "someone/tokenizer"}  # as the older published models say it


def offered(folder, config=CONFIG, drop=(), **tensors):
    """A folder with a random model; `tensors` take the place of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    state = {name: tensor for name, tensor in (Transformer(SHAPE).initialise(0).state_dict() | tensors).items() if name not in drop}
    artifacts.write_tensors(folder / "model.safetensors", state)
    return state


def imported(tmp_path, d_vocab=11, **settings):
    artifacts.write_tensors(tmp_path / artifacts.UNIGRAMS, {"counts": torch.ones(d_vocab, dtype=torch.int64)})
    wanted = Model(**{"load": str(tmp_path / "theirs"), "d_model": 8, "d_mlp": 16, "n_heads": 2, "n_ctx": 6, "act_fn": "gelu", "tokens": 0} | settings)
    bring(settings=Settings("test", 0, model=wanted), name="gelu", unigrams=tmp_path / artifacts.UNIGRAMS, out=tmp_path / "ours")
    return artifacts.read_tensors(tmp_path / "ours" / artifacts.WEIGHTS)


def test_weights_come_in_as_they_are_and_missing_biases_are_zero(tmp_path):
    state = offered(tmp_path / "theirs", drop=["unembed.b_U"], **{"blocks.0.attn.mask": torch.ones(6, 6), "embed.W_E": torch.randn(11, 8).half()})
    ours = imported(tmp_path, n_ctx=4)
    assert torch.equal(ours["embed.W_E"], state["embed.W_E"].float()) and torch.equal(ours["pos_embed.W_pos"], state["pos_embed.W_pos"][:4])
    assert not ours["unembed.b_U"].any() and "blocks.0.attn.mask" not in ours
    assert all(torch.equal(ours[name], tensor) for name, tensor in state.items() if name in ours and "W_E" not in name and "W_pos" not in name)
    meta = artifacts.check(tmp_path / "ours")
    assert meta["source"] == str(tmp_path / "theirs") and set(meta["inputs"]) == {"config", "weights", "unigrams"}


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"attn_only": True}, "attn_only is True, but a model of the run computes as with False"),
    ({"shortformer_pos": True}, "shortformer_pos is True, but"),
    ({"positional_embedding_type": "rotary"}, "positional_embedding_type is 'rotary', but a model of the run computes as with 'standard'"),
    ({"parallel_attn_mlp": True}, "parallel_attn_mlp is True, but"),
    ({"eps": 1e-6}, "eps is 1e-06, but"),
    ({"normalization": "RMS"}, "normalization_type is 'RMS', but can be LN or LNPre only"),
    ({"normalization": None}, "normalization_type is missing; it is one of LN, LNPre"),
    ({"act_fn": "gelu_new"}, "act_fn is 'gelu_new', but can be relu or gelu or solu or solu_ln only"),
    ({"d_head": 8}, "d_head is 8, but can be 4 only"),
    ({"n_key_value_heads": 1}, "n_key_value_heads is 1, but can be 2 only"),
    ({"attn_scale": 1.0}, "attn_scale is 1.0, but can be 2.0 only"),
    ({"d_vocab_out": 12}, "d_vocab_out is 12, but can be 11 only"),
    ({"d_mlp": None}, "d_mlp is None, but must be a whole number"),
    ({"n_heads": 0}, "n_heads is 0, but must be a whole number from 1 on"),
])
def test_what_has_no_place_in_our_transformer_is_refused(changes, sentence, tmp_path):
    with pytest.raises(ForeignError) as refused:
        architecture(CONFIG | changes, tmp_path / "config.json")
    assert sentence in str(refused.value) and str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_both_spellings_of_a_configuration(tmp_path):
    newer = {key: value for key, value in CONFIG.items() if key not in ("normalization", "shortformer_pos")} | {
        "normalization_type": "LNPre", "positional_embedding_type": "standard", "attn_scale": 2.0, "d_vocab_out": 11, "n_key_value_heads": None, "eps": 1e-5}
    assert architecture(CONFIG, tmp_path) == (SHAPE, "LN") and architecture(newer, tmp_path) == (SHAPE, "LNPre")


@pytest.mark.parametrize(("given", "sentence"), [
    ({"drop": ["blocks.0.mlp.W_in"]}, "lacks blocks.0.mlp.W_in"),
    ({"blocks.1.mlp.W_in": torch.ones(8, 16)}, "holds blocks.1.mlp.W_in, for which a model of the run has no place"),
    ({"blocks.0.mlp.W_in": torch.ones(16, 8)}, "blocks.0.mlp.W_in has shape [16, 8], but config.json asks for [8, 16]"),
    ({"config": CONFIG | {"normalization": "LNPre"}}, "ln1.b, for which a model of the run with folded layer norms has no place"),
])
def test_tensors_that_do_not_fit_are_named(given, sentence, tmp_path):
    offered(tmp_path / "theirs", **given)
    with pytest.raises(ForeignError) as refused:
        imported(tmp_path)
    assert sentence in str(refused.value)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(("d_vocab", "settings", "sentence"), [
    (12, {}, "has 11 tokens, but the run's tokenizer 12; set corpus.tokenizer to the model's own"),
    (11, {"d_mlp": 32}, "models.gelu says d_model 8, d_mlp 32, n_heads 2, n_ctx 6, act_fn gelu, n_layers 1, but"),
    (11, {"n_ctx": 7}, "n_ctx 6, act_fn gelu, n_layers 1; write the latter into the config (n_ctx may be smaller)"),
    (11, {"load": "gelu-1-l"}, "gelu-1-l is no folder here and no name that TransformerLens knows"),
])
def test_a_model_that_is_not_what_the_config_says(d_vocab, settings, sentence, tmp_path):
    offered(tmp_path / "theirs")
    with pytest.raises(ForeignError) as refused:
        imported(tmp_path, d_vocab, **settings)
    assert sentence in str(refused.value)


def test_a_folder_holds_one_file_of_weights(tmp_path):
    offered(tmp_path / "theirs")
    (tmp_path / "theirs" / "b.safetensors").write_bytes(b"")
    with pytest.raises(ForeignError, match=r"holds b.safetensors, model.safetensors; leave the one that is the model"):
        imported(tmp_path)
    for path in (tmp_path / "theirs").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(ForeignError, match=r"holds no weights: neither \*.safetensors nor \*.pth"):
        imported(tmp_path)


def test_a_layer_norm_that_is_folded_is_one_with_weight_one(tmp_path):
    norms = [name for name in Transformer(SHAPE).state_dict() if ".ln" in name or name.startswith("ln_final")]
    offered(tmp_path / "theirs", CONFIG | {"normalization": "LNPre"}, drop=norms)
    ours = imported(tmp_path)
    assert len(norms) == 6 and all(bool((ours[name] == float(name.endswith("w"))).all()) for name in norms)
    assert dataclasses.asdict(SHAPE) == artifacts.read_json(tmp_path / "ours" / artifacts.ARCHITECTURE)
