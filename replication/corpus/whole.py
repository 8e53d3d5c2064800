"""The whole corpus, made of its parts: tokens one part after another, counts added up. Models draw contexts in random order."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from replication import artifacts
from replication.config import Settings, UserError
from replication.corpus import shards
from replication.corpus.documents import manifest
from replication.corpus.sources import fingerprint, source
from replication.corpus.tokens import SPLITS
from replication.progress import Progress
from replication.provenance import Stopwatch

SUMS = ("documents", "bytes", "available_documents", "available_bytes", "held_out_documents", "held_out_bytes", "duplicates")


def join(*, parts: Sequence[Path], settings: Settings, out: Path, progress: Progress) -> None:
    """Write `corpus.json`, both splits, the texts of held-out contexts and the unigram counts of all parts into `out`.

    Equal documents are found within a part only. Raises UserError for parts of different revisions of a dataset, or with and without one.
    """
    assert settings.corpus is not None
    stopwatch = Stopwatch()
    for folder in parts:
        artifacts.check(folder, artifacts.CORPUS)
    summaries = [artifacts.read_json(folder / artifacts.CORPUS) for folder in parts]
    revisions = [summary.get("revision") for summary in summaries]
    if len(set(revisions)) > 1:
        found = ", ".join(f"{revision or 'none, read offline'} ({folder.name})" for folder, revision in zip(parts, revisions, strict=True))
        raise UserError(f"the parts of the dataset {settings.corpus.name} are of different revisions, {found}; "
                        f"delete those that are not as {artifacts.REVISION} says, and run `snakemake --cores all`")
    metas = [artifacts.check(folder, name=artifacts.TOKENS_META) for folder in parts]
    files = {split: out / name for split, name in SPLITS.items()} | {"sources": out / artifacts.HELD_OUT_SOURCES, "unigrams": out / artifacts.UNIGRAMS}
    for split, name in progress.over(SPLITS.items(), len(SPLITS)):
        shards.join([folder / name for folder in parts], files[split])
    shards.write_sources(files["sources"], torch.cat([shards.read_sources(folder / artifacts.HELD_OUT_SOURCES) for folder in parts]))
    counts = torch.stack([shards.read_counts(folder / artifacts.UNIGRAMS) for folder in parts]).sum(0)
    artifacts.write_tensors(files["unigrams"], {shards.COUNTS: counts})
    inputs = {f"part {folder.name}": folder / artifacts.CORPUS for folder in parts}
    artifacts.write_meta(out, stage="corpus tokens", settings=settings, files=files, inputs=inputs | {"tokenizer": out / artifacts.TOKENIZER},
                         stopwatch=stopwatch, name=artifacts.TOKENS_META, n_ctx=metas[0]["n_ctx"])
    manifests = [summary["manifest_sha256"] for summary in summaries]
    whole = manifests[0] if len(parts) == 1 else manifest(manifests)
    skipped = sum((Counter(summary["skipped"]) for summary in summaries), Counter[str]())
    artifacts.write_json(out / artifacts.CORPUS, {
        "source": settings.corpus.source, **{key: sum(summary[key] for summary in summaries) for key in SUMS}, "skipped": dict(sorted(skipped.items())),
        "manifest_sha256": whole, **source(settings.corpus).compare(whole, progress), **({"revision": revisions[0]} if revisions[0] else {}),
    })
    artifacts.write_meta(out, stage="corpus", settings=settings, files={"corpus": out / artifacts.CORPUS}, inputs=inputs,
                         stopwatch=stopwatch, fingerprint=fingerprint(settings.corpus))
