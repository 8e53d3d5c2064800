"""Jobs of the stage activations."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The one verb: harvest."""
    parser = job("harvest", harvest, "Read a site of a model over the training text.")
    parser.add_argument("--name", required=True, help="id of the model")
    parser.add_argument("--site", required=True, help="where a vector is read, such as mlp_act")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--tokens", type=Path, required=True, help="training tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the activations")


def harvest(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.activations.harvest import harvest as run

    run(settings=settings, site=arguments.site, model=arguments.model, tokens=arguments.tokens, out=arguments.out, progress=progress)
