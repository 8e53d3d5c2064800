"""Proxies: for every token, how much likelier a context makes a string of tokens that ends there.

    score(t) = max over strings s of consecutive tokens of one text that end at t of  log P(s | context) - log P(s)

in nats, less the context's threshold; a context is *on* where that is above zero. Three kinds (paper, "Detailed investigations" and appendix on
proxies; patterns are ours):

- characters: P(s | context) is 1 / alphabet for each allowed character and 1e-10 for any other, P(s) a product of unigram
  probabilities. Both are products over tokens, so the maximum over strings is that of a running sum.
- script: by Bayes P(context | s) / P(context), where P(context | s) is 1 if every character of s lies in the script, else
  1e-10 (a space counts with the letter after it when one token holds both, because most words begin so; ours); for a lone
  token that is part of a character, the share of its occurrences inside the script.
- pattern: as script, with "lies in a match of the expression" in place of "lies in the script".

P(context) is the share of the evaluation tokens that are inside. Unigram probabilities are add-one smoothed (ours).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from replication.contexts import Context

OTHER = 1e-10  # P of a character outside the alphabet, and of the context for a string outside the script
BREAK = -1e4  # score of a token that is no text, such as end of text: no string goes across it
Span = tuple[int, int]
Find = Callable[[bytes], Iterable[Span]]  # places in a text
Floats = NDArray[np.float32]
Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Pieces:
    """The bytes of each token of a vocabulary (empty for special tokens), and how often the training text holds it."""

    bytes: list[bytes]
    counts: NDArray[np.int64]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each token."""
        return np.array([len(piece) for piece in self.bytes])

    @cached_property
    def log_probability(self) -> NDArray[np.float64]:
        """Log unigram probability of each token."""
        probability: NDArray[np.float64] = (self.counts + 1) / (self.counts.sum() + len(self.counts))
        return np.log(probability)

    @cached_property
    def partial(self) -> NDArray[np.bool_]:
        """Whether a token begins or ends inside a character."""
        return np.array([b"\xef\xbf\xbd" in piece.decode("utf-8", "replace").encode() for piece in self.bytes])

    def stream(self, tokens: Tokens) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The bytes of tokens [token] in a row, and where each token begins [token + 1]."""
        starts = np.concatenate(([0], np.cumsum(self.lengths)))
        lengths = self.lengths[tokens]
        edges = np.concatenate(([0], np.cumsum(lengths)))
        place = np.arange(edges[-1]) - np.repeat(edges[:-1], lengths) + np.repeat(starts[tokens], lengths)
        return np.frombuffer(b"".join(self.bytes), np.uint8)[place], edges


@dataclass(frozen=True)
class Proxy:
    """One context, ready to score tokens: `lone` [d_vocab] is the score of each token alone before the threshold, `member` [d_vocab] whether it is one of
    the context's own tokens (a positive score; for scripts and patterns at least half of its occurrences), `share` P(context).
    """

    context: Context
    pieces: Pieces
    share: float
    lone: Floats
    member: NDArray[np.bool_]

    @staticmethod
    def of(context: Context, pieces: Pieces, tokens: Tokens) -> "Proxy":
        """The proxy of a context, with `tokens` [context, n_ctx] as the sample that shares are measured on."""
        if context.kind == "characters":
            lone = _characters(context, pieces)
            proxy = Proxy(context, pieces, 0.0, lone.astype(np.float32), lone > 0)
            return Proxy(context, pieces, float((proxy(tokens) > 0).mean()), proxy.lone, proxy.member)
        inside = _inside(context, pieces, tokens)
        seen = np.bincount(tokens.ravel(), minlength=len(pieces.bytes))
        within = np.bincount(tokens.ravel(), weights=inside.touched.ravel(), minlength=len(pieces.bytes))
        share = within / np.maximum(seen, 1)
        whole = float(inside.whole.mean())
        lone = np.log(np.maximum(share, OTHER)) - np.log(max(whole, OTHER))
        return Proxy(context, pieces, whole, lone.astype(np.float32), share >= 0.5)

    def __call__(self, tokens: Tokens) -> Floats:
        """Scores [context, n_ctx] of tokens in texts of their own."""
        if self.context.kind == "characters":
            scores = _running(self.lone[tokens], self.context.at_least)
            scores -= np.float32(self.context.threshold)
            return scores
        inside = _inside(self.context, self.pieces, tokens)
        likelihood = np.where(inside.whole, 0.0, np.log(OTHER)) - np.log(max(self.share, OTHER))
        best = np.where(self.pieces.partial[tokens], np.maximum(likelihood, self.lone[tokens]), likelihood)
        found: Floats = (best - self.context.threshold).astype(np.float32)
        return found


def _characters(context: Context, pieces: Pieces) -> NDArray[np.float64]:
    """The score of each token alone: log P(token | context) - log P(token). A byte of a character outside ASCII counts as a character of its own."""
    allowed = np.array([re.fullmatch(f"[{context.alphabet}]", chr(byte)) is not None for byte in range(128)] + [False] * 128)
    each = np.where(allowed, -np.log(allowed.sum()), np.log(OTHER))
    given = np.array([each[list(piece)].sum() if piece else BREAK for piece in pieces.bytes])
    return given - pieces.log_probability


def _running(scores: Floats, at_least: int) -> Floats:
    """Largest sum of a run of at least so many tokens that ends at each place of a row [context, n_ctx]."""
    best = scores.copy()
    for place in range(1, scores.shape[1]):
        best[:, place] += np.maximum(best[:, place - 1], 0)
    for _ in range(at_least - 1):
        longer = np.full_like(best, BREAK)
        longer[:, 1:] = scores[:, 1:] + best[:, :-1]
        best = longer
    return best


@dataclass(frozen=True)
class _Inside:
    """Per token [context, n_ctx]: `whole`: it ends a string of whole characters that all lie inside; `touched`: all characters that
    it has a part of lie inside.
    """

    whole: NDArray[np.bool_]
    touched: NDArray[np.bool_]


def _inside(context: Context, pieces: Pieces, tokens: Tokens) -> _Inside:
    stream, edges = pieces.stream(tokens.ravel())
    row_edges, owner = edges[:: tokens.shape[1]], np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    first, last = edges[:-1], edges[1:] - 1
    if context.kind == "pattern":
        good = found(spans(context.pattern), stream, row_edges)
        begins = ends = np.ones(len(stream), bool)
        start = np.arange(len(stream))
    else:
        start, ends, code = _decoded(stream, row_edges)
        begins = start == np.arange(len(stream))
        good = _of_blocks(context.blocks, code)
        good[:-1] |= (stream[:-1] == ord(" ")) & good[1:] & (owner[:-1] == owner[1:])
    empty = last < first
    first, last = np.minimum(first, max(len(stream) - 1, 0)), np.maximum(last, 0)
    bad = np.concatenate(([0], np.cumsum(~good)))
    # go back from a token's first byte to where a token begins a character: the shortest string of whole characters
    begin = first
    for _ in range(4):  # a character has four bytes at most
        begin = np.where(begins[begin], begin, edges[owner[start[begin]]])
    clean = (bad[last + 1] - bad[begin] == 0) & begins[begin] & ends[last] & ~empty
    touched = (bad[last + 1] - bad[first] == 0) & ~empty
    return _Inside(*(flags.reshape(tokens.shape) for flags in (clean, touched)))


def spans(expression: str | bytes, group: int | str = 0) -> Find:
    """The places of a group of an expression over the bytes of a text (UTF-8)."""
    compiled = re.compile(expression.encode() if isinstance(expression, str) else expression)
    return lambda text: (match.span(group) for match in compiled.finditer(text))


def found(find: Find, stream: NDArray[np.uint8], row_edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which bytes of a stream lie inside what `find` finds; every text, from one of `row_edges` to the next, is searched by itself."""
    text = stream.tobytes()
    change = np.zeros(len(stream) + 1, np.int32)
    for low, high in pairwise(row_edges):
        for start, stop in find(text[low:high]):
            change[low + start] += 1
            change[low + stop] -= 1
    return np.cumsum(change[:-1]) > 0


def _decoded(stream: NDArray[np.uint8], row_edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Per byte: where its character begins, whether the character ends here, its code point (-1 in a broken one).

    A character broken by the edge of a text, or by bytes that are none, is a run of single bytes with code point -1.
    """
    n = len(stream)
    size = np.select([stream < 0x80, stream < 0xC0, stream < 0xE0, stream < 0xF0], [1, 0, 2, 3], 4)
    row = np.searchsorted(row_edges, np.arange(n), side="right")
    start, code, ends = np.arange(n), np.where(size == 1, stream.astype(np.int64), -1), np.ones(n, bool)
    for length, mask in ((2, 0x1F), (3, 0x0F), (4, 0x07)):
        at = np.flatnonzero(size == length)
        at = at[at + length <= n]
        at = at[row[at] == row[at + length - 1]]
        follow = at[:, None] + np.arange(1, length)
        good = ((stream[follow] & 0xC0) == 0x80).all(1)
        at, follow = at[good], follow[good]
        value = (stream[at] & mask).astype(np.int64)
        for column in range(length - 1):
            value = value << 6 | (stream[follow[:, column]] & 0x3F)
        for place in range(length):
            start[at + place], code[at + place], ends[at + place] = at, value, place == length - 1
    return start, ends, code


def _of_blocks(blocks: tuple[str, ...], code: NDArray[np.int64]) -> NDArray[np.bool_]:
    inside = np.zeros(len(code), bool)
    for block in blocks:
        low, high = (int(end, 16) for end in block.split("-"))
        inside |= (code >= low) & (code <= high)
    return inside
