"""The control: the same entries without their order."""

from dataclasses import replace

import pytest
import torch

from replication.artifacts import check, write_meta
from replication.config import Compute, Model, Settings
from replication.model import store
from replication.model.shuffle import shuffle, shuffled
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch

SHAPE = Architecture(d_model=8, d_mlp=12, n_heads=2, n_ctx=6, act_fn="relu", d_vocab=9)


@pytest.fixture(params=[SHAPE, replace(SHAPE, act_fn="solu_ln", n_layers=2)], ids=["one-relu", "two-solu_ln"])
def model(request):
    made = Transformer(request.param).initialise(0).requires_grad_(False)
    for parameter in made.parameters():
        parameter += torch.linspace(0, 1, parameter.numel()).view(parameter.shape)
    return made


def test_matrices_keep_their_entries_and_lose_their_order(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = shuffled(model, 0).state_dict()
    matrices = {name for name, _ in model.matrices()}
    assert len(matrices) == 3 + 6 * model.architecture.n_layers and not any(".ln" in name for name in matrices)
    for name, tensor in after.items():
        if name in matrices:
            assert torch.equal(tensor.flatten().sort().values, before[name].flatten().sort().values)
            assert (tensor != before[name]).float().mean() > 0.5
        else:
            assert torch.equal(tensor, before[name]), name


def test_seeds_differ_and_repeat():
    one, again, other = (shuffled(Transformer(SHAPE).initialise(0), seed).unembed["W_U"] for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_the_folder_is_a_model(model, tmp_path):
    settings = Settings("test", 0, compute=Compute(device="cpu"), model=Model(shuffle_of="A"))
    source, out = tmp_path / "A", tmp_path / "random"
    write_meta(source, stage="model", settings=settings, files=store.save(model, source), inputs={}, stopwatch=Stopwatch())
    shuffle(settings=settings, source=source, out=out)
    assert check(out)["inputs"]["weights"]["path"] == "../A/weights.safetensors"
    assert torch.equal(store.load(out).block.mlp.W_in, shuffled(model, 0).block.mlp.W_in)
