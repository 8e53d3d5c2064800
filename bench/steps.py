"""Our training step, and the products that it is measured by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.cases import LR, Case

if TYPE_CHECKING:
    from torch import Tensor

BETAS = (0.9, 0.999)  # SAELens's and dictionary_learning's default, and ours


@dataclass(frozen=True)
class Subject:
    """Something that is timed: one step on a batch; and the activations of its features, where it has some."""

    step: "Callable[[Tensor], object]"
    encode: "Callable[[Tensor], Tensor] | None"


def ours(case: Case) -> Subject:
    """One full training step of ours: gradients, projection, Adam, unit norm."""
    return _on_gpu(case) if case.batches[0].is_cuda else _trainer(case, "auto")


def ours_dense(case: Case) -> Subject:
    """The same step through dense products."""
    return _trainer(case, "dense")


def _trainer(case: Case, how: Literal["auto", "dense"]) -> Subject:
    """Where the bench touches our trainer; on a GPU, its dense path."""
    import torch

    from replication.sae.adam import Adam
    from replication.sae.gradients import Gradients

    dictionary, threads = case.own(), torch.get_num_threads()
    gradients, adam = Gradients(how=how, threads=threads), Adam(dictionary, lr=LR, betas=BETAS, threads=threads)
    return Subject(lambda x: adam.update(gradients(dictionary, x, case.l1)), dictionary.encode)


def _on_gpu(case: Case) -> Subject:
    """Where the bench touches our fused step on a GPU."""
    from replication.sae.gpu import GpuStep

    dictionary = case.own()
    step = GpuStep(dictionary, lr=LR, betas=BETAS, batch=len(case.batches[0]))
    return Subject(lambda x: step(x, case.l1), dictionary.encode)


def encoder_product(case: Case) -> Subject:
    """The one product that no trainer can leave out: bias and x W_enc, into a buffer that is ready."""
    import torch

    dictionary = case.own()
    bias, out = dictionary.folded_bias(), case.batches[0].new_empty(len(case.batches[0]), case.d_sae)
    return Subject(lambda x: torch.addmm(bias, x, dictionary.W_enc, out=out), None)


def five_products(case: Case) -> Subject:
    """The products of a dense step and nothing else: encoder, decoder, gradient of f, gradients of both weights; into buffers."""
    import torch

    dictionary = case.own()
    bias, x = dictionary.folded_bias(), case.batches[0]
    f, d_f, xhat = x.new_empty(len(x), case.d_sae), x.new_empty(len(x), case.d_sae), torch.empty_like(x)
    d_enc, d_dec = torch.empty_like(dictionary.W_dec), torch.empty_like(dictionary.W_dec)

    def step(x: "Tensor") -> None:
        torch.addmm(bias, x, dictionary.W_enc, out=f)
        torch.addmm(dictionary.b_dec, f, dictionary.W_dec, out=xhat)
        torch.mm(x, dictionary.W_dec.T, out=d_f)
        torch.mm(d_f.T, x, out=d_enc)
        torch.mm(f.T, xhat, out=d_dec)

    return Subject(step, None)


def adam_bytes(case: Case) -> Subject:
    """The bytes that Adam has to move and nothing else: read both gradients; read and write both weights and their two moments."""
    import torch

    gradients, *held = (torch.zeros(2 * case.d_sae, case.d_in, device=case.batches[0].device) for _ in range(4))

    def step(_: "Tensor") -> None:
        gradients.amax()
        for tensor in held:
            tensor.neg_()

    return Subject(step, None)
