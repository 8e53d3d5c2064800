"""The geometric median of vectors, where the tied bias starts."""

import torch
from jaxtyping import Float
from torch import Tensor


def geometric_median(x: Float[Tensor, "token d_in"], *, tolerance: float = 1e-6, most: int = 1000) -> Float[Tensor, " d_in"]:
    """The point with the smallest summed distance to the rows of `x`, by Weiszfeld's iteration, in float64.

    Stops when a step is shorter than `tolerance` times the mean distance. A row that the point falls on is kept apart
    by the smallest distance that float32 tells from zero. Source: appendix of the paper names the median, the method is ours.
    """
    x = x.double()
    point = x.mean(0)
    for _ in range(most):
        distance = torch.linalg.vector_norm(x - point, dim=1)
        weight = 1 / distance.clamp_min(1e-7 * distance.mean().clamp_min(1e-30))
        moved = (weight @ x) / weight.sum()
        step, point = torch.linalg.vector_norm(moved - point), moved
        if step <= tolerance * distance.mean():
            break
    return point
