"""Jobs of the stage claims; on the command line the stage is `ledger`, because `claims <run>` is a command for people."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """Three verbs: judge, report and cite."""
    parser = job("judge", judge, "Judge every published statement by a run's numbers.")
    parser.add_argument("--claims", type=Path, required=True, help="the published statements")
    parser.add_argument("--explanations", type=Path, required=True, help="what was looked at to explain rows that differ")
    parser.add_argument("--template", type=Path, required=True, help="template of the ledger as a page")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.json of the run")
    parser.add_argument("--evaluation", type=Path, required=True, help="evaluation.json of the main dictionary")
    parser.add_argument("--numbers", type=Path, nargs="+", required=True, help="numbers.json of every study")
    parser.add_argument("--reference", type=Path, nargs="*", default=[], help="frozen numbers and their provenance, if any")
    parser.add_argument("--out", type=Path, required=True, help="the ledger, a csv; claims.md and claims.html are written beside it")

    parser = job("report", report, "Write the report of a run as one page and as a pdf.")
    parser.add_argument("--ledger", type=Path, required=True, help="claims.csv of the run")
    parser.add_argument("--written", type=Path, required=True, help="folder of what people wrote for the report, such as paper/report")
    parser.add_argument("--captions", type=Path, nargs="*", default=[], help="captions, one text file an exhibit")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.json of the run")
    parser.add_argument("--exhibits", type=Path, nargs="*", default=[], help="png of every figure and md of every table")
    parser.add_argument("--numbers", type=Path, nargs="*", default=[], help="numbers.json of every study")
    parser.add_argument("--reference", type=Path, nargs="*", default=[], help="frozen numbers and their provenance, if any")
    parser.add_argument("--results", type=Path, required=True, help="folder of the run, for the time spent")
    parser.add_argument("--html", type=Path, required=True, help="the report as a page")
    parser.add_argument("--pdf", type=Path, required=True, help="the report as a pdf")

    parser = job("cite", cite, "Write a run's numbers as LaTeX macros, and what to cite as BibTeX.")
    parser.add_argument("--ledger", type=Path, required=True, help="claims.csv of the run")
    parser.add_argument("--numbers", type=Path, nargs="+", required=True, help="numbers.json of every study")
    parser.add_argument("--references", type=Path, required=True, help="the cited works, BibTeX")
    parser.add_argument("--citation", type=Path, required=True, help="CITATION.cff")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.json of the run")
    parser.add_argument("--macros", type=Path, required=True, help="the numbers, LaTeX")
    parser.add_argument("--bib", type=Path, required=True, help="the cited works with an entry for the run, BibTeX")


def judge(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.claims import ledger

    rows = ledger.make(
        settings=settings, claims=arguments.claims, explanations=arguments.explanations, numbers=arguments.numbers, corpus=arguments.corpus,
        evaluation=arguments.evaluation, reference=_folder(arguments.reference), template=arguments.template, out=arguments.out)
    progress.say(", ".join(f"{count} {word}" for word, count in ledger.counts(rows).items()))


def report(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.claims import inputs
    from replication.claims import report as page

    contexts = settings.studies.contexts if settings.studies else ()
    page.make(
        settings=settings, claims=arguments.ledger, drawn=inputs.drawn(arguments.exhibits, contexts, arguments.numbers), captions=arguments.captions,
        numbers=arguments.numbers, written=arguments.written, corpus=arguments.corpus, reference=_folder(arguments.reference), run=arguments.results,
        html=arguments.html, pages=arguments.pdf)
    progress.say(f"open {arguments.html} or {arguments.pdf}")


def cite(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.claims import citing

    citing.make(
        settings=settings, claims=arguments.ledger, numbers=arguments.numbers, references=arguments.references, citation=arguments.citation,
        corpus=arguments.corpus, macros=arguments.macros, bib=arguments.bib)
    progress.say(f"{arguments.macros} and {arguments.bib} are for a paper about the run")


def _folder(files: list[Path]) -> Path | None:
    return files[0].parent if files else None
