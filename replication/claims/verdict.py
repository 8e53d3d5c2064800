"""The rule of a verdict, fixed before any run: what a statement, a number and the scale of the run give.

- No such number: `not run`, or `not comparable` where the study says why it cannot measure it. A study that waits for people, or for fits
  that the run has not, has not run, and says so.
- The scale falls short of what the row needs, or the unit differs: `not comparable`.
- A number agrees when it lies within the tolerance of the published value (of the right side of a bound), else it differs.
- An ordering agrees when the 95 % interval of the difference lies above 0 and differs when it lies below; it is undecided
  when the interval holds 0, when there is none, or when fewer replicates stand behind it than the row needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from replication.claims.scale import Fact, met, shortfall
from replication.claims.statements import Claim

Word = Literal["agrees", "differs", "undecided", "not comparable", "not run"]
WORDS: tuple[Word, ...] = ("agrees", "differs", "undecided", "not comparable", "not run")
ROUNDING = 1e-9  # of the published value: 0.81 - 0.79 is not to exceed 0.02 by a bit of its binary form


@dataclass(frozen=True)
class Verdict:
    """A word and the sentence that gives its reason."""

    word: Word
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a study says to one claim: whether it `ran`, its `number` if it has it, and why not where it says so."""

    ran: bool
    number: Mapping[str, Any] | None = None
    missing: str = ""


def judge(claim: Claim, answer: Answer, facts: Mapping[str, Fact], looked_at: str = "") -> Verdict:
    """The verdict on one claim. `looked_at` is what people noted on a row that differs."""
    short = [shortfall(condition, facts) for condition in claim.needs if not met(condition, facts)]
    if answer.number is None:
        if answer.missing:
            return Verdict("not comparable" if answer.ran else "not run", answer.missing)
        return Verdict("not run", f"study {claim.study} gave no {claim.key}" if answer.ran else f"no study {claim.study} in this run yet")
    if short:
        return Verdict("not comparable", "; ".join(short))
    unit = answer.number.get("unit", claim.unit)
    if unit != claim.unit:
        return Verdict("not comparable", f"the study counts in {unit}, the row in {claim.unit}")
    replicates = int(answer.number.get("replicates", 1))
    if replicates < claim.replicates:
        return Verdict("undecided", f"{replicates} of {claim.replicates} replicates: training varies between the things compared")
    found = _ordering(answer.number) if claim.kind == "ordering" else _number(claim, float(answer.number["value"]))
    if found.word == "differs":
        return Verdict("differs", f"{found.reason}; looked at: {looked_at or 'nothing yet'}")
    return found


def _ordering(number: Mapping[str, Any]) -> Verdict:
    if "low" not in number or "high" not in number:
        return Verdict("undecided", "the study gives no 95 % interval")
    low, high = float(number["low"]), float(number["high"])
    interval = f"the 95 % interval, {low:.3g} to {high:.3g},"
    if low > 0:
        return Verdict("agrees", f"{interval} lies above 0")
    if high < 0:
        return Verdict("differs", f"{interval} lies below 0")
    return Verdict("undecided", f"{interval} holds 0")


def _number(claim: Claim, value: float) -> Verdict:
    distance = {"=": abs(value - claim.published), ">=": claim.published - value, "<=": value - claim.published}[claim.relation]
    inside = distance <= claim.tolerance + ROUNDING * abs(claim.published)
    if claim.relation == "=":
        compared = f"{value:.4g} {'is' if inside else 'is not'} within {claim.tolerance:g} of the published {claim.published:.10g}"
    else:
        bound = {">=": "at least", "<=": "at most"}[claim.relation]
        slack = f" (tolerance {claim.tolerance:g})" if claim.tolerance else ""
        compared = f"{value:.4g} {'keeps' if inside else 'breaks'} the published bound, {bound} {claim.published:.10g}{slack}"
    return Verdict("agrees" if inside else "differs", compared)
