"""The folder of the browser: the page with its one script and one style sheet, the run index, and what all tables share."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from replication import artifacts
from replication.browser import shards
from replication.browser.schema import VERSION, About, Shared
from replication.browser.tables import Entry

FOLDER = Path(__file__).parent / "page"
# In the order in which they are put together; worker.js goes in as text behind match.js, because a page on disk can start a worker from a blob only.
SCRIPTS = (
    "dom", "load", "route", "tip", "charts", "examples", "predictions", "card", "texts", "runs", "match",
    "order", "list", "search", "controls", "scatter", "table", "main")
STYLES = ("page", "card", "find")
SHARED = ("vocabulary", "contexts", "texts")  # folders of what all tables share
TYPES = "types.d.ts"
FILES = (artifacts.PAGE, artifacts.APP, artifacts.STYLE, artifacts.RUN, TYPES, "README.txt")
README = f"""The features of a sparse autoencoder, to look at: open index.html in a browser. Nothing is loaded from elsewhere.

The data are plain scripts, run.js and data/; their format, version {VERSION}, is described in {TYPES}.
"""
LICENSED = "/* Part of replication; MIT licence. Made from the files of replication/browser/page. */\n"


def write_shared(shared: Shared, folder: Path) -> None:
    """Write the shards that all tables share, in a folder each of `SHARED`: token texts, evaluation contexts, fixed texts."""
    step = per_vocabulary(shared)
    for k, start in enumerate(range(0, len(shared.vocabulary), step)):
        shards.write(folder, f"vocabulary/{k}", list(shared.vocabulary[start:start + step]))
    if shared.contexts is not None:
        step = per_shard(shared)
        ids = shards.token_type(len(shared.vocabulary))
        for k, start in enumerate(range(0, len(shared.contexts), step)):
            shards.write(folder, f"contexts/{k}", shards.packed(shared.contexts[start:start + step].astype(ids)))
    for text in shared.texts:
        shards.write(folder, f"texts/{text.id}", {"id": text.id, "title": text.title, "tokens": list(text.tokens)})


def write_page(about: About, shared: Shared, tables: Sequence[Entry], folder: Path) -> None:
    """Write the page itself and the run index, `run.js`."""
    size, step = len(shared.vocabulary), per_vocabulary(shared)
    run = {
        "version": VERSION, "run": about.run, "facts": dict(about.facts), "links": [list(link) for link in about.links],
        "dictionaries": [dict(row) for row in about.dictionaries], "tables": [asdict(table) for table in tables],
        "vocabulary": {"size": size, "bytes": np.dtype(shards.token_type(size)).itemsize, "shards": -(-size // step), "perShard": step},
        "contexts": None if shared.contexts is None else {"count": len(shared.contexts), "n_ctx": shared.contexts.shape[1], "perShard": per_shard(shared)},
        "texts": [{"id": text.id, "title": text.title} for text in shared.texts],
    }
    artifacts.write_text(folder / artifacts.RUN, shards.script("run", run))
    artifacts.write_text(folder / artifacts.APP, application())
    artifacts.write_text(folder / artifacts.STYLE, LICENSED + "".join(_source(f"{name}.css") for name in STYLES))
    artifacts.write_text(folder / TYPES, _source(TYPES))
    artifacts.write_text(folder / FILES[-1], README)
    artifacts.write_text(folder / artifacts.PAGE, _source("index.html"))


def per_vocabulary(shared: Shared) -> int:
    """Tokens of a vocabulary shard: as many as fit with the longest texts of the vocabulary."""
    extent = np.array([len(shards.encoded(text)) + 1 for text in shared.vocabulary])
    step = max(1, len(extent))
    while step > 1 and np.add.reduceat(extent, np.arange(0, len(extent), step)).max() > shards.TARGET:
        step = -(-step // 2)
    return step


def per_shard(shared: Shared) -> int:
    """Contexts of a shard."""
    assert shared.contexts is not None
    row = shared.contexts.shape[1] * np.dtype(shards.token_type(len(shared.vocabulary))).itemsize * 4 / 3
    return max(1, int(shards.TARGET / row))


def application() -> str:
    """The page's script: its files in order inside one function, so that none of their names is the page's."""
    worker = f"const WORKER = {json.dumps(_source('match.js') + _source('worker.js'))};\n"
    body = "".join(_source(f"{name}.js").replace('"use strict";\n', "", 1) for name in SCRIPTS)
    return f'{LICENSED}(() => {{\n"use strict";\n{worker}{body}}})();\n'


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
