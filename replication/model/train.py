"""The training of a transformer, top to bottom. Source: ours, but for Adam, which the paper names.

Each step: the loss of a batch of contexts and its gradient; the gradient's norm cut to `grad_clip`; Adam at the scheduled
rate. No context is seen twice. A training with `until` stops after that share of its steps, with the schedule, the order
of the data and the text of the whole: its weights are a checkpoint's of the whole, bit for bit. Weights, moments and sums
are float32; on a GPU the products are bfloat16.

On a GPU the program queues steps faster than they are done, and reading a number would make it wait until the queue is
empty. So there the loss and the norm are read `UNREAD` steps at a time, and before each validation and checkpoint: a loss
that is not finite is found that much later, but before a checkpoint is written, and by the number of its step.
"""

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from replication import artifacts, checkpoint, compute
from replication.config import Model, Settings, UserError
from replication.corpus.shards import read_counts, read_tokens
from replication.model import store
from replication.model.head import mean_loss, token_losses
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator

ROWS = 4000  # of the log, beside those with a validation loss; a longer training logs every so many steps
UNREAD = 64  # steps whose loss and norm wait on a GPU to be read


def train(*, settings: Settings, tokens: Path, held_out: Path, unigrams: Path, state: Path, out: Path, progress: Progress | None = None) -> None:
    """Train one model and write its folder; resumes from `state` where a killed training left one.

    Raises UserError when the text is too short for the tokens asked for, when the loss stops being finite (the last
    checkpoint stays), or when a checkpoint is not this training's.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.model and settings.compute
    device = compute.device(settings.compute, progress)
    inputs = {"tokens": tokens, "held_out": held_out, "unigrams": unigrams}
    digests = {}
    for role, path in inputs.items():
        about = artifacts.check(path.parent, path.name, name=artifacts.TOKENS_META)
        digests[role] = str(about["files"][path.name])
    bos = bool(about["settings"].get("corpus", {}).get("bos"))
    training = Training(settings, identity=" ".join([settings.hash(), *digests.values()]), tokens=read_tokens(tokens),
                        held_out=read_tokens(held_out), d_vocab=len(read_counts(unigrams)), state=state, device=device, bos=bos)
    training.run(progress)
    files = store.save(training.model, out) | {"log": out / artifacts.TRAINING_LOG}
    artifacts.write_rows(files["log"], training.rows)
    artifacts.write_meta(out, stage="model", settings=settings, files=files, inputs=inputs, stopwatch=stopwatch, device=str(device),
                         dtype="float32" if device.type == "cpu" else "bfloat16 products, float32 weights", commits=training.commits, digests=digests)
    checkpoint.clear(state)


class Training:
    """A transformer on its way, with everything that a checkpoint holds."""

    def __init__(self, settings: Settings, *, identity: str, tokens: Int[Tensor, "context n_ctx"], held_out: Int[Tensor, "context n_ctx"], d_vocab: int,
                 state: Path, device: torch.device, bos: bool = False) -> None:
        assert settings.model
        self.settings: Model = settings.model
        self.identity, self.state, self.device = identity, state, device
        batch, seed = self.settings.batch, settings.seed_of("model")
        self.steps = self.settings.tokens // (batch * self.settings.n_ctx)
        self.windows, held_out_windows = (windows(text, self.settings.n_ctx, bos=bos) for text in (tokens, held_out))
        _check_text(self.settings, self.steps, len(self.windows), len(held_out_windows))
        self.last = last_step(self.settings, self.steps)
        self.order = torch.from_numpy(generator(seed, "model.order").permutation(len(self.windows))[: self.steps * batch])
        chosen = generator(settings.seed, "model.validation").choice(len(held_out_windows), self.settings.validation_contexts, replace=False)
        self.validation = taken(held_out_windows, torch.from_numpy(chosen), self.settings.n_ctx)
        self.model = Transformer(Architecture.of(self.settings, d_vocab)).initialise(seed).to(device)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=self.settings.lr, betas=(self.settings.beta1, self.settings.beta2), fused=True)
        self.step, self.rows = 0, list[dict[str, Any]]()
        self.unread = list[tuple[float, Float[Tensor, "2"]]]()  # rate, and loss and norm, of each step since the last that was read
        self.read_at_once = device.type == "cpu"  # whether reading a number costs nothing
        self.normalised = torch.compile(self._normalised) if device.type == "cuda" else self._normalised
        saved = checkpoint.load(state, identity, str(device))
        self.commits = checkpoint.commits(saved)
        if saved is not None:
            self.step, self.rows = saved.step, saved.rows
            self._restore(saved.tensors)

    def run(self, progress: Progress) -> None:
        """All steps from the current one to the last, which `until` may put before the end of the schedule."""
        parameters = list(self.model.parameters())
        if self.step:
            progress.say(checkpoint.resumes(self.step, self.last, self.commits))
        while self.step < self.last:
            rate = learning_rate(self.settings, self.step, self.steps)
            loss = self._loss(self._contexts())
            loss.backward()
            norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
            self.unread.append((rate, torch.stack((loss.detach(), norm))))
            done = self.step + 1
            validate, save = self._validates(done), done % self.settings.checkpoint_every == 0 and done < self.last
            if self.read_at_once or validate or save or len(self.unread) == UNREAD:
                self._read()
            if self.settings.grad_clip:
                clip_grads_with_norm_(parameters, self.settings.grad_clip, norm)
            self.adam.param_groups[0]["lr"] = rate
            self.adam.step()
            self.adam.zero_grad()
            self.step = done
            if validate:
                self.rows[-1]["validation_loss"] = self.validation_loss()
            if save:
                self._checkpoint()
            progress(self.step, self.last, f"loss {self.rows[-1]['loss']:.3f}" if self.rows else "")

    def _validates(self, step: int) -> bool:
        return step % self.settings.validate_every == 0 or step == self.last

    def _contexts(self) -> Int[Tensor, "batch n_ctx_1"]:
        """The contexts of the next step. To a GPU they travel while earlier steps run."""
        batch = self.settings.batch
        chosen = taken(self.windows, self.order[self.step * batch : (self.step + 1) * batch], self.settings.n_ctx)
        return chosen.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else chosen

    def _read(self) -> None:
        """Check the numbers of the steps that are unread, and log those that a row is due for. Raises UserError when one is not finite."""
        every, tokens = -(-self.steps // ROWS), self.settings.batch * self.settings.n_ctx
        rates, numbers = zip(*self.unread, strict=True)
        first = self.step + 2 - len(rates)
        self.unread.clear()
        for step, rate, (loss, norm) in zip(range(first, first + len(rates)), rates, torch.stack(numbers).tolist(), strict=True):
            if not math.isfinite(loss + norm):
                raise UserError(self._not_finite(step, loss, norm))
            if step % every == 0 or self._validates(step):
                self.rows.append({"step": step, "tokens": step * tokens, "loss": loss, "validation_loss": None, "lr": rate, "grad_norm": norm})

    def _loss(self, contexts: Int[Tensor, "batch n_ctx_1"]) -> Float[Tensor, ""]:
        unembed = self.model.unembed
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return mean_loss(self.normalised(contexts[:, :-1]), unembed["W_U"], unembed["b_U"], contexts[:, 1:].flatten(), self.settings.head_chunk)

    def _normalised(self, tokens: Int[Tensor, "batch n_ctx"]) -> Float[Tensor, "token d_model"]:
        return self.model.final(self.model.resid_post(tokens)).flatten(0, 1)

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean cross-entropy in nats per token over the held-out contexts of `validation_contexts`, in float32."""
        unembed, losses = self.model.unembed, []
        for contexts in self.validation.to(self.device).split(self.settings.batch):
            losses.append(token_losses(self._normalised(contexts[:, :-1]), unembed["W_U"], unembed["b_U"], contexts[:, 1:].flatten(), self.settings.head_chunk))
        return torch.cat(losses).mean().item()

    def _checkpoint(self) -> None:
        tensors = dict(self.model.state_dict())
        for name, parameter in self.model.named_parameters():
            tensors |= {f"adam.{kind}.{name}": value for kind, value in self.adam.state[parameter].items()}
        checkpoint.save(self.state, self.identity, step=self.step, tensors=tensors, rows=self.rows, commits=self.commits)

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.model.load_state_dict({name: tensors[name] for name in self.model.state_dict()})
        for name, parameter in self.model.named_parameters():
            self.adam.state[parameter] = {kind: tensors[f"adam.{kind}.{name}"] for kind in ("step", "exp_avg", "exp_avg_sq")}

    def _not_finite(self, step: int, loss: float, norm: float) -> str:
        what = "loss" if not math.isfinite(loss) else "norm of the gradient"
        kept = "its last checkpoint is kept" if (self.state / artifacts.CHECKPOINT).exists() else "there is no checkpoint yet"
        return f"the {what} is {norm if math.isfinite(loss) else loss} at step {step}; lower model.lr, {self.settings.lr:g} ({kept} in {self.state})"


def windows(tokens: Int[Tensor, "context n_ctx"], n_ctx: int, *, bos: bool = False) -> Int[Tensor, "window width"]:
    """Each context with the token that follows it in the text, as a view, so that the last position has a target too.

    The contexts must be in the order of the text, as the corpus writes them. The last one has no successor and is left out.
    Where contexts begin with a BOS token (`bos`) that of the next one stands between, which `taken` leaves out.
    Raises UserError when the contexts have another length than `n_ctx`.
    """
    if tokens.shape[1] != n_ctx:
        raise UserError(f"the tokens are cut into contexts of {tokens.shape[1]}, but model.n_ctx is {n_ctx}; make the corpus again")
    width = n_ctx + 1 + bos
    return tokens.flatten().unfold(0, width, n_ctx) if len(tokens) > 1 else tokens.new_empty(0, width)


def taken(windows: Int[Tensor, "window width"], rows: Int[Tensor, " batch"], n_ctx: int) -> Int[Tensor, "batch n_ctx_1"]:
    """Some windows, as contexts with the next token of the text: a BOS token that stands between is no target, since it always comes there."""
    chosen = windows[rows]
    return chosen if chosen.shape[1] == n_ctx + 1 else torch.cat((chosen[:, :n_ctx], chosen[:, n_ctx + 1 :]), dim=1)


def learning_rate(settings: Model, step: int, steps: int) -> float:
    """The rate of the step after `step` steps: linear warm-up, then constant, or half a cosine down to 0 at the end."""
    rising = settings.lr_warmup * steps
    if step < rising:
        return settings.lr * min(1.0, (step + 1) / rising)
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def last_step(settings: Model, steps: int) -> int:
    """The step, of `steps` of the whole training, after which it stops: the nearest to `until`. Raises UserError where it is none."""
    last = round(settings.until * steps)
    if not last:
        raise UserError(
            f"model.until is {settings.until:g}, too short for the first of the {steps} steps of the whole training; raise it to {1 / steps:.2g} or more")
    return last


def _check_text(settings: Model, steps: int, train: int, held_out: int) -> None:
    """Raises UserError when the tokens fill no batch, or the corpus has fewer contexts than training or validation ask for."""
    n_ctx = settings.n_ctx
    if not steps:
        raise UserError(f"model.tokens is {settings.tokens}, less than one batch of {settings.batch * n_ctx} tokens; raise it or lower model.batch")
    if steps * settings.batch > train:
        raise UserError(f"too little text for the tokens asked for: model.tokens asks for {steps * settings.batch * n_ctx} (whole batches), "
                        f"but the corpus has {train * n_ctx} to train on; lower model.tokens or raise corpus.max_bytes")
    if settings.validation_contexts > held_out:
        raise UserError(f"too little text for the validation: model.validation_contexts asks for {settings.validation_contexts} contexts of {n_ctx} tokens, "
                        f"but the corpus has {held_out} held out; lower it or raise corpus.holdout")
