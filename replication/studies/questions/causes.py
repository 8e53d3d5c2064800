"""What a feature of the stream before the MLP does to a feature of the MLP, on one token: by ablation, and by what is cheaper.

    x   = sum_i f_i d_i + error + b_dec     the stream, in the features of its own dictionary
    p_j = v_j . mlp_act(x) + c_j            a feature of the MLP before its ReLU; f_j = relu(p_j)

    ablation     f_j(x) - f_j(x - f_i d_i), all else as it was (the error too): what is meant by a cause
    gradient     f_i d_i . grad p_j(x), through the layer norm and the MLP's gates: activation x gradient
    frozen       the same with the layer norm's scale held: then parts add up, f_j = sum over i + error + constant, exactly for ReLU
    integrated   f_i d_i . the mean gradient of f_j over POINTS points of the way from x to x - f_i d_i
    weights      f_i d_i . diag(w) W_in v_j, each gate of the MLP open and the layer norm only centring: weights alone
    mean gates   as frozen, with each gate as open as it is on average

The layer norm ignores the size of x, so that a gradient through it is at a right angle to x: those parts, with error and bias, add up
to about 0 and are no budget. Source: integrated gradients, Sundararajan, Taly and Yan (2017); the rest is ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.model.transformer import EPS, MLP, LayerNorm, Transformer
from replication.sae.dictionary import Dictionary

POINTS = 2  # of the way, each in the middle of an equal part
AT_ONCE = 2**12  # pairs whose neurons exist at one time: 4 MB at 256 neurons, near a CPU's cache


@dataclass(frozen=True)
class Pairs:
    """Features of the stream that are on where features of the MLP are (an event): which event, which `cause`, its activation [pair]."""

    event: Int[Tensor, " pair"]
    cause: Int[Tensor, " pair"]
    activation: Float[Tensor, " pair"]

    def parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same, some pairs at a time."""
        return zip(*(of.split(AT_ONCE) for of in (self.event, self.cause, self.activation)), strict=True)


@dataclass(frozen=True)
class Path:
    """From the stream before the MLP of a `layer` to features of that MLP; `before` decomposes the stream, `after` the neurons."""

    model: Transformer
    layer: int
    before: Dictionary
    after: Dictionary

    @cached_property
    def encoder(self) -> Float[Tensor, "after d_mlp"]:
        """v_j, a row for each feature of the MLP."""
        return self.after.W_enc.T.contiguous()

    @cached_property
    def bias(self) -> Float[Tensor, " after"]:
        """c_j, with the tied bias in it."""
        return self.after.folded_bias()

    @property
    def norm(self) -> LayerNorm:
        """The layer norm before the MLP."""
        return self.model.layer(self.layer).ln2

    @property
    def mlp(self) -> MLP:
        """The MLP."""
        return self.model.layer(self.layer).mlp

    def neurons(self, x: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_mlp"]:
        """The MLP's activations."""
        return self.model.mlp_act(x, self.layer)

    def active(self, x: Float[Tensor, "event d_model"], feature: Int[Tensor, " event"]) -> Float[Tensor, " event"]:
        """f_j, one feature at each event."""
        return ((self.neurons(x) * self.encoder[feature]).sum(1) + self.bias[feature]).relu()

    def gradients(self, x: Float[Tensor, "event d_model"], feature: Int[Tensor, " event"]) -> tuple[Tensor, Tensor]:
        """Gradients of p_j [event, d_model]: through the layer norm, and with its scale held."""
        rows = self.encoder[feature]
        return back(self.neurons, x, rows)[1], self._with_scale_held(back(self.mlp, self.norm(x), rows)[1], x)

    def averaged(self, x: Float[Tensor, "event d_model"], feature: Int[Tensor, " event"], gates: Float[Tensor, " d_mlp"]) -> Tensor:
        """As the gradient with the scale held [event, d_model], with `gates` in the place of the MLP's own."""
        return self._with_scale_held((gates * self.encoder[feature]) @ self.mlp.W_in.T, x)

    def _with_scale_held(self, gradient: Float[Tensor, "event d_model"], x: Float[Tensor, "event d_model"]) -> Tensor:
        weighted = gradient * self.norm.w
        return (weighted - weighted.mean(1, keepdim=True)) / (x.var(dim=1, correction=0, keepdim=True) + EPS).sqrt()

    def weights(self, feature: Int[Tensor, " feature"]) -> Float[Tensor, "feature before"]:
        """What each feature of the stream adds to p_j for each unit of activation, up to the layer norm's scale, were all gates open."""
        centred = self.before.W_dec - self.before.W_dec.mean(1, keepdim=True)
        return self.encoder[feature] @ self.mlp.W_in.T * self.norm.w @ centred.T

    def budget(
        self, x: Float[Tensor, "event d_model"], held: Float[Tensor, "event d_model"], active: Float[Tensor, " event"], pairs: Pairs,
    ) -> dict[str, Float[Tensor, " event"]]:
        """What makes up f_j = `active` by the gradient with the scale `held`: the features' parts, the error's, and what is constant."""
        features = torch.zeros(len(x)).index_add_(0, pairs.event, along(pairs, held, self.before.W_dec))
        error = (held * (x - self.before.b_dec)).sum(1) - features
        return {"features": features, "error": error, "constant": active - features - error}

    def reconstructed(self, feature: Int[Tensor, " event"], pairs: Pairs) -> Float[Tensor, " event"]:
        """f_j where the stream is its dictionary's reconstruction: what is left of it without the error."""
        stream = self.before.b_dec.repeat(len(feature), 1)
        for event, cause, activation in pairs.parts():
            stream.index_add_(0, event, activation[:, None] * self.before.W_dec[cause])
        return self.active(stream, feature)

    def ablation(
        self, x: Float[Tensor, "event d_model"], feature: Int[Tensor, " event"], pairs: Pairs, directions: Float[Tensor, "before d_model"], points: int = 0,
    ) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
        """What f_j loses when each pair's part of x is taken away, and the same by integrated gradients (zeros where `points` is 0).

        `directions` are the decoder's rows, or others in their place.
        """
        active, lost, integrated = self.active(x, feature), [], []
        for event, cause, activation in pairs.parts():
            at, rows, bias, part = x[event], self.encoder[feature[event]], self.bias[feature[event]], activation[:, None] * directions[cause]
            lost.append(active[event] - ((self.neurons(at - part) * rows).sum(1) + bias).relu())
            total = torch.zeros(len(at))
            for k in range(points):
                neurons, gradient = back(self.neurons, at - (k + 0.5) / points * part, rows)
                total += (gradient * part).sum(1) * ((neurons * rows).sum(1) + bias > 0) / points
            integrated.append(total)
        return torch.cat(lost), torch.cat(integrated)


def along(pairs: Pairs, gradient: Float[Tensor, "event d_model"], directions: Float[Tensor, "before d_model"]) -> Float[Tensor, " pair"]:
    """Activation x gradient of each pair."""
    return torch.cat([activation * (gradient[event] * directions[cause]).sum(1) for event, cause, activation in pairs.parts()])


def back(function: Callable[[Tensor], Tensor], x: Float[Tensor, "row d_in"], weights: Float[Tensor, "row d_out"]) -> tuple[Tensor, Tensor]:
    """A function's values [row, d_out], and the gradient [row, d_in] of their sum by `weights`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values = function(x)
        return values.detach(), torch.autograd.grad(values, x, weights)[0]
