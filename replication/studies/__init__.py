"""The studies: one small table per exhibit. A registry that imports nothing heavy; what a study computes is in its module.

A study reads the files that it names for the dictionaries that it selects, and gets that slice of the config as its
settings, so that it is computed anew when one of them changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Config, Settings, model_of
from replication.provenance import written
from replication.studies.replicates import alike, groups, sibling

Select = Callable[[Config], list[str]]

FILES: Mapping[str, Callable[[Layout, str], Path]] = {
    "features": lambda layout, name: layout.features(name) / artifacts.FEATURES,
    "evaluation": lambda layout, name: layout.features(name) / artifacts.EVALUATION,
    "losses": lambda layout, name: layout.features(name) / artifacts.LOSSES,
    "matrix": lambda layout, name: layout.features(name) / artifacts.MATRIX,
    "weights": lambda layout, name: layout.sae(name) / artifacts.SAE_WEIGHTS,
    "log": lambda layout, name: layout.sae(name) / artifacts.TRAINING_LOG,
}


def every(config: Config) -> list[str]:
    """All dictionaries."""
    return list(config.dictionaries)


def of_the_main_model(config: Config) -> list[str]:
    """The dictionaries of the main one's model."""
    return [name for name in config.dictionaries if model_of(name) == model_of(config.studies.main)]


def sizes_and_l1(config: Config) -> list[str]:
    """Dictionaries that differ from the main one in size, l1 and seed only."""
    return [name for name in config.dictionaries if alike(name, config.studies.main, config.dictionaries, "d_sae", "l1")]


def main(config: Config) -> list[str]:
    """The main dictionary with its replicates."""
    return groups(config.dictionaries)[config.studies.main]


def main_and_paper_start(config: Config) -> list[str]:
    """The main dictionary and, where the run has it, the one with the paper's start (`A/kaiming`), with replicates."""
    return [*main(config), *groups(config.dictionaries).get(sibling(config.studies.main, "kaiming"), [])]


def twin(config: Config) -> list[str]:
    """The main dictionary's counterpart on the other seed's model."""
    return [config.studies.twin]


def none(config: Config) -> list[str]:
    """No dictionary."""
    return []


@dataclass(frozen=True)
class Study:
    """One study: its module, the dictionaries of which it reads files, and the kinds of files that it reads of each.

    With `matches` it reads the table of best matches too, which also depends on the dictionaries `beside`. `written` is a
    file of the project that it reads.
    """

    id: str
    module: str
    dictionaries: Select
    reads: tuple[str, ...]
    matches: bool = False
    beside: Select = none
    written: tuple[str, ...] = ()

    def inputs(self, config: Config, layout: Layout) -> list[Path]:
        """Every file that the study reads."""
        files = [FILES[kind](layout, name) for name in self.dictionaries(config) for kind in self.reads]
        return [layout.corpus() / artifacts.CORPUS, *([layout.evaluation() / artifacts.MATCHES] if self.matches else []), *files,
                *([Path(written(*self.written))] if self.written else [])]

    def settings(self, config: Config) -> Settings:
        """The slice of the config that its numbers depend on; its hash is printed on the exhibit."""
        names = list(dict.fromkeys([*self.dictionaries(config), *self.beside(config)]))
        models = sorted({model_of(name) for name in names})
        return config.settings("corpus", "activations", "features", "studies", models=models, dictionaries=names)


STUDIES: Mapping[str, Study] = {study.id: study for study in (
    Study("live_features", "replication.studies.live_features", every, ("features", "evaluation")),
    Study("loss_recovered", "replication.studies.loss_recovered", every, ("losses",)),
    Study("universality_histogram", "replication.studies.universality_histogram", main, ("features",), matches=True, beside=twin),
    Study("density_histograms", "replication.studies.density_histograms", every, ("features", "evaluation")),
    Study("ultralow_cluster", "replication.studies.ultralow_cluster", main_and_paper_start,
          ("features", "evaluation", "matrix", "weights")),
    Study("tradeoff", "replication.studies.tradeoff", sizes_and_l1, ("losses",)),
    Study("neuron_basis", "replication.studies.neuron_basis", main, ("features", "weights")),
    Study("training_curves", "replication.studies.training_curves", of_the_main_model, ("log",)),
    Study("cost_scaling", "replication.studies.cost_scaling", none, (), written=("results", "bench", "scaling.csv")),
)}
