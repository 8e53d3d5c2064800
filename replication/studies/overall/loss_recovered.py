"""How much of the MLP's contribution to the loss each dictionary recovers (paper: 79 % for A/1, 94.5 % for A/5)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import recovered
from replication.studies.intervals import Estimate, estimate
from replication.studies.recovered import Measured
from replication.studies.replicates import alike, groups, lacking, ladder
from replication.studies.tables import Number, Reader, number, write

LARGEST = "A/5"  # the largest dictionary of which the paper states a share


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row per dictionary; numbers of each with its replicates, and of the orderings."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    members = groups(settings.dictionaries)
    found = recovered.measure(reader, list(settings.dictionaries), settings)
    progress(1, 1)
    numbers = headline(found, members, settings)
    missing = {key: recovered.UNDEFINED for key, value in numbers.items() if value.value != value.value}
    missing[f"recovered_{LARGEST.replace('/', '_')}"] = f"the run has no {LARGEST}"
    write(out=out, study="loss_recovered", data=recovered.table(found, settings, members), numbers=numbers, settings=settings,
          reader=reader, stopwatch=stopwatch, missing=missing | lacking(settings.studies.main, settings.dictionaries, "growth"))


def headline(found: Mapping[str, Measured], members: Mapping[str, Sequence[str]], settings: Settings) -> dict[str, Number]:
    """Shares per dictionary; growth with size at one l1; fall with l1 at one size."""
    assert settings.dictionaries and settings.studies
    main, dictionaries = settings.studies.main, settings.dictionaries

    def of(key: str, plus: str, minus: str = "") -> Estimate:
        return estimate(recovered.arm(found, members[plus], key), recovered.arm(found, members[minus], key) if minus else None)

    def share(value: Estimate) -> Number:
        return number(value, unit="share", n=found[main].tokens, over="tokens")

    numbers: dict[str, Number] = {}
    for name in members:
        key = name.replace("/", "_")
        numbers |= {f"recovered_{key}": share(of("recovered", name)), f"recovered_mean_{key}": share(of("recovered_mean", name)),
                    f"l0_{key}": number(of("l0", name), unit="features per token", n=found[name].tokens, over="tokens")}
    numbers["main_recovered"] = numbers[f"recovered_{main.replace('/', '_')}"]
    for step, (low, high) in ladder(main).items():
        if low in members and high in members:
            numbers[f"growth_{step}"] = share(of("recovered", high, low))
    by_l1 = sorted((name for name in members if alike(name, main, dictionaries, "l1")), key=lambda name: dictionaries[name].l1)
    if len(by_l1) > 1:
        numbers["l1_fall"] = share(of("recovered", by_l1[0], by_l1[-1]))
    return numbers
