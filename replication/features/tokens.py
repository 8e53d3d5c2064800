"""The evaluation contexts: held-out text that every dictionary, model and neuron table of a run is measured on."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int32
from numpy.typing import NDArray
from torch import Tensor

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus.shards import read_sources, read_tokens, write_sources, write_tokens
from replication.features.matrix import HALVES
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import Seed, generator

Ids = NDArray[np.int64]


def draw(held_out: int, contexts: int, *, n_ctx: int, seed: Seed) -> Ids:
    """So many of the held-out contexts in random order, without replacement. Raises UserError when there are too few."""
    if held_out < contexts:
        raise UserError(f"features.contexts is {contexts}, but the held-out text has only {held_out} contexts of {n_ctx} "
                        "tokens; lower features.contexts, or raise corpus.holdout or corpus.max_bytes")
    return generator(seed, "features.tokens").permutation(held_out)[:contexts]


def halved(sources: Ids) -> Ids:
    """An order of contexts [context] in which those at even and at odd places, the two halves, are of different texts `sources` [context].

    What is chosen on one half and reported on the other would otherwise be confirmed on the text that it was chosen on. Texts go
    to the half that has fewer contexts, the longest first; one whose share would not fit is in both. Inside a half the order stays.
    """
    _, first, text, size = np.unique(sources, return_index=True, return_inverse=True, return_counts=True)
    half, room = np.zeros(len(size), np.int64), [len(sources) - len(sources) // 2, len(sources) // 2]
    for one in np.lexsort((first, -size)):
        half[one] = np.argmax(room)
        room[half[one]] -= size[one]
    of = half[text]
    if over := -min(room):  # the last contexts of a text go over, those of the shortest that has enough
        fuller = int(np.argmin(room))
        longest = [one for one in np.argsort(size, kind="stable") if half[one] == fuller and size[one] >= over]
        of[np.flatnonzero(text == longest[0])[-over:]] = 1 - fuller
    order = np.empty(len(sources), np.int64)
    for which in HALVES:
        order[which :: len(HALVES)] = np.flatnonzero(of == which)
    return order


def make(*, settings: Settings, corpus: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the evaluation tokens of a run. Raises UserError when the held-out text is too short."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.features
    artifacts.check(corpus, artifacts.HELD_OUT_TOKENS, artifacts.HELD_OUT_SOURCES, name=artifacts.TOKENS_META)
    held_out = corpus / artifacts.HELD_OUT_TOKENS
    contexts, sources = read_tokens(held_out), read_sources(corpus / artifacts.HELD_OUT_SOURCES).numpy()
    drawn = draw(len(contexts), settings.features.contexts, n_ctx=contexts.shape[1], seed=settings.seed)
    drawn = drawn[halved(sources[drawn])]
    path, of = out / artifacts.EVALUATION_TOKENS, out / artifacts.EVALUATION_SOURCES
    write_tokens(path, contexts[torch.from_numpy(drawn)])
    write_sources(of, torch.from_numpy(sources[drawn]))
    artifacts.write_meta(out, stage="features", settings=settings, files={"tokens": path, "sources": of},
                         inputs={"held_out": held_out, "sources": corpus / artifacts.HELD_OUT_SOURCES}, stopwatch=stopwatch, name=artifacts.TOKENS_META)
    progress(1, 1, f"{len(drawn)} contexts of {contexts.shape[1]} tokens, of {len(np.unique(sources[drawn]))} texts")


def read(folder: Path) -> Int32[Tensor, "context n_ctx"]:
    """The evaluation tokens of a run's features folder, checked. Raises ArtifactError when they are missing or changed."""
    artifacts.check(folder, artifacts.EVALUATION_TOKENS, name=artifacts.TOKENS_META)
    return read_tokens(folder / artifacts.EVALUATION_TOKENS)
