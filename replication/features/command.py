"""Jobs of the stage features."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import Settings
from replication.progress import Progress

if TYPE_CHECKING:
    from replication.cli import Job


def register(job: "Job") -> None:
    """The verbs: tokens, neurons, site, dictionary, match, contexts, ablation, effects, relations, texts, published."""
    parser = job("tokens", tokens, "Draw the evaluation contexts from held-out text.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="features folder of the run")

    parser = job("neurons", neurons, "Measure a model's neurons.")
    parser.add_argument("--name", required=True, help="the table's name, such as A/neurons")
    _shared(parser)

    parser = job("site", site, "Measure a site of a model without any dictionary: its mean, and the losses without it.")
    parser.add_argument("--site", required=True, help="where a vector is read, such as mlp_act")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--evaluation", type=Path, required=True, help="features folder of the run, which holds the evaluation tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the site")

    parser = job("dictionary", dictionary, "Measure a dictionary's features in one pass over the evaluation tokens.")
    parser.add_argument("--name", required=True, help="model/id, such as A/1")
    parser.add_argument("--dictionary", type=Path, required=True, help="folder of the dictionary")
    parser.add_argument("--site", type=Path, required=True, help="folder of its site")
    _shared(parser)

    parser = job("match", match, "Match features of tables by the correlation of their activations.")
    parser.add_argument("--pairs", nargs="+", required=True, metavar="LEFT=RIGHT", help="whose features, and where to look: A/1=B/1")
    parser.add_argument("--models", type=Path, required=True, help="folder of all models")
    parser.add_argument("--dictionaries", type=Path, required=True, help="folder of all dictionaries")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="features folder of the run, which holds the tables")

    parser = job("contexts", contexts, "Score the evaluation tokens by the proxies of contexts, and rank every table's features by them.")
    parser.add_argument("--names", nargs="+", required=True, help="dictionaries and neuron tables, such as A/1 and A/neurons")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="features folder of the run, which holds the tables")

    parser = job("ablation", ablation, "Ablate every feature of a dictionary, one at a time, on a few evaluation texts.")
    parser.add_argument("--name", required=True, help="model/id, such as A/1")
    parser.add_argument("--dictionary", type=Path, required=True, help="folder of the dictionary")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--evaluation", type=Path, required=True, help="features folder of the run, which holds the evaluation tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dictionary's tables")

    parser = job("effects", effects, "Ablate every feature of a table, or every neuron, on the tokens around its examples.")
    parser.add_argument("--name", required=True, help="the table's name, such as A/1 or A/neurons")
    _all_weights(parser)
    parser.add_argument("--evaluation", type=Path, required=True, help="features folder of the run, which holds the evaluation tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")

    parser = job("relations", relations, "Relate features: children in the next larger dictionary, nearest decoder rows.")
    parser.add_argument("--names", nargs="*", required=True, help="dictionaries, such as A/1")
    parser.add_argument("--sizes", nargs="*", required=True, help="those of them that are sizes of one dictionary, by size")
    parser.add_argument("--dictionaries", type=Path, required=True, help="folder of all dictionaries")
    parser.add_argument("--out", type=Path, required=True, help="features folder of the run, which holds the tables")

    parser = job("texts", texts, "Tell what is on on each token of fixed texts.")
    parser.add_argument("--names", nargs="+", required=True, help="dictionaries and neuron tables, such as A/1 and A/neurons")
    parser.add_argument("--texts", type=Path, required=True, help="folder of the texts, with texts.csv")
    _all_weights(parser)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="features folder of the run")

    parser = job("published", published, "Read files in the format of the paper's feature viewer into a table of features.")
    parser.add_argument("--folder", type=Path, required=True, help="folder with a .json file for each feature")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")


def _all_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, required=True, help="folder of all models")
    parser.add_argument("--dictionaries", type=Path, required=True, help="folder of all dictionaries")


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--evaluation", type=Path, required=True, help="features folder of the run, which holds the evaluation tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")


def tokens(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.tokens import make as run

    run(settings=settings, corpus=arguments.corpus, out=arguments.out, progress=progress)


def neurons(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.neurons import measure as run

    run(settings=settings, name=arguments.name, model=arguments.model, corpus=arguments.corpus, evaluation=arguments.evaluation,
        out=arguments.out, progress=progress)


def site(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.site import measure as run

    run(settings=settings, site=arguments.site, model=arguments.model, evaluation=arguments.evaluation, out=arguments.out, progress=progress)


def dictionary(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.evaluate import evaluate as run

    run(settings=settings, name=arguments.name, dictionary=arguments.dictionary, model=arguments.model, site=arguments.site,
        corpus=arguments.corpus, evaluation=arguments.evaluation, out=arguments.out, progress=progress)


def match(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.matches import match as run

    pairs = [(left, right) for left, _, right in (pair.partition("=") for pair in arguments.pairs)]
    run(settings=settings, pairs=pairs, models=arguments.models, dictionaries=arguments.dictionaries, corpus=arguments.corpus,
        out=arguments.out, progress=progress)


def contexts(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.contexts import make as run

    run(settings=settings, names=arguments.names, corpus=arguments.corpus, out=arguments.out, progress=progress)


def ablation(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.ablation import measure as run

    run(settings=settings, dictionary=arguments.dictionary, model=arguments.model, evaluation=arguments.evaluation, matrix=arguments.out,
        out=arguments.out, progress=progress)


def effects(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.effects import measure as run

    run(settings=settings, name=arguments.name, models=arguments.models, dictionaries=arguments.dictionaries, evaluation=arguments.evaluation,
        out=arguments.out, progress=progress)


def relations(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.relations import make as run

    run(settings=settings, names=arguments.names, sizes=arguments.sizes, dictionaries=arguments.dictionaries, out=arguments.out, progress=progress)


def texts(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.texts import make as run

    run(settings=settings, names=arguments.names, texts=arguments.texts, models=arguments.models, dictionaries=arguments.dictionaries,
        corpus=arguments.corpus, out=arguments.out, progress=progress)


def published(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> None:
    """Parse and call."""
    from replication.features.published import make as run

    run(settings=settings, folder=arguments.folder, out=arguments.out, progress=progress)
