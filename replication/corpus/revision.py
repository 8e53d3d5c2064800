"""The commit of a dataset of the Hub at which all its parts are read: looked up once, before the first of them.

Parts start hours apart, so each that looked for itself could find another. Offline there is no commit, and rows are dealt to
the parts in another way; so the file also says in which of the two ways all parts are read.
"""

from pathlib import Path

from replication import artifacts
from replication.config import Corpus, Settings
from replication.corpus.network import Patience, offline
from replication.progress import Progress
from replication.provenance import Stopwatch


def look_up(*, settings: Settings, out: Path, progress: Progress) -> None:
    """Write `revision.json` into `out`: `dataset`, and `revision`, which is null offline. Raises UserError when the dataset cannot be reached."""
    assert settings.corpus is not None
    corpus, stopwatch, path = settings.corpus, Stopwatch(), out / artifacts.REVISION
    revision = None if offline() else commit(corpus, progress)
    artifacts.write_json(path, {"dataset": corpus.name, "revision": revision})
    progress.say(f"{corpus.name} is read {f'at {revision}' if revision else 'offline'}")
    artifacts.write_meta(out, stage="corpus revision", settings=settings, files={"revision": path}, inputs={},
                         stopwatch=stopwatch, name=artifacts.REVISION_META)


def commit(corpus: Corpus, progress: Progress) -> str:
    """The SHA that `corpus.revision` means now, or the newest. Raises UserError for a fault that does not pass."""
    from huggingface_hub import HfApi

    patience = Patience(corpus.name, progress)
    while True:
        try:
            return str(HfApi().dataset_info(corpus.name, revision=corpus.revision or None).sha)
        except Exception as error:  # a missing network or name comes as one of a dozen types, from four libraries
            patience.wait(error)


def read(path: Path) -> str | None:
    """The commit in a `revision.json`, None when it was written offline. Raises ArtifactError."""
    artifacts.check(path.parent, path.name, name=artifacts.REVISION_META)
    revision: str | None = artifacts.read_json(path)["revision"]
    return revision
