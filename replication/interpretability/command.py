"""Jobs of the stage interpretability."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The verbs: units, offline, llm."""
    parser = job("units", units, "Draw units of a table, the windows that explain and test them, and the tokens of the logit test.")
    parser.add_argument("--name", required=True, help="the table's name, such as A/1 or A/neurons")
    parser.add_argument("--units", type=int, required=True, help="units drawn of the upper cluster, and a fifth as many of the lower; 0 takes all")
    parser.add_argument("--features", type=Path, required=True, help="folder of the table")
    parser.add_argument("--evaluation", type=Path, required=True, help="features folder of the run, which holds the evaluation tokens")
    parser.add_argument("--models", type=Path, required=True, help="folder of all models")
    parser.add_argument("--dictionaries", type=Path, required=True, help="folder of all dictionaries")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder of the units")

    parser = job("offline", offline, "Score explainers that need no language model.")
    parser.add_argument("--explainers", nargs="+", required=True, help="names of explainers, such as lookup and ngram")
    _shared(parser)

    parser = job("llm", llm, "Score the language model that the environment names.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the replies that are kept")
    _shared(parser)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="the table's name, such as A/1 or A/neurons")
    parser.add_argument("--units", type=Path, required=True, help="folder of the units")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder of the scores")


def units(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.interpretability.units import make as run

    run(settings=settings, name=arguments.name, units=arguments.units, features=arguments.features, evaluation=arguments.evaluation,
        models=arguments.models, dictionaries=arguments.dictionaries, corpus=arguments.corpus, out=arguments.out, progress=progress)


def offline(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.vocabulary import Vocabulary
    from replication.interpretability.explainers import make
    from replication.interpretability.score import score as run

    vocabulary = Vocabulary.read(arguments.corpus)
    run(settings=settings, explainers=[make(name, vocabulary) for name in arguments.explainers], units=arguments.units, out=arguments.out,
        progress=progress)


def llm(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.vocabulary import Vocabulary
    from replication.interpretability.llm import make
    from replication.interpretability.score import score as run

    explainer = make(settings, Vocabulary.read(arguments.corpus), state=arguments.state)
    run(settings=settings, explainers=[explainer], units=arguments.units, out=arguments.out, progress=progress)
