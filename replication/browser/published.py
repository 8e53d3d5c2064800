"""The published viewer's files (a JSON file per feature) as a table of the browser, so that one page draws them and a run.

What is read of a file is `features.published`'s. A file is read twice and never kept: once for the table and the tokens, once for its card.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import replication
from replication import artifacts
from replication.browser import site, tables
from replication.browser.cards import columns
from replication.browser.schema import LABEL, NONE, PARTS, VERSION_OF, About, Card, Columns, Example, Histogram, Relation, Shared, Table
from replication.config import model_of
from replication.features import NEURONS, published
from replication.features.published import Feature, PublishedError, Window
from replication.progress import Progress

NAME = re.compile(r"(?!text/)[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")  # of a table; the page keeps text/ for texts


def bring(folder: Path, out: Path, *, name: str, title: str = "", progress: Progress | None = None) -> int:
    """Write a browser folder `out` from a folder of files, with the table of features beside it, all of it or nothing; returns the number of files.

    `name` is the table's, `title` the run's (the folder's name by default). Raises PublishedError.
    """
    if not NAME.fullmatch(name):
        raise PublishedError(f"{name!r} is not the name of a table; a name is model/dictionary, such as A/1")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise PublishedError(f"{out} exists already; delete it or name another folder with --out")
    progress = progress or Progress()
    files, features, index, vocabulary = survey(folder, progress)
    ids = {token: place for place, token in enumerate(vocabulary)}
    cards = _cards(files, len(features), ids, f"{model_of(name)}/{NEURONS}", progress)
    table = Table(name, "neurons" if name.endswith(f"/{NEURONS}") else "features", index, cards)
    shared = Shared(vocabulary, None)
    with _whole(out) as temporary:
        site.write_shared(shared, temporary / artifacts.SHARDS)
        artifacts.write_table(temporary / artifacts.FEATURES, features)
        entry = tables.write(table, len(vocabulary), temporary / artifacts.SHARDS)
        site.write_page(_about(title or folder.resolve().name, name, files, index, vocabulary), shared, [entry], temporary)
    return len(files)


def survey(folder: Path, progress: Progress) -> tuple[dict[int, Path], pd.DataFrame, Columns, list[str]]:
    """Every file, by feature; the table of features and its index; all token texts in the order in which they come. Raises PublishedError."""
    files: dict[int, Path] = {}
    vocabulary: dict[str, int] = {}
    rows, strongest = [], dict[int, list[int]]()
    for path, feature in published.read_all(folder, progress):
        files[feature.index] = path
        for token in feature.strings():
            vocabulary.setdefault(token, len(vocabulary))
        rows.append(feature.row())
        strongest[feature.index] = [vocabulary[token] for token in feature.fires()[:LABEL]]
    features = published.table(rows)
    fires = np.full((len(features), LABEL), NONE, dtype=np.int32)
    for index, tokens in strongest.items():
        fires[index, : len(tokens)] = tokens
    unknown = np.full(len(features), np.nan, dtype=np.float32)
    return files, features, columns(features, fires, vocabulary, universal=unknown, headline=pd.DataFrame(), places=None), list(vocabulary)


def card(feature: Feature, ids: Mapping[str, int], neurons: str) -> Card:
    """A feature as a card, with tokens by id; `neurons` is the table of the neurons that its weights name."""
    return Card(feature.index, Histogram(*feature.activations), Histogram(*feature.logits), [(ids[token], weight) for token, weight in feature.up],
                [(ids[token], weight) for token, weight in feature.down], [_example(window, ids) for window in feature.windows],
                [Relation("weight", neurons, neuron, weight, share) for neuron, weight, share in feature.weights])


def _example(window: Window, ids: Mapping[str, int]) -> Example:
    fired = [(place - window.centre, activation) for place, activation in enumerate(window.activations) if activation > 0]
    effects = [(place - window.centre, -loss) for place, loss in enumerate(window.losses) if loss != 0]  # a loss that rises is a log-likelihood that falls
    return Example(window.group, NONE, NONE, window.repeated, -window.centre, [ids[token] for token in window.tokens], fired, effects)


def _cards(files: Mapping[int, Path], features: int, ids: Mapping[str, int], neurons: str, progress: Progress) -> Iterator[Card]:
    for index in progress.over(range(features), features, "cards written"):
        try:
            yield card(published.read(files[index]), ids, neurons) if index in files else Card(index, None, None, [], [], [])
        except KeyError:
            raise PublishedError(f"{files[index]} changed while it was read; start again") from None


def _about(title: str, name: str, files: Mapping[int, Path], columns: Columns, vocabulary: Sequence[str]) -> About:
    features = len(columns.density)
    counts = {part: int((columns.part == place).sum()) for place, part in enumerate(PARTS)}
    row = {"name": name, "table": True, "d_sae": features, "l1": None, "l1_summed": None, "l0": float(columns.density.sum(dtype=np.float64)), "recovered": None,
           "dead": counts["dead"], "ultralow": counts["ultralow"], "seed": None, "commit": None, "config": None, "vectors": None, "shuffled": False}
    facts = {"source": "files in the published viewer's format", "features with a file": f"{len(files):,} of {features:,}; the others are shown as dead",
             "tokens": f"{len(vocabulary):,}, those that the files show", VERSION_OF: replication.__version__}
    return About(title, facts, [row])


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, out)
    except OSError as error:
        raise PublishedError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
