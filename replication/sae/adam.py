"""The update of a step: Adam on every row, with decoder rows kept at unit norm (appendix of the paper, autoencoder training).

The part of the decoder's gradient that is parallel to its row is taken off before (the projection, which the paper found
slightly better than the norm alone), and the norm is set after. Silent features move too, on momentum. Moments below 1e-35
are set to 0 on a CPU, which changes no weight (ours).
"""

import math

import numpy as np
import torch
from torch import Tensor

from replication.sae.dictionary import Dictionary, unit
from replication.sae.gradients import compiled
from replication.sae.step import Step
from replication.sae.threads import Threads

EPS = 1e-8
Moments = tuple[Tensor, Tensor]


class Adam:
    """Adam of a dictionary's four tensors, in place, with PyTorch's formula."""

    def __init__(self, dictionary: Dictionary, *, lr: float, betas: tuple[float, float], projection: bool = True, threads: int = 1) -> None:
        """Starts with moments of zero after step 0; to resume, set `step` and copy into `moments`."""
        self.lr, self.betas, self.projection, self.step = lr, betas, projection, 0
        self.parameters = dictionary.tensors() | {"W_enc": dictionary.encoder_rows()}
        self.moments: dict[str, Moments] = {name: (torch.zeros_like(tensor), torch.zeros_like(tensor)) for name, tensor in self.parameters.items()}
        self.compiled = compiled() and not dictionary.W_enc.is_cuda
        self.threads = Threads(threads)

    def update(self, found: Step) -> None:
        """One step. Uses up the gradients of `found`."""
        self.step += 1
        gradients = {"W_enc": found.W_enc.T, "b_enc": found.b_enc, "W_dec": found.W_dec, "b_dec": found.b_dec}
        for name, gradient in gradients.items():
            (self._rows if self.compiled else self._whole)(name, gradient)

    def _whole(self, name: str, gradient: Tensor) -> None:
        (beta1, beta2), (rate, correction) = self.betas, rates(self.lr, self.betas, self.step)
        weight, (first, second) = self.parameters[name], self.moments[name]
        if name == "W_dec" and self.projection:
            gradient -= (gradient * weight).sum(1, keepdim=True) * weight
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        weight.addcdiv_(first, second.sqrt().mul_(correction).add_(EPS), value=-rate)
        if name == "W_dec":
            weight.copy_(unit(weight))

    def _rows(self, name: str, gradient: Tensor) -> None:
        from replication.sae import kernels

        (beta1, beta2), (rate, correction) = self.betas, rates(self.lr, self.betas, self.step)
        rows = [tensor.view(-1, tensor.shape[-1]).numpy() for tensor in (self.parameters[name], gradient.contiguous(), *self.moments[name])]
        numbers = [np.float32(number) for number in (beta1, beta2, 1 - beta1, 1 - beta2, rate, correction, EPS)]
        of_rows = kernels.adam_unit_rows if name == "W_dec" and self.projection else kernels.adam_rows
        self.threads.spread(lambda _, low, high: of_rows(low, high, *rows, *numbers), self.threads.edges(len(rows[0])))
        if name == "W_dec" and not self.projection:
            self.parameters[name].copy_(unit(self.parameters[name]))


def rates(lr: float, betas: tuple[float, float], step: int) -> tuple[float, float]:
    """The rate of step 1, 2, ..., and the factor of the second moment's root: corrected for moments that began at zero."""
    return lr / (1 - betas[0] ** step), 1 / math.sqrt(1 - betas[1] ** step)
