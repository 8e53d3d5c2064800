"""What a dictionary must beat: other ways to describe a vector by as few numbers. Source: ours.

A rival is fitted on vectors x of the choosing half and then describes any vector by k numbers on average, where k may be a
fraction: so many tokens get one more than the others that the mean is k. With m the mean of the fitted vectors,

    neurons     the k most active elements of x as they are; every other element at its mean over the tokens that leave it out
    directions  m + D' c over the k rows of D with the largest |D (x - m)|, c by least squares at each token:
                with principal components as rows, or with as many random unit directions as the dictionary has features
    untrained   the dictionary's own start: f = relu(W_enc' (x - m) + b_enc - threshold), one threshold at which k of f are
                positive on average, and a decoder fitted to f by least squares
    topk        of the trained dictionary's f only the k largest of each token (fewer where fewer fire), its own decoder
    refit       the same features with c by least squares in place of f, around b_dec
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from sklearn.linear_model import Ridge
from torch import Tensor

from replication.sae.dictionary import Dictionary, unit

Vectors = Float[Tensor, "token d_in"]
Rival = Callable[[Vectors], tuple[Vectors, Int[Tensor, " token"]]]  # the description of each vector, and how many numbers it took

AT_ONCE = 2**24  # activations of features that exist at one time
SAMPLE = 2**23  # activations of which a threshold is the quantile
RIDGE = 1.0  # of the untrained encoder's decoder: one vector's worth
CHOLESKY = 8192  # features up to which normal equations are solved exactly


def budget(n: int, k: float) -> Int[Tensor, " token"]:
    """Whole numbers with mean k for n tokens: the floor of k or one more, evenly spread."""
    return torch.from_numpy(np.diff(np.floor(np.arange(n + 1) * k + 1e-9)).astype(np.int64))


def largest(scores: Float[Tensor, "token n"], k: float) -> tuple[Int[Tensor, "token most"], Bool[Tensor, "token most"]]:
    """Places of the largest scores of each token, and which of them lie within its budget."""
    kept = budget(len(scores), k).clamp_max(scores.shape[1])
    most = max(1, int(kept.max()))
    return scores.topk(most, dim=1).indices, torch.arange(most) < kept[:, None]


def project(x: Vectors, rows: Float[Tensor, "n d_in"], places: Int[Tensor, "token most"], kept: Bool[Tensor, "token most"]) -> Vectors:
    """The nearest point to each vector in the span of the rows that are kept for it."""
    chosen = rows[places] * kept[..., None]
    gram = chosen @ chosen.mT
    gram.diagonal(dim1=1, dim2=2).add_(torch.finfo(gram.dtype).eps ** 0.5)
    fitted: Tensor = torch.linalg.solve(gram, chosen @ x[..., None])
    return (fitted.mT @ chosen).squeeze(1)


def neurons(x: Vectors, k: float) -> Rival:
    """The most active neurons."""
    left = ~_mask(x, *largest(x, k))
    rest = (x * left).sum(0) / left.sum(0).clamp_min(1)

    def describe(x: Vectors) -> tuple[Vectors, Tensor]:
        kept = _mask(x, *largest(x, k))
        return torch.where(kept, x, rest), kept.sum(1)

    return describe


def directions(rows: Float[Tensor, "n d_in"], centre: Float[Tensor, " d_in"], k: float) -> Rival:
    """The directions (rows of unit norm) on which a vector lies most, of either sign."""
    def describe(x: Vectors) -> tuple[Vectors, Tensor]:
        places, kept = largest(((x - centre) @ rows.T).abs(), k)
        return centre + project(x - centre, rows, places, kept), kept.sum(1)

    return _in_parts(describe, len(rows))


def components(x: Vectors) -> Float[Tensor, "d_in d_in"]:
    """Principal components as rows, of unit norm."""
    vectors: Tensor = torch.linalg.eigh(torch.cov(x.T.double())).eigenvectors
    return vectors.T.to(x.dtype)


def random_directions(n: int, d_in: int, draws: np.random.Generator) -> Float[Tensor, "n d_in"]:
    """Directions drawn uniformly."""
    return unit(torch.from_numpy(draws.standard_normal((n, d_in), dtype=np.float32)))


def untrained(start: Dictionary, x: Vectors, k: float) -> Rival:
    """The encoder before training, with a threshold and a decoder that suit it."""
    d_sae = start.W_enc.shape[1]
    seen = start.pre_activations(x[torch.linspace(0, len(x) - 1, min(len(x), max(1, SAMPLE // d_sae))).long()]).flatten().numpy()
    threshold = float(np.partition(seen, place := max(0, len(seen) - 1 - round(k / d_sae * len(seen))))[place])

    def encode(x: Vectors) -> Float[Tensor, "token d_sae"]:
        return (start.pre_activations(x) - max(threshold, 0.0)).relu_()

    codes = sparse.vstack([sparse.csr_array(encode(some).numpy()) for some in x.split(max(1, AT_ONCE // d_sae))])
    with_constant = sparse.csr_matrix(sparse.hstack([codes, np.ones((len(x), 1))]), dtype=np.float64)
    ridge = Ridge(RIDGE, fit_intercept=False, solver="cholesky" if d_sae <= CHOLESKY else "sparse_cg")
    decoder = torch.from_numpy(ridge.fit(with_constant, x.numpy()).coef_.T).to(x.dtype)

    def describe(x: Vectors) -> tuple[Vectors, Tensor]:
        f = encode(x)
        return torch.addmm(decoder[-1], f, decoder[:-1]), (f > 0).sum(1)

    return _in_parts(describe, d_sae)


def topk(dictionary: Dictionary, k: float, *, refit: bool) -> Rival:
    """The trained dictionary's strongest features, with their activations or with coefficients by least squares."""
    def describe(x: Vectors) -> tuple[Vectors, Tensor]:
        f = dictionary.encode(x)
        places, kept = largest(f, k)
        kept &= f.gather(1, places) > 0
        if refit:
            return dictionary.b_dec + project(x - dictionary.b_dec, dictionary.W_dec, places, kept), kept.sum(1)
        return dictionary.decode(f * _mask(f, places, kept)), kept.sum(1)

    return _in_parts(describe, len(dictionary.W_dec))


def _mask(x: Float[Tensor, "token n"], places: Int[Tensor, "token most"], kept: Bool[Tensor, "token most"]) -> Bool[Tensor, "token n"]:
    return torch.zeros(x.shape, dtype=torch.bool).scatter_(1, places, kept)


def _in_parts(describe: Rival, n: int) -> Rival:
    """A few tokens at a time, where each takes `n` numbers on the way."""
    def whole(x: Vectors) -> tuple[Vectors, Tensor]:
        parts = [describe(some) for some in x.split(max(1, AT_ONCE // n))]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    return whole
