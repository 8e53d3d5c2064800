"""Processes that hold a slice of the features each, and all that they tell each other: sums, and rows for the first of them (ours).

A feature's weights, moments and gradients lie with one rank, and b_dec with every one. What goes between them is in
`step` (a sum of batch x d_in numbers for each batch, and one of d_in + 2), `resampling`, and the checkpoint.
"""

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor

from replication import compute
from replication.config import Compute, UserError

PATIENCE = datetime.timedelta(minutes=10)  # that ranks wait for one that is slower, such as the first while it writes a checkpoint


class Ranks:
    """One rank, alone: it holds every feature, and sums are what it has. With others, `add` and `gather` are theirs too.

    Each rank calls them in the same order, with tensors of the same shape.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        """The number of this one, from 0 on, and how many there are."""
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def features(self, d_sae: int) -> slice:
        """Those that lie here; as many as with any other."""
        size = d_sae // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, in place; the same bits with each."""
        return tensor

    def gather(self, rows: Shaped[Tensor, "row ..."]) -> Shaped[Tensor, "rows ..."]:
        """The rows of all ranks in order, with the first one on the CPU; the others get their own back."""
        return rows

    def counts(self, number: int) -> list[int]:
        """The numbers of all ranks, in order."""
        numbers = torch.zeros(self.count, dtype=torch.int64)
        numbers[self.rank] = number
        found: list[int] = self.add(numbers).tolist()
        return found

    def mean(self, values: Float[Tensor, " value"]) -> Float[Tensor, ""]:
        """The mean of the values of all ranks."""
        if self.count == 1:
            return values.mean()
        total = self.add(torch.stack([values.sum(), values.new_tensor(len(values))]))
        return total[0] / total[1]


ALONE = Ranks()


class Lost(Exception):
    """Another rank did not answer."""


class Group(Ranks):
    """Ranks of a process group of torch: NCCL between GPUs, gloo between CPUs and for what lies on the CPU."""

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, in place. Raises Lost."""
        with _said_as_lost():
            dist.all_reduce(tensor)
        return tensor

    def gather(self, rows: Shaped[Tensor, "row ..."]) -> Shaped[Tensor, "rows ..."]:
        """The rows of all ranks, with the first one. Raises Lost."""
        rows = rows.cpu().contiguous()  # never on a GPU, which may have no room for them
        whole = rows.new_empty(self.count * len(rows), *rows.shape[1:]) if self.first else None
        with _said_as_lost():
            dist.gather(rows, None if whole is None else list(whole.chunk(self.count)))
        return rows if whole is None else whole


@contextlib.contextmanager
def _said_as_lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Lost(str(error)) from error


@contextlib.contextmanager
def group(rank: int, count: int, meeting: Path, wanted: Compute) -> Iterator[tuple[Group, torch.device]]:
    """A process group of this machine, and this rank's device: the GPU of its number where there are GPUs.

    `meeting`: a file that does not exist, the same for each. Raises UserError where there are fewer GPUs than ranks.
    """
    device, backend = compute.device(wanted), "gloo"
    if device.type == "cuda":
        if count > torch.cuda.device_count():
            raise UserError(f"sae.ranks is {count}, but torch sees {torch.cuda.device_count()} GPUs here; lower it, or give the job as many GPUs")
        device, backend = torch.device("cuda", rank), "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    if loopback := next((name for _, name in socket.if_nameindex() if name.startswith("lo")), ""):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)  # a host's own name may lead nowhere, and nothing leaves this machine
    dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=PATIENCE)
    yield Group(rank, count), device
    dist.destroy_process_group()  # only after good work: with others gone it may wait for them
