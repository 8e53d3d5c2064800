"""The front door: ``python -m replication <stage> <verb>``, which only parses and calls.

Each stage registers its verbs in its `command.py`. A rule hands settings as JSON and paths by name; people use the
commands of `replication.inspect`, `config`, `summary`, `claims`, `freeze`, `verify`, and `plan`, `rate`.
"""

import argparse
import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from replication.compute import limit_threads
from replication.config import Settings, UserError
from replication.progress import Progress, to_terminal_and_log

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

STAGES = ("corpus", "model", "activations", "sae", "features", "interpretability", "studies", "exhibits", "claims", "browser")
COMMANDS = {"claims": "ledger"}  # jobs of a stage whose own name is a command for people
JobFunction = Callable[[argparse.Namespace, Settings, Progress], None]
PlainFunction = Callable[[argparse.Namespace], int]


class Job(Protocol):
    """Registers one verb of a stage and returns its parser, to which the stage adds its paths."""

    def __call__(self, verb: str, function: JobFunction, doc: str) -> argparse.ArgumentParser:
        """`function` runs the verb; `doc` is its sentence of help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 crashed, 2 refused with one sentence."""
    arguments = _parser().parse_args(argv)
    if hasattr(arguments, "job"):
        return _run_job(arguments)
    try:
        plain: PlainFunction = arguments.plain
        return plain(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m replication", description="Replication of Towards Monosemanticity (Bricken et al. 2023).")
    commands = parser.add_subparsers(metavar="command", required=True)
    for stage in STAGES:
        parser_of_stage = commands.add_parser(COMMANDS.get(stage, stage), help=f"jobs of the stage {stage}; `snakemake -n -p` prints whole commands")
        verbs = parser_of_stage.add_subparsers(metavar="verb", required=True)

        def job(verb: str, function: JobFunction, doc: str, stage: str = stage, verbs: "Verbs" = verbs) -> argparse.ArgumentParser:
            made = verbs.add_parser(verb, help=doc, description=doc)
            made.add_argument("--settings", required=True, help="settings of this job as JSON")
            made.add_argument("--log", type=Path, help="file that gets the same lines as the terminal")
            made.set_defaults(job=function, title=f"{stage} {verb}")
            return made

        importlib.import_module(f"replication.{stage}.command").register(job)
    importlib.import_module("replication.inspect").register(commands)
    importlib.import_module("replication.planning.command").register(commands)
    importlib.import_module("replication.rating.command").register(commands)
    importlib.import_module("replication.browser.people").register(commands)
    return parser


def _run_job(arguments: argparse.Namespace) -> int:
    progress = Progress()
    try:
        settings = Settings.parse(arguments.settings)
        limit_threads(settings.compute.threads if settings.compute else 1)
        name = getattr(arguments, "name", "")
        progress = to_terminal_and_log(f"{arguments.title} {name}".strip(), arguments.log)
        arguments.job(arguments, settings, progress)
    except UserError as error:
        _say(progress, f"error: {error}")
        return 2
    except Exception:
        _say(progress, traceback.format_exc())
        return 1
    return 0


def _say(progress: Progress, text: str) -> None:
    if progress.streams:
        progress.say(text)
    else:
        with contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr)
