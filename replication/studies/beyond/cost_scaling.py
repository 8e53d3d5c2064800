"""What a training step costs, against the number of features and against L0 (ours; measured by `make bench`).

A job of a run shares its cores with others, so nothing is timed here: the table is the one that the last `make bench`
left in `results/bench/`, and says which machine that was.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import STUDIES
from replication.studies.tables import Number, Reader, write

MAIN = {"d_in": 512, "d_sae": 4096, "l0_nominal": 20}


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """The rows of the bench, and the cost at 512 -> 4,096 in encoder products."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    data = artifacts.read_table(reader.written(*STUDIES["cost_scaling"].written))
    progress(1, 1)
    write(out=out, study="cost_scaling", data=data, numbers=headline(data[data["device"] == "cpu"]), settings=settings, reader=reader, stopwatch=stopwatch)


def headline(data: pd.DataFrame) -> dict[str, Number]:
    """A step's cost in encoder products, at the main size and at the largest; the exponent of its growth with features."""
    ours = data[data["what"] == "ours"]
    main = ours[np.logical_and.reduce([ours[name] == value for name, value in MAIN.items()])].iloc[0]
    sizes = ours[ours["l0_nominal"] == MAIN["l0_nominal"]].sort_values("d_sae")
    low, high = sizes.iloc[0], sizes.iloc[-1]
    growth = np.log(high["median_s"] / low["median_s"]) / np.log(high["d_sae"] / low["d_sae"])
    return {"step_products": Number(main["encoder_products"], "encoder products", int(main["rounds"]), "rounds"),
            "largest_products": Number(high["encoder_products"], "encoder products", int(high["rounds"]), "rounds"),
            "growth": Number(float(growth), "exponent", len(sizes), "sizes")}
