"""A dictionary that others trained: versions of `cfg.json`, folds by hand, refusals. Equality with SAELens is in tests/golden/test_imported.py."""

import json

import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.config import Model, Sae, Settings
from replication.foreign import ForeignError, read_tensors
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.sae import load
from replication.sae.imported import bring, overridden, released, standard, understood, writes_centred

SIX = {"architecture": "standard", "d_in": 8, "d_sae": 3, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none",
       "reshape_activations": "none", "metadata": {"sae_lens_version": "6.1.0", "hook_name": "blocks.0.mlp.hook_post", "context_size": 128, "prepend_bos": True}}
FIVE = {"architecture": "standard", "d_in": 8, "d_sae": 3, "activation_fn_str": "relu", "apply_b_dec_to_input": False, "finetuning_scaling_factor": False,
        "context_size": 256, "hook_name": "blocks.0.hook_resid_mid", "hook_layer": 0, "hook_head_index": None, "normalize_activations": "none", "dtype": "torch.float32"}
THREE = {"d_in": 8, "d_sae": 3, "hook_point": "blocks.0.mlp.hook_post", "hook_point_head_index": None, "normalize_activations": False}


def tensors():
    return {"W_enc": torch.ones(8, 3), "b_enc": torch.tensor([1.0, 2.0, 3.0]), "W_dec": torch.diag(torch.tensor([2.0, 0.0, 5.0])) @ torch.eye(3, 8), "b_dec": torch.arange(8.0)}


@pytest.mark.parametrize(("config", "expected"), [
    (SIX, ("blocks.0.mlp.hook_post", True, True, 128)), (FIVE, ("blocks.0.hook_resid_mid", False, True, 256)), (THREE, ("blocks.0.mlp.hook_post", True, True, None)),
    ({**SIX, "metadata": {"hook_name": "blocks.0.hook_mlp_out"}}, ("blocks.0.hook_mlp_out", True, False, None)),
])
def test_versions_of_the_format(config, expected, tmp_path):
    said = understood(config, tmp_path)
    assert tuple(said[key] for key in ("hook_name", "apply_b_dec_to_input", "prepend_bos", "context_size")) == expected


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"architecture": "jumprelu"}, "architecture is 'jumprelu', which no dictionary of the run can hold; only architecture standard can be imported"),
    ({"architecture": "topk"}, "architecture is 'topk'"),
    ({"architecture": "gated"}, "architecture is 'gated'"),
    ({"activation_fn_str": "topk"}, "activation_fn is 'topk'"),
    ({"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm', which no dictionary of the run can hold; a constant scale can be folded in by SAELens"),
    ({"normalize_activations": "expected_average_only_in"}, "normalize_activations is 'expected_average_only_in'"),
    ({"reshape_activations": "hook_z"}, "reshape_activations is 'hook_z'"),
    ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor is True"),
    ({"metadata": {}}, "has no hook_name, so it is not known where its vectors are read"),
])
def test_what_no_dictionary_of_the_run_can_hold_is_refused(changes, sentence, tmp_path):
    with pytest.raises(ForeignError) as refused:
        understood(SIX | changes, tmp_path / "cfg.json")
    assert sentence in str(refused.value) and "cfg.json" in str(refused.value)


def test_folds_by_hand(tmp_path):
    made, norms = standard(tensors(), apply_b_dec_to_input=False, path=tmp_path)
    assert norms.tolist() == [2, 0, 5]
    assert made.W_enc[0].tolist() == [2, 1, 5] and made.b_enc.tolist() == [2 * (1 + 28), 2 + 28, 5 * (3 + 28)]  # W_enc' b_dec is 28 for each
    assert torch.equal(made.W_dec, torch.diag(torch.tensor([1.0, 0.0, 1.0])) @ torch.eye(3, 8)) and torch.equal(made.b_dec, torch.arange(8.0))
    assert standard(tensors(), apply_b_dec_to_input=True, path=tmp_path)[0].b_enc.tolist() == [2, 2, 15]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"W_enc": torch.ones(3, 8)}, "holds {'W_enc': [3, 8], 'b_enc': [3], 'W_dec': [3, 8], 'b_dec': [8]}, not W_enc [d_in, d_sae]"),
    ({"threshold": torch.ones(3)}, "'threshold': [3]}, not W_enc [d_in, d_sae]"),
    ({"scaling_factor": torch.tensor([1.0, 2.0, 1.0])}, "holds a scaling_factor other than 1"),
])
def test_other_tensors_are_refused(changes, sentence, tmp_path):
    with pytest.raises(ForeignError) as refused:
        standard(tensors() | changes, apply_b_dec_to_input=True, path=tmp_path)
    assert sentence in str(refused.value)


@pytest.fixture
def model(tmp_path):
    shape = Architecture(d_model=6, d_mlp=8, n_heads=2, n_ctx=5, act_fn="relu", d_vocab=9)
    files = store.save(Transformer(shape).initialise(0), tmp_path / "model")
    artifacts.write_meta(tmp_path / "model", stage="model", settings=Settings("test", 0), files=files, inputs={}, stopwatch=Stopwatch())
    return tmp_path / "model"


def imported(tmp_path, model, config=SIX, **changes):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "cfg.json").write_text(json.dumps(config))
    artifacts.write_tensors(folder / "sae_weights.safetensors", tensors() | {"scaling_factor": torch.ones(3)})
    sae = Sae(**{"load": str(folder), "d_sae": 3, "site": "mlp_act"} | changes)
    bring(settings=Settings("test", 0, model=Model(d_model=6, d_mlp=8, n_heads=2, n_ctx=5), sae=sae), name="A/mine", model=model, out=tmp_path / "ours")


def test_a_folder_of_the_run_without_a_start_or_a_log(tmp_path, model):
    imported(tmp_path, model)
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == ["cfg.json", "meta.json", "sae_weights.safetensors"]
    assert torch.equal(load(tmp_path / "ours").b_dec, torch.arange(8.0))
    assert set(artifacts.check(tmp_path / "ours")["inputs"]) == {"config", "weights", "model"}


@pytest.mark.parametrize(("given", "error", "sentence"), [
    ({"d_sae": 4}, ForeignError, "has d_sae 3, but dictionaries.A/mine.d_sae is 4"),
    ({"site": "mlp_out"}, ForeignError, "dictionaries.A/mine.site is mlp_out, but"),
    ({"config": FIVE, "site": "resid_mid"}, ForeignError, "has d_in 8, but the site resid_mid of models.A is 6"),
    ({"config": {**SIX, "metadata": {"hook_name": "blocks.0.hook_resid_pre"}}}, ArtifactError, "names the hook 'blocks.0.hook_resid_pre', which is no site of a model of 1 layers"),
    ({"config": {**SIX, "metadata": 5}}, ForeignError, "metadata is 5, not a JSON object"),
    ({"config": {**SIX, "metadata": {"hook_name": "blocks.3.mlp.hook_post"}}}, ArtifactError, "names the hook 'blocks.3.mlp.hook_post'"),
])
def test_a_dictionary_that_is_not_what_the_config_says(given, error, sentence, tmp_path, model):
    with pytest.raises(error) as refused:
        imported(tmp_path, model, **given)
    assert sentence in str(refused.value) and not (tmp_path / "ours").exists()


def test_vectors_without_their_mean_need_a_model_that_writes_such(tmp_path, model):
    """A site of the stream is centred by SAELens's processing of the model; the MLP's activations are not."""
    assert not writes_centred(store.load(model))
    centred = store.load(model)
    for name, tensor in centred.state_dict().items():
        if name.endswith(("W_E", "W_pos", "W_O", "W_out")):
            tensor -= tensor.mean(dim=-1, keepdim=True)
    assert writes_centred(centred)
    wide = {"W_enc": torch.ones(6, 3), "b_enc": torch.zeros(3), "W_dec": torch.ones(3, 6), "b_dec": torch.zeros(6)}
    folder = tmp_path / "stream"
    said = {**SIX, "d_in": 6, "metadata": {"hook_name": "blocks.0.hook_resid_post", "model_from_pretrained_kwargs": {"center_writing_weights": True}}}
    artifacts.write_json(folder / "cfg.json", said)
    artifacts.write_tensors(folder / "sae_weights.safetensors", wide)
    settings = Settings("test", 0, model=Model(d_model=6, d_mlp=8, n_heads=2, n_ctx=5), sae=Sae(load=str(folder), d_sae=3, site="resid_post"))
    with pytest.raises(ForeignError, match="says center_writing_weights, so the dictionary saw vectors of resid_post without their mean"):
        bring(settings=settings, name="A/mine", model=model, out=tmp_path / "ours")


def test_what_is_not_a_number_is_refused(tmp_path, model):
    folder = tmp_path / "theirs"
    artifacts.write_tensors(folder / "sae_weights.safetensors", tensors() | {"b_enc": torch.tensor([0.0, float("nan"), 0.0])})
    with pytest.raises(ForeignError, match="b_enc holds numbers that are not finite"):
        read_tensors(folder / "sae_weights.safetensors")


def test_what_a_release_says_stands_above_the_file(tmp_path):
    assert understood(SIX, tmp_path)["apply_b_dec_to_input"]
    assert not understood(SIX, tmp_path, overrides={"apply_b_dec_to_input": False})["apply_b_dec_to_input"]
    assert understood({**SIX, "apply_b_dec_to_input": None}, tmp_path)["apply_b_dec_to_input"]  # as if it said nothing
    with pytest.raises(ForeignError, match="normalize_activations is 'layer_norm'"):
        understood(SIX, tmp_path, overrides={"normalize_activations": "layer_norm"})
    assert overridden("someone/weights:layer") == {} and overridden("folder") == {}


@pytest.mark.filterwarnings("ignore")
def test_names_that_sae_lens_lists():
    assert released("gpt2-small-res-jb:blocks.8.hook_resid_pre") == "jbloom/GPT2-Small-SAEs-Reformatted:blocks.8.hook_resid_pre"
    assert released("someone/weights:layer") == "someone/weights:layer" and released("folder") == "folder"
    for source, sentence in (("gpt2-smal-res-jb:blocks.8.hook_resid_pre", "is no release that SAELens lists"), ("gpt2-small-res-jb:9", "is a release without 9; it has blocks.0"),
                             ("gemma-scope-2b-pt-res:embedding/width_4k/average_l0_6", "is not kept in SAELens's own format")):
        with pytest.raises(ForeignError, match=sentence):
            released(source)
