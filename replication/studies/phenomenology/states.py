r"""What the states of an automaton stand for, told by the tokens on which they fire, and the systems that the paper names.

A state is of a kind if at least half of its activation on half 0 falls on tokens of that kind. Kinds are told by the bytes of
the text: runs of base64, capitals, the four steps of an HTML tag, the bytes of Tamil and Chinese characters, lines of IRC logs.
Tamil letters are `\xe0\xae` or `\xe0\xaf` and a last byte, Chinese characters `\xe4` to `\xe9` and two more. Source: paper,
"Finite state automata"; the expressions are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replication.features.matrix import EvaluationMatrix
from replication.features.proxies import Find, Pieces, spans
from replication.studies.intervals import by_text
from replication.studies.patterns import base64_runs, marked

SHARE = 0.5
FEWEST, FEWEST_TEXTS = 20, 2  # tokens and texts of a kind on each half, below which the text cannot show its states
TAG = rb"(?P<open></?)(?P<name>[A-Za-z][A-Za-z0-9-]*)[^<>]{0,200}?(?P<close>/?>)(?P<space>\s*)"
TAMIL, HAN = rb"(?P<first>\xe0[\xae\xaf])(?P<last>[\x80-\xbf])", rb"(?P<first>[\xe4-\xe9][\x80-\xbf])(?P<last>[\x80-\xbf])"
KINDS: Mapping[str, Find] = {
    "base64": base64_runs,
    "capitals": spans(rb"[A-Z]{2,}(?![a-z])"),
    "underscore": spans(rb"_"),
    "tag open": spans(TAG, "open"),
    "tag name": spans(TAG, "name"),
    "tag close": spans(TAG, "close"),
    "space after tag": spans(TAG, "space"),
    "Tamil prefix": spans(TAMIL, "first"),
    "Tamil suffix": spans(TAMIL, "last"),
    "Chinese prefix": spans(HAN, "first"),
    "Chinese end": spans(HAN, "last"),
    "IRC": spans(rb"(?m)^\[?\d\d:\d\d(?::\d\d)?\]?\s*(?:<[^>\n ]{1,24}>|\* \S+|-!-|=-=)[^\n]*"),
}
WITHOUT: Mapping[str, str] = {"Tamil prefix": "Tamil suffix", "Chinese prefix": "Chinese end", "Tamil suffix": "Tamil prefix"}


@dataclass(frozen=True)
class System:
    """A system that the paper names: its label, the kind of each state in order, and whether the paper saw it in A/0.

    One kind and not `loop` means a cycle of any length whose states are all of that kind.
    """

    label: str
    kinds: tuple[str, ...]
    in_the_smallest: bool
    loop: bool = True


SYSTEMS: Mapping[str, System] = {
    "base64_self_loop": System("base64 self loop", ("base64",), True),
    "caps_underscore_pair": System("capitals and underscore", ("capitals", "underscore"), True),
    "html_four_step": System("HTML tag", ("tag open", "tag name", "tag close", "space after tag"), True),
    "tamil_pair": System("Tamil", ("Tamil prefix", "Tamil suffix"), False),
    "chinese_pair": System("Chinese", ("Chinese prefix", "Chinese end"), False),
    "irc": System("IRC log", ("IRC",), False, loop=False),
}


def kinds(pieces: Pieces, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Of which kinds each token is [token, kind]; a prefix holds no last byte of its character, a suffix no first one."""
    found = marked(pieces, tokens, list(KINDS.values())).reshape(-1, len(KINDS))
    place = {kind: k for k, kind in enumerate(KINDS)}
    whole = {kind: found[:, place[kind]] & found[:, place[other]] for kind, other in WITHOUT.items()}
    for kind, both in whole.items():
        found[:, place[kind]] &= ~both
    return found


def lacking(of_tokens: NDArray[np.bool_], sources: NDArray[np.int64]) -> dict[str, str]:
    """Why a system of the paper cannot be looked for, of those whose kinds one half of the text holds too rarely."""
    contexts = of_tokens.reshape(len(sources), -1, len(KINDS)).sum(1)
    sums = [by_text(contexts[half::2], sources[half::2]) for half in (0, 1)]
    tokens, held = (np.min([count.sum(0) for count in counts], axis=0).astype(int) for counts in (sums, [of > 0 for of in sums]))
    rare = {kind: (tokens[k], held[k]) for k, kind in enumerate(KINDS) if tokens[k] < FEWEST or held[k] < FEWEST_TEXTS}
    return {key: f"one half of the text holds {kind} on {rare[kind][0]:,} tokens in {rare[kind][1]:,} texts"
            for key, system in SYSTEMS.items() for kind in system.kinds if kind in rare}


def shares(matrix: EvaluationMatrix, of_tokens: NDArray[np.bool_], *, half: int) -> NDArray[np.float64]:
    """Share of each feature's activation that falls on tokens of each kind [feature, kind], on one half of the tokens."""
    mass, total = np.zeros((matrix.n_features, of_tokens.shape[1])), np.zeros(matrix.n_features)
    start = 0
    for k in range(matrix.shards):
        shard, here = matrix.shard(k), np.flatnonzero(matrix.half(k) == half)
        some = sparse.csr_array(shard[here])
        mass += some.T @ of_tokens[start + here].astype(np.float32)
        total += some.sum(0)
        start += shard.shape[0]
    return np.divide(mass, total[:, None], out=np.zeros_like(mass), where=total[:, None] > 0)


def of_kind(shares: NDArray[np.float64], states: NDArray[np.int64]) -> dict[str, set[int]]:
    """The states of each kind."""
    return {kind: set(states[shares[states, place] >= SHARE].tolist()) for place, kind in enumerate(KINDS)}
