"""Memorised phrases: long strings of tokens that many texts repeat, found by counting, and which features recite them.

A phrase starts from a string of `SEED` tokens that many contexts of half 0 share, and grows on both sides while nearly all of
its occurrences agree. A step goes from one of its tokens to the next; the feature on top is the one with the largest summed
attribution to the right next token. A step is recited when the top feature is the same on both halves and the right next token
is among its `TOP` largest logit weights, and memorised when besides at least half of the feature's activation on half 1 falls
inside the phrase. A chain is a run of such steps with a feature of its own each. Source: paper, "Finite state automata"
(memorised phrases); the rules are ours.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix
from replication.studies.attribution import Attribution, Ids, following

SEED, LONGEST = 10, 32  # tokens
AGREE = 0.8
CONTEXTS = 4  # of either half that a phrase must occur in
PHRASES = 300
TOP = 10
INSIDE, WORDS = 0.5, 0.75
LICENCE = re.compile(r"(?i)licen[cs]e|warrant|merchantab|fitness for a|copyright|liab(?:le|ility)|redistribut|permission is hereby|\bBSD\b")
COLUMNS = ("feature", "attribution", "rank", "inside", "recited", "memorised")
Tokens = NDArray[np.int32]
FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Phrase:
    """A string of tokens; `starts` are the tokens (numbers in the evaluation set) where it begins, `contexts` of half 0 hold it."""

    tokens: tuple[int, ...]
    starts: Ids
    contexts: int
    text: str = field(compare=False, default="")

    @property
    def licence(self) -> bool:
        """Whether it is a sentence about licences: words for the most part, so no field of a table."""
        words = sum(character.isalpha() or character == " " for character in self.text)
        return bool(LICENCE.search(self.text)) and words >= WORDS * len(self.text)


def search(tokens: Tokens, strings: list[str], *, seed: int = SEED, most: int = PHRASES) -> list[Phrase]:
    """The phrases that most contexts of half 0 repeat, no two on the same text; those that occur on both halves."""
    contexts = len(tokens)
    keys = _keys(tokens, seed)
    wanted, counts = _repeated(keys[::2])
    taken = np.zeros(tokens.shape, dtype=bool)
    found: list[Phrase] = []
    order = np.argsort(keys, axis=None, kind="stable")
    ranked = keys.ravel()[order]
    for key, count in zip(wanted, counts, strict=True):
        if len(found) == most:
            break
        low, high = np.searchsorted(ranked, key), np.searchsorted(ranked, key, side="right")
        context, place = np.divmod(order[low:high], keys.shape[1])
        at = np.stack([context, place], axis=1)
        if taken[at[:, 0], at[:, 1] + seed // 2].mean() > 1 - AGREE:
            continue
        at, length = _grown(tokens, at, seed)
        phrase = tokens[at[0, 0], at[0, 1] : at[0, 1] + length]
        for step in range(length):
            taken[at[:, 0], at[:, 1] + step] = True
        on_half_1 = len(set(at[at[:, 0] % 2 == 1, 0].tolist()))
        if on_half_1 >= CONTEXTS and contexts > 1:
            starts = np.sort(at[:, 0] * tokens.shape[1] + at[:, 1])
            found.append(Phrase(tuple(phrase.tolist()), starts, int(count), "".join(strings[k] for k in phrase)))
    return found


def _keys(tokens: Tokens, length: int) -> NDArray[np.uint64]:
    """A number for each string of so many tokens [context, place]; equal strings have equal numbers."""
    width = tokens.shape[1] - length + 1
    found = np.zeros((len(tokens), max(0, width)), np.uint64)
    with np.errstate(over="ignore"):
        for step in range(length if width > 0 else 0):
            found = (found ^ (tokens[:, step : step + width].astype(np.uint64) + np.uint64(1))) * FACTOR
            found ^= found >> np.uint64(29)
    return found


def _repeated(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], Ids]:
    """Strings that enough contexts hold, with the number of contexts, the most frequent first; ties in the order of the text."""
    if not keys.size:
        return keys.ravel(), np.empty(0, np.int64)
    context = np.repeat(np.arange(len(keys)), keys.shape[1])
    pairs = pd.DataFrame({"key": keys.ravel(), "context": context}).drop_duplicates()
    counts = pairs["key"].value_counts(sort=False)
    counts = counts[counts >= CONTEXTS].sort_values(ascending=False, kind="stable")
    return counts.index.to_numpy(np.uint64), counts.to_numpy(np.int64)


def _grown(tokens: Tokens, at: Ids, length: int) -> tuple[Ids, int]:
    """Occurrences [occurrence, (context, place)] of the longer phrase, and its length."""
    for side in (1, -1):
        while length < LONGEST:
            beside = at[:, 1] + (length if side > 0 else -1)
            inside = (beside >= 0) & (beside < tokens.shape[1])
            values = tokens[at[inside, 0], beside[inside]]
            if not len(values):
                break
            commonest = np.bincount(values).argmax()
            agree = values == commonest
            if agree.sum() < AGREE * len(at):
                break
            at = at[inside][agree] + np.array([0, 0 if side > 0 else -1])
            length += 1
    return at, length


@dataclass(frozen=True)
class Recital:
    """How a dictionary follows a phrase, one row of `steps` for each step.

    Columns: feature (on top on half 0), attribution (its mean on half 1), rank (of the right next token among its logit weights,
    from 0), inside (share of its activation on half 1 inside the phrase), recited, memorised (0 or 1).
    """

    phrase: Phrase
    steps: pd.DataFrame

    def chain(self, column: str) -> tuple[int, int]:
        """Start and stop of the first longest run of steps that are so (`recited`, `memorised`) and have a feature each."""
        feature, flag = self.steps["feature"].tolist(), self.steps[column].tolist()
        best, start = (0, 0), 0
        for stop in range(1, len(flag) + 1):
            if not flag[stop - 1]:
                start = stop
            elif feature[stop - 1] in feature[start : stop - 1]:
                start += feature[start : stop - 1].index(feature[stop - 1]) + 1
            best = max(best, (start, stop), key=lambda one: one[1] - one[0])
        return best

    def longest(self, column: str) -> int:
        """Steps of that run."""
        start, stop = self.chain(column)
        return stop - start


def recite(matrix: EvaluationMatrix, attribution: Attribution, tokens: Tokens, phrases: list[Phrase], live: Ids) -> list[Recital]:
    """Follow every phrase by the features `live`."""
    steps = sum(len(phrase.tokens) - 1 for phrase in phrases)
    raised = [sparse.csr_array((steps, matrix.n_features), dtype=np.float32) for _ in range(2)]
    inside = sparse.csr_array((len(phrases), matrix.n_features), dtype=np.float32)
    total = np.zeros(matrix.n_features)
    for k in range(matrix.shards):
        shard, half = matrix.shard(k), matrix.half(k)
        assert not isinstance(shard, np.ndarray)
        contexts = matrix.contexts_of(k)
        first = contexts.start * matrix.n_ctx
        row, step, owner, at_step = _places(phrases, first, first + shard.shape[0])
        here, back = np.unique(row, return_inverse=True)
        next_token = following(tokens[contexts.start : contexts.stop])[here]
        some = sparse.csr_array(shard[here])
        attributed = attribution(some, next_token)
        for which in (0, 1):
            on = at_step & (half[row] == which)
            raised[which] = raised[which] + _sums(step[on], back[on], steps, len(here)) @ attributed
        on = half[row] == 1
        inside = inside + _sums(owner[on], back[on], len(phrases), len(here), once=True) @ some
        total += shard[np.flatnonzero(half == 1)].sum(0)
    recitals, start = [], 0
    for place, phrase in enumerate(phrases):
        stop = start + len(phrase.tokens) - 1
        of_phrase = np.asarray(inside[[place]].todense()).ravel()
        of_steps = [part[start:stop] for part in raised]
        recitals.append(Recital(phrase, _judged(phrase, of_steps, of_phrase, total, attribution, tokens, live)))
        start = stop
    return recitals


def _places(phrases: list[Phrase], low: int, high: int) -> tuple[Ids, Ids, Ids, NDArray[np.bool_]]:
    """Tokens of phrases between two tokens: row (from `low` on), step (numbered over all phrases), phrase, and whether it has a step."""
    parts, first = [], 0
    for owner, phrase in enumerate(phrases):
        starts = phrase.starts[(phrase.starts >= low) & (phrase.starts < high)] - low
        offset = np.arange(len(phrase.tokens))
        row, step = (starts[:, None] + offset).ravel(), np.tile(first + offset, len(starts))
        parts.append(np.stack([row, step, np.full(len(row), owner), np.tile(offset < len(offset) - 1, len(starts))]))
        first += len(phrase.tokens) - 1
    table = np.concatenate(parts, axis=1) if parts else np.empty((4, 0), np.int64)
    return table[0], table[1], table[2], table[3].astype(bool)


def _sums(group: Ids, row: Ids, groups: int, rows: int, *, once: bool = False) -> sparse.csr_array:
    """A matrix that sums rows into groups; with `once` no row twice into one group."""
    table = sparse.csr_array((np.ones(len(group), np.float32), (group, row)), shape=(groups, rows))
    table.sum_duplicates()
    if once:
        table.data[:] = 1
    return table


def _judged(phrase: Phrase, raised: list[sparse.csr_array], inside: NDArray[np.float32], total: NDArray[np.float64],
            attribution: Attribution, tokens: Tokens, live: Ids) -> pd.DataFrame:
    if not len(live):
        return pd.DataFrame({column: [] for column in COLUMNS})
    chosen, held = (part[:, live].toarray() for part in raised)
    best, step = chosen.argmax(1), np.arange(len(chosen))
    top = live[best]
    rank = attribution.rank(top, np.array(phrase.tokens[1:]))
    share = np.divide(inside[top], total[top], out=np.zeros(len(top)), where=total[top] > 0)
    recited = (best == held.argmax(1)) & (rank < TOP) & (chosen[step, best] > 0)
    on_half_1 = int((phrase.starts // tokens.shape[1] % 2 == 1).sum())
    return pd.DataFrame({"feature": top, "attribution": held[step, best] / max(1, on_half_1), "rank": rank, "inside": share,
                         "recited": recited.astype(int), "memorised": (recited & (share >= INSIDE)).astype(int)})
