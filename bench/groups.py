"""Groups of training steps that are timed together: one shape, its L0s, ours and the peers, every one once a round."""

from collections.abc import Callable, Sequence
from typing import Any

from bench import peers, steps
from bench.cases import MAIN_L0, Case, Shape, synthetic
from bench.steps import Subject
from bench.table import Row, timed
from bench.timing import interleave

Maker = Callable[[Case], Subject]

PRODUCTS: dict[str, Maker] = {"encoder_product": steps.encoder_product, "five_products": steps.five_products}
DENSE: dict[str, Maker] = {"ours_dense": steps.ours_dense, "sae_lens": peers.sae_lens, "dictionary_learning": peers.dictionary_learning}
MAKERS: dict[str, Maker] = {"ours": steps.ours, **DENSE, **PRODUCTS, "adam_bytes": steps.adam_bytes}


def of_shape(shape: Shape, device: str) -> list[tuple[str, Case]]:
    """What is timed at a shape, on made-up data: ours at every L0, dense steps where the shape says, the products once."""
    cases = {l0: synthetic(shape.d_in, shape.d_sae, l0, device=device) for l0 in shape.l0s}
    return [*(("ours", case) for case in cases.values()), *((what, cases[l0]) for what in DENSE for l0 in shape.dense_at),
            *((what, cases[MAIN_L0]) for what in PRODUCTS)]


def of_case(case: Case) -> list[tuple[str, Case]]:
    """Everything on the same data."""
    return [(what, case) for what in ("ours", *DENSE, *PRODUCTS)]


def measure(group: Sequence[tuple[str, Case]], *, say: Callable[[str], None], **timing: Any) -> list[Row]:
    """Time a group and make its rows; a peer that is not installed is left out with a message."""
    made: dict[tuple[str, int | None], tuple[Subject, Case]] = {}
    for what, case in group:
        try:
            made[what, case.l0_nominal] = MAKERS[what](case), case
        except ImportError as error:
            say(f"{what} is left out: {error}")
    seconds = interleave({key: _walk(subject, case) for key, (subject, case) in made.items()}, **timing)
    product = next(seconds[key] for key in seconds if key[0] == "encoder_product")
    rows: list[Row] = []
    for (what, nominal), (subject, case) in made.items():
        has_features = subject.encode is not None
        row = {"what": what, "d_in": case.d_in, "d_sae": case.d_sae, "batch": len(case.batches[0]), "l0_nominal": nominal if has_features else None,
               "l0": case.l0(subject.encode) if has_features else None, "device": case.batches[0].device.type, "data": case.data,
               **timed(seconds[what, nominal], product=product, ours=seconds.get(("ours", nominal)))}
        rows.append(row | {"vectors_per_s": row["batch"] / row["median_s"]})
    return rows


def _walk(subject: Subject, case: Case) -> Callable[[int], object]:
    return lambda call: subject.step(case.batches[call % len(case.batches)])
