"""Sampling, shuffling, storing and streaming of activation vectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from replication.activations import open_stream
from replication.activations.harvest import harvest
from replication.activations.plan import plan
from replication.artifacts import ArtifactError, read_json
from replication.config import Activations, UserError
from replication.corpus.shards import read_tokens
from replication.model.store import load
from replication.sae.fit import fit

CPU = torch.device("cpu")


def stream_of(settings, world, folder=None):
    return open_stream(settings, model=world["model"], tokens=world["tokens"], folder=folder or world["activations"], device=CPU)


def test_stored_and_streamed_give_the_same_batches(tiny, world, tmp_path):
    streamed = replace(tiny, activations=replace(tiny.activations, storage="streamed"))
    harvest(settings=streamed, site="mlp_act", model=world["model"], tokens=world["tokens"], out=tmp_path / "streamed")
    assert not list((tmp_path / "streamed" / "blocks").iterdir())
    ours, theirs = stream_of(tiny, world), stream_of(streamed, world, tmp_path / "streamed")
    for left, right in zip(ours.batches(start=0, batch=128, steps=32), theirs.batches(start=0, batch=128, steps=32), strict=True):
        assert torch.equal(left, right)


def test_a_streamed_dictionary_is_the_stored_one_bit_for_bit_and_no_vector_reaches_the_disk(tiny, world, tmp_path):
    streamed = replace(tiny, activations=replace(tiny.activations, storage="streamed"))
    harvest(settings=streamed, site="mlp_act", model=world["model"], tokens=world["tokens"], out=tmp_path / "streamed")
    for name, settings, folder in (("stored", tiny, world["activations"]), ("from_stream", streamed, tmp_path / "streamed")):
        fit(settings=settings, name="A/1", model=world["model"], tokens=world["tokens"], activations=folder, state=tmp_path / "state", out=tmp_path / name)
    for file in ("sae_weights.safetensors", "start.safetensors", "log.csv"):
        assert (tmp_path / "stored" / file).read_bytes() == (tmp_path / "from_stream" / file).read_bytes(), file
    assert {path.name for path in (tmp_path / "streamed").rglob("*") if path.is_file()} == {"statistics.json", "meta.json"}


def test_a_stream_can_start_anywhere(tiny, world):
    stream = stream_of(tiny, world)
    whole = list(stream.batches(start=0, batch=128, steps=32))
    for left, right in zip(whole[13:], stream.batches(start=13, batch=128, steps=19), strict=True):
        assert torch.equal(left, right)


def test_the_last_vectors_are_the_end_of_the_order(tiny, world):
    stream = stream_of(tiny, world)
    whole = torch.cat(list(stream.batches(start=0, batch=128, steps=32)))
    for count in (1, 1024, 1500, 4096):
        assert torch.equal(stream.last(count).float(), whole[-count:])
    with pytest.raises(UserError, match="the last 4097 vectors are asked for, but the activations hold 4096; raise activations.vectors"):
        stream.last(4097)


def test_fewer_tokens_of_a_context_are_as_many_of_each_in_the_order_of_all(tiny, world):
    made = plan(tiny.activations, contexts=1200, n_ctx=16, seed=0, stream=0)
    contexts, _, slots = made.vectors(1)
    owner = np.empty(made.block, int)
    owner[slots] = np.repeat(contexts, tiny.activations.per_context)
    kept = made.some(1, 3)
    assert (np.diff(kept) > 0).all() and (np.bincount(owner[kept])[contexts] == 3).all() and len(kept) == 3 * len(contexts)
    assert len(np.unique(np.concatenate([made.some(block, 3) for block in (0, 1)]))) > len(kept)  # drawn anew for each block
    thin = stream_of(replace(tiny, sae=replace(tiny.sae, per_context=4)), world)
    assert (thin.block, thin.blocks) == (512, 4)
    whole = torch.cat(list(stream_of(tiny, world).batches(start=0, batch=1024, steps=2)))[1024:]
    assert torch.equal(torch.cat(list(thin.batches(start=4, batch=128, steps=4))), whole[made.some(1, 4)])


def test_the_vectors_are_the_sites_and_none_comes_twice(tiny, world):
    model, tokens = load(world["model"]), read_tokens(world["tokens"])
    every = model.read(tokens, "mlp_act").flatten(0, 1).half()
    given = torch.cat(list(stream_of(tiny, world).batches(start=0, batch=128, steps=32))).half()
    assert len(given) == 4096
    made = plan(tiny.activations, contexts=len(tokens), n_ctx=16, seed=0, stream=0)
    expected = torch.empty_like(given)
    flat = []
    for block in range(made.blocks):
        contexts, positions, slots = made.vectors(block)
        index = (contexts[:, None] * 16 + positions).ravel()
        flat.append(index)
        expected[block * 1024 + slots] = every[index]
    torch.testing.assert_close(given, expected, atol=2e-3, rtol=2e-3)  # one half step of rounding between two batch sizes
    flat = np.concatenate(flat)
    assert len(set(flat.tolist())) == len(flat)


def test_a_batch_mixes_contexts(tiny):
    made = plan(tiny.activations, contexts=1200, n_ctx=16, seed=0, stream=0)
    contexts, _, slots = made.vectors(0)
    of_vector = np.empty(1024, dtype=np.int64)
    of_vector[slots] = np.repeat(contexts, 8)
    assert len(set(of_vector[:64].tolist())) > 40  # 128 contexts in the block; unshuffled 64 vectors come from 8


def test_the_two_streams_see_different_contexts(tiny):
    one, other = (plan(tiny.activations, contexts=1200, n_ctx=16, seed=0, stream=stream) for stream in (0, 1))
    assert not set(one.contexts) & set(other.contexts)


def test_statistics(tiny, world):
    statistics = read_json(world["activations"] / "statistics.json")
    vectors = torch.cat(list(stream_of(tiny, world).batches(start=0, batch=128, steps=32)))
    assert statistics["mean_norm"] == pytest.approx(float(vectors.norm(dim=1).mean()), rel=1e-5)
    assert statistics["rms"] == pytest.approx(float(vectors.square().mean().sqrt()), rel=1e-5)
    assert statistics["share_zero"] == pytest.approx(float((vectors == 0).float().mean()), rel=1e-5)
    assert (statistics["d_in"], statistics["vectors"], statistics["blocks"]) == (32, 4096, 4)


def test_too_little_text_is_refused():
    with pytest.raises(UserError, match=r"has 100 contexts, 50 for each of 2 streams.* needs 128; raise corpus.max_bytes"):
        plan(Activations(vectors=1024, per_context=8, block=1024), contexts=100, n_ctx=16, seed=0, stream=0)


def test_more_vectors_than_there_are_is_refused(tiny, world):
    with pytest.raises(UserError, match="4224 vectors are asked for, but the activations hold 4096"):
        list(stream_of(tiny, world).batches(start=0, batch=128, steps=33))


def test_a_flipped_byte_in_a_block_is_refused(tiny, world):
    path = world["activations"] / "blocks" / "00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="00001.safetensors is not what was written"):
        list(stream_of(tiny, world).batches(start=0, batch=128, steps=32))
