"""Jobs of the stage claims; on the command line the stage is `ledger`, because `claims <run>` is a command for people."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """Two verbs: judge and report."""
    parser = job("judge", judge, "Judge every published statement by a run's numbers.")
    parser.add_argument("--claims", type=Path, required=True, help="the published statements")
    parser.add_argument("--explanations", type=Path, required=True, help="what was looked at to explain rows that differ")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.json of the run")
    parser.add_argument("--evaluation", type=Path, required=True, help="evaluation.json of the main dictionary")
    parser.add_argument("--numbers", type=Path, nargs="+", required=True, help="numbers.json of every study")
    parser.add_argument("--reference", type=Path, nargs="*", default=[], help="frozen numbers and their provenance, if any")
    parser.add_argument("--out", type=Path, required=True, help="the ledger, a csv")

    parser = job("report", report, "Write the report of a run as one page.")
    parser.add_argument("--ledger", type=Path, required=True, help="claims.csv of the run")
    parser.add_argument("--template", type=Path, required=True, help="the page's template")
    parser.add_argument("--departures", type=Path, required=True, help="the table of departures")
    parser.add_argument("--captions", type=Path, nargs="*", default=[], help="captions, one text file an exhibit")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.json of the run")
    parser.add_argument("--exhibits", type=Path, nargs="*", default=[], help="png of every figure and md of every table")
    parser.add_argument("--reference", type=Path, nargs="*", default=[], help="frozen numbers and their provenance, if any")
    parser.add_argument("--results", type=Path, required=True, help="folder of the run, for the time spent")
    parser.add_argument("--out", type=Path, required=True, help="the report, an html")


def judge(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.claims import ledger

    rows = ledger.make(
        settings=settings, claims=arguments.claims, explanations=arguments.explanations, numbers=arguments.numbers, corpus=arguments.corpus,
        evaluation=arguments.evaluation, reference=_folder(arguments.reference), out=arguments.out)
    progress.say(", ".join(f"{count} {word}" for word, count in ledger.counts(rows).items()))


def report(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.claims import report as page
    from replication.exhibits import of

    known = of(settings.studies.contexts) if settings.studies else {}
    drawn = [page.Drawn(path.stem, known[path.stem].title, known[path.stem].section, path) for path in arguments.exhibits]
    page.make(
        settings=settings, claims=arguments.ledger, drawn=drawn, captions=arguments.captions, template=arguments.template,
        departures=arguments.departures, corpus=arguments.corpus, reference=_folder(arguments.reference), run=arguments.results,
        out=arguments.out)
    progress.say(f"open {arguments.out}")


def _folder(files: list[Path]) -> Path | None:
    return files[0].parent if files else None
