"""Jobs of the stage sae."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The two verbs: fit and import."""
    parser = job("fit", fit, "Fit one dictionary.")
    parser.add_argument("--name", required=True, help="model/id, such as A/1")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--tokens", type=Path, required=True, help="training tokens")
    parser.add_argument("--activations", type=Path, required=True, help="folder of the model's activations")
    parser.add_argument("--start", type=Path, default=None, help="folder of the dictionary to start from, where the settings name one")
    parser.add_argument("--state", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dictionary")
    parser = job("import", bring, "Bring in a dictionary that SAELens saved.")
    parser.add_argument("--name", required=True, help="model/id, such as A/1")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dictionary")


def fit(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.sae.fit import fit as run

    run(settings=settings, name=arguments.name, model=arguments.model, tokens=arguments.tokens, activations=arguments.activations,
        state=arguments.state, out=arguments.out, warm=arguments.start, progress=progress)


def bring(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.sae.imported import bring as run

    run(settings=settings, name=arguments.name, model=arguments.model, out=arguments.out, progress=progress)
