"""Randomness, provenance, artifacts, checkpoints, progress, compute."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from replication import artifacts, checkpoint, compute, provenance
from replication.config import Compute, ConfigError, Settings
from replication.progress import Progress, duration
from replication.randomness import generator

SETTINGS = Settings(run="x", seed=0)


def test_a_generator_is_named_by_seed_purpose_and_index():
    draw = lambda *arguments: generator(*arguments).random(4).tolist()
    assert draw(0, "a", 1) == draw(0, "a", 1)
    assert len({tuple(draw(*arguments)) for arguments in [(0, "a"), (0, "b"), (1, "a"), (0, "a", 0), (0, "a", 1), (0, "a", 1, 0)]}) == 6


def test_the_closure_of_a_stage_holds_what_it_imports_and_nothing_below():
    files = provenance.code("replication.sae.fit")
    names = {"/".join(file.split("/")[-2:]) for file in files}
    assert {"sae/fit.py", "sae/step.py", "sae/resampling.py", "sae/schedule.py", "activations/stream.py", "model/transformer.py", "corpus/shards.py", "replication/randomness.py"} <= names
    assert not any(re.search(r"(config|artifacts|progress|cli)\.py|model/train|features|studies|exhibits|claims", name) for name in names)
    assert "sae/fit.py" not in {"/".join(file.split("/")[-2:]) for file in provenance.code("replication.activations.harvest")}


@pytest.fixture
def folder(tmp_path):
    artifacts.write_json(tmp_path / "a.json", {"x": 1})
    artifacts.write_tensors(tmp_path / "b.safetensors", {"t": torch.arange(3)})
    artifacts.write_meta(tmp_path, stage="test", settings=SETTINGS, files={"a": tmp_path / "a.json", "b": tmp_path / "b.safetensors"}, inputs={}, stopwatch=provenance.Stopwatch())
    return tmp_path


def test_metadata_says_how_it_was_made(folder):
    meta = artifacts.check(folder)
    assert meta["stage"] == "test" and meta["seed"] == 0 and meta["config_hash"] == SETTINGS.hash()
    assert set(meta["files"]) == {"a.json", "b.safetensors"} and meta["versions"]["torch"] and meta["commit"] and meta["peak_memory_mb"] > 10


def test_verify_finds_a_flipped_byte_and_a_missing_file(folder):
    assert [problem for _, problem in artifacts.verify(folder)] == [""]
    path = folder / "b.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert "b.safetensors is not what was written" in next(artifacts.verify(folder))[1]
    path.unlink()
    assert "b.safetensors is missing" in next(artifacts.verify(folder))[1]


def test_a_recorded_checksum_is_that_of_the_writing_and_one_taken_before_is_kept(folder):
    path, taken = folder / "b.safetensors", "f" * 64
    written = artifacts.recorded(path)
    assert written == artifacts.digest(path)
    path.write_bytes(b"other")
    assert artifacts.recorded(path) == written != artifacts.digest(path)
    artifacts.write_meta(folder, stage="next", settings=SETTINGS, files={}, inputs={"read": path, "also": path}, stopwatch=provenance.Stopwatch(), name="next.json",
                         digests={"read": taken})
    assert {role: entry["sha256"] for role, entry in artifacts.read_json(folder / "next.json")["inputs"].items()} == {"read": taken, "also": artifacts.digest(path)}
    with pytest.raises(artifacts.ArtifactError, match=r"meta.json says nothing of c.safetensors; delete both and run `snakemake --cores all`"):
        artifacts.recorded(folder / "c.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    artifacts.write_json(path, [1])
    with pytest.raises(TypeError):
        artifacts.write_json(path, object())
    assert json.loads(path.read_text()) == [1] and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_tables_come_back(tmp_path, name):
    table = pd.DataFrame({"a": [1, 2], "b": np.array([0.1, 1e-30], dtype=np.float32), "c": ["x", "y"]})
    artifacts.write_table(tmp_path / name, table)
    back = artifacts.read_table(tmp_path / name)
    assert (back["b"].astype(np.float32) == table["b"]).all() and list(back["c"]) == ["x", "y"]


@pytest.mark.parametrize(("name", "read"), [("t.csv", artifacts.read_table), ("t.parquet", artifacts.read_table), ("t.json", artifacts.read_json), ("t.safetensors", artifacts.read_tensors)])
def test_missing_and_broken_files_get_one_sentence(tmp_path, name, read):
    with pytest.raises(artifacts.ArtifactError, match=rf"{name} is missing; `snakemake --cores all` makes it"):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x00\x01\xff broken" if name != "t.csv" else b"")
    with pytest.raises(artifacts.ArtifactError) as refused:
        read(tmp_path / name)
    assert name in str(refused.value) and "\n" not in str(refused.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from replication import artifacts
with artifacts.atomic(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_goes_with_the_next_and_nothing_else_does(tmp_path):
    path = tmp_path / "A.parquet"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert [one.stat().st_size for one in tmp_path.iterdir()] == [1000]
    others = {f".A{rest}" for rest in ("-r1-abcdefgh.parquet", "-abcdefgh.safetensors", "-abcdefghi.parquet", "-abcdefg.parquet", "-ABCDEFGH.parquet", "xparquet")}
    for name in others:
        (tmp_path / name).touch()
    with artifacts.atomic(path) as temporary:
        temporary.touch()
        assert {one.name for one in tmp_path.iterdir()} == others | {temporary.name}
    assert {one.name for one in tmp_path.iterdir()} == others | {path.name}


@pytest.mark.parametrize("write", [lambda path: artifacts.write_json(path, {}), lambda path: artifacts.write_rows(path, [{"x": 1}])])
def test_a_small_file_has_several_writers_and_none_loses_its_own(tmp_path, write):
    path = tmp_path / "x.json"
    with artifacts.atomic(path, shared=True) as temporary:
        temporary.write_text("mine")
        write(path)
    assert path.read_text() == "mine"


def test_checkpoints(tmp_path):
    assert checkpoint.load(tmp_path, "me") is None
    checkpoint.save(tmp_path, "me", step=3, tensors={"t": torch.arange(3)}, rows=[{"loss": 0.1}], commits=["a"])
    back = checkpoint.load(tmp_path, "me")
    assert back.step == 3 and back.commits == ["a"] and back.rows == [{"loss": 0.1}] and back.tensors["t"].tolist() == [0, 1, 2]
    with pytest.raises(artifacts.ArtifactError, match="other settings or from other inputs"):
        checkpoint.load(tmp_path, "you")
    path = tmp_path / artifacts.CHECKPOINT
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(artifacts.ArtifactError, match="is truncated"):
        checkpoint.load(tmp_path, "me")
    checkpoint.clear(tmp_path)
    assert not tmp_path.exists()


def test_progress_says_stage_share_and_time_left():
    stream = io.StringIO()
    progress = Progress("sae fit A/1", streams=[stream], interval=0)
    progress(1, 4, "loss 0.5")
    progress(2, 4, "loss 0.4")
    progress(4, 4)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[sae fit A/1]  25 %, loss 0.5"
    assert re.fullmatch(r"\[sae fit A/1\]  50 %, \d+ s left, loss 0.4", lines[1]) and lines[2] == "[sae fit A/1] 100 %"


def test_durations():
    assert [duration(seconds) for seconds in (0, 59, 60, 125, 3600, 4200)] == ["0 s", "59 s", "1 min 00 s", "2 min 05 s", "1 h 00 min", "1 h 10 min"]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="compute.device is 'cuda', but torch sees no GPU here; use 'auto' or 'cpu'"):
        compute.device(Compute(device="cuda"))
    assert compute.device(Compute(device="auto")).type == "cpu"
