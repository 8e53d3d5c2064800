import hashlib
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import artifacts
from replication.config import Corpus, Settings, UserError
from replication.corpus import runs
from replication.corpus.documents import Sample, collect, documents_of, in_holdout, manifest, pieces
from replication.corpus.sources import Text, fingerprint, tokenizer_file
from replication.corpus.table import Document, read
from replication.progress import Progress


def settings(**corpus) -> Settings:
    return Settings(run="test", seed=0, corpus=Corpus(**{"source": "local", **corpus}))


@given(st.text(alphabet="a\né→🙂", max_size=200), st.integers(4, 30))
def test_pieces_are_short_join_again_and_end_at_lines(text, limit):
    data = text.encode()
    parts = list(pieces(data, limit))
    assert b"".join(parts) == data
    assert all(len(part) <= limit for part in parts)
    assert all(part.decode().encode() == part for part in parts)  # no character is cut
    rest = data
    for part in parts[:-1]:
        rest = rest[len(part) :]
        if part.endswith(b"\n"):
            assert len(part) + len(rest.split(b"\n")[0]) + 1 > limit, "the next line would fit"
        else:
            assert b"\n" not in part, "a line is cut although a line end comes before"
            assert len(part) + len(rest.decode()[0].encode()) > limit, "the next character would fit"


def test_pieces_by_hand():
    assert list(pieces(b"aa\nbb\ncccccc\n", 6)) == [b"aa\nbb\n", b"cccccc", b"\n"]


def document(number: int, size: int) -> Document:
    return Document(f"{number:016x}", "", False, size, "")


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(1, 30))
def test_a_sample_is_the_longest_prefix_that_fits_and_counts_all(sizes, max_bytes):
    documents = [document(number, size)._replace(held_out=number % 2 == 0) for number, size in enumerate(sizes)]
    total, expected = 0, []
    for one in documents:
        total += one.bytes
        if total > max_bytes:
            break
        expected.append(one)
    sample = Sample(max_bytes)
    assert list(sample.of(documents)) == expected
    assert (sample.documents, sample.bytes) == (len(expected), sum(one.bytes for one in expected))
    assert (sample.held_out_documents, sample.held_out_bytes) == (len(expected[::2]), sum(one.bytes for one in expected[::2]))
    assert (sample.available_documents, sample.available_bytes) == (len(sizes), sum(sizes))
    assert sample.manifest() == manifest(one.id for one in documents)


def test_half_a_surrogate_pair_is_named():
    with pytest.raises(UserError, match="x:3 holds half of a surrogate pair"):
        list(documents_of(Text("x:3", "\ud800"), 0.0))


def test_pieces_of_one_text_lie_on_one_side_of_the_split():
    sides = Counter()
    for number in range(40):
        text = Text(str(number), "".join(f"{number} {line}\n" for line in range(40_000)))
        held = [one.held_out for one in documents_of(text, 0.5)]
        assert len(held) > 1
        assert len(set(held)) == 1
        sides[held[0]] += 1
    assert min(sides.values()) > 5


def test_the_split_has_its_share_also_among_the_smallest_ids():
    documents = sorted(one for number in range(20_000) for one in documents_of(Text("", str(number)), 0.1))
    assert 0.09 < sum(one.held_out for one in documents) / len(documents) < 0.11
    assert 0.07 < sum(one.held_out for one in documents[:2000]) / 2000 < 0.13
    assert not in_holdout("f" * 64, 0.5)
    assert in_holdout("f" * 56 + "00000000", 0.001)
    assert not in_holdout("0" * 64, 0.0)


def test_manifest_is_of_the_set():
    assert manifest(["b", "a"]) == manifest(["a", "b"]) == hashlib.sha256(b"a\nb").hexdigest()
    assert manifest(["a"]) != manifest(["a", "b"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = tmp_path / "texts"
    texts.mkdir()
    rows = [{"text": f"row {number} " + "word " * (number % 7)} for number in range(200)]
    (texts / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (texts / "note.md").write_text("a note, déjà vu")
    (texts / "the_same_note.md").write_text("a note, déjà vu")
    return texts


def test_collect_writes_what_it_says(folder, tmp_path):
    out = tmp_path / "corpus"
    collect(settings=settings(paths=(str(folder),), holdout=0.2), state=tmp_path / "state", out=out, progress=Progress())
    table = pq.read_table(out / artifacts.DOCUMENTS).to_pandas()
    summary = artifacts.read_json(out / artifacts.CORPUS)
    assert list(table.columns) == ["document", "source", "held_out", "bytes", "text"]
    assert list(table.document) == sorted(table.document)
    assert set(table.source) == {"note.md", *(f"rows.jsonl:{line}" for line in range(1, 201))}
    assert list(table.bytes) == [len(text.encode()) for text in table.text]
    assert summary["documents"] == summary["available_documents"] == len(table) == 201
    assert summary["bytes"] == summary["available_bytes"] == table.bytes.sum()
    assert summary["held_out_documents"] == table.held_out.sum() > 10
    assert summary["held_out_bytes"] == table.bytes[table.held_out].sum()
    assert summary["manifest_sha256"] == manifest(table.document)
    assert summary["duplicates"] == 1
    assert sorted([*read(out / artifacts.DOCUMENTS, held_out=True), *read(out / artifacts.DOCUMENTS, held_out=False)]) == sorted(table.text)


def test_collect_twice_is_equal_and_less_is_a_part_of_more(folder, tmp_path):
    for name, max_bytes in (("a", 10**6), ("b", 10**6), ("less", 1500)):
        collect(settings=settings(paths=(str(folder),), holdout=0.2, max_bytes=max_bytes), state=tmp_path / "state", out=tmp_path / name, progress=Progress())
    a, b, less = (tmp_path / name / artifacts.DOCUMENTS for name in ("a", "b", "less"))
    assert artifacts.digest(a) == artifacts.digest(b)
    more, fewer = pq.read_table(a).to_pylist(), pq.read_table(less).to_pylist()
    assert fewer == more[: len(fewer)]
    assert 1400 < sum(row["bytes"] for row in fewer) <= 1500


@pytest.mark.parametrize("max_bytes", [1500, 10**6])
def test_the_same_whatever_is_held_in_memory(folder, tmp_path, monkeypatch, max_bytes):
    given = settings(paths=(str(folder),), holdout=0.2, max_bytes=max_bytes)
    collect(settings=given, state=tmp_path / "state", out=tmp_path / "memory", progress=Progress())
    written = []
    monkeypatch.setattr(runs.Runs, "spill", lambda self, state, spill=runs.Runs.spill: (written.append(state), spill(self, state)))
    monkeypatch.setattr(runs, "RUN_BYTES", 5000)
    monkeypatch.setattr(runs, "MERGED", 3)
    collect(settings=given, state=tmp_path / "state", out=tmp_path / "disk", progress=Progress())
    assert written == [None] * len(written) and len(written) > 9  # and merged in more than one round
    for name in (artifacts.DOCUMENTS, artifacts.CORPUS):
        assert artifacts.digest(tmp_path / "memory" / name) == artifacts.digest(tmp_path / "disk" / name)
    assert not (tmp_path / "state").exists()


def test_empty_and_too_small_leave_nothing_behind(folder, tmp_path):
    (folder / "rows.jsonl").write_text("\n")
    (folder / "note.md").write_text("  \n")
    (folder / "the_same_note.md").unlink()
    with pytest.raises(UserError, match=r"the corpus is empty: .*texts gave no text"):
        collect(settings=settings(paths=(str(folder),)), state=tmp_path / "state", out=tmp_path / "out", progress=Progress())
    (folder / "note.md").write_text("long enough")
    with pytest.raises(UserError, match="max_bytes is 3, less than the first document"):
        collect(settings=settings(paths=(str(folder),), max_bytes=3), state=tmp_path / "state", out=tmp_path / "out", progress=Progress())
    assert not (tmp_path / "out").exists()


def test_fingerprint_follows_content_and_not_time(folder):
    corpus = Corpus(source="local", paths=(str(folder),))
    before = fingerprint(corpus)
    note = folder / "note.md"
    note.write_text(note.read_text())
    assert fingerprint(corpus) == before
    note.write_text("a note, DÉJÀ vu")
    assert fingerprint(corpus) != before
    assert fingerprint(Corpus(source="local", paths=("/nowhere",))) != before  # and no error: the job reports it


def test_a_tokenizer_of_a_file_is_looked_at_and_is_no_part_of_the_text(folder, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    corpus = Corpus(source="local", paths=(str(folder),), tokenizer=str(path))
    named, text = tokenizer_file(corpus), fingerprint(corpus)
    path.write_text("{ }")
    assert tokenizer_file(corpus) != named and fingerprint(corpus) == text
    assert tokenizer_file(Corpus()) == tokenizer_file(Corpus(tokenizer="gpt2")) == ""
