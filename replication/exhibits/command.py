"""Jobs of the stage exhibits."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings, UserError, nearest
from replication.exhibits import EXHIBITS, FAMILIES, find
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The one verb: draw."""
    parser = job("draw", draw, "Draw one exhibit from its study's table.")
    parser.add_argument("name", help="the exhibit, such as density_histograms or sensitivity_arabic")
    parser.add_argument("--study", type=Path, required=True, help="folder of its study")
    parser.add_argument("--caption", type=Path, required=True, help="its caption, with the places of numbers")
    parser.add_argument("--distributions", type=Path, required=True, help="published distributions")
    parser.add_argument("--claims", type=Path, required=True, help="published numbers")
    parser.add_argument("--out", type=Path, required=True, help="folder of all exhibits")


def draw(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call. The settings name the run; everything else that is drawn lies in the study's folder."""
    from replication.exhibits.draw import draw as run

    exhibit = find(arguments.name)
    if exhibit is None:
        raise UserError(f"there is no exhibit {arguments.name!r}; {nearest(arguments.name, [*EXHIBITS, *(f'{name}_<context>' for name in FAMILIES)])}")
    run(exhibit=exhibit, study=arguments.study, caption=arguments.caption, distributions=arguments.distributions,
        claims=arguments.claims, out=arguments.out)
    progress(1, 1)
