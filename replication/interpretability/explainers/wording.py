"""A rule in words: the strongest clauses first, weak ones apart, and the tokens that the unit makes likelier."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from replication.interpretability.protocol import LEVELS

STRONG, WEAK = LEVELS / 2, 0.5  # levels from which a clause is said as firing, and as firing weakly
WORDS, PROMOTED_WORDS = 28, 12  # in all about 40
CASE_WORDS = 10  # for a token with alternatives of what is before it
LONGEST = 24  # characters of a quoted token


@dataclass(frozen=True)
class Clause:
    """A case in which a unit fires: `phrase` says the token and `after` (if it matters) what must be before it.

    `level` is how strongly the unit fires, 0 to LEVELS, `total` the activation in the evidence that the case accounts for.
    """

    phrase: str
    level: float
    total: float
    after: str = ""


def quoted(string: str, *, from_the_end: bool = False) -> str:
    """A token between backticks, on one line and with nothing unseen in it.

    A space shows as itself only where it stands alone before another character. A long string is cut to its beginning, or to
    its end.
    """
    seen = re.sub(r" (?= |$)", "␣", string)
    pieces = [r"\x60" if character == "`" else character if character.isprintable() else character.encode("unicode_escape").decode() for character in seen]
    lengths = list(accumulate(map(len, pieces[::-1] if from_the_end else pieces)))
    kept = bisect_right(lengths, LONGEST)
    if kept == len(pieces):
        return f"`{''.join(pieces)}`"
    return f"`…{''.join(pieces[-kept:])}`" if from_the_end else f"`{''.join(pieces[:kept])}…`"


def sentence(clauses: Iterable[Clause], promoted: Iterable[str]) -> str:
    """About 40 words at most: where a unit fires, and which tokens it makes likelier (strongest first)."""
    ordered = sorted(clauses, key=lambda clause: (-clause.total, clause.phrase, clause.after))
    strong = _cases([clause for clause in ordered if clause.level >= STRONG])
    weak = _cases([clause for clause in ordered if WEAK <= clause.level < STRONG])
    parts: list[str] = []
    for adverb, cases in (("", strong), ("weakly ", weak)):
        left = WORDS - len(" ".join(parts).split())
        start = f"{adverb}on" if parts else f"fires {adverb}on"
        parts += [said] if (said := _listed(start, cases, left, at_least=0 if parts else 1)) else []
    parts = parts or ["fires on nothing in the evidence"]
    likelier = _listed("makes likelier", [quoted(string) for string in promoted], PROMOTED_WORDS, at_least=0)
    return "; ".join([*parts, *filter(None, [likelier])])


def _cases(clauses: list[Clause]) -> list[str]:
    """Each phrase once, with the strongest of what is before it, in the order of all that the phrase accounts for."""
    total: dict[str, float] = {}
    after: dict[str, list[str]] = {}
    for clause in clauses:
        total[clause.phrase] = total.get(clause.phrase, 0) + clause.total
        after.setdefault(clause.phrase, []).append(clause.after)
    cases = []
    for phrase in sorted(total, key=lambda phrase: -total[phrase]):
        first, *others = after[phrase]
        case = f"{phrase} after {first}"
        for other in others:
            if len(f"{case} or {other}".split()) <= CASE_WORDS:
                case += f" or {other}"
        cases.append(phrase if "" in after[phrase] else case)
    return cases


def _listed(start: str, phrases: list[str], words: int, *, at_least: int) -> str:
    """As many of the phrases as the words allow, after a start; nothing where that is none."""
    said = ""
    for number, phrase in enumerate(phrases):
        longer = f"{said}, {phrase}" if said else f"{start} {phrase}"
        if number >= at_least and len(longer.split()) > words:
            break
        said = longer
    return said
