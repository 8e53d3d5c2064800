"""Which evaluation tokens have a part in what an expression matches, and runs of base64 in text."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from replication.features.proxies import Find, Pieces, Span, found

RUN = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{20,}={0,2}")
CASES = ((ord("A"), ord("Z")), (ord("a"), ord("z")), (ord("0"), ord("9")))
MIXED = 0.5  # share of neighbours of different kinds: about two thirds in base64, well below half in words run together


def base64_runs(text: bytes) -> Iterator[Span]:
    """Maximal runs of base64 characters that hold capitals, small letters and digits, and change often between them.

    Words, paths and hexadecimal do not. Source: ours.
    """
    for match in RUN.finditer(text):
        codes = np.frombuffer(match.group().rstrip(b"="), np.uint8)
        kinds = [(codes >= low) & (codes <= high) for low, high in CASES]
        kind = np.select(kinds, range(1, len(CASES) + 1), 0)
        if all(one.any() for one in kinds) and (kind[1:] != kind[:-1]).mean() >= MIXED:
            yield match.span()


def marked(pieces: Pieces, tokens: NDArray[np.int32], finds: Sequence[Find]) -> NDArray[np.bool_]:
    """Which tokens have a byte inside what each of `finds` finds [context, n_ctx, find]; every context is searched by itself."""
    stream, edges = pieces.stream(tokens.ravel())
    flags = np.empty((*tokens.shape, len(finds)), bool)
    for place, find in enumerate(finds):
        inside = np.concatenate(([0], np.cumsum(found(find, stream, edges[:: tokens.shape[1]]))))
        flags[..., place] = (inside[edges[1:]] > inside[edges[:-1]]).reshape(tokens.shape)
    return flags
