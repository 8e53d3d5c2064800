import io
import subprocess
import sys
from argparse import ArgumentParser

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.config import Corpus, Settings, UserError
from replication.corpus import command, shards, tokenizer, whole
from replication.corpus import tokens as tokens_module
from replication.corpus.documents import collect
from replication.corpus.table import Document, rows, text_numbers, write
from replication.corpus.tokens import as_dataset, batches, documents_of, encode, encoded
from replication.progress import Progress


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("texts")
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"text {number}: " + "the cat sat on the mat, " * (1 + number % 5) + "ü🙂 <|endoftext|> quoted")
    return Settings(run="test", seed=0, corpus=Corpus(source="local", paths=(str(folder),), d_vocab=300, holdout=0.2))


def make(settings, out, state):
    """A corpus of one part, as the rules make it."""
    part = out / "parts" / "0"
    collect(settings=settings, state=state, out=part, progress=Progress())
    tokenizer.make(documents=part / artifacts.DOCUMENTS, settings=settings, out=out, progress=Progress())
    encode(documents=part / artifacts.DOCUMENTS, tokenizer=out / artifacts.TOKENIZER, n_ctx=16, settings=settings, out=part, progress=Progress())
    whole.join(parts=[part], settings=settings, out=out, progress=Progress())
    return out


@pytest.fixture(scope="module")
def corpus(settings, tmp_path_factory):
    return make(settings, tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("state"))


def test_contexts_by_hand():
    stream = io.BytesIO()
    writer = shards.Writer(stream, 3)
    assert writer.append(np.array([1, 2], np.int32)).tolist() == []
    assert writer.append(np.array([3, 4, 5, 6, 7], np.int32)).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.frombuffer(stream.getvalue(), np.int32).tolist() == [1, 2, 3, 4, 5, 6]
    assert (writer.contexts, writer.rest.tolist()) == (2, [7])


def test_every_context_begins_with_bos_where_there_is_one():
    stream = io.BytesIO()
    writer = shards.Writer(stream, 4, bos=9)
    assert writer.append(np.array([1, 2], np.int32)).tolist() == []
    assert writer.append(np.array([3, 4, 5, 6, 7], np.int32)).tolist() == [9, 1, 2, 3, 9, 4, 5, 6]
    assert np.frombuffer(stream.getvalue(), np.int32).reshape(-1, 4).tolist() == [[9, 1, 2, 3], [9, 4, 5, 6]]
    assert (writer.contexts, writer.rest.tolist()) == (2, [7])


@pytest.mark.parametrize("lengths", [[0], [5], [123, 0, 4], [0, 0], [1000, 1, 50_000]])
def test_joined_shards_are_written_as_the_library_writes_them(tmp_path, lengths):
    parts = []
    for number, length in enumerate(lengths):
        tokens = torch.arange(length * 7, dtype=torch.int32).reshape(length, 7) + number
        parts.append(tokens)
        with shards.writing(tmp_path / f"{number}.safetensors", 7) as writer:
            for chunk in tokens.flatten().split(10):
                writer.append(chunk.numpy())
            writer.append(np.arange(6, dtype=np.int32))  # fills no context
        assert torch.equal(shards.read_tokens(tmp_path / f"{number}.safetensors"), tokens)
    shards.join([tmp_path / f"{number}.safetensors" for number in range(len(lengths))], tmp_path / "joined.safetensors")
    shards.write_tokens(tmp_path / "library.safetensors", torch.cat(parts))
    assert (tmp_path / "joined.safetensors").read_bytes() == (tmp_path / "library.safetensors").read_bytes()


def test_shards_of_different_lengths_are_not_joined(tmp_path):
    for n_ctx in (3, 4):
        shards.write_tokens(tmp_path / f"{n_ctx}.safetensors", torch.zeros(2, n_ctx))
    with pytest.raises(ArtifactError, match="contexts of different lengths"):
        shards.join([tmp_path / "3.safetensors", tmp_path / "4.safetensors"], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_whole_says_what_its_part_says(corpus):
    part = artifacts.read_json(corpus / "parts" / "0" / artifacts.CORPUS)
    assert artifacts.read_json(corpus / artifacts.CORPUS) == part | {"reference_sha256": None, "matches_reference": None, "packages": {}}
    assert artifacts.check(corpus)["stage"] == "corpus"


def test_batches():
    assert list(batches(["aa", "b", "ccc", "d"], 3)) == [["aa", "b"], ["ccc"], ["d"]]
    assert list(batches([], 3)) == []


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_shards_are_the_documents_packed_in_order(corpus, split):
    import pyarrow.parquet as pq

    coder = tokenizer.load(corpus / artifacts.TOKENIZER)
    rows = pq.read_table(corpus / "parts" / "0" / artifacts.DOCUMENTS).to_pylist()
    texts = [row["text"] for row in rows if row["held_out"] == (split == "held_out")]
    tokens = shards.read_tokens(corpus / f"{split}.safetensors")
    assert tokens.dtype == torch.int32
    assert tokens.shape[1] == 16
    flat = tokens.flatten().tolist()
    lengths, position = [], 0
    for text in texts:
        ids = coder.encode(text).ids
        assert coder.decode(ids, skip_special_tokens=False) == text
        assert 0 not in ids  # the quoted <|endoftext|> is ordinary text
        expected = [*ids, 0]
        assert flat[position : position + len(expected)] == expected[: len(flat) - position]
        position += len(expected)
        lengths.append(len(expected))
    assert len(tokens) == sum(lengths) // 16


def test_unigrams_count_the_training_contexts(corpus):
    counts = shards.read_counts(corpus / artifacts.UNIGRAMS)
    tokens = shards.read_tokens(corpus / artifacts.TRAIN_TOKENS)
    assert counts.dtype == torch.int64
    assert len(counts) == artifacts.read_json(corpus / artifacts.TOKENIZER_META)["d_vocab"] == 300
    assert counts.tolist() == [int((tokens == token).sum()) for token in range(300)]
    assert artifacts.check(corpus, name=artifacts.TOKENS_META)["n_ctx"] == 16


def test_the_same_whatever_the_batches(corpus, monkeypatch):
    from replication.corpus import tokens as module

    coder = tokenizer.load(corpus / artifacts.TOKENIZER)
    texts = ["one two", "three", "four five six", "ü"]
    whole = np.concatenate([part for part, _ in encoded(texts, coder)])
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 1)
    assert np.array_equal(np.concatenate([part for part, _ in encoded(texts, coder)]), whole)
    assert sum(size for _, size in encoded(texts, coder)) == len("".join(texts).encode())


def test_too_little_text_is_one_sentence_and_nothing_is_written(corpus, settings, tmp_path):
    with pytest.raises(UserError, match=r"the training text is \d+ tokens, less than one context of 1000000"):
        encode(documents=corpus / "parts" / "0" / artifacts.DOCUMENTS, tokenizer=corpus / artifacts.TOKENIZER, n_ctx=1_000_000,
               settings=settings, out=tmp_path, progress=Progress())
    assert not list(tmp_path.iterdir())


def test_the_document_of_a_context_is_that_of_its_middle_token():
    contexts = torch.tensor([[1, 2, 0, 3], [4, 0, 5, 0], [0, 6, 7, 8]])  # documents 1 2 | 3 4 | 5 | nothing | 6 7 8
    assert documents_of(contexts, 0, bos=False).tolist() == [0, 2, 4]
    beginning = torch.cat([torch.zeros(3, 1, dtype=torch.int64), contexts], dim=1)  # a BOS that is the same token ends nothing
    assert documents_of(beginning, 0, bos=True).tolist() == [0, 2, 4]


@pytest.mark.parametrize("block", [1, 7, 2**16])
def test_held_out_contexts_know_their_text(corpus, monkeypatch, block):
    monkeypatch.setattr(tokens_module, "BLOCK", block)
    coder = tokenizer.load(corpus / artifacts.TOKENIZER)
    held = [document for document in rows(corpus / "parts" / "0" / artifacts.DOCUMENTS) if document.held_out]
    of_token = np.concatenate([[number] * (len(coder.encode(document.text, add_special_tokens=False).ids) + 1) for number, document in enumerate(held)])
    contexts = shards.read_tokens(corpus / artifacts.HELD_OUT_TOKENS)
    middles = of_token[: contexts.numel()].reshape(len(contexts), -1)[:, 8]
    assert documents_of(contexts, 0, bos=False).tolist() == middles.tolist() and len(set(middles)) > 3
    numbers = list(text_numbers(corpus / "parts" / "0" / artifacts.DOCUMENTS, held_out=True))
    assert shards.read_sources(corpus / artifacts.HELD_OUT_SOURCES).tolist() == [numbers[place] for place in middles]


def test_pieces_of_a_text_have_one_number(tmp_path):
    write(tmp_path / "documents.parquet", [Document(str(place), source, source != "b", 1, "x") for place, source in enumerate(["a", "b", "a#1", "c", "a#12", "a#x"])])
    one, piece, other, last, name = text_numbers(tmp_path / "documents.parquet", held_out=True)
    assert one == piece == last and len({one, other, name}) == 3 and 0 <= one < 2**63


def test_as_dataset(corpus):
    dataset = as_dataset(corpus, "held_out")
    tokens = shards.read_tokens(corpus / artifacts.HELD_OUT_TOKENS)
    assert dataset.column_names == ["tokens"]
    assert len(dataset) == len(tokens)
    assert torch.equal(dataset.with_format("torch")[:]["tokens"].int(), tokens)
    with pytest.raises(UserError, match="split is 'test', but must be one of train, held_out"):
        as_dataset(corpus, "test")


def test_changed_documents_are_refused(corpus, settings, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    part = copy / "parts" / "0"
    data = bytearray((part / artifacts.DOCUMENTS).read_bytes())
    data[len(data) // 2] ^= 1
    (part / artifacts.DOCUMENTS).write_bytes(data)
    with pytest.raises(ArtifactError, match=r"documents\.parquet is not what was written"):
        tokenizer.make(documents=part / artifacts.DOCUMENTS, settings=settings, out=copy, progress=Progress())
    (part / artifacts.TRAIN_TOKENS).write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"train\.safetensors is not what was written"):
        whole.join(parts=[part], settings=settings, out=copy, progress=Progress())
    (copy / artifacts.TOKENIZER).write_text("{}")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not what was written"):
        encode(documents=part / artifacts.DOCUMENTS, tokenizer=copy / artifacts.TOKENIZER, n_ctx=16, settings=settings, out=part, progress=Progress())


def test_broken_shards_are_one_sentence(tmp_path):
    path = tmp_path / "tokens.safetensors"
    with pytest.raises(ArtifactError, match="is missing"):
        shards.read_tokens(path)
    shards.write_tokens(path, torch.arange(6).reshape(2, 3))
    assert shards.read_tokens(path).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ArtifactError, match="holds no counts"):
        shards.read_counts(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match="is truncated"):
        shards.read_tokens(path)
    artifacts.write_tensors(path, {"tokens": torch.zeros(3)})
    with pytest.raises(ArtifactError, match=r"type torch.float32 and shape \(3,\)"):
        shards.read_tokens(path)


def test_shards_run_on_a_bare_gpu_image():
    program = ("import sys; import replication.corpus.shards\n"
               "sys.exit(any(name in sys.modules for name in ('pandas', 'pyarrow', 'datasets', 'sklearn', 'transformers')))")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_verbs_have_their_paths():
    parsers = {}

    def job(verb, function, doc):
        parsers[verb] = ArgumentParser()
        assert doc.endswith(".")
        return parsers[verb]

    command.register(job)
    assert set(parsers) == {"revision", "documents", "tokenizer", "tokens", "join"}
    parsed = parsers["tokens"].parse_args(["--documents", "d", "--tokenizer", "t", "--n-ctx", "8", "--out", "o"])
    assert parsed.n_ctx == 8
    given = ["--state", "s", "--out", "o", "--revision"]  # the rule has nothing to name behind it but for a dataset of the Hub
    assert parsers["documents"].parse_args(given).revision is None and str(parsers["documents"].parse_args([*given, "r"]).revision) == "r"
