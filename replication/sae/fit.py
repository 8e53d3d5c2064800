"""The training of a dictionary, top to bottom (appendix of the paper, autoencoder training).

Each step: loss and gradients of one batch, then Adam with decoder rows kept at unit norm. At four steps dead features
are resampled. The features may be dealt to several ranks (`sae.ranks`), each of which runs this file on its slice.
"""

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool
from torch import Tensor

from replication import activations, artifacts, checkpoint, compute
from replication.config import Activations, Compute, Sae, Settings, UserError, model_of
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.sae import resampling
from replication.sae.adam import Adam
from replication.sae.dictionary import Dictionary, load, save, start
from replication.sae.gradients import Gradients
from replication.sae.launch import together
from replication.sae.median import geometric_median
from replication.sae.ranks import ALONE, Ranks, group
from replication.sae.schedule import resampling_steps, resampling_window
from replication.sae.step import DENSE_ELEMENTS, Step, add_up, losses
from replication.sae.variants import Variant
from replication.sae.watch import Watch

if TYPE_CHECKING:
    from replication.sae.gpu import GpuStep

WATCHED = "watch."  # before the names of what is watched, in a checkpoint


def fit(*, settings: Settings, name: str, model: Path, tokens: Path, activations: Path, state: Path, out: Path, warm: Path | None = None,
        progress: Progress | None = None) -> None:
    """Train one dictionary and write its folder; resumes from `state` where a killed training left one.

    `warm`: folder of the dictionary that `sae.warm_start` names. Raises UserError when the loss stops being finite (the last
    checkpoint stays), when a checkpoint is not this training's, when `warm` is missing or has another shape, or when a rank was killed.
    """
    progress = progress or Progress()
    assert settings.sae and settings.compute
    if bool(settings.sae.warm_start) != bool(warm):
        raise UserError(f"sae.warm_start is {settings.sae.warm_start!r}, but --start is {str(warm or '')!r}; give both or neither")
    train = functools.partial(_train, settings=settings, name=name, model=model, tokens=tokens, activations=activations, state=state, out=out, warm=warm)
    device = compute.device(settings.compute, progress, count=settings.sae.ranks)
    if settings.sae.ranks == 1:
        train(ALONE, device, progress)
    else:
        together(functools.partial(_train_rank, train, settings.compute), settings.sae.ranks, progress)
    checkpoint.clear(state)  # not before every rank has ended well: when one fails on its way out, the job fails and its outputs are deleted


def _train_rank(train: Callable[[Ranks, torch.device, Progress], None], wanted: Compute, rank: int, count: int, meeting: Path, progress: Progress) -> None:
    with group(rank, count, meeting, wanted) as (ranks, device):
        train(ranks, device, progress)


def _train(ranks: Ranks, device: torch.device, progress: Progress, *, settings: Settings, name: str, model: Path, tokens: Path, activations: Path,
           state: Path, out: Path, warm: Path | None) -> None:
    """A training, or one rank's part of it; the first rank writes."""
    stopwatch = Stopwatch()
    assert settings.sae and settings.model
    inputs = {"statistics": activations / artifacts.STATISTICS, "model": model / artifacts.WEIGHTS, "tokens": tokens}
    if warm:
        artifacts.check(warm, artifacts.SAE_WEIGHTS)
        inputs["start"] = warm / artifacts.SAE_WEIGHTS
    digests = {role: artifacts.recorded(path, artifacts.TOKENS_META) if role == "tokens" else artifacts.digest(path) for role, path in inputs.items()}
    training = Training(settings, identity=" ".join([settings.hash(), *digests.values()]), model=model, tokens=tokens,
                        activations_folder=activations, state=state, device=device, warm=warm, ranks=ranks)
    training.run(progress)
    found = training.variant.standard(training.dictionary)
    dictionary = Dictionary(W_enc=ranks.gather(found.encoder_rows()).T, b_enc=ranks.gather(found.b_enc), W_dec=ranks.gather(found.W_dec), b_dec=found.b_dec)
    begun = {"W_dec": training.start_directions, "resampled": training.resampled, "last_fired": training.last_fired}
    begun, watched = {part: ranks.gather(tensor) for part, tensor in begun.items()}, training.watch.whole(ranks)
    left = ranks.gather(training.left.int())
    if not ranks.first:
        return
    save(dictionary, out, sae=settings.sae, model=settings.model, name=model_of(name))
    artifacts.write_tensors(out / artifacts.SAE_START, begun)
    artifacts.write_tensors(out / artifacts.WATCH, {**watched, "left": left})
    artifacts.write_rows(out / artifacts.TRAINING_LOG, training.rows)
    parts = (artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG, artifacts.SAE_START, artifacts.WATCH, artifacts.TRAINING_LOG)
    artifacts.write_meta(out, stage="sae", settings=settings, inputs=inputs, stopwatch=stopwatch, device=str(device), dtype="float32", dictionary=name,
                         files={part: out / part for part in parts}, commits=training.commits, digests=digests)


class Training:
    """A dictionary on its way, with everything that a checkpoint holds; of several ranks, what concerns this one's features."""

    def __init__(self, settings: Settings, *, identity: str, model: Path, tokens: Path, activations_folder: Path, state: Path, device: torch.device,
                 warm: Path | None = None, ranks: Ranks = ALONE) -> None:
        assert settings.sae and settings.activations and settings.compute
        self.sae: Sae = settings.sae
        self.seed, self.identity, self.state, self.device = settings.seed_of("sae"), identity, state, device
        self.ranks, self.features = ranks, ranks.features(self.sae.d_sae)
        self.variant = Variant(pre_bias=self.sae.pre_bias, tied=self.sae.tied)
        self.steps = self.sae.vectors // self.sae.batch
        self.stream = activations.open_stream(settings, model=model, tokens=tokens, folder=activations_folder, device=device)
        self.step, self.rows = 0, list[dict[str, Any]]()
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)  # of loss, mse, l1, l0 since the last row
        self.summed = 0
        saved = checkpoint.load(state, identity, str(device), self._part)
        self.commits = checkpoint.commits(saved)
        held: Mapping[str, Tensor] = saved.tensors if saved else {}
        if saved is None:
            median = self._median(settings.activations)
            if warm:  # its features, about the middle of the new data: from the old one, far away, most of them would never fire
                whole = self.variant.own(dataclasses.replace(_another(warm, self.stream.d_in, self.sae.d_sae), b_dec=median))
            else:
                whole = start(self.sae, self.stream.d_in, median, seed=self.seed)
                self.variant.settle(whole)
            self.dictionary = whole.part(self.features, device)
            self.start_directions = self.dictionary.W_dec.clone()
            self.last_fired, self.resampled = (torch.zeros_like(self.dictionary.b_enc, dtype=torch.int32) for _ in range(2))
        else:
            self.step, self.rows = saved.step, saved.rows
            self.dictionary = Dictionary(W_enc=held["W_enc"].T, b_enc=held["b_enc"], W_dec=held["W_dec"], b_dec=held["b_dec"])
            self.start_directions, self.last_fired, self.resampled = held["start"], held["last_fired"], held["resampled"]
        self.left = _left(self.sae, seed=self.seed)[self.features].to(device)
        self.watch = Watch(self.sae, len(self.left), self.stream.last(self.sae.watch_vectors) if self.sae.watch_vectors else None,
                           {name.removeprefix(WATCHED): tensor for name, tensor in held.items() if name.startswith(WATCHED)})
        self.adam, self.take = whole_step(self.dictionary, self.sae, self.variant, threads=settings.compute.threads, ranks=ranks)
        if saved is not None:
            self.adam.step = self.step
            self.adam.moments = {name: (held[f"{name}.first"], held[f"{name}.second"]) for name in self.adam.moments}

    def run(self, progress: Progress) -> None:
        """All steps from the current one to the last."""
        resample_after, window = set(resampling_steps(self.sae)), resampling_window(self.sae)
        row_after = resample_after | {step + 1 for step in resample_after} | {self.steps}  # so that the log shows the spike
        if self.step:
            progress.say(checkpoint.resumes(self.step, self.steps, self.commits))
        else:
            self._look()
        for x in self._batches(self.step, self.steps):
            l1, self.adam.lr = self.l1_at(self.step), self.lr_at(self.step)
            found = self.take(x, l1)
            self.step += 1
            self.last_fired.masked_fill_(found.fired > 0, self.step)
            self.sums += torch.stack([found.mse + l1 * found.l1, found.mse, found.l1, found.l0])
            self.summed += 1
            self._look()
            revived = 0
            if self.step in resample_after:
                self._finite()  # inputs are drawn by their loss
                revived = self._resample(window, l1)
                self._look()
            if self.step % self.sae.log_every == 0 or self.step in row_after:
                self._log(l1, window, revived)
            progress(self.step, self.steps, f"loss {self.rows[-1]['loss']:.5f}, L0 {self.rows[-1]['l0']:.1f}" if self.rows else "")
            if self.step % self.sae.checkpoint_every == 0 and self.step < self.steps:
                self._checkpoint(l1, window)

    def l1_at(self, step: int) -> float:
        """The coefficient of the step after `step` steps: constant, or rising linearly over the warm-up (ours)."""
        rising = self.sae.l1_warmup * self.steps
        return self.sae.l1 * min(1.0, (step + 1) / rising) if rising else self.sae.l1

    def lr_at(self, step: int) -> float:
        """The learning rate of the step after `step` steps: constant, or falling linearly to 0 at the end (not in the paper)."""
        falling = self.sae.lr_decay * self.steps
        return self.sae.lr * min(1.0, (self.steps - step) / falling) if falling else self.sae.lr

    def _batches(self, start: int, end: int) -> Iterator[Tensor]:
        """The batches of the steps `start` to `end`; with `repeats` the same ones come again, in the same order."""
        length = -(-self.steps // self.sae.repeats)
        while start < end:
            first = start % length
            some = min(length - first, end - start)
            yield from self.stream.batches(start=first, batch=self.sae.batch, steps=some)
            start += some

    def _median(self, settings: Activations) -> Tensor:
        wanted = min(self.sae.median_vectors, -(-self.steps // self.sae.repeats) * self.sae.batch)  # not more than training reads
        chunks = self.stream.batches(start=0, batch=self.sae.batch, steps=-(-wanted // self.sae.batch))
        median = geometric_median(torch.cat(list(chunks))[:wanted]).float().cpu()  # where starts are drawn, whole
        return self.ranks.add(median if self.ranks.first else torch.zeros_like(median))  # one rank's, so that all begin with the same bits

    def _resample(self, window: int, l1: float) -> int:
        dead = resampling.dead(self.last_fired, self.step, window)
        which = dead & ~self.left
        counts = self.ranks.counts(int(which.sum()))
        if any(counts):
            if self.sae.resampling == "kaiming":
                kaiming = dataclasses.replace(self.sae, init="kaiming")
                fresh = start(kaiming, self.stream.d_in, self.dictionary.b_dec.cpu(), seed=self.seed, restart=self.step)
                resampling.restart(self.dictionary, which, fresh.part(self.features, self.device))
            else:
                inputs = self._badly_reconstructed(sum(counts), l1).split(counts)[self.ranks.rank]
                resampling.reset(self.dictionary, which, inputs, left=dead & self.left, ranks=self.ranks)
            self.variant.settle(self.dictionary)
            resampling.reset_moments(self.adam.moments, which)
            self.start_directions[which] = self.dictionary.W_dec[which]
            self.resampled += which
        return sum(counts)

    def _badly_reconstructed(self, count: int, l1: float) -> Tensor:
        """Random inputs [count, d_in] that the dictionary has not been trained on: of the next ones of the shuffled stream."""
        batch = self.sae.batch
        ahead = min(-(-self.sae.resample_inputs // batch), self.steps - self.step)
        inputs = torch.empty(min(self.sae.resample_inputs, ahead * batch), self.stream.d_in, device=self.device)  # filled, because torch.cat holds all twice
        for place, x in zip(inputs.split(batch), self._batches(self.step, self.step + ahead), strict=True):
            place.copy_(x[: len(place)])
        at_once = max(1, min(batch, DENSE_ELEMENTS // self.sae.d_sae))
        dictionary = self.variant.standard(self.dictionary)
        loss = torch.cat([losses(dictionary, part, l1, self.ranks) for part in inputs.split(at_once)])
        return inputs[resampling.draw_inputs(loss, count, generator(self.seed, "sae.resampling", self.step))]

    def _look(self) -> None:
        self.watch.look(self.step, self.variant.standard(self.dictionary), start=self.start_directions, resampled=self.resampled)

    def _finite(self) -> None:
        """Raises UserError when the loss was not, since the last row."""
        if not math.isfinite(float(self.sums[0])):
            kept = "its last checkpoint is kept" if (self.state / artifacts.CHECKPOINT).exists() else "there is no checkpoint yet"
            raise UserError(f"the loss is not finite between steps {self.step - self.summed + 1} and {self.step}; lower sae.lr ({kept} in {self.state})")

    def _log(self, l1: float, window: int, revived: int) -> None:
        self._finite()
        loss, mse, l1_norm, l0 = (self.sums / self.summed).tolist()
        silent = sum(self.ranks.counts(int(resampling.dead(self.last_fired, self.step, min(window, self.step)).sum())))
        self.rows.append({"step": self.step, "vectors": self.step * self.sae.batch, "loss": loss, "mse": mse, "l1": l1_norm, "l1_coefficient": l1, "l0": l0,
                          "dead": silent, "resampled": revived})
        self.sums.zero_()
        self.summed = 0

    def _checkpoint(self, l1: float, window: int) -> None:
        if self.summed:  # a row closes every checkpoint, so that sums since the last row need not be saved
            self._log(l1, window, 0)
        moments = {f"{name}.{kind}": moment for name, pair in self.adam.moments.items() for kind, moment in zip(("first", "second"), pair, strict=True)}
        parts = {**self.adam.parameters, **moments, "start": self.start_directions, "last_fired": self.last_fired, "resampled": self.resampled}
        tensors = {name: tensor if _shared(name) else self.ranks.gather(tensor) for name, tensor in parts.items()}
        tensors |= {WATCHED + part: tensor for part, tensor in self.watch.whole(self.ranks).items()}
        if self.ranks.first:
            checkpoint.save(self.state, self.identity, step=self.step, rows=self.rows, tensors=tensors, commits=self.commits)

    def _part(self, name: str, tensor: Tensor) -> Tensor:
        """What concerns this rank's features of a tensor of the checkpoint, which knows no ranks."""
        if name.startswith(WATCHED):
            return Watch.part(name.removeprefix(WATCHED), tensor, self.features)
        return tensor if _shared(name) else tensor[self.features]


def _shared(name: str) -> bool:
    """Whether each rank holds the whole of a tensor of the checkpoint: b_dec and its moments. Others have a row for each feature."""
    return name.partition(".")[0] == "b_dec"


def _another(folder: Path, d_in: int, d_sae: int) -> Dictionary:
    """The dictionary of a folder as training holds one. Raises UserError when its shape is another."""
    found = load(folder)
    if found.W_dec.shape != (d_sae, d_in):
        raise UserError(f"{folder} holds features x elements {list(found.W_dec.shape)}, but the dictionary that starts from it is {[d_sae, d_in]}; "
                        "name one of the same shape in sae.warm_start")
    # copies, because tensors read from a file lie at any address, and the order of sums in a product depends on alignment
    copies = {name: tensor.clone() for name, tensor in (found.tensors() | {"W_enc": found.W_enc.T.contiguous()}).items()}
    return Dictionary(**copies | {"W_enc": copies["W_enc"].T})


def _left(sae: Sae, *, seed: int) -> Bool[Tensor, " d_sae"]:
    """Which features no resampling touches: the share `sae.leave`, at random."""
    left = torch.zeros(sae.d_sae, dtype=torch.bool)
    left[torch.from_numpy(generator(seed, "sae.leave").permutation(sae.d_sae))[: round(sae.leave * sae.d_sae)]] = True
    return left


def whole_step(dictionary: Dictionary, sae: Sae, variant: Variant, *, threads: int,
               ranks: Ranks = ALONE) -> "tuple[Adam | GpuStep, Callable[[Tensor, float], Step]]":
    """The state of Adam, and one whole step in place: the paper's on a GPU as one, where triton is there; else gradients, then the update."""
    betas = sae.beta1, sae.beta2
    if dictionary.W_enc.is_cuda and sae.step != "dense" and variant.papers and sae.projection and importlib.util.find_spec("triton"):
        from replication.sae.gpu import DENSE_FROM, GpuStep

        step = GpuStep(dictionary, lr=sae.lr, betas=betas, batch=sae.batch, dense_from=1.0 if sae.step == "sparse" else DENSE_FROM, ranks=ranks)
        return step, step
    gradients, adam = Gradients(sae.step, threads=threads, ranks=ranks), Adam(dictionary, lr=sae.lr, betas=betas, projection=sae.projection, threads=threads)

    def take(x: Tensor, l1: float) -> Step:
        found = gradients(variant.standard(dictionary), x, l1)
        variant.pull_back(dictionary, found)
        add_up(found, ranks)
        adam.update(found)
        variant.settle(dictionary)
        return found

    return adam, take
