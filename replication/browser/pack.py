"""Packs one table of a finished run for the browser. Neither the page nor the run index is known here, so they can change without it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.browser import cards, tables
from replication.browser.cards import Offered
from replication.browser.schema import Card
from replication.browser.source import Source
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch


def table(*, settings: Settings, name: str, shown: Sequence[str], offered: Offered, layout: Layout, out: Path,
          progress: Progress | None = None) -> tables.Entry:
    """Write the shards of the table `name` as `<out>/<name>/...`, its entry as `<out>/<name>.json`, and metadata beside these.

    `shown` are all tables that have cards. Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, source = Stopwatch(), Source(layout)
    read = cards.read(source, settings, name, shown, offered)
    told = replace(read, cards=_telling(read.cards, len(read.columns.density), progress or Progress()))
    entry = tables.write(told, len(source.strings), out)
    folder, path = out / name, out / f"{name}.json"
    artifacts.write_json(path, entry)
    # a checksum of each shard, so that `verify` says which one is broken: ninety bytes for up to 200 kB
    files = {"entry": path, **written(folder)}
    artifacts.write_meta(folder.parent, stage="browser", settings=settings, files=files, inputs=source.inputs, stopwatch=stopwatch,
                         name=f"{folder.name}.{artifacts.META}", table=name)
    return entry


def written(folder: Path) -> dict[str, Path]:
    """The shards below a folder, as metadata list them."""
    return {str(path): path for path in sorted(folder.rglob("*.js"))}


def _telling(made: Iterable[Card], total: int, progress: Progress) -> Iterator[Card]:
    for done, card in enumerate(made, start=1):
        yield card
        progress(done, total)
