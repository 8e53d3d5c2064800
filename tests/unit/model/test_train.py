"""The training loop: schedule, data order, resume, refusals."""

import csv
import dataclasses
import math
import signal
import subprocess
import sys

import pytest
import torch

from replication import artifacts, checkpoint
from replication.config import Compute, Corpus, Model, Settings, UserError
from replication.corpus.shards import write_tokens
from replication.model import store
from replication.model.train import Training, last_step, learning_rate, taken, train, windows
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch

MODEL = Model(d_model=8, d_mlp=16, n_heads=2, n_ctx=8, tokens=12 * 4 * 8, batch=4, lr=0.02, head_chunk=7,
              validation_contexts=6, validate_every=5, checkpoint_every=3)
SETTINGS = Settings("test", 0, compute=Compute(device="cpu"), model=MODEL)


@pytest.fixture
def corpus(tmp_path):
    """Text that counts: each token is followed by the next of a vocabulary of 11."""
    folder = tmp_path / "corpus"
    text = torch.arange(8 * 100) % 11
    files = {"train": folder / "train.safetensors", "held_out": folder / "held_out.safetensors", "unigrams": folder / "unigrams.safetensors"}
    write_tokens(files["train"], text[:640].view(-1, 8))
    write_tokens(files["held_out"], text[640:].view(-1, 8))
    artifacts.write_tensors(files["unigrams"], {"counts": torch.bincount(text[:640], minlength=11)})
    artifacts.write_meta(folder, stage="corpus tokens", settings=SETTINGS, files=files, inputs={}, stopwatch=Stopwatch(), name=artifacts.TOKENS_META)
    return files


def fit(corpus, folder, settings=SETTINGS, progress=None):
    train(settings=settings, tokens=corpus["train"], held_out=corpus["held_out"], unigrams=corpus["unigrams"],
          state=folder / "state", out=folder / "A", progress=progress)
    return folder / "A"


def changed(**values):
    return dataclasses.replace(SETTINGS, model=dataclasses.replace(MODEL, **values))


class Stop(Progress):
    """Stands for a kill after some steps."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def __call__(self, done, total, note=""):
        if done == self.after:
            raise KeyboardInterrupt


def test_the_rate_rises_stays_or_falls():
    constant, cosine = Model(lr=2.0, lr_warmup=0.2, schedule="constant"), Model(lr=2.0, lr_warmup=0.2)
    assert [learning_rate(constant, step, 10) for step in (0, 1, 2, 9)] == [1.0, 2.0, 2.0, 2.0]
    assert [learning_rate(cosine, step, 10) for step in (0, 1, 2, 6)] == pytest.approx([1.0, 2.0, 2.0, 1.0])
    assert 0 < learning_rate(cosine, 9, 10) < 0.1
    assert learning_rate(Model(lr=2.0, lr_warmup=0.0), 0, 10) == 2.0
    assert learning_rate(Model(lr=2.0, lr_warmup=1.0), 9, 10) == 2.0


def test_a_window_is_a_context_and_the_token_after_it():
    assert windows(torch.arange(6).view(3, 2), 2).tolist() == [[0, 1, 2], [2, 3, 4]]
    assert windows(torch.arange(2).view(1, 2), 2).shape == (0, 3)
    with pytest.raises(UserError, match=r"contexts of 2, but model\.n_ctx is 4"):
        windows(torch.arange(6).view(3, 2), 4)


def test_a_bos_token_is_no_target():
    found = windows(torch.tensor([[9, 0, 1], [9, 2, 3], [9, 4, 5]]), 3, bos=True)
    assert taken(found, torch.tensor([1, 0]), 3).tolist() == [[9, 2, 3, 4], [9, 0, 1, 2]]
    assert windows(torch.zeros(1, 3), 3, bos=True).shape == (0, 5)


def test_what_the_corpus_says_of_bos_decides_what_the_last_position_predicts(corpus, tmp_path, monkeypatch):
    """Every eighth token of the text is taken for BOS, as the corpus's metadata say."""
    seen = []
    run = Training.run
    monkeypatch.setattr(Training, "run", lambda self, progress: (seen.append((self.validation, self._contexts())), run(self, progress)))
    for bos in ("", "<bos>"):
        settings = dataclasses.replace(SETTINGS, corpus=Corpus(bos=bos))
        artifacts.write_meta(tmp_path / "corpus", stage="corpus tokens", settings=settings, files=corpus, inputs={}, stopwatch=Stopwatch(),
                             name=artifacts.TOKENS_META)
        fit(corpus, tmp_path / f"bos{bos}")
    for plain, with_bos in zip(*seen, strict=True):
        assert torch.equal(plain[:, :8], with_bos[:, :8]) and plain.shape == with_bos.shape
        assert torch.equal((plain[:, 8] + 1) % 11, with_bos[:, 8])  # the text counts, so that the token after the next is one more


@pytest.mark.parametrize("act_fn", ["gelu", "solu", "solu_ln"])
def test_every_parameter_learns_with_every_activation_function(corpus, tmp_path, act_fn):
    settings = changed(act_fn=act_fn, n_layers=2)
    trained, start = store.load(fit(corpus, tmp_path, settings)), Transformer(Architecture.of(settings.model, 11)).initialise(settings.seed_of("model"))
    still = {name for name, parameter in start.named_parameters() if torch.equal(parameter, trained.get_parameter(name))}
    assert all(name.endswith("attn.b_K") for name in still)  # attention does not see a bias of the keys: rounding alone moves it
    norms = {name for name, _ in start.named_parameters() if ".mlp.ln." in name}
    assert len(norms) == (4 if act_fn == "solu_ln" else 0)


def test_it_learns_to_count_and_writes_an_artifact(corpus, tmp_path):
    folder = fit(corpus, tmp_path, changed(tokens=76 * 8, batch=1, lr=0.03))
    assert set(artifacts.check(folder)["files"]) == {"architecture.json", "weights.safetensors", "log.csv"}
    with (folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "tokens", "loss", "validation_loss", "lr", "grad_norm"]
    assert len(rows) == 76 and rows[-1]["tokens"] == "608"
    assert [int(row["step"]) for row in rows if row["validation_loss"]] == [*range(5, 76, 5), 76]
    assert float(rows[0]["loss"]) == pytest.approx(math.log(11), abs=0.2) and float(rows[-1]["validation_loss"]) < 0.5
    assert store.load(folder)(torch.tensor([[3, 4, 5]]))[0, -1].argmax() == 6
    assert not (tmp_path / "state").exists()


def test_no_context_is_seen_twice_and_seeds_have_their_own_order(tmp_path):
    tokens = torch.arange(100 * 8, dtype=torch.int32).view(-1, 8) % 11
    made = [Training(changed(seed=seed), identity="", tokens=tokens, held_out=tokens[:10], d_vocab=11, state=tmp_path, device=torch.device("cpu"))
            for seed in (0, 1)]
    orders = [training.order.tolist() for training in made]
    assert all(len(order) == len(set(order)) == 48 for order in orders) and orders[0] != orders[1]
    assert torch.equal(made[0].validation, made[1].validation)  # A and B are validated on the same text
    assert not torch.equal(made[0].model.unembed["W_U"], made[1].model.unembed["W_U"])


def test_a_model_of_two_layers_learns_and_resumes(corpus, tmp_path):
    settings = changed(tokens=76 * 8, batch=1, lr=0.03, n_layers=2)
    whole = fit(corpus, tmp_path / "whole", settings)
    first, last = (float(row["loss"]) for row in [*csv.DictReader((whole / "log.csv").open())][:: 75])
    assert last < 0.5 < first
    start, made = store.Transformer(store.Architecture.of(settings.model, 11)).initialise(0), store.load(whole)
    assert all((tensor - start.state_dict()[name]).abs().max() > 1e-3 for name, tensor in made.state_dict().items() if "b_K" not in name)  # but for b_K, which softmax ignores
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path / "parts", settings, progress=Stop(40))
    parts = fit(corpus, tmp_path / "parts", settings)
    assert (parts / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("after", [1, 3, 7, 11])
def test_killed_and_resumed_equals_never_stopped_bit_for_bit(corpus, tmp_path, after):
    whole = fit(corpus, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path / "parts", progress=Stop(after))
    assert not (tmp_path / "parts" / "A").exists()
    resumed_at = []
    parts = fit(corpus, tmp_path / "parts", progress=type("Record", (Progress,), {"__call__": lambda self, done, *rest: resumed_at.append(done)})())
    assert resumed_at[0] == after // 3 * 3 + 1  # progress speaks after the checkpoint of its step
    for name in ("weights.safetensors", "log.csv", "architecture.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_resuming_under_changed_source_is_said_and_kept(corpus, tmp_path, monkeypatch):
    said, commit = [], iter(["first", "second", "second", "third"])  # a training asks at its start, and for its metadata at its end
    monkeypatch.setattr("replication.provenance.commit", lambda: next(commit))
    monkeypatch.setattr(Progress, "say", lambda self, text: said.append(text))
    for after in (4, 8):
        with pytest.raises(KeyboardInterrupt):
            fit(corpus, tmp_path, progress=Stop(after))
    assert said == ["warning: resumes after step 3 of 12 under changed source (first, then second); its metadata names all commits"]
    meta = artifacts.read_json(fit(corpus, tmp_path) / "meta.json")
    assert (meta["commits"], meta["commit"]) == (["first", "second"], "third")


def test_a_training_under_one_commit_names_it_once(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("replication.provenance.commit", lambda: "first")
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path, progress=Stop(4))
    meta = artifacts.read_json(fit(corpus, tmp_path) / "meta.json")
    assert meta["commit"] == "first" and "commits" not in meta


def test_a_training_with_until_is_a_checkpoint_of_the_whole_bit_for_bit(corpus, tmp_path):
    whole = tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, whole, progress=Stop(6))  # progress speaks after the checkpoint of its step
    saved = artifacts.read_tensors(whole / "state" / artifacts.CHECKPOINT)
    fit(corpus, whole)
    half = changed(until=0.5)
    part = fit(corpus, tmp_path / "part", half)
    weights = artifacts.read_tensors(part / artifacts.WEIGHTS)
    assert all(torch.equal(weights[name], saved[name]) for name in weights) and len(weights) > 10
    (rows, complete), names = (list(csv.DictReader((folder / "log.csv").open())) for folder in (part, whole / "A")), ("step", "tokens", "loss", "lr", "grad_norm")
    assert len(rows) == 6 and [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in complete[:6]]
    assert [int(row["step"]) for row in rows if row["validation_loss"]] == [5, 6]  # as in the whole, and at its own end
    assert rows[4] == complete[4]
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path / "killed", half, progress=Stop(4))
    resumed = fit(corpus, tmp_path / "killed", half)
    assert all((resumed / name).read_bytes() == (part / name).read_bytes() for name in ("weights.safetensors", "log.csv"))


@pytest.mark.parametrize(("until", "last"), [(1.0, 12), (0.5, 6), (0.1, 1), (0.05, 1)])
def test_until_stops_at_the_nearest_step(until, last):
    assert last_step(Model(until=until), 12) == last


def test_a_share_of_less_than_a_step_is_refused(corpus, tmp_path):
    with pytest.raises(UserError, match=r"model\.until is 0\.02, too short for the first of the 12 steps of the whole training; raise it to 0\.083 or more"):
        fit(corpus, tmp_path, changed(until=0.02))
    assert not (tmp_path / "A").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
import safetensors.torch
from replication.config import Settings
from replication.model.train import train
from replication.progress import Progress

where, at, settings, corpus, folder = sys.argv[1], int(sys.argv[2]), Settings.parse(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5])
written, save = [], safetensors.torch.save_file

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def save_file(tensors, path, metadata):
    written.append(path)
    save(tensors, path, metadata)
    if where == "writing" and len(written) == at:
        os.truncate(path, 1000)
        kill()

safetensors.torch.save_file = save_file
Kill = type("Kill", (Progress,), {"__call__": lambda self, done, *rest: kill() if where == "step" and done == at else None})
train(settings=settings, tokens=corpus / "train.safetensors", held_out=corpus / "held_out.safetensors", unigrams=corpus / "unigrams.safetensors",
      state=folder / "state", out=folder / "A", progress=Kill())
"""


@pytest.mark.parametrize(("where", "at", "resumed"), [("step", 8, 6), ("writing", 2, 3)])
def test_killed_by_the_system_and_started_again_equals_never_stopped_bit_for_bit(corpus, tmp_path, where, at, resumed):
    whole, killed = fit(corpus, tmp_path / "whole"), tmp_path / "killed"
    arguments = [where, str(at), SETTINGS.json(), str(corpus["train"].parent), str(killed)]
    assert subprocess.run([sys.executable, "-c", KILLED, *arguments], timeout=120).returncode == -signal.SIGKILL
    assert artifacts.read_tensors(killed / "state" / artifacts.CHECKPOINT)["adam.step.unembed.W_U"].item() == resumed
    again = fit(corpus, killed)
    for name in ("weights.safetensors", "log.csv", "architecture.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    assert not (killed / "state").exists()


def test_a_checkpoint_of_other_settings_or_another_corpus_is_refused(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path, progress=Stop(4))
    with pytest.raises(UserError, match="other settings or from other inputs"):
        fit(corpus, tmp_path, changed(lr=0.03))
    fit(corpus, tmp_path, dataclasses.replace(SETTINGS, compute=Compute(device="cpu", threads=1)))


def test_a_changed_shard_is_refused(corpus, tmp_path):
    write_tokens(corpus["train"], torch.zeros(90, 8))
    with pytest.raises(UserError, match=r"train\.safetensors is not what was written"):
        fit(corpus, tmp_path)


@pytest.mark.parametrize(("values", "sentence"), [
    ({"tokens": 80 * 4 * 8}, r"too little text for the tokens asked for: model\.tokens asks for 2560 .* has 632 .* lower model\.tokens"),
    ({"tokens": 31}, r"model\.tokens is 31, less than one batch of 32 tokens"),
    ({"validation_contexts": 20}, r"model\.validation_contexts asks for 20 contexts of 8 tokens, but the corpus has 19 held out"),
])
def test_too_little_text(corpus, tmp_path, values, sentence):
    with pytest.raises(UserError, match=sentence):
        fit(corpus, tmp_path, changed(**values))
    assert not (tmp_path / "A").exists()


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_checkpoint(corpus, tmp_path, monkeypatch):
    original = Training._loss
    monkeypatch.setattr(Training, "_loss", lambda self, contexts: original(self, contexts) * (math.nan if self.step == 7 else 1.0))
    with pytest.raises(UserError, match=r"the loss is nan at step 8; lower model\.lr, 0\.02 \(its last checkpoint is kept in"):
        fit(corpus, tmp_path)
    held = artifacts.read_tensors(tmp_path / "state" / artifacts.CHECKPOINT)
    assert held["adam.step.unembed.W_U"].item() == 6 and all(tensor.isfinite().all() for tensor in held.values())
    assert not (tmp_path / "A").exists()


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_touched(corpus, tmp_path, monkeypatch):
    original = Training._loss

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.inf

    monkeypatch.setattr(Training, "_loss", lambda self, contexts: Poison.apply(original(self, contexts)) if self.step == 1 else original(self, contexts))
    with pytest.raises(UserError, match=r"the norm of the gradient is (inf|nan) at step 2; .*there is no checkpoint yet"):
        fit(corpus, tmp_path)


def reading_late(monkeypatch, unread):
    """Training as on a GPU, where numbers are read some steps at a time; returns the steps that were done at each reading."""
    read, original, begin = [], Training._read, Training.__init__

    def late(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        self.read_at_once = False

    monkeypatch.setattr("replication.model.train.UNREAD", unread)
    monkeypatch.setattr(Training, "__init__", late)
    monkeypatch.setattr(Training, "_read", lambda self: (read.append(self.step), original(self)))
    return read


def test_numbers_that_are_read_late_are_the_same(corpus, tmp_path, monkeypatch):
    at_once = fit(corpus, tmp_path / "at_once", changed(checkpoint_every=100))
    read = reading_late(monkeypatch, 4)
    late = fit(corpus, tmp_path / "late", changed(checkpoint_every=100))
    assert read == [3, 4, 8, 9, 11]  # of 12 steps: every fourth unread one, and before the validations after 5, 10 and 12
    for name in ("weights.safetensors", "log.csv"):
        assert (late / name).read_bytes() == (at_once / name).read_bytes()


def test_read_late_a_loss_that_is_not_finite_still_names_its_step_and_reaches_no_checkpoint(corpus, tmp_path, monkeypatch):
    original = Training._loss
    reading_late(monkeypatch, 100)
    monkeypatch.setattr(Training, "_loss", lambda self, contexts: original(self, contexts) * (math.nan if self.step == 6 else 1.0))
    with pytest.raises(UserError, match="the loss is nan at step 7; .*its last checkpoint is kept"):
        fit(corpus, tmp_path)
    assert artifacts.read_tensors(tmp_path / "state" / artifacts.CHECKPOINT)["adam.step.unembed.W_U"].item() == 6


def test_clipping_bounds_the_first_step_and_zero_does_not_clip(corpus, tmp_path):
    def first_moment(clip):
        training = Training(changed(grad_clip=clip, tokens=32), identity="", tokens=torch.arange(800, dtype=torch.int32).view(-1, 8) % 11,
                            held_out=torch.arange(80, dtype=torch.int32).view(-1, 8) % 11, d_vocab=11, state=tmp_path, device=torch.device("cpu"))
        training.run(Progress())
        moments = [training.adam.state[parameter]["exp_avg"] / (1 - MODEL.beta1) for parameter in training.model.parameters()]
        return math.sqrt(sum(float(moment.square().sum()) for moment in moments)), training.rows[0]["grad_norm"]

    clipped, norm = first_moment(0.01)
    free, same_norm = first_moment(0.0)
    assert clipped == pytest.approx(0.01, rel=1e-3) and free == pytest.approx(norm, rel=1e-4) and norm == same_norm > 0.01


def test_the_checkpoint_holds_what_the_issue_says(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, tmp_path, progress=Stop(6))
    path = tmp_path / "state" / artifacts.CHECKPOINT
    from safetensors import safe_open
    with safe_open(path, framework="pt") as file:
        identity = file.metadata()["identity"]
    saved = checkpoint.load(tmp_path / "state", identity)
    assert identity.split()[0] == SETTINGS.hash() and saved.step == 6 and len(saved.rows) == 6
    names = set(store.Transformer(store.Architecture.of(MODEL, 11)).state_dict())
    assert set(saved.tensors) == names | {f"adam.{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name in names}
