"""What becomes of every feature through training, counted on vectors that training never sees (ours).

The training log has sums over features; whether a feature that fires rarely was born so, fades, or comes back takes a count
for each feature at many steps. Watching reads the dictionary and changes nothing of its training.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from replication.config import Sae
from replication.sae.dictionary import Dictionary
from replication.sae.ranks import Ranks
from replication.sae.schedule import resampling_steps

ELEMENTS = {"cpu": 2**21, "cuda": 2**27}  # pre-activations that exist at one time: 8 MB stay near a CPU's cache
COUNTED = ("fired", "resampled")  # whole numbers; the other parts are float32
PARTS = (*COUNTED, "b_enc", "folded_bias", "encoder_norm", "cosine")


def steps(sae: Sae) -> frozenset[int]:
    """The numbers of steps after which features are watched; 0 is the start.

    Of `watch_points` steps the larger half are evenly spaced in their logarithm, from the first to the last, for what happens
    early; the others evenly in their number, up to the last, for what stays. The start and each step of resampling come on
    top, and a step that is named twice counts once.
    """
    if not sae.watch_vectors:
        return frozenset()
    last, even = sae.vectors // sae.batch, sae.watch_points // 2
    rising = sae.watch_points - even
    spaced = (round(last ** (point / max(1, rising - 1))) for point in range(rising))
    return frozenset({0, *spaced, *(round(last * point / even) for point in range(1, even + 1)), *resampling_steps(sae)})


class Watch:
    """The points so far, and the vectors on which features are watched.

    `kept` has `step` [point] (steps taken; a step of resampling has two points, before it and after it) and for each point and
    feature [point, d_sae]: `fired` (on how many of the vectors), `resampled` (how often so far), `b_enc`, `folded_bias`
    (b_enc - W_enc' b_dec), `encoder_norm`, and `cosine` of the decoder row with where it started or was put last.
    """

    def __init__(self, sae: Sae, d_sae: int, vectors: Float[Tensor, "vector d_in"] | None, kept: Mapping[str, Tensor] | None = None) -> None:
        """`d_sae`: features that are watched, a slice of `sae.d_sae` or all; `kept`: the points of a training that is resumed.

        Without `vectors` no step is watched and every part stays empty.
        """
        self.steps, self.vectors = (frozenset() if vectors is None else steps(sae)), vectors
        empty = {part: torch.empty(0, d_sae, dtype=torch.int32 if part in COUNTED else torch.float32) for part in PARTS}
        self.kept = {"step": torch.empty(0, dtype=torch.int32), **empty}
        self.kept |= {part: tensor.cpu() for part, tensor in (kept or {}).items()}

    def look(self, step: int, dictionary: Dictionary, *, start: Float[Tensor, "d_sae d_in"], resampled: Int[Tensor, " d_sae"]) -> None:
        """Add a point, when `step` is one of the watched. `dictionary` is in the paper's form, `start` are unit rows."""
        if step not in self.steps:
            return
        assert self.vectors is not None
        seen = {
            "step": torch.tensor(step), "fired": fired(dictionary, self.vectors), "resampled": resampled, "b_enc": dictionary.b_enc,
            "folded_bias": dictionary.folded_bias(), "encoder_norm": dictionary.W_enc.norm(dim=0), "cosine": (dictionary.W_dec * start).sum(1)}
        self.kept = {part: torch.cat([tensor, seen[part].to("cpu", tensor.dtype)[None]]) for part, tensor in self.kept.items()}

    def whole(self, ranks: Ranks) -> dict[str, Tensor]:
        """`kept` of the features of all ranks, with the first one."""
        return {part: tensor if part == "step" else ranks.gather(tensor.T).T for part, tensor in self.kept.items()}

    @staticmethod
    def part(name: str, tensor: Tensor, features: slice) -> Tensor:
        """The other way: of one part of `kept`, what concerns some features."""
        return tensor if name == "step" else tensor[:, features]


def fired(dictionary: Dictionary, vectors: Float[Tensor, "vector d_in"]) -> Int[Tensor, " d_sae"]:
    """On how many of `vectors`, of any float type, each feature fires."""
    found = torch.zeros_like(dictionary.b_enc, dtype=torch.int32)
    for part in vectors.split(max(1, ELEMENTS[vectors.device.type] // len(found))):
        # as floats, which are summed faster than truth values; exact, since a part is no longer than 2^24
        found += dictionary.pre_activations(part.float()).gt_(0).sum(0).int()
    return found
