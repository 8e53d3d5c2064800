"""Verbs of the corpus stage: `revision`, `documents` and `tokens` of a part, `tokenizer`, and `join`."""

import argparse
from pathlib import Path

from replication.cli import Job
from replication.config import Settings
from replication.progress import Progress


def register(job: Job) -> None:
    """Add the verbs and their paths to the command line."""
    parser = job("revision", revision, "Look up the commit at which all parts of a dataset of the Hub are read.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser = job("documents", documents, "Collect the text, without duplicates, and split off the held-out documents.")
    parser.add_argument("--part", type=int, default=0, help="number of the part, of corpus.shards")
    parser.add_argument("--state", type=Path, required=True, help="folder for what a killed job goes on from")
    parser.add_argument("--revision", type=Path, nargs="?", help="revision.json; of a dataset of the Hub only")
    parser.add_argument("--out", type=Path, required=True, help="folder of the part")
    parser = job("tokenizer", tokenizer, "Train a byte-level BPE tokenizer, or fetch the one that the config names.")
    parser.add_argument("--documents", type=Path, required=True, help="documents.parquet")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser = job("tokens", tokens, "Encode the documents, pack them and cut them into contexts; count tokens.")
    parser.add_argument("--documents", type=Path, required=True, help="documents.parquet")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--n-ctx", type=int, required=True, help="tokens of a context")
    parser.add_argument("--out", type=Path, required=True, help="folder of the part")
    parser = job("join", join, "Put the tokens of all parts together, and say what the corpus is.")
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="folders of the parts, in their order")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")


def revision(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """`revision.json`."""
    from replication.corpus.revision import look_up

    look_up(settings=settings, out=arguments.out, progress=progress)


def documents(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """`documents.parquet`, `corpus.json` of a part."""
    from replication.corpus.documents import collect

    collect(part=arguments.part, settings=settings, state=arguments.state, revision=arguments.revision, out=arguments.out, progress=progress)


def tokenizer(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """`tokenizer.json`."""
    from replication.corpus.tokenizer import make

    make(documents=arguments.documents, settings=settings, out=arguments.out, progress=progress)


def tokens(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """`train.safetensors`, `held_out.safetensors`, `unigrams.safetensors` of a part."""
    from replication.corpus.tokens import encode

    encode(documents=arguments.documents, tokenizer=arguments.tokenizer, n_ctx=arguments.n_ctx, settings=settings, out=arguments.out, progress=progress)


def join(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """`train.safetensors`, `held_out.safetensors`, `unigrams.safetensors`, `corpus.json`."""
    from replication.corpus.whole import join

    join(parts=arguments.parts, settings=settings, out=arguments.out, progress=progress)
