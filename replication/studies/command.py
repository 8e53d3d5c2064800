"""Jobs of the stage studies."""

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.studies import STUDIES

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The one verb: compute."""
    parser = job("compute", compute, "Compute the table of one exhibit.")
    parser.add_argument("name", choices=list(STUDIES), help="the study")
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")


def compute(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    module = importlib.import_module(STUDIES[arguments.name].module)
    module.compute(settings=settings, layout=Layout(arguments.results), out=arguments.out, progress=progress)
