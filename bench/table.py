"""The rows of the bench: their columns, the csv, and the table that is printed."""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.timing import ratio, spread

COLUMNS = (
    "what", "d_in", "d_sae", "batch", "l0_nominal", "l0", "device", "median_s", "spread", "encoder_products", "encoder_products_spread",
    "times_ours", "times_ours_spread", "data", "shape", "sweep", "threads", "rounds", "peak_mib", "vectors_per_s", "tokens_per_s", "loss_difference")
# what is printed, and under which heading; spreads stand beside their value, the shape of a transformer in the place of `data`
PRINTED = {
    "what": "what", "d_in": "d_in", "d_sae": "d_sae", "batch": "batch", "l0_nominal": "L0 nominal", "l0": "L0", "device": "device", "median_s": "median s",
    "encoder_products": "encoder products", "times_ours": "times ours", "peak_mib": "peak MiB", "vectors_per_s": "vectors/s", "tokens_per_s": "tokens/s",
    "loss_difference": "loss difference", "data": "data"}
SPREADS = {"median_s": "spread", "encoder_products": "encoder_products_spread", "times_ours": "times_ours_spread"}

Row = dict[str, Any]


def timed(seconds: Sequence[float], *, product: Sequence[float] | None = None, ours: Sequence[float] | None = None) -> Row:
    """The columns that seconds per round give: beside the encoder product of the same rounds, and beside ours."""
    row: Row = {"median_s": statistics.median(seconds), "spread": spread(seconds), "rounds": len(seconds)}
    if product is not None:
        row["encoder_products"], row["encoder_products_spread"] = ratio(seconds, product)
    if ours is not None:
        row["times_ours"], row["times_ours_spread"] = ratio(seconds, ours)
    return row


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as csv, numbers at six digits, what is not known left empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _exact(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def to_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table for a terminal; a column that nothing fills is left out."""
    names = [name for name in PRINTED if any(row.get(name) is not None for row in rows)]
    cells = [[PRINTED[name] for name in names], *([_short(row, name) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) if name in ("what", "data") else cell.rjust(width)
                       for cell, width, name in zip(line, widths, names, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _exact(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def _short(row: Mapping[str, Any], name: str) -> str:
    value, around = row.get(name), row.get(SPREADS.get(name, ""))
    if name == "data":
        value = row.get("shape") or value
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} ± {around:.2g}" if around is not None else text
