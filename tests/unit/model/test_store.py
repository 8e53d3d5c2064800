"""A model's folder: round trip, and what is said about a broken one."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import replication.model
from replication.artifacts import ArtifactError, write_meta
from replication.config import Settings, UserError
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch

SHAPE = Architecture(d_model=8, d_mlp=12, n_heads=2, n_ctx=6, act_fn="gelu", d_vocab=9)


@pytest.fixture
def folder(tmp_path):
    files = store.save(Transformer(SHAPE).initialise(0), tmp_path)
    write_meta(tmp_path, stage="model", settings=Settings("test", 0), files=files, inputs={}, stopwatch=Stopwatch())
    return tmp_path


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, act_fn="solu_ln", n_layers=2)], ids=["one-gelu", "two-solu_ln"])
def test_round_trip(shape, tmp_path):
    original = Transformer(shape).initialise(0)
    with torch.no_grad():
        for parameter in original.parameters():  # a layer norm at its start would hide that it was not kept
            parameter += torch.linspace(0, 1, parameter.numel()).view(parameter.shape)
    write_meta(tmp_path, stage="model", settings=Settings("test", 0), files=store.save(original, tmp_path), inputs={}, stopwatch=Stopwatch())
    loaded = replication.model.load(tmp_path)
    assert loaded.architecture == shape and not loaded.training
    for name, tensor in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_flipped_byte(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is not what was written"):
        store.load(folder)


def test_missing_weights(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is missing"):
        store.load(folder)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"d_mlp": 13}, r"blocks\.0\.mlp\.W_in has shape \(8, 12\), but architecture\.json asks for \(8, 13\)"),
    ({"d_vocab": None}, r"architecture\.json\.d_vocab is None, but must be a whole number"),
    ({"act_fn": "gely"}, r"architecture\.json\.act_fn is 'gely'; did you mean 'gelu'"),
    ({"layers": 1}, r"architecture\.json\.layers is not a setting"),
])
def test_an_architecture_that_does_not_fit(folder, change, sentence):
    path = folder / "architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=sentence):
        store.read(folder)


def test_the_package_and_its_commands_import_no_torch():
    subprocess.run([sys.executable, "-c", "import sys, replication.model, replication.model.command; assert 'torch' not in sys.modules"], check=True)
