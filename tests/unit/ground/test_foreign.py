"""Where foreign weights lie, and what of them is read."""

import pickle

import huggingface_hub.constants
import pytest
import torch

from replication.artifacts import write_tensors
from replication.foreign import ForeignError, local_files, locate, read_settings, read_tensors


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the Hub as its client leaves it, of the branch main of someone/weights, and no network."""
    snapshot = tmp_path / "hub" / "models--someone--weights" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    (snapshot / "layer" / "mlp").mkdir(parents=True)
    (snapshot / "layer" / "mlp" / "cfg.json").write_text("{}")
    (snapshot / "config.json").write_text("{}")
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text(snapshot.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_name_of_the_hub_is_found_in_its_cache(cache):
    assert locate("someone/weights", ["config.json"]).samefile(cache)
    assert locate("someone/weights:layer/mlp", ["cfg.json"]).samefile(cache / "layer" / "mlp")
    assert locate(f"someone/weights@{cache.name}:layer/mlp", ["cfg.json"]).samefile(cache / "layer" / "mlp")


@pytest.mark.parametrize(("source", "sentence"), [
    ("someone/other", "someone/other is no folder here and cannot be had from the Hugging Face Hub (LocalEntryNotFoundError: "),
    ("someone/weights@v2", "someone/weights@v2 is no folder here and cannot be had from the Hugging Face Hub"),
    ("someone/weights:layer/attn", "someone/weights on the Hugging Face Hub has no folder layer/attn with cfg.json"),
    ("weights", "weights is no folder here and no name on the Hugging Face Hub, such as owner/repository"),
    ("/no/such/folder", "/no/such/folder is no folder here and no name on the Hugging Face Hub"),
])
def test_what_is_not_there_gets_one_sentence(source, sentence, cache):
    with pytest.raises(ForeignError) as refused:
        locate(source, ["cfg.json"])
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_here_is_taken_as_it_is_and_its_files_are_inputs(tmp_path):
    for name in ("config.json", "model.safetensors", "notes.txt"):
        (tmp_path / name).write_text("")
    assert locate(str(tmp_path), []) == tmp_path
    assert local_files(str(tmp_path)) == [str(tmp_path / "config.json"), str(tmp_path / "model.safetensors")] and local_files("gelu-1l") == []


class Touch:
    """An object whose unpickling would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path):
    torch.save({"W_E": Touch(tmp_path / "ran")}, tmp_path / "model.pth")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"W_E": Touch(tmp_path / "ran")}))
    for name in ("model.pth", "plain.pt"):
        with pytest.raises(ForeignError, match=r"is truncated, or holds more than tensors, which is never unpickled; save its state_dict\(\) as safetensors"):
            read_tensors(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_tensors_of_both_formats(tmp_path):
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(1, dtype=torch.bfloat16)}
    torch.save(tensors, tmp_path / "state.pth")
    write_tensors(tmp_path / "state.safetensors", tensors)
    for name in ("state.pth", "state.safetensors"):
        found = read_tensors(tmp_path / name)
        assert found.keys() == tensors.keys() and all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_files_that_are_no_weights(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    torch.save({"model": {"a": torch.ones(1)}}, tmp_path / "nested.pth")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")
    for name, sentence in (("cut.safetensors", "is truncated or not safetensors"), ("nested.pth", "is not a state dict of tensors by name"), ("no.pth", "is missing")):
        with pytest.raises(ForeignError, match=sentence):
            read_tensors(tmp_path / name)
    for name, sentence in (("list.json", "holds no JSON object"), ("broken.json", "cannot be read as JSON"), ("no.json", "is missing; it says what")):
        with pytest.raises(ForeignError, match=sentence):
            read_settings(tmp_path / name)
