"""Writes what the browser has beside its tables: the texts that these share, the page, and the run index."""

from collections.abc import Sequence
from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.browser import about, site
from replication.browser.pack import written
from replication.browser.schema import Shared, Text
from replication.browser.source import Source
from replication.browser.tables import Entry
from replication.config import Settings
from replication.provenance import Stopwatch


def shared(*, settings: Settings, layout: Layout, out: Path) -> None:
    """Write token texts, evaluation contexts and fixed texts as `<out>/vocabulary/...`, `<out>/contexts/...`, `<out>/texts/...`.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, source = Stopwatch(), Source(layout)
    folders = [out / name for name in site.SHARED]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)  # a rule's output, even where it stays empty
    site.write_shared(texts_of(source), out)
    files = {role: path for folder in folders for role, path in written(folder).items()}
    artifacts.write_meta(out, stage="browser", settings=settings, files=files, inputs=source.inputs, stopwatch=stopwatch, name=artifacts.SHARED_META)


def page(*, settings: Settings, layout: Layout, entries: Sequence[Path], out: Path) -> None:
    """Write the page and the run index into `out`. `entries` are those of the tables that are shown, in order.

    Raises ArtifactError when an upstream file is missing or changed.
    """
    stopwatch, source = Stopwatch(), Source(layout)
    shown = [Entry(**artifacts.read_json(path)) for path in entries]
    site.write_page(about.read(source, settings, [entry.name for entry in shown]), texts_of(source), shown, out)
    inputs = source.inputs | {f"entry/{entry.name}": path for entry, path in zip(shown, entries, strict=True)}
    artifacts.write_meta(out, stage="browser", settings=settings, files={name: out / name for name in site.FILES}, inputs=inputs, stopwatch=stopwatch)


def texts_of(source: Source) -> Shared:
    """Token texts, evaluation text and fixed texts of a run. Raises ArtifactError when a file is missing or changed."""
    rows = source.text_tokens().sort_values("pos", kind="stable")
    texts = [Text(text, own["title"].iloc[0], own["token"].tolist()) for text, own in rows.groupby("text", sort=False)]
    return Shared(source.strings, source.tokens(), texts)
