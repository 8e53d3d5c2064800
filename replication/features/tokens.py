"""The evaluation contexts: held-out text that every dictionary, model and neuron table of a run is measured on."""

from pathlib import Path

import torch
from jaxtyping import Int32
from torch import Tensor

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus.shards import read_tokens, write_tokens
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import Seed, generator


def draw(held_out: Int32[Tensor, "context n_ctx"], contexts: int, *, seed: Seed) -> Int32[Tensor, "context n_ctx"]:
    """So many held-out contexts in random order, without replacement.

    Their order is random because neighbours in the text come from one document, and the two halves (even and odd
    contexts) should not. Raises UserError when there are too few.
    """
    if len(held_out) < contexts:
        raise UserError(f"features.contexts is {contexts}, but the held-out text has only {len(held_out)} contexts of {held_out.shape[1]} "
                        "tokens; lower features.contexts, or raise corpus.holdout or corpus.max_bytes")
    return held_out[torch.from_numpy(generator(seed, "features.tokens").permutation(len(held_out))[:contexts])]


def make(*, settings: Settings, corpus: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the evaluation tokens of a run. Raises UserError when the held-out text is too short."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features
    artifacts.check(corpus, artifacts.HELD_OUT_TOKENS, name=artifacts.TOKENS_META)
    held_out = corpus / artifacts.HELD_OUT_TOKENS
    tokens = draw(read_tokens(held_out), settings.features.contexts, seed=settings.seed)
    path = out / artifacts.EVALUATION_TOKENS
    write_tokens(path, tokens)
    artifacts.write_meta(out, stage="features", settings=settings, files={"tokens": path}, inputs={"held_out": held_out},
                         stopwatch=stopwatch, name=artifacts.TOKENS_META)
    progress(1, 1, f"{len(tokens)} contexts of {tokens.shape[1]} tokens")


def read(folder: Path) -> Int32[Tensor, "context n_ctx"]:
    """The evaluation tokens of a run's features folder, checked. Raises ArtifactError when they are missing or changed."""
    artifacts.check(folder, artifacts.EVALUATION_TOKENS, name=artifacts.TOKENS_META)
    return read_tokens(folder / artifacts.EVALUATION_TOKENS)
