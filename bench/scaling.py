"""How the cost of a step grows: over features at one L0, and over L0 at one size; the table of the exhibit `cost_scaling`."""

from collections.abc import Callable
from typing import Any

from bench import groups
from bench.cases import MAIN_L0, synthetic
from bench.table import Row

D_IN, D_SAE = 512, 4096
BATCH = 2048  # at 131,072 features a buffer for the encoder product of 8,192 vectors alone has 4 GiB
SIZES = (512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)
L0S = (1, 3, 10, 30, 100, 300, 1000)
DENSE_UP_TO = 16_384  # features; a dense step at 131,072 takes a quarter of a minute
QUICK_SIZES, QUICK_L0S = (512, 2048), (3, 30)


def measure(device: str, *, quick: bool, say: Callable[[str], None], budget: float, **timing: Any) -> list[Row]:
    """Rows of both sweeps; `budget` is in seconds and for each point."""
    rows: list[Row] = []
    for d_sae in QUICK_SIZES if quick else SIZES:
        say(f"{device}: scaling, {d_sae} features")
        case = synthetic(D_IN, d_sae, MAIN_L0, batch=BATCH, device=device)
        whats = ["ours", *(["ours_dense"] if d_sae <= DENSE_UP_TO else []), "encoder_product", "adam_bytes"]
        rows += [row | {"sweep": "features"} for row in groups.measure([(what, case) for what in whats], say=say, budget=budget, **timing)]
    say(f"{device}: scaling over L0")
    cases = [synthetic(D_IN, D_SAE, l0, batch=BATCH, device=device) for l0 in (QUICK_L0S if quick else L0S)]
    group = [*((what, case) for what in ("ours", "ours_dense") for case in cases), ("encoder_product", cases[0])]
    return [*rows, *(row | {"sweep": "l0"} for row in groups.measure(group, say=say, budget=budget * len(cases), **timing))]
