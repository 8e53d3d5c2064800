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
from replication.corpus import hub, network, revision, runs, shards, tokenizer, whole
from replication.corpus.documents import collect, manifest
from replication.corpus.sources import Position
from replication.corpus.tokens import SPLITS, encode
from replication.progress import Progress
from tests.hub import REVISION, Hub

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


@pytest.fixture
def pinned(tmp_path):
    """`pinned(sha)` writes and returns a revision.json; None for offline."""
    def write(sha=REVISION):
        folder = tmp_path / f"pinned-{sha}"
        artifacts.write_json(folder / artifacts.REVISION, {"dataset": NAME, "revision": sha})
        artifacts.write_json(folder / artifacts.REVISION_META, {"files": {artifacts.REVISION: artifacts.digest(folder / artifacts.REVISION)}})
        return folder / artifacts.REVISION

    return write


@pytest.fixture
def position(pinned):
    """`position(part, state)` at the one revision of the server, or another."""
    return lambda part=0, state=None, sha=REVISION: Position(part, state, pinned(sha))


@pytest.fixture
def take(position):
    def texts(corpus=CORPUS, start=None, skipped=None):
        return list(hub.texts(corpus, start or position(), Counter() if skipped is None else skipped, Progress()))

    return texts


@pytest.fixture
def offline(monkeypatch):
    """`offline()` is as HF_HUB_OFFLINE=1 from then on."""
    def leave():
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    return leave


def data(request):
    return request.startswith("GET") and "/resolve/" in request and "/data/" in request


@pytest.mark.parametrize("kind", FORMATS)
def test_every_text_comes_once_and_in_order_over_a_line_that_breaks(serve, pauses, kind, take):
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


def test_statuses_that_pass_are_asked_again(serve, pauses, take):
    answers = iter([429, 500, 503, 504])
    serve(files(), lambda request, number: next(answers, None) if number % 3 == 0 else None)
    assert [one.text for one in take()] == TEXTS
    assert next(answers, None) is None


def test_a_stream_that_was_given_up_is_opened_anew_after_the_last_row(serve, pauses, monkeypatch, position):
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
    said, state = [], position()
    progress = Progress()
    monkeypatch.setattr(progress, "say", said.append)
    found = [one.text for one in hub.texts(CORPUS, state, Counter(), progress)]
    assert [one[:12] for one in found] == [one[:12] for one in [*(text(0, row) for row in range(ROWS)), *(f"{row} " + "long " * 2000 for row in range(1500))]]
    assert len(found) == len(set(found)) == ROWS + 1500
    assert any("once more in 5 s, 1 of 6" in line for line in said) and 5.0 in pauses
    assert state.read()["number"] == ROWS + 1500


def test_retries_are_bounded_and_pauses_grow(serve, pauses, take):
    serve(files(), lambda request, number: 503 if data(request) else None)
    with pytest.raises(UserError, match=rf"the network failed {network.RETRIES + 1} times in a row while the dataset owner/texts was read \(.*503.*\); what came up to "
                                        "the last checkpoint is kept, and the same command goes on from there") as caught:
        take()
    assert "\n" not in str(caught.value)
    own = [network.PAUSE * 2**number for number in range(network.RETRIES)]
    assert [pause for pause in pauses if pause in own and pause >= 10] == own[1:]


def test_the_hub_says_how_long_to_wait(serve, pauses, take):
    answers = iter([(429, {"Retry-After": "77"})])
    serve(files(), lambda request, number: next(answers, None) if data(request) else None)
    assert [one.text for one in take()] == TEXTS
    assert 77 <= max(pauses) < 80


def test_a_file_that_lies_elsewhere_is_followed(serve, take):
    def redirect(request, number):
        return (302, {"Location": "/elsewhere" + request.removeprefix("GET ")}) if data(request) and "/elsewhere" not in request else None

    server = serve(files(), redirect)
    assert [one.text for one in take()] == TEXTS
    assert sum(request.startswith("GET /elsewhere") for request in server.asked) >= FILES


@pytest.mark.parametrize(("name", "status"), [("owner/none", None), (NAME, 401), (NAME, 403), (NAME, 404)])
def test_what_will_not_pass_is_refused_at_once(serve, pauses, name, status, take):
    server = serve(files(), lambda request, number: status)
    with pytest.raises(UserError, match=rf"the dataset {name} cannot be read from the Hugging Face Hub .*set corpus.source to installed or local") as caught:
        take(replace(CORPUS, name=name))
    assert "\n" not in str(caught.value)
    assert pauses == [] and len(server.asked) < 6


def test_a_file_that_is_gone_is_refused_at_once(serve, pauses, take):
    serve(files(), lambda request, number: 404 if data(request) else None)
    with pytest.raises(UserError, match="the dataset owner/texts cannot be read"):
        take()
    assert pauses == []


def test_only_what_may_pass_passes():
    assert network.passes(ConnectionResetError()) and network.passes(TimeoutError())
    wrapped = ValueError("not JSON")
    wrapped.__cause__ = ConnectionResetError()
    assert network.passes(wrapped)
    wrapped.__cause__ = KeyError()
    assert not network.passes(wrapped) and not network.passes(FileNotFoundError())
    assert network.remote(TimeoutError()) and network.remote(datasets.exceptions.DatasetNotFoundError()) and not network.remote(wrapped)


@pytest.mark.parametrize("status", [500, 429])
def test_an_outage_at_the_very_start_of_a_part_is_waited_for(serve, pauses, take, status):
    """`datasets` then says that it found no data file, and hides why."""
    server = serve(files(), lambda request, number: status if number < 30 else None)
    assert [one.text for one in take()] == TEXTS
    assert len(server.asked) > 30 and network.PAUSE in pauses


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_stream_goes_on_from_its_state(serve, kind, take, position):
    serve(files(kind))
    for number in (1, 15, 40, 47, 120):  # parquet has groups of 15 rows, and a file has 40
        start = position()
        before = hub.texts(CORPUS, start, Counter(), Progress())
        first = [next(before) for _ in range(number)]
        state = json.loads(json.dumps(start.read()))
        assert state["number"] == number and state["taken"] == sum(len(one.text) for one in first)
        rest = take(start=position(0, state))
        assert [one.text for one in [*first, *rest]] == TEXTS
        assert [one.source for one in rest] == [f"{NAME}:0:{row}" for row in range(number, len(TEXTS))]


def test_parts_share_the_files_and_the_bytes(serve, take, position):
    serve(files())
    corpus = replace(CORPUS, shards=2)
    parts = [[one.text for one in take(corpus, position(part))] for part in range(2)]
    assert parts == [TEXTS[:ROWS] + TEXTS[2 * ROWS :], TEXTS[ROWS : 2 * ROWS]]
    taken = [take(replace(corpus, max_bytes=600), position(part)) for part in range(2)]
    for found in taken:
        assert 300 <= sum(len(one.text) for one in found) < 300 + max(map(len, TEXTS))
    with pytest.raises(UserError, match="corpus.shards is 4, but the dataset owner/texts has only 3 files to deal to them; lower it"):
        take(replace(corpus, shards=4))


def test_a_dataset_is_read_until_there_is_enough(serve, take):
    rows = [{"text": " " if number == 1 else f"text {number:03}"} for number in range(50)]
    serve({"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()})
    skipped = Counter()
    found = take(replace(CORPUS, max_bytes=25), skipped=skipped)
    assert found == [("owner/texts:0:0", "text 000"), ("owner/texts:0:2", "text 002"), ("owner/texts:0:3", "text 003"), ("owner/texts:0:4", "text 004")]
    assert skipped == {"empty": 1}


def test_a_missing_field_names_the_columns(serve, take):
    serve({"train.jsonl": b'{"content": "a", "meta": 1}\n'})
    with pytest.raises(UserError, match=r"row 0 of the dataset owner/texts has no text in 'text'; set corpus.text_field to one of content, meta"):
        take()


@pytest.mark.parametrize(("value", "shown"), [(None, "null"), (17, "17"), (["a"], r"\['a'\]")])
def test_what_is_no_text_is_shown(serve, take, value, shown):
    serve({"train.jsonl": json.dumps({"text": value, "meta": 1}).encode() + b"\n"})
    with pytest.raises(UserError, match=f"row 0 of the dataset owner/texts has {shown} in 'text', which is no text; set corpus.text_field to a column of texts"):
        take()


BROKEN = {
    "a line that is no JSON": ("jsonl", lines(1)[:-40] + b'{"text": \n', "JSON"),
    "a file that was cut": ("jsonl.gz", gzip.compress(lines(1))[:-30], "end-of-stream|EOF|incomplete"),
    "a file that is no parquet": ("parquet", parquet(1)[:-30], "[Pp]arquet"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_of_the_data_is_none_of_the_network(serve, take, pauses, name):
    kind, content, said = BROKEN[name]
    serve(files(kind) | {f"data/train-00001-of-00003.{kind}": content})
    with pytest.raises(UserError, match=rf"the dataset owner/texts, part 0, cannot be read after {ROWS} rows \(.*({said}).*\); set corpus.revision") as caught:
        take()
    assert "\n" not in str(caught.value) and "network" not in str(caught.value)
    assert pauses == []


def test_a_reason_is_the_first_and_the_last_line_of_an_error():
    assert network.reason(ValueError("cannot cast\n a: int\n b: text\n\nbecause columns differ \n")) == "ValueError: cannot cast ... because columns differ"
    assert network.reason(ValueError("one")) == "ValueError: one" and network.reason(ValueError()) == "ValueError: "


def test_no_network_names_the_dataset_and_the_way_round(monkeypatch, tmp_path, pauses, take, position, offline):
    offline()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError, match=r"the dataset owner/texts cannot be read .*set corpus.source to installed or local"):
        take(start=position(sha=None))
    assert pauses == []


def test_a_dataset_of_the_cache_is_read_without_a_network(serve, monkeypatch, take, position, offline):
    server = serve(files())
    datasets.load_dataset(NAME, split="train")
    offline()
    server.asked.clear()
    assert [one.text for one in take(start=position(sha=None))] == TEXTS
    assert sorted(one.text for part in range(3) for one in take(replace(CORPUS, shards=3), position(part, sha=None))) == sorted(TEXTS)
    assert server.asked == []


@pytest.fixture
def gather(pinned):
    def part_of(out, state, part=0, corpus=CORPUS, sha=REVISION):
        collect(part=part, settings=Settings(run="test", seed=0, corpus=corpus), state=state, revision=pinned(sha), out=out, progress=Progress())
        return [artifacts.digest(out / name) for name in (artifacts.DOCUMENTS, artifacts.CORPUS)]

    return part_of


KILLED = """
import sys
from pathlib import Path
from replication import cli
from replication.corpus import runs
runs.RUN_BYTES = 20_000
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_killed_job_goes_on_and_gives_the_same_bytes(serve, tmp_path, monkeypatch, pinned, gather):
    waiting, over = threading.Event(), threading.Event()

    def hang(request, number):
        if "00002-of" in request and data(request):
            waiting.set()
            over.wait(180)
        return None

    server = serve(files(), hang)
    state, given = tmp_path / "state" / "0", Settings(run="test", seed=0, corpus=CORPUS)
    job = subprocess.Popen([sys.executable, "-c", KILLED, "corpus", "documents", "--settings", given.json(), "--state", str(state), "--revision", str(pinned()), "--out", str(tmp_path / "out")],
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


def test_what_is_kept_of_another_revision_is_not_gone_on_with(serve, position, take, offline):
    serve(files())
    start = position()
    next(hub.texts(CORPUS, start, Counter(), Progress()))
    with pytest.raises(ArtifactError, match=rf"what is kept of part 0 of the dataset owner/texts is of revision {REVISION}, but .* says f{{40}}; delete the part's folder in state"):
        take(start=position(0, start.read(), "f" * 40))
    offline()
    with pytest.raises(ArtifactError, match="says None"):
        take(start=position(0, start.read(), None))


def look_up(out, corpus=CORPUS, progress=None):
    revision.look_up(settings=Settings(run="test", seed=0, corpus=corpus), out=out, progress=progress or Progress())
    return revision.read(out / artifacts.REVISION)


def test_the_newest_commit_is_looked_up_once_and_every_part_reads_it(serve, gather, take, tmp_path):
    server = serve(files())
    assert look_up(tmp_path) == REVISION
    assert artifacts.read_json(tmp_path / artifacts.REVISION) == {"dataset": NAME, "revision": REVISION}
    assert artifacts.check(tmp_path, name=artifacts.REVISION_META)["stage"] == "corpus revision"
    server.asked.clear()
    for part in range(2):
        gather(tmp_path / "out", tmp_path / "state", part, replace(CORPUS, shards=2))
        assert artifacts.read_json(tmp_path / "out" / artifacts.CORPUS)["revision"] == REVISION
    assert server.asked and not any("main" in request or request.endswith(NAME) for request in server.asked)
    assert list(artifacts.read_json(tmp_path / "out" / artifacts.META)["inputs"]) == ["revision"]
    server.revision = "f" * 40
    assert look_up(tmp_path) == "f" * 40 and look_up(tmp_path, replace(CORPUS, revision="main")) == "f" * 40


def test_the_commit_is_asked_for_as_patiently_as_rows(serve, pauses, tmp_path, monkeypatch):
    said, progress = [], Progress()
    monkeypatch.setattr(progress, "say", said.append)
    serve(files(), lambda request, number: 503 if number <= 2 else None)
    assert look_up(tmp_path, progress=progress) == REVISION
    assert any("the network failed" in line and "once more in 5 s, 1 of 6" in line for line in said)
    server = serve(files(), lambda request, number: 503)
    with pytest.raises(UserError, match=rf"the network failed {network.RETRIES + 1} times in a row while the dataset owner/texts was read"):
        look_up(tmp_path)
    assert len(server.asked) >= network.RETRIES + 1
    del pauses[:]
    with pytest.raises(UserError, match="the dataset owner/none cannot be read from the Hugging Face Hub"):
        serve(files()) and look_up(tmp_path, replace(CORPUS, name="owner/none"))
    assert pauses == []


def test_all_parts_are_read_online_or_all_offline(serve, position, take, offline, tmp_path):
    server = serve(files())
    with pytest.raises(UserError, match=r"revision.json was written offline, but part 1 of the dataset owner/texts would be read online, with other rows; set HF_HUB_OFFLINE=1, or"):
        take(start=position(1, sha=None))
    offline()
    with pytest.raises(UserError, match=r"was written online, but part 0 of the dataset owner/texts would be read offline, with other rows; unset HF_HUB_OFFLINE, or"):
        take()
    assert look_up(tmp_path) is None
    with pytest.raises(UserError, match="read with --revision"):
        hub.Stream(CORPUS, Position())
    assert server.asked == []


def test_parts_are_joined_and_must_be_of_one_revision(serve, tmp_path, gather):
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
    gather(parts[2], tmp_path / "state", 2, corpus, "f" * 40)
    with pytest.raises(UserError, match=rf"the parts of the dataset owner/texts are of different revisions, {REVISION} \(0\), {REVISION} \(1\), f{{40}} \(2\); "
                                        "delete those that are not as revision.json says"):
        whole.join(parts=parts, settings=settings, out=tmp_path, progress=Progress())
    for part in (0, 2):
        summary = artifacts.read_json(parts[part] / artifacts.CORPUS)
        artifacts.write_json(parts[part] / artifacts.CORPUS, {key: value for key, value in summary.items() if key != "revision"})
        meta = artifacts.read_json(parts[part] / artifacts.META)
        artifacts.write_json(parts[part] / artifacts.META, meta | {"files": {artifacts.CORPUS: artifacts.digest(parts[part] / artifacts.CORPUS)}})
    with pytest.raises(UserError, match=rf"none, read offline \(0\), {REVISION} \(1\), none, read offline \(2\)"):
        whole.join(parts=parts, settings=settings, out=tmp_path, progress=Progress())
