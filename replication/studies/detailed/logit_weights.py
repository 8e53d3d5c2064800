"""Which tokens a context's feature makes likelier: its logit weights, and whether the context's tokens stand apart.

Source: paper, "Detailed investigations": the histogram of logit weights coloured by the token's own proxy, its top tokens,
and whether the histogram has a second mode. Tokens that the training text hardly holds are left out.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed.cases import cases, write
from replication.studies.intervals import arm_of, estimate
from replication.studies.readout import logit_weights
from replication.studies.tables import Number, Reader, number

KEYS = ["context_minus_rest", "top_context_share", "second_mode", "lead_bytes_in_top", "top_nucleotide_share"]
BINS = 60
TOP = 10  # the tokens that the paper looks at, and that its viewer lists
LISTED = 15
FEWEST, FEWEST_MODES = 5, 20  # context tokens behind a mean, and behind a kernel density, which shows modes by chance with fewer
VALLEY = 0.5  # a second mode is one behind a valley below this share of its height
LEAD_BYTES = {"arabic": ("\\xd8", "\\xd9"), "hebrew": ("\\xd7",)}  # the first bytes of the scripts' letters that the paper names
NUCLEOTIDES = set("ATCG")
Floats = NDArray[np.float64]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Per context a histogram (rows `bin`) and the strongest tokens (rows `top` and `bottom`)."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    found, absent = cases(reader, settings)
    kept, weights = logit_weights(reader, settings, settings.studies.main, [case.feature for case in found])
    strings = np.array(reader.vocabulary().strings)[kept].tolist()
    rows, numbers, missing = {}, {}, {}
    for place, case in progress.over(list(enumerate(found)), len(found)):
        rows[case.context] = table(weights[place], case.vocabulary[kept], strings).assign(feature=f"{settings.studies.main}/{case.feature}")
        numbers[case.context] = headline(case.context, case.vocabulary[kept], weights[place], strings, settings)
        missing[case.context] = unmeasured(case.context, int(case.vocabulary[kept].sum()))
    write(out=out, study="logit_weights", rows=rows, numbers=numbers, keys=KEYS, absent=absent, missing=missing, settings=settings,
          reader=reader, stopwatch=stopwatch)


def table(weights: NDArray[np.float32], on: NDArray[np.bool_], strings: list[str]) -> pd.DataFrame:
    """Rows `bin`: low, high, and how many tokens are the context's `own` and how many the `rest`; rows `top` and `bottom`: rank, token, weight, on."""
    edges = np.linspace(weights.min(), weights.max(), BINS + 1)
    counts = {name: np.histogram(weights[chosen], edges)[0] for name, chosen in (("own", on), ("rest", ~on))}
    bins = pd.DataFrame({"kind": "bin", "low": edges[:-1], "high": edges[1:], **counts})
    order = np.argsort(-weights, kind="stable")
    ends = [pd.DataFrame({"kind": kind, "rank": np.arange(len(some)), "token": [strings[place] for place in some], "weight": weights[some],
                          "on": on[some]}) for kind, some in (("top", order[:LISTED]), ("bottom", order[::-1][:LISTED]))]
    return pd.concat([bins, *ends], ignore_index=True)


def headline(context: str, on: NDArray[np.bool_], weights: NDArray[np.float32], strings: list[str], settings: Settings) -> dict[str, Number]:
    """The numbers of one context, from its feature's logit weights of the tokens that are kept; `on` are the context's own."""
    count = int(on.sum())
    order = np.argsort(-weights, kind="stable")
    top = [strings[place] for place in order[:TOP]]
    numbers = {"top_context_share": Number(float(on[order[:TOP]].mean()), "share of top 10 tokens", TOP, "tokens")} if count else {}
    if FEWEST <= count < len(on):
        own, rest = (arm_of(mean, [weights[some].astype(np.float64)], settings, f"logit_weights.{context}.{name}") for name, some in (("on", on), ("off", ~on)))
        numbers["context_minus_rest"] = number(estimate(own, rest), unit="logits", n=count, over="context tokens")
    if count >= FEWEST_MODES:
        numbers["second_mode"] = Number(modes(weights.astype(np.float64), on), "modes", count, "context tokens")
    named = LEAD_BYTES.get(context, ())
    if any(byte in strings for byte in named):
        among = {strings[place] for place in order[: max(TOP, count)]}  # as many as the context has tokens: where its mode would lie
        numbers["lead_bytes_in_top"] = Number(sum(byte in among for byte in named), "tokens", len(named), "bytes that the paper names")
    if context == "dna":
        numbers["top_nucleotide_share"] = Number(float(np.mean([nucleotides(token) for token in top])), "share of top 10 tokens", TOP, "tokens")
    return numbers


def unmeasured(context: str, count: int) -> dict[str, str]:
    """Why a number is lacking."""
    few = f"{count} of the vocabulary's tokens are the context's own"
    return {"top_context_share": few, "context_minus_rest": f"{few}, fewer than {FEWEST}", "second_mode": f"{few}, fewer than {FEWEST_MODES}",
            "lead_bytes_in_top": "the vocabulary has none of these bytes as a token that is not rare" if context in LEAD_BYTES
            else "the paper names no first bytes for this context", "top_nucleotide_share": "asked of the DNA feature only"}


def mean(weights: Floats) -> float:
    """The mean."""
    return float(weights.mean())


def nucleotides(token: str) -> bool:
    """Whether a token is made of nucleotides, but for a space before it."""
    letters = token.strip()
    return bool(letters) and set(letters) <= NUCLEOTIDES


def modes(weights: Floats, on: NDArray[np.bool_]) -> int:
    """Whether the context's tokens form a second mode (2) on the right of all tokens' logit weights, or pass into the bulk (1).

    Rule (ours): the density of all tokens, by a Gaussian kernel as wide as Silverman's rule asks for the context's own
    tokens; the second mode is the highest place at or beyond the lowest one between the bulk's peak and the peak of the
    context's tokens, and counts if that lowest place is less than half as high.
    """
    own = weights[on]
    width = max(0.9 * min(own.std(), np.subtract(*np.quantile(own, [0.75, 0.25])) / 1.349) * len(own) ** -0.2, 1e-3 * np.ptp(weights))
    grid = np.linspace(weights.min(), weights.max(), 512)
    every, context = (smoothed(values, grid, width) for values in (weights, own))
    bulk, peak = int(np.argmax(every)), int(np.argmax(context))
    if peak <= bulk:
        return 1
    valley = bulk + int(np.argmin(every[bulk : peak + 1]))
    return 2 if every[valley] < VALLEY * every[valley:].max() else 1


def smoothed(values: Floats, grid: Floats, width: float) -> Floats:
    """Kernel density times the number of values, from a fine histogram so that large vocabularies cost no more."""
    counts, edges = np.histogram(values, np.linspace(grid[0], grid[-1], 4 * len(grid) + 1))
    return np.asarray(norm.pdf((grid[:, None] - (edges[:-1] + edges[1:]) / 2) / width) @ counts / width)
