"""What is collected again: on a small text of its own, as far as the tokenizer."""

from base64 import b64encode

import pytest
import yaml

from tests.e2e.conftest import PROJECT, Workspace

TARGET = "results/tiny/corpus/tokenizer.json"


@pytest.fixture(scope="module")
def collected(tmp_path_factory) -> Workspace:
    """The project with a text and the tokenizer that was trained on it."""
    workspace = Workspace(tmp_path_factory.mktemp("collected"))
    (workspace.folder / "text.md").write_text((PROJECT / "README.md").read_text())
    workspace.snakemake("--printshellcmds", TARGET, config=configured(workspace))
    return workspace


def configured(workspace: Workspace, **corpus) -> str:
    """A config that differs from smoke in its corpus."""
    raw = yaml.safe_load((workspace.folder / "config" / "smoke.yaml").read_text())
    raw |= {"run": "tiny", "corpus": {"source": "local", "paths": ["text.md"], "d_vocab": 300, **corpus}}
    (workspace.folder / "tiny.yaml").write_text(yaml.safe_dump(raw))
    return "tiny.yaml"


@pytest.mark.parametrize("changed", [{"d_vocab": 400}, {"tokenizer_bytes": 1000}, {"bos": "<|endoftext|>"}, {"tokenizer": "some.json"}])
def test_another_tokenizer_collects_nothing(collected, changed):
    assert collected.jobs(TARGET, config=configured(collected, **changed)) == {"corpus_tokenizer": 1}


def test_another_share_that_is_held_out_collects_again(collected):
    assert collected.jobs(TARGET, config=configured(collected, holdout=0.3)) == {"corpus_documents": 1, "corpus_tokenizer": 1}


def test_an_edited_tokenizer_file_is_read_again_and_nothing_is_collected(collected):
    file = collected.folder / "mine.json"
    file.write_bytes((collected.folder / TARGET).read_bytes())
    config = configured(collected, tokenizer="mine.json")
    collected.snakemake("--printshellcmds", TARGET, config=config)
    assert collected.jobs(TARGET, config=config) == {}
    file.write_bytes(file.read_bytes() + b"\n")
    assert collected.jobs(TARGET, config=config) == {"corpus_tokenizer": 1}


def test_what_a_killed_run_left_half_made_is_made_again_without_asking(collected):
    config = configured(collected)
    collected.snakemake("--printshellcmds", TARGET, config=config)
    marks = collected.folder / ".snakemake" / "incomplete"
    mark = marks / b64encode(TARGET.encode()).decode()
    mark.touch()
    assert collected.jobs(TARGET, config=config) == {"corpus_tokenizer": 1}
    mark.unlink()
    assert collected.jobs(TARGET, config=config) == {}
