"""Which windows a unit is explained from, and which are predicted: the groups and numbers of `protocol`.

Windows of the firing groups are the unit's examples (`features.examples`). One that several groups hold goes to one of them:
groups take turns, and each takes what the fewest others hold. Random windows are drawn from the evaluation text, and so are
those out of context: for each top example in turn another place of its token. No window, told by its tokens and its centre,
is chosen twice, so none is in both roles; but windows of neighbouring places can overlap: on a laptop run 1.3 to 3.1 % of those to predict, by table,
share a token of the text with one that the unit is explained from. A group with too few windows is split in the protocol's proportion. Source: paper,
appendix "Automated interpretability"; turns and proportion are ours.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from replication.interpretability.protocol import BOTTOM, FIRING, OUT_OF_CONTEXT, RANDOM, TO_EXPLAIN, TO_PREDICT, TOP
from replication.interpretability.text import Text

WANTED = {group: TO_EXPLAIN[group] + TO_PREDICT[group] for group in TO_EXPLAIN}
LOOKED_AT = 200  # random places of the text that are looked at for one that is free


@dataclass(frozen=True)
class Shown:
    """Windows in the order in which they are shown: the group and the place of each."""

    group: NDArray[np.int8]
    place: NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """The windows of a unit: to explain it from, group by group, and to predict, in random order."""

    explain: Shown
    predict: Shown


def group_of(name: NDArray[np.str_], interval: NDArray[np.int64]) -> NDArray[np.int8]:
    """The protocol's group of each example, from the columns `group` and `interval` of a table of examples."""
    return np.select([name == "top", name == "bottom"], [TOP, BOTTOM], TOP + 1 + interval).astype(np.int8)


def distinct(text: Text, place: NDArray[np.int64]) -> int:
    """How many different windows there are around places."""
    return len(set(_contents(text, place)))


def choose(text: Text, group: NDArray[np.int8], place: NDArray[np.int64], rng: np.random.Generator) -> Choice:
    """The windows of one unit, from its examples in the order of their table: their groups [example] and places [example]."""
    contents = _contents(text, place)
    first: dict[bytes, int] = {}
    for content, at in zip(contents, place.tolist(), strict=True):
        first.setdefault(content, at)
    held: dict[int, list[int]] = {each: [] for each in FIRING}
    for content, each in zip(contents, group.tolist(), strict=True):
        if first[content] not in held[each]:
            held[each].append(first[content])
    found = _by_turns(held, rng)
    used = set(contents)
    found[RANDOM] = list(islice(_free(text, _some(text.whole, rng), used), WANTED[RANDOM]))
    found[OUT_OF_CONTEXT] = list(islice(_elsewhere(text, held[TOP], used, rng), WANTED[OUT_OF_CONTEXT]))
    explain: list[tuple[int, int]] = []
    predict: list[tuple[int, int]] = []
    for each, places in found.items():
        some = set(rng.permutation(places)[: len(places) * TO_EXPLAIN[each] // WANTED[each]].tolist())
        for at in places:
            (explain if at in some else predict).append((each, at))
    shuffled = [predict[number] for number in rng.permutation(len(predict))]
    return Choice(_shown(explain), _shown(shuffled))


def _contents(text: Text, place: NDArray[np.int64]) -> list[bytes]:
    """What tells a window: its tokens, and where its centre is among them, which its padding shows."""
    return [row.tobytes() for row in text.windows(place)]


def _by_turns(held: Mapping[int, list[int]], rng: np.random.Generator) -> dict[int, list[int]]:
    """The windows that each firing group gets of those that it holds, in the order in which it holds them."""
    holders = Counter(window for some in held.values() for window in some)
    queues = {group: sorted(rng.permutation(some).tolist(), key=holders.__getitem__, reverse=True) for group, some in held.items()}
    taken: dict[int, set[int]] = {group: set() for group in held}
    gone: set[int] = set()
    for _ in range(max(WANTED[group] for group in FIRING)):
        for group, queue in queues.items():
            while queue and len(taken[group]) < WANTED[group]:
                window = queue.pop()
                if window not in gone:
                    gone.add(window)
                    taken[group].add(window)
                    break
    return {group: [window for window in some if window in taken[group]] for group, some in held.items()}


def _some(places: NDArray[np.int64], rng: np.random.Generator) -> list[int]:
    """A few of the places in random order, none twice."""
    chosen: list[int] = places[rng.choice(len(places), min(LOOKED_AT, len(places)), replace=False)].tolist()
    return chosen


def _free(text: Text, places: Iterable[int], used: set[bytes]) -> Iterator[int]:
    """Those of the places whose window was not used before; it is then."""
    for place in places:
        content = _contents(text, np.array([place]))[0]
        if content not in used:
            used.add(content)
            yield place


def _elsewhere(text: Text, top: list[int], used: set[bytes], rng: np.random.Generator) -> Iterator[int]:
    """Free places of the top examples' tokens, for one example after the other, again and again."""
    tokens: list[int] = text.tokens.ravel()[top].tolist()
    places = {token: _free(text, _some(text.where(token), rng), used) for token in dict.fromkeys(tokens)}
    while tokens:
        for token in list(tokens):
            place = next(places[token], None)
            if place is None:
                tokens = [other for other in tokens if other != token]
            else:
                yield place


def _shown(rows: list[tuple[int, int]]) -> Shown:
    return Shown(np.array([group for group, _ in rows], dtype=np.int8), np.array([place for _, place in rows], dtype=np.int64))
