"""Which files of a run the jobs of this stage read, and what a run offers of a table: what the stage's rules need."""

from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.browser import MAP
from replication.config import Config
from replication.interpretability import LLM, OFFLINE, scored
from replication.provenance import PACKAGE, written
from replication.studies import STUDIES

EVERYTHING = ("corpus", "activations", "features", "interpretability", "studies", "contexts")  # sections whose hash is the config's


def explained(name: str, config: Config) -> list[str]:
    """Kinds of explainers that explain units of a table."""
    return [OFFLINE, *([LLM] if config.interpretability.llm else [])] if name in scored(config) else []


def mapped(name: str, config: Config) -> bool:
    """Whether the map has a place for features of a table."""
    return name in STUDIES[MAP].dictionaries(config)


def of_table(name: str, config: Config, layout: Layout) -> list[Path]:
    """What one table is packed from."""
    found = [layout.features(name) / file for file in (artifacts.FEATURES, artifacts.EXAMPLES, artifacts.MATRIX, artifacts.EFFECTS)]
    found += [layout.evaluation() / file for file in (
        artifacts.EVALUATION_TOKENS, artifacts.MATCHES, artifacts.RELATIONS, artifacts.CONTEXTS, artifacts.TEXTS, artifacts.TEXT_TOKENS)]
    found.append(layout.corpus() / artifacts.TOKENIZER)
    kinds = explained(name, config)
    found += [layout.interpretability(name, kind) / file for kind in kinds for file in (artifacts.SCORES, artifacts.PREDICTIONS)]
    found += [layout.interpretability(name) / artifacts.WINDOWS] if kinds else []
    return [*found, *([layout.study(MAP) / artifacts.DATA] if mapped(name, config) else [])]


def of_all(layout: Layout) -> list[Path]:
    """What tables share."""
    return [layout.corpus() / artifacts.TOKENIZER, *(layout.evaluation() / file for file in (artifacts.EVALUATION_TOKENS, artifacts.TEXT_TOKENS))]


def of_page(config: Config, layout: Layout) -> list[Path]:
    """What the run index tells."""
    return [layout.corpus() / artifacts.CORPUS, *(layout.features(name) / artifacts.EVALUATION for name in config.dictionaries)]


def page() -> list[str]:
    """The page's own files, which people wrote."""
    return sorted(written(*path.relative_to(PACKAGE.parent).parts) for path in (PACKAGE / "browser" / "page").glob("*.*"))
