"""Jobs of the stage model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The three verbs: train, shuffle and import."""
    parser = job("train", train, "Train one transformer.")
    parser.add_argument("--name", required=True, help="id of the model, such as A")
    parser.add_argument("--tokens", type=Path, required=True, help="training tokens")
    parser.add_argument("--held-out", type=Path, required=True, help="tokens of the validation loss")
    parser.add_argument("--unigrams", type=Path, required=True, help="unigram counts, one for each token of the vocabulary")
    parser.add_argument("--state", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser = job("shuffle", shuffle, "Copy a transformer with the entries of each weight matrix shuffled.")
    parser.add_argument("--name", required=True, help="id of the copy, such as random")
    parser.add_argument("--source", type=Path, required=True, help="folder of the model to copy")
    parser.add_argument("--out", type=Path, required=True, help="folder of the copy")
    parser = job("import", bring, "Bring in a transformer that TransformerLens trained or saved.")
    parser.add_argument("--name", required=True, help="id of the model, such as gelu")
    parser.add_argument("--unigrams", type=Path, required=True, help="unigram counts, one for each token of the vocabulary")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")


def train(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.model.train import train as run

    run(settings=settings, tokens=arguments.tokens, held_out=arguments.held_out, unigrams=arguments.unigrams, state=arguments.state,
        out=arguments.out, progress=progress)


def shuffle(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.model.shuffle import shuffle as run

    run(settings=settings, source=arguments.source, out=arguments.out, progress=progress)


def bring(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.model.imported import bring as run

    run(settings=settings, name=arguments.name, unigrams=arguments.unigrams, out=arguments.out, progress=progress)
