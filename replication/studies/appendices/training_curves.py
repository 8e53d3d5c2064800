"""How training went: loss, L0 and dead features over vectors, and the spike of the loss at each resampling."""

from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import arm_of, estimate, exact
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

KEYS = ("l0_final", "dead_final", "spike_at_resampling")
ELSEWHERE = "the main dictionary was not trained in this run"
ROWS = 800  # rows of a log that the table keeps, besides those around a resampling


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """The logs, thinned; numbers of the main dictionary."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    trained = [name for name, sae in settings.dictionaries.items() if not sae.load]
    logs = {name: reader.training_log(name) for name in progress.over(trained, len(trained))}
    if settings.studies.main not in logs:
        write(out=out, study="training_curves", data=pd.DataFrame({"dictionary": [settings.studies.main]}), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=dict.fromkeys(KEYS, ELSEWHERE), absent=ELSEWHERE)
        return
    about = {name: {"dictionary": name, "group": base(name, settings.dictionaries), "d_sae": sae.d_sae, "l1_final": sae.l1}
             for name, sae in settings.dictionaries.items()}
    data = pd.concat([thinned(log).assign(**about[name]) for name, log in logs.items()])
    numbers = headline([logs[name] for name in groups(settings.dictionaries)[settings.studies.main]], settings)
    write(out=out, study="training_curves", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing={"spike_at_resampling": "no feature was resampled"})


def thinned(log: pd.DataFrame) -> pd.DataFrame:
    """Evenly spaced rows, the last one, and those at a resampling, just before and just after it."""
    at = np.flatnonzero(log["resampled"].to_numpy() > 0)
    even = np.linspace(0, len(log) - 1, min(len(log), ROWS)).round().astype(int)
    return log.iloc[sorted({*even, *at, *(at - 1).clip(0), *(at + 1).clip(max=len(log) - 1)})]


def spikes(log: pd.DataFrame) -> np.ndarray:
    """Relative rise of the loss at every resampling that revived a feature: the row after it against the row that it ends.

    Both rows are taken at the l1 coefficient of the first, so that a rising coefficient (warm-up) is not a spike. The row after
    is one batch; the row that a resampling ends is a mean over up to `log_every` steps, which began with another loss: where the
    loss falls or its coefficient rises, the spike reads too small. At a check in warm-up that revived nothing three fits of
    the laptop's main dictionary read -0.9 % to -1.2 %. The log holds nothing finer, so the number is left so.
    """
    mse, l1, coefficient = (log[name].to_numpy(float) for name in ("mse", "l1", "l1_coefficient"))
    at = np.flatnonzero(log["resampled"].to_numpy() > 0)
    at = at[at + 1 < len(log)]
    return np.asarray((mse[at + 1] + coefficient[at] * l1[at + 1]) / (mse[at] + coefficient[at] * l1[at]) - 1)


def headline(logs: list[pd.DataFrame], settings: Settings) -> dict[str, Number]:
    """Mean spike over resamplings and replicates; L0 and dead features at the end."""
    vectors = int(logs[0]["vectors"].iloc[-1])
    numbers = {f"{column}_final": number(estimate(exact([log[column].iloc[-1] for log in logs])), unit=unit, n=vectors, over="vectors")
               for column, unit in (("l0", "features per token"), ("dead", "features"))}
    found = [values for values in map(spikes, logs) if len(values)]
    if found:
        spike = estimate(arm_of(np.mean, found, settings, "training_curves"))
        numbers["spike_at_resampling"] = number(spike, unit="relative loss", n=sum(map(len, found)), over="resamplings")
    return numbers
