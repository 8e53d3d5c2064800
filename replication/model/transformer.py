"""The paper's one-layer transformer: attention, then an MLP, with a place to read or replace each vector on the way.

    resid_mid    = embed(tokens) + attention(ln1(embed(tokens)))     the stream before the MLP
    mlp_act      = relu(ln2(resid_mid) W_in + b_in)                  what the paper's dictionaries decompose
    mlp_out      = mlp_act W_out + b_out                             the update written to the stream
    resid_post   = resid_mid + mlp_out                               the stream after the update
    logit_update                                                     the update as the logits see it (`model.metric`)
    logits       = ln_final(resid_post) W_U + b_U

A model of several layers repeats attention and MLP; its sites carry the layer's number: `mlp_act_0`.

Parameters have TransformerLens's names and shapes, so that a state dict of one is a state dict of the other.
Pre-layer-norm, learned positions, biases, GPT-2's layer norm (eps 1e-5). Source: paper, "Problem Setup" and appendix
on the transformer (one layer, ReLU, width of the MLP four times the stream); the rest is ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from replication.config import Model, place
from replication.model.metric import Metric
from replication.randomness import Seed, generator

EPS = 1e-5


def solu(x: Float[Tensor, "*batch d_mlp"]) -> Float[Tensor, "*batch d_mlp"]:
    """`x softmax(x)`: a neuron is scaled down by what the others do. Source: Elhage et al. 2022, Softmax Linear Units."""
    return x * torch.softmax(x, dim=-1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "solu": solu, "solu_ln": solu}


@dataclass(frozen=True)
class Architecture:
    """The numbers that fix every shape; the content of `architecture.json`."""

    d_model: int
    d_mlp: int
    n_heads: int
    n_ctx: int
    act_fn: Literal["relu", "gelu", "solu", "solu_ln"]
    d_vocab: int
    n_layers: int = 1

    @staticmethod
    def of(model: Model, d_vocab: int) -> "Architecture":
        """The architecture that the settings ask for, at the vocabulary that the tokenizer turned out to have."""
        return Architecture(model.d_model, model.d_mlp, model.n_heads, model.n_ctx, model.act_fn, d_vocab, model.n_layers)

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads


class LayerNorm(nn.Module):
    """Layer norm with weight `w` and bias `b`, over the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Centre, scale to unit variance, then scale and shift."""
        return F.layer_norm(x, self.w.shape, self.w, self.b, EPS)


class Attention(nn.Module):
    """Causal self-attention; a head's matrices are one slice along the first axis."""

    def __init__(self, n_heads: int, d_model: int, d_head: int) -> None:
        super().__init__()
        self.W_Q, self.b_Q = nn.Parameter(torch.empty(n_heads, d_model, d_head)), nn.Parameter(torch.zeros(n_heads, d_head))
        self.W_K, self.b_K = nn.Parameter(torch.empty(n_heads, d_model, d_head)), nn.Parameter(torch.zeros(n_heads, d_head))
        self.W_V, self.b_V = nn.Parameter(torch.empty(n_heads, d_model, d_head)), nn.Parameter(torch.zeros(n_heads, d_head))
        self.W_O, self.b_O = nn.Parameter(torch.empty(n_heads, d_head, d_model)), nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """What the heads write, summed, with the output bias."""
        n_heads, d_head, d_model = self.W_O.shape
        W = torch.cat((self.W_Q, self.W_K, self.W_V)).transpose(0, 1).flatten(1)  # [d_model, 3 * n_heads * d_head]
        b = torch.cat((self.b_Q, self.b_K, self.b_V)).flatten()
        q, k, v = F.linear(x, W.T, b).unflatten(-1, (3, n_heads, d_head)).permute(2, 0, 3, 1, 4)  # each [batch, n_heads, pos, d_head]
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.linear(z.transpose(1, 2).flatten(2), self.W_O.view(-1, d_model).T, self.b_O)


class MLP(nn.Module):
    """The layer whose activations are decomposed; `Transformer` runs it in two halves, one on each side of the site."""

    def __init__(self, d_model: int, d_mlp: int, act_fn: str) -> None:
        super().__init__()
        self.W_in, self.b_in = nn.Parameter(torch.empty(d_model, d_mlp)), nn.Parameter(torch.zeros(d_mlp))
        self.W_out, self.b_out = nn.Parameter(torch.empty(d_mlp, d_model)), nn.Parameter(torch.zeros(d_model))
        self.act_fn = ACTIVATIONS[act_fn]
        self.ln = LayerNorm(d_mlp) if act_fn.endswith("_ln") else nn.Identity()

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_mlp"]:
        """Activations of the neurons; `solu_ln` has a layer norm after the nonlinearity."""
        activations: Tensor = self.ln(self.act_fn(F.linear(x, self.W_in.T, self.b_in)))
        return activations


class Block(nn.Module):
    """Attention and MLP, each behind its layer norm."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(shape.d_model), LayerNorm(shape.d_model)
        self.attn = Attention(shape.n_heads, shape.d_model, shape.d_head)
        self.mlp = MLP(shape.d_model, shape.d_mlp, shape.act_fn)


class Transformer(nn.Module):
    """A transformer whose matrices are uninitialised: call `initialise`, or load a state dict. `layer` is the last one where none is named."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        shape = self.architecture = architecture
        self.embed = nn.ParameterDict({"W_E": nn.Parameter(torch.empty(shape.d_vocab, shape.d_model))})
        self.pos_embed = nn.ParameterDict({"W_pos": nn.Parameter(torch.empty(shape.n_ctx, shape.d_model))})
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.n_layers)])
        self.ln_final = LayerNorm(shape.d_model)
        self.unembed = nn.ParameterDict({
            "W_U": nn.Parameter(torch.empty(shape.d_model, shape.d_vocab)), "b_U": nn.Parameter(torch.zeros(shape.d_vocab))})

    @property
    def block(self) -> Block:
        """The last layer, which is the only one of the paper's models."""
        return self.layer(-1)

    def layer(self, layer: int) -> Block:
        """One layer, by its number."""
        return cast(Block, self.blocks[layer])

    @cached_property
    def metric(self) -> Metric:
        """How updates of the stream count in the logits; of the weights as they are when it is first asked for."""
        return Metric.of(self.ln_final.w.detach(), self.unembed["W_U"].detach())

    @torch.no_grad()
    def initialise(self, seed: Seed) -> "Transformer":
        """Draw every matrix from a normal distribution by name; biases are 0 and layer norms 1 already. Source: ours.

        Tables have GPT-2's deviation of 0.02. Inner matrices have 1 / sqrt(their inputs), because 0.02 suits a width of some
        thousands and starves a narrow stream.
        """
        draws = generator(seed, "model.init")
        for name, matrix in self.matrices():
            inputs = matrix.shape[:-1].numel() if name.endswith("W_O") else matrix.shape[-2]
            deviation = max(1, inputs) ** -0.5 if name.startswith("blocks") else 0.02
            matrix.copy_(torch.from_numpy(draws.standard_normal(matrix.shape, dtype=np.float32) * np.float32(deviation)))
        return self

    def matrices(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and tensor of each weight matrix, tables of embeddings included; biases and layer norms are none, whatever their shape."""
        return ((name, parameter) for name, parameter in self.named_parameters() if name.rpartition(".")[2].startswith("W_"))

    def resid_mid(self, tokens: Int[Tensor, "batch pos"], layer: int = -1) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream before the MLP of a layer."""
        x: Tensor = F.embedding(tokens, self.embed["W_E"]) + self.pos_embed["W_pos"][: tokens.shape[1]]
        last = layer % len(self.blocks)
        for k in range(last + 1):
            x = self._attended(x, k)
            x = x if k == last else x + self.mlp_out(self.mlp_act(x, k), k)
        return x

    def mlp_act(self, resid_mid: Float[Tensor, "*batch d_model"], layer: int = -1) -> Float[Tensor, "*batch d_mlp"]:
        """Activations of the MLP's neurons, after the nonlinearity."""
        block = self.layer(layer)
        activations: Tensor = block.mlp(block.ln2(resid_mid))
        return activations

    def mlp_out(self, mlp_act: Float[Tensor, "*batch d_mlp"], layer: int = -1) -> Float[Tensor, "*batch d_model"]:
        """The MLP's update of the stream, with its bias."""
        mlp = self.layer(layer).mlp
        return F.linear(mlp_act, mlp.W_out.T, mlp.b_out)

    def resid_post(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the last MLP."""
        mid = self.resid_mid(tokens)
        return mid + self.mlp_out(self.mlp_act(mid))

    def _attended(self, x: Float[Tensor, "batch pos d_model"], layer: int) -> Float[Tensor, "batch pos d_model"]:
        block = self.layer(layer)
        attention: Tensor = block.attn(block.ln1(x))
        return x + attention

    def final(self, resid_post: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The stream as the unembedding sees it: after the last layer norm."""
        normalised: Tensor = self.ln_final(resid_post)
        return normalised

    def logits(self, resid_post: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """Logits of the next token; for many tokens take `replication.model.head`, which never holds them whole."""
        return F.linear(self.final(resid_post), self.unembed["W_U"].T, self.unembed["b_U"])

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
        """Logits of the next token at every position."""
        return self.logits(self.resid_post(tokens))

    def before(self, tokens: Int[Tensor, "batch pos"], site: str) -> Float[Tensor, "batch pos d_model"]:
        """The stream before the MLP at which, or after which, a site of `config.SITES` lies. Raises UserError for another name."""
        return self.resid_mid(tokens, self.place(site)[1])

    def read(self, tokens: Int[Tensor, "batch pos"], site: str) -> Float[Tensor, "batch pos d_in"]:
        """The vectors at a site. Raises UserError for a site that does not exist."""
        return self.read_from(self.before(tokens, site), site)

    def read_from(self, before: Float[Tensor, "*batch d_model"], site: str) -> Float[Tensor, "*batch d_in"]:
        """As `read`, from the stream before the MLP: up to the site tokens are on their own, so these may be some of a text's only."""
        kind, layer = self.place(site)
        if kind == "resid_mid":
            return before
        activations = self.mlp_act(before, layer)
        if kind == "mlp_act":
            return activations
        update = self.mlp_out(activations, layer)
        match kind:
            case "mlp_out":
                return update
            case "resid_post":
                return before + update
            case _:
                return self.metric.read(update, self.sigma(before + update))

    def splice(self, tokens: Int[Tensor, "batch pos"], site: str, vectors: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_model"]:
        """The stream after the last MLP when the vectors at a site are `vectors` instead; what lies before it stays as it was.

        Raises UserError for a site that does not exist.
        """
        return self.splice_into(self.before(tokens, site), site, vectors)

    def splice_into(self, before: Float[Tensor, "*batch d_model"], site: str, vectors: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_model"]:
        """As `splice`, from the stream before the MLP; whole texts [batch, pos, d_model] where layers come after the site."""
        kind, layer = self.place(site)
        match kind:
            case "resid_mid":
                x = vectors + self.mlp_out(self.mlp_act(vectors, layer), layer)
            case "mlp_act":
                x = before + self.mlp_out(vectors, layer)
            case "mlp_out":
                x = before + vectors
            case "resid_post":
                x = vectors
            case _:  # the scale is that of the true stream
                update = self.mlp_out(self.mlp_act(before, layer), layer)
                x = before + self.metric.write(vectors, self.sigma(before + update))
        for k in range(layer + 1, len(self.blocks)):
            x = self._attended(x, k)
            x = x + self.mlp_out(self.mlp_act(x, k), k)
        return x

    def place(self, site: str) -> tuple[str, int]:
        """Kind and layer of a site. Raises UserError when this model has no such site."""
        return place(site, self.architecture.n_layers)

    @staticmethod
    def sigma(resid_post: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch 1"]:
        """What the last layer norm divides by."""
        return (resid_post.var(dim=-1, correction=0, keepdim=True) + EPS).sqrt()


