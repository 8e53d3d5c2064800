"""Where a computation runs: device and threads, set in the program and nowhere else."""

import os
import shutil
from typing import TYPE_CHECKING

from replication import gpus
from replication.config import Compute, ConfigError
from replication.progress import Progress

if TYPE_CHECKING:
    import torch


def limit_threads(threads: int) -> None:
    """Tell the numeric libraries how many threads to use; must run before they are first imported.

    Not the tokenizer's (RAYON_NUM_THREADS): its tokens are the same by any number of threads, so it may use every core.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)


def wants_gpu(compute: Compute) -> bool:
    """Whether jobs should claim a GPU of the scheduler; looks for a driver, because importing torch takes seconds."""
    return compute.device == "cuda" or (compute.device == "auto" and shutil.which("nvidia-smi") is not None)


def device(compute: Compute, progress: Progress | None = None, count: int = 1) -> "torch.device":
    """The torch device that a config asks for; `count` GPUs are this process's own (see `gpus`), and `progress` says that they are waited for.

    Raises ConfigError when a GPU is asked for and there is none.
    """
    import torch

    torch.set_num_threads(compute.threads)
    if compute.device != "cpu" and torch.backends.cuda.is_built():
        gpus.claim(count, progress)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("compute.device is 'cuda', but torch sees no GPU here; use 'auto' or 'cpu', or install a CUDA build of torch (see README)")
    return torch.device("cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu")
