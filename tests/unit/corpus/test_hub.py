import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import HfFileSystem

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.config import Corpus, Settings, UserError
from replication.corpus import hub, runs, shards, tokenizer, whole
from replication.corpus.documents import collect, manifest
from replication.corpus.sources import Position
from replication.corpus.tokens import SPLITS, encode
from replication.progress import Progress
from tests.hub import Hub

NAME = "owner/texts"
CORPUS = Corpus(source="hub", name=NAME, max_bytes=10**9, holdout=0.2)
FILES, ROWS = 3, 40


def text(file, row):
    return f"file {file} row {row} " + "word " * (row % 9)


def lines(file, rows=ROWS):
    return "".join(json.dumps({"text": text(file, row), "meta": {"row": row}}) + "\n" for row in range(rows)).encode()


def parquet(file):
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [text(file, row) for row in range(ROWS)], "row": range(ROWS)}), stream, row_group_size=15)
    return stream.getvalue()


def zstd(file):
    """Two frames, as tools that compress in parallel write them."""
    pack, data = pytest.importorskip("backports.zstd").compress, lines(file)
    return pack(data[:500]) + pack(data[500:])


FORMATS = {"jsonl": lines, "jsonl.gz": lambda file: gzip.compress(lines(file)), "jsonl.zst": zstd, "parquet": parquet}
TEXTS = [text(file, row) for file in range(FILES) for row in range(ROWS)]


def files(kind="jsonl"):
    return {f"data/train-{file:05}-of-{FILES:05}.{kind}": FORMATS[kind](file) for file in range(FILES)}


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Starts a Hub that the libraries take for the real one, in this process; nothing pauses."""
    running = []

    def start(content, fault=lambda request, number: None):
        server = Hub(NAME, content, fault).__enter__()
        running.append(server)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", server.url)
        HfFileSystem.clear_instance_cache()
        return server

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def take(corpus=CORPUS, position=None, skipped=None):
    return list(hub.texts(corpus, position or Position(), Counter() if skipped is None else skipped, Progress()))


def data(request):
    return request.startswith("GET") and "/resolve/" in request and "/data/" in request


@pytest.mark.parametrize("kind", FORMATS)
def test_every_text_comes_once_and_in_order_over_a_line_that_breaks(serve, pauses, kind):
    broken = []

    def fault(request, number):
        if data(request) and len(broken) < 40 and number % 2:
            broken.append(request)
            return "drop", 0.6
        return None

    server = serve(files(kind), fault)
    found = take()
    assert [one.text for one in found] == TEXTS
    assert [one.source for one in found] == [f"{NAME}:0:{number}" for number in range(len(TEXTS))]
    assert len(broken) >= FILES and len(server.asked) < 60


def test_statuses_that_pass_are_asked_again(serve, pauses):
    answers = iter([429, 500, 503, 504])
    serve(files(), lambda request, number: next(answers, None) if number % 3 == 0 else None)
    assert [one.text for one in take()] == TEXTS
    assert next(answers, None) is None


def test_a_stream_that_was_given_up_is_opened_anew_after_the_last_row(serve, pauses, monkeypatch):
    """The layers below give up in the middle of the second file, whose first rows have come, and when files are listed."""
    monkeypatch.setattr(datasets.config, "STREAMING_READ_MAX_RETRIES", 2)
    long = {"train/0.jsonl": lines(0), "train/1.jsonl": b"".join(json.dumps({"text": f"{row} " + "long " * 2000}).encode() + b"\n" for row in range(1500))}
    second, failed = [], []

    def fault(request, number):
        if "1.jsonl" in request and data(request.replace("/train/", "/data/")):
            second.append(request)
            if len(second) == 1:
                return "drop", 0.8  # after the first 10 MB, which `datasets` reads at a time
            if len(second) < 40 and not failed:
                return 500
        if second and "/tree/" in request and len(failed) < 10:
            failed.append(request)
            return 503
        return None

    serve(long, fault)
    said, state = [], Position()
    progress = Progress()
    monkeypatch.setattr(progress, "say", said.append)
    found = [one.text for one in hub.texts(CORPUS, state, Counter(), progress)]
    assert [one[:12] for one in found] == [one[:12] for one in [*(text(0, row) for row in range(ROWS)), *(f"{row} " + "long " * 2000 for row in range(1500))]]
    assert len(found) == len(set(found)) == ROWS + 1500
    assert any("once more in 5 s, 1 of 6" in line for line in said) and 5.0 in pauses
    assert state.read()["number"] == ROWS + 1500


def test_retries_are_bounded_and_pauses_grow(serve, pauses):
    serve(files(), lambda request, number: 503 if data(request) else None)
    with pytest.raises(UserError, match=rf"the network failed {hub.RETRIES + 1} times in a row while the dataset owner/texts was read \(.*503.*\); what came up to "
                                        "the last checkpoint is kept, and the same command goes on from there") as caught:
        take()
    assert "\n" not in str(caught.value)
    own = [hub.PAUSE * 2**number for number in range(hub.RETRIES)]
    assert [pause for pause in pauses if pause in own and pause >= 10] == own[1:]


@pytest.mark.parametrize(("name", "status"), [("owner/none", None), (NAME, 401), (NAME, 403), (NAME, 404)])
def test_what_will_not_pass_is_refused_at_once(serve, pauses, name, status):
    server = serve(files(), lambda request, number: status)
    with pytest.raises(UserError, match=rf"the dataset {name} cannot be read from the Hugging Face Hub .*set corpus.source to installed or local") as caught:
        take(replace(CORPUS, name=name))
    assert "\n" not in str(caught.value)
    assert pauses == [] and len(server.asked) < 6


def test_a_file_that_is_gone_is_refused_at_once(serve, pauses):
    serve(files(), lambda request, number: 404 if data(request) else None)
    with pytest.raises(UserError, match="the dataset owner/texts cannot be read"):
        take()
    assert pauses == []


def test_only_what_may_pass_passes():
    assert hub.passes(ConnectionResetError()) and hub.passes(TimeoutError())
    wrapped = ValueError("not JSON")
    wrapped.__cause__ = ConnectionResetError()
    assert hub.passes(wrapped)
    wrapped.__cause__ = KeyError()
    assert not hub.passes(wrapped) and not hub.passes(FileNotFoundError())


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_stream_goes_on_from_its_state(serve, kind):
    serve(files(kind))
    for number in (1, 15, 40, 47, 120):  # parquet has groups of 15 rows, and a file has 40
        position = Position()
        before = hub.texts(CORPUS, position, Counter(), Progress())
        first = [next(before) for _ in range(number)]
        state = json.loads(json.dumps(position.read()))
        assert state["number"] == number and state["taken"] == sum(len(one.text) for one in first)
        rest = take(position=Position(0, state))
        assert [one.text for one in [*first, *rest]] == TEXTS
        assert [one.source for one in rest] == [f"{NAME}:0:{row}" for row in range(number, len(TEXTS))]


def test_parts_share_the_files_and_the_bytes(serve):
    serve(files())
    corpus = replace(CORPUS, shards=2)
    parts = [[one.text for one in take(corpus, Position(part))] for part in range(2)]
    assert parts == [TEXTS[:ROWS] + TEXTS[2 * ROWS :], TEXTS[ROWS : 2 * ROWS]]
    taken = [take(replace(corpus, max_bytes=600), Position(part)) for part in range(2)]
    for found in taken:
        assert 300 <= sum(len(one.text) for one in found) < 300 + max(map(len, TEXTS))
    with pytest.raises(UserError, match="corpus.shards is 4, but the dataset owner/texts has only 3 files to deal to them; lower it"):
        take(replace(corpus, shards=4))


def test_a_dataset_is_read_until_there_is_enough(serve):
    rows = [{"text": " " if number == 1 else f"text {number:03}"} for number in range(50)]
    serve({"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()})
    skipped = Counter()
    found = take(replace(CORPUS, max_bytes=25), skipped=skipped)
    assert found == [("owner/texts:0:0", "text 000"), ("owner/texts:0:2", "text 002"), ("owner/texts:0:3", "text 003"), ("owner/texts:0:4", "text 004")]
    assert skipped == {"empty": 1}


def test_a_missing_field_names_the_columns(serve):
    serve({"train.jsonl": b'{"content": "a", "meta": 1}\n'})
    with pytest.raises(UserError, match=r"row 0 of the dataset owner/texts has no text in 'text'; set corpus.text_field to one of content, meta"):
        take()


def test_no_network_names_the_dataset_and_the_way_round(monkeypatch, tmp_path, pauses):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError, match=r"the dataset owner/texts cannot be read .*set corpus.source to installed or local"):
        take()
    assert pauses == []


def test_a_dataset_of_the_cache_is_read_without_a_network(serve, monkeypatch):
    server = serve(files())
    datasets.load_dataset(NAME, split="train")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    server.asked.clear()
    assert [one.text for one in take()] == TEXTS
    assert sorted(one.text for part in range(3) for one in take(replace(CORPUS, shards=3), Position(part))) == sorted(TEXTS)
    assert server.asked == []


def gather(out, state, part=0, corpus=CORPUS):
    collect(part=part, settings=Settings(run="test", seed=0, corpus=corpus), state=state, out=out, progress=Progress())
    return [artifacts.digest(out / name) for name in (artifacts.DOCUMENTS, artifacts.CORPUS)]


KILLED = """
import sys
from pathlib import Path
from replication import cli
from replication.corpus import runs
runs.RUN_BYTES = 20_000
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_killed_job_goes_on_and_gives_the_same_bytes(serve, tmp_path, monkeypatch):
    waiting, over = threading.Event(), threading.Event()

    def hang(request, number):
        if "00002-of" in request and data(request):
            waiting.set()
            over.wait(180)
        return None

    server = serve(files(), hang)
    state, given = tmp_path / "state" / "0", Settings(run="test", seed=0, corpus=CORPUS)
    job = subprocess.Popen([sys.executable, "-c", KILLED, "corpus", "documents", "--settings", given.json(), "--state", str(state), "--out", str(tmp_path / "out")],
                           env=os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}, stderr=subprocess.DEVNULL)
    assert waiting.wait(180)
    job.send_signal(signal.SIGKILL)
    job.wait()
    over.set()
    found = json.loads((state / runs.CHECKPOINT).read_text())
    assert 0 < found["state"]["number"] <= 2 * ROWS and found["state"]["revision"] == server.revision
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArtifactError, match="was written with other settings"):
        gather(tmp_path / "out", state, corpus=replace(CORPUS, max_bytes=10**6))
    server.fault = lambda request, number: None
    came, real = [], hub.texts
    monkeypatch.setattr(hub, "texts", lambda *arguments: (came.append(one.source) or one for one in real(*arguments)))
    resumed = gather(tmp_path / "out", state)
    assert came == [f"{NAME}:0:{row}" for row in range(found["state"]["number"], len(TEXTS))]
    assert not state.exists()
    assert resumed == gather(tmp_path / "whole", tmp_path / "another")
    assert artifacts.read_json(tmp_path / "out" / artifacts.CORPUS)["documents"] == len(TEXTS)


def test_a_resumed_job_reads_the_revision_that_it_began(serve, tmp_path):
    server = serve(files())
    position = Position()
    stream = hub.texts(CORPUS, position, Counter(), Progress())
    next(stream)
    server.asked.clear()
    assert len(take(position=Position(0, position.read()))) == len(TEXTS) - 1
    assert server.asked and not any("main" in request or request.endswith(NAME) for request in server.asked)


def test_parts_are_joined_and_must_be_of_one_revision(serve, tmp_path):
    server, corpus = serve(files()), replace(CORPUS, shards=3, d_vocab=300)
    settings, parts = Settings(run="test", seed=0, corpus=corpus), [tmp_path / "parts" / str(part) for part in range(3)]
    for part, folder in enumerate(parts):
        gather(folder, tmp_path / "state", part, corpus)
        if not part:
            tokenizer.make(documents=folder / artifacts.DOCUMENTS, settings=settings, out=tmp_path, progress=Progress())
        encode(documents=folder / artifacts.DOCUMENTS, tokenizer=tmp_path / artifacts.TOKENIZER, n_ctx=8, settings=settings, out=folder, progress=Progress())
    whole.join(parts=parts, settings=settings, out=tmp_path, progress=Progress())
    summaries = [artifacts.read_json(folder / artifacts.CORPUS) for folder in parts]
    found = artifacts.read_json(tmp_path / artifacts.CORPUS)
    assert found["documents"] == len(TEXTS) == sum(one["documents"] for one in summaries) and found["revision"] == server.revision
    assert found["manifest_sha256"] == manifest(one["manifest_sha256"] for one in summaries)
    for split in SPLITS.values():
        assert torch.equal(shards.read_tokens(tmp_path / split), torch.cat([shards.read_tokens(folder / split) for folder in parts]))
    train = shards.read_tokens(tmp_path / artifacts.TRAIN_TOKENS)
    assert torch.equal(shards.read_counts(tmp_path / artifacts.UNIGRAMS), torch.bincount(train.flatten(), minlength=300))
    server.revision = "f" * 40
    gather(parts[2], tmp_path / "state", 2, corpus)
    with pytest.raises(UserError, match=r"the dataset owner/texts changed while it was read: .*f{40} \(2\); set corpus.revision to one of them"):
        whole.join(parts=parts, settings=settings, out=tmp_path, progress=Progress())
