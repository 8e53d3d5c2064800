"""The exact step on a GPU: one encoder product on tensor cores, everything else on the pairs that fired (ours).

    1. `screen`: the product of float16 copies of xbar and W_enc, compared with a bound of its error (see `_store_for_screen`),
       names for each vector the few features that may have fired. Nothing of batch x d_sae is written.
    2. `decode`: dot products in float32 on these decide which fired, and how much; reconstruction, loss and d_xhat.
    3. Pairs are put in order by feature, then by vector, by counting.
    4. `feature_gradients`: each feature's sums over its pairs.
    5. `update_features`: projection, Adam and unit norm of each row, and its next float16 copy, in one pass.

The screen only saves work: which pairs fire, and their values, is what a float32 dot product says, and the order of every sum
is fixed. float16 with a power of two taken out of each row has the digits of TF32 at twice its speed. Where more candidates are
found than there is room for, or than dense products cost, the batch is done by `step.dense`. Where ranks hold a slice of the
features each, d_xhat is summed over them after 3, and the gradient of b_dec after 4.
On CPU tensors the same code runs in triton's interpreter (TRITON_INTERPRET=1), which is how it is tested without a GPU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from replication.sae import triton_kernels as kernels
from replication.sae.adam import EPS, rates
from replication.sae.dictionary import Dictionary
from replication.sae.ranks import ALONE, Ranks
from replication.sae.step import Step, add_up, dense, parts

DENSE_FROM = 1 / 16  # share of pairs from which dense products are cheaper (estimated from bandwidths of an H100, not yet measured)
WARPS_OF_SCREEN, STAGES_OF_SCREEN = 8, 3


@dataclass(frozen=True)
class Tiles:
    """Sizes that change speed and memory only; powers of two. The default is meant for Hopper."""

    rows: int = 128  # vectors of a tile of the screen
    columns: int = 256  # features of a tile of the screen, 32 or more
    inner: int = 64  # vector elements of a tile of the screen
    ranges: int = 8  # parts of the features that are screened in parallel
    room: int = 64  # candidates of one vector in one range that can be held
    elements: int = 4096  # of gathered rows that a program holds at once
    group: int = 128  # neighbouring vectors whose pairs are counted together
    block: int = 256  # pairs of a dense feature that one program sums


class GpuStep:
    """Gradients and Adam of a dictionary, in place, for batches of one size.

    As `Adam`, it has `parameters`, `moments`, `step` and `update`. A `Step` is valid until the next call, because its buffers
    are used again. Weights that others change in place by PyTorch are noticed.
    """

    def __init__(
        self, dictionary: Dictionary, *, lr: float, betas: tuple[float, float], batch: int, screen: Literal["fp16", "ieee"] = "fp16",
        dense_from: float = DENSE_FROM, graphs: bool = True, tiles: Tiles | None = None, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        """Starts with moments of zero after step 0; to resume, set `step` and `moments`.

        screen: "ieee" makes the screen's product in float32 without tensor cores, for comparison. dense_from: share of candidates
        among batch x d_sae from which a batch is done by dense products (0: each one); graphs: whether CUDA graphs are used.
        Raises ValueError when a tensor is not float32, or not in the order that a feature's weights lie together.
        """
        # the encoder as [d_sae, d_in], the way it lies in memory
        self.parameters: dict[str, Tensor] = dictionary.tensors() | {"W_enc": dictionary.W_enc.T}
        if not all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in self.parameters.values()):
            raise ValueError("the GPU step needs float32 tensors, contiguous, W_enc as the transpose of a contiguous [d_sae, d_in]")
        tiles = tiles or (Tiles() if screen == "fp16" else Tiles(rows=64, columns=64, inner=32))  # float32 tiles need room
        self.dictionary, self.lr, self.betas, self.batch, self.step, self.tiles, self.ranks = dictionary, lr, betas, batch, 0, tiles, ranks
        W_enc = self.parameters["W_enc"]
        self._moments = {name: (torch.zeros_like(tensor), torch.zeros_like(tensor)) for name, tensor in self.parameters.items()}
        self._graphs = _Graphs() if graphs and W_enc.is_cuda else None
        self._seen = -1  # version of W_enc of which the screen holds a copy

        d_sae, d_in = W_enc.shape
        tiled = -(-d_sae // tiles.columns)
        self.ranges = min(tiles.ranges, 1 << (tiled.bit_length() - 1))
        self.span = -(-tiled // self.ranges) * tiles.columns
        self.groups = -(-batch // tiles.group)
        self.most = int(min(dense_from * batch * d_sae, batch * self.ranges * tiles.room))
        block_d = triton.next_power_of_2(d_in)
        self.sizes = {"D": d_in, "BLOCK_D": block_d}
        pitch = -(-d_in // tiles.inner) * tiles.inner
        # half of what sums of `pitch` products lose at most, relative to the norms. Tensor cores cut digits off instead of rounding
        # (how: Khattak and Mikaitis, arXiv:2512.07004), so each addition is allowed four times float32's rounding, where the dot
        # product that decides takes at most one. The bound assumes this much of the hardware, and a test on a GPU looks at it
        self.copying = {"PITCH": pitch, "HALF": screen == "fp16", "MARGIN": (pitch + 8) * 2.0**-23}
        self.pairs = {"PAIRS": max(1, min(32, tiles.elements // block_d))}
        self.lists = {"RANGES": self.ranges, "ROOM": tiles.room, "GROUP": tiles.group}

        make = lambda *shape, dtype=torch.float32: torch.zeros(*shape, dtype=dtype, device=W_enc.device)  # noqa: E731
        x_rows, w_rows = -(-batch // tiles.rows) * tiles.rows, self.ranges * self.span
        narrow = torch.float16 if screen == "fp16" else torch.float32
        self.x_copies, self.x_marks = make(x_rows, pitch, dtype=narrow), make(3, x_rows)
        self.w_copies, self.w_marks = make(w_rows, pitch, dtype=narrow), make(3, w_rows)
        self.counts, self.tally = make(batch, self.ranges, dtype=torch.int32), make(2, dtype=torch.int64)
        self.slots, self.arrived = (make(batch, self.ranges * tiles.room, dtype=torch.int32) for _ in range(2))
        self.xbar, self.d_xhat, self.parts, self.sums = make(batch, d_in), make(batch, d_in), make(3, batch), make(3)
        self.group_counts, self.ends = (make(d_sae * self.groups, dtype=torch.int32) for _ in range(2))
        self.listed, self.vectors = (make(max(1, self.most), dtype=torch.int32) for _ in range(2))
        self.blocks = self.most // tiles.block
        self.block_features = make(self.blocks + 1, dtype=torch.int32)
        self.block_sums = make(self.blocks + 1, d_in), make(self.blocks + 1, d_in), make(self.blocks + 1)
        self.numbers = make(3)  # l1 / batch, and Adam's two corrections
        self.found = Step(
            mse=self.sums[0], l1=self.sums[1], l0=self.sums[2], W_enc=make(d_sae, d_in).T, b_enc=make(d_sae), W_dec=make(d_sae, d_in), b_dec=make(d_in),
            fired=make(d_sae, dtype=torch.int32))

    @property
    def moments(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Adam's first and second moments by parameter, laid out as `parameters`. Assigning copies, since graphs hold their addresses."""
        return self._moments

    @moments.setter
    def moments(self, held: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        for name, pair in self._moments.items():
            for mine, other in zip(pair, held[name], strict=True):
                mine.copy_(other)

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "batch d_in"], l1: float) -> Step:
        """Loss parts and gradients of `x`, and the update by them."""
        if not self._screened(x, l1):
            found = self._dense(x, l1)
            self.update(found)
            return found
        self.step += 1
        if self.ranks.count == 1:
            self._play("step", self._backward, self._update)
        else:
            self._backward_together()
            self._play("update", self._update)
        return self.found

    @torch.no_grad()
    def gradients(self, x: Float[Tensor, "batch d_in"], l1: float) -> Step:
        """Loss parts and gradients of `x`; weights stay."""
        if not self._screened(x, l1):
            return self._dense(x, l1)
        if self.ranks.count == 1:
            self._play("gradients", self._backward)
        else:
            self._backward_together()
        return self.found

    @torch.no_grad()
    def update(self, found: Step) -> None:
        """One step of Adam on every row by any gradients of this dictionary."""
        self._tell(0.0)
        self.step += 1
        self._update(found)

    def _dense(self, x: Tensor, l1: float) -> Step:
        found = dense(self.dictionary, x, l1, self.ranks)
        add_up(found, self.ranks)
        return found

    def _screened(self, x: Tensor, l1: float) -> bool:
        """Candidates of `x`; whether they fit. Waits for the GPU to count them."""
        if x.shape != self.xbar.shape or x.dtype != torch.float32:
            raise ValueError(f"this step takes float32 batches of shape {list(self.xbar.shape)}, not {x.dtype} of shape {list(x.shape)}")
        if not self.most:
            return False
        if self._seen != (version := self.dictionary.W_enc._version):
            kernels.copy_weights[len(self.dictionary.W_dec),](self.parameters["W_enc"], *self._screen_weights(), **self.sizes, **self.copying)
            self._seen = version
        self._tell(l1)
        # outside of graphs, because x lies elsewhere each time
        kernels.centre[self.batch,](
            x.contiguous(), self.dictionary.b_dec, self.xbar, self.x_copies, self.x_marks, self.x_marks.shape[1], **self.sizes, **self.copying)
        self._play("screen", self._screen)
        total, largest = self.tally.tolist()
        return bool(total <= self.most and largest <= self.tiles.room)

    def _screen(self) -> None:
        tiles = self.tiles
        kernels.screen[len(self.x_copies) // tiles.rows, self.ranges](
            self.x_copies, self.x_marks, self.x_marks.shape[1], *self._screen_weights(), self.dictionary.b_enc, self.slots, self.counts,
            self.batch, len(self.dictionary.b_enc), self.span, PITCH=self.copying["PITCH"], ROOM=tiles.room,
            ROWS=tiles.rows, COLUMNS=tiles.columns, INNER=tiles.inner, num_warps=WARPS_OF_SCREEN, num_stages=STAGES_OF_SCREEN)
        self.tally[0], self.tally[1] = self.counts.sum(), self.counts.max()

    def _backward(self) -> None:
        """Gradients from candidates, into `found`."""
        self._decode()
        self._order()
        self._sum()

    def _backward_together(self) -> None:
        """`_backward` with its two sums over ranks, which no graph holds."""
        self._play("decode", self._decode, self._order)
        for part in parts(self.d_xhat, len(self.dictionary.b_enc)):
            self.ranks.add(part)
        self._play("sum", self._weigh_errors, self._sum)
        add_up(self.found, self.ranks)

    def _weigh_errors(self) -> None:
        """Where `_decode` knew only one rank's features: the squared error, and the gradient of xhat from xhat - x."""
        torch.div(self.d_xhat.square().sum(), self.d_xhat.numel(), out=self.sums[0])
        self.d_xhat.mul_(2 / self.d_xhat.numel())

    def _decode(self) -> None:
        """Residuals, and by one rank alone all that follows from them; of several, this one's share of xhat - x."""
        self.group_counts.zero_()
        kernels.decode[self.batch,](
            self.xbar, *self._rows(), self.slots, self.counts, self.d_xhat, self.parts, self.arrived, self.group_counts, self.batch, self.groups,
            1 / self.xbar.numel() if self.ranks.count == 1 else 1 / 2, 1 / self.batch, self.ranks.first, **self.sizes, **self.lists, **self.pairs)
        torch.sum(self.parts, 1, out=self.sums)

    def _order(self) -> None:
        """The vectors of all pairs, by feature, then ascending."""
        torch.cumsum(self.group_counts, 0, dtype=torch.int32, out=self.ends)
        grouped = self.slots, self.counts, self.arrived, self.group_counts, self.ends, self.listed
        kernels.gather_groups[self.batch,](*grouped, self.groups, **self.lists, PAIRS=32)
        kernels.order_groups[self.batch,](*grouped, self.vectors, self.block_features, self.groups, **self.lists, PAIRS=32, BLOCK=self.tiles.block)

    def _sum(self) -> None:
        found, d_sae = self.found, len(self.dictionary.b_enc)
        vectors, sizes = (self.xbar, self.d_xhat), {**self.sizes, **self.pairs, "BLOCK": self.tiles.block}
        if self.blocks:
            kernels.block_gradients[self.blocks,](
                self.vectors, self.ends, self.block_features, *vectors, *self._rows(), self.numbers, *self.block_sums, d_sae, self.groups, **sizes)
        kernels.feature_gradients[d_sae,](
            self.vectors, self.ends, self.group_counts, *vectors, *self._rows(), self.numbers, *self.block_sums,
            found.W_enc.T, found.b_enc, found.W_dec, found.fired, self.groups, **sizes)
        torch.addmv(self.d_xhat.sum(0), self.dictionary.W_enc, found.b_enc, beta=int(self.ranks.first), alpha=-1, out=found.b_dec)

    def _update(self, found: Step | None = None) -> None:
        found = found or self.found
        weights, moments = self.parameters, self.moments
        rest = self.numbers, *self.betas, *(1 - beta for beta in self.betas), EPS
        kernels.update_features[len(found.b_enc),](
            *self._rows(), found.W_enc.T, found.b_enc, found.W_dec, found.fired,
            *moments["W_enc"], *moments["b_enc"], *moments["W_dec"], *rest, *self._screen_weights(), **self.sizes, **self.copying)
        kernels.update_vector[1,](weights["b_dec"], found.b_dec, *moments["b_dec"], *rest, **self.sizes)

    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.parameters["W_enc"], self.parameters["b_enc"], self.parameters["W_dec"]

    def _screen_weights(self) -> tuple[Tensor, Tensor, int]:
        return self.w_copies, self.w_marks, self.w_marks.shape[1]

    def _tell(self, l1: float) -> None:
        """Put what changes from step to step where graphs read it. The source may go at once: such small copies are staged."""
        self.numbers.copy_(torch.tensor([l1 / self.batch, *rates(self.lr, self.betas, self.step + 1)]), non_blocking=True)

    def _play(self, name: str, *parts: Callable[[], None]) -> None:
        if self._graphs:
            self._graphs.play(name, parts)
        else:
            for part in parts:
                part()


class _Graphs:
    """CUDA graphs by name: the first time kernels run and are compiled, the second time they are recorded, from then on replayed."""

    def __init__(self) -> None:
        self.recorded: dict[str, torch.cuda.CUDAGraph | None] = {}

    def play(self, name: str, parts: tuple[Callable[[], None], ...]) -> None:
        """Do what `parts` did the first time, at the same addresses."""
        if name not in self.recorded:
            self.recorded[name] = None
            for part in parts:
                part()
            return
        graph = self.recorded[name]
        if graph is None:
            graph = self.recorded[name] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another thread prepares the next block, and may allocate
                for part in parts:
                    part()
        graph.replay()
