"""The paper's control: a model with the entries of each weight matrix shuffled.

Each of W_E, W_pos, W_Q, W_K, W_V, W_O, W_in, W_out and W_U keeps its entries in a random order; all heads of one are one
matrix. Biases (b_Q, b_K, b_V, b_O, b_in, b_out, b_U) and layer norms stay as they are, because the paper speaks of
weight matrices only (ours).
"""

from pathlib import Path

import torch

from replication import artifacts
from replication.config import Settings
from replication.model import store
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import Seed, generator


def shuffle(*, settings: Settings, source: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the shuffled copy of the model in the folder `source`. Raises ArtifactError as `store.load` does."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    model = shuffled(store.load(source), settings.seed_of("model"))
    files = store.save(model, out)
    inputs = {"weights": source / artifacts.WEIGHTS, "architecture": source / artifacts.ARCHITECTURE}
    artifacts.write_meta(out, stage="model", settings=settings, files=files, inputs=inputs, stopwatch=stopwatch, device="cpu", dtype="float32")
    progress(1, 1)


@torch.no_grad()
def shuffled(model: Transformer, seed: Seed) -> Transformer:
    """The same model object after the entries of each weight matrix were permuted."""
    draws = generator(seed, "model.shuffle")
    for _, matrix in model.matrices():
        order = torch.from_numpy(draws.permutation(matrix.numel())).to(matrix.device)
        matrix.copy_(matrix.flatten()[order].view(matrix.shape))
    return model
