"""Jobs of the stage browser."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.artifacts import Layout
from replication.config import Settings
from replication.interpretability import LLM, OFFLINE
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """Three verbs: table, shared and page."""
    parser = job("table", table, "Pack the cards of one table.")
    parser.add_argument("--name", required=True, help="the table, such as A/1 or A/neurons")
    parser.add_argument("--shown", nargs="+", required=True, help="all tables that have cards")
    parser.add_argument("--explained", nargs="*", default=[], choices=(OFFLINE, LLM), help="kinds of explainers that explained units of the table")
    parser.add_argument("--mapped", action="store_true", help="the study feature_umap has a place for its features")
    _folders(parser)

    parser = job("shared", shared, "Pack what all tables share: token texts, evaluation contexts, fixed texts.")
    _folders(parser)

    parser = job("page", page, "Write the page and the run index.")
    parser.add_argument("--entries", type=Path, nargs="+", required=True, help="what the packed tables say of themselves")
    _folders(parser)


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the page, or of its data")


def table(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.browser import pack
    from replication.browser.cards import Offered

    pack.table(settings=settings, name=arguments.name, shown=arguments.shown, offered=Offered(arguments.explained, arguments.mapped),
              layout=Layout(arguments.results), out=arguments.out, progress=progress)


def shared(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.browser import run

    run.shared(settings=settings, layout=Layout(arguments.results), out=arguments.out)
    progress(1, 1)


def page(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.browser import run

    run.page(settings=settings, layout=Layout(arguments.results), entries=arguments.entries, out=arguments.out)
    progress.say(f"open {arguments.out / 'index.html'}")
