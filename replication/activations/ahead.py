"""Blocks in order, the next one made while the current one is used.

One block ahead and no more, each in a thread of its own that ends with its block: there is no queue to fill and no
worker to stop. On a GPU a block is made on a CUDA stream of its own. Source: ours.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future

import torch
from torch import Tensor

Make = Callable[[int], Tensor]


def in_order(make: Make, numbers: Sequence[int], *, device: torch.device, ahead: bool) -> Generator[Tensor]:
    """``make(number)`` for each number, in order; with `ahead` the next block is made in the background.

    What `make` raises is raised when its block is asked for, not before. Closing the iterator waits for the block under way
    and throws it away.
    """
    if not ahead:
        yield from map(make, numbers)
        return
    side = torch.cuda.Stream(device) if device.type == "cuda" else None
    pending: _Pending | None = None
    try:
        for place, number in enumerate(numbers):
            block = pending.result() if pending else make(number)
            pending = _Pending(make, numbers[place + 1], side) if place + 1 < len(numbers) else None
            yield block
    finally:
        if pending:
            pending.thread.join()


class _Pending:
    """A block on its way."""

    def __init__(self, make: Make, number: int, side: "torch.cuda.Stream | None") -> None:
        self.side, self.future = side, Future[Tensor]()
        if side is not None:
            side.wait_stream(torch.cuda.current_stream(side.device))  # the model may still be on its way to the GPU
        self.thread = threading.Thread(target=self._run, args=(make, number), name=f"block {number}")
        self.thread.start()

    def _run(self, make: Make, number: int) -> None:
        try:
            with torch.cuda.stream(self.side):  # does nothing where there is none
                self.future.set_result(make(number))
        except BaseException as error:  # not lost with the thread: raised where the block is asked for
            self.future.set_exception(error)

    def result(self) -> Tensor:
        """The block, or what making it raised."""
        block = self.future.result()
        self.thread.join()
        if self.side is not None:
            current = torch.cuda.current_stream(self.side.device)
            current.wait_stream(self.side)
            block.record_stream(current)  # so that its memory is not given to the next block while this one is still read
        return block
