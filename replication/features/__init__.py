"""What every feature of a dictionary and every neuron of a model does, measured in one pass over shared evaluation tokens."""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from replication.config import Config, Model, model_of

PUBLISHED = "published/1"  # the table of features that came as files of the published viewer
NEURONS = "neurons"  # the id of a model's neurons among its dictionaries: A/neurons/32
STRONGEST = 32  # neurons that are kept on a token of a fixed text; of features all


def pairs(config: Config) -> list[tuple[str, str]]:
    """Which tables are matched with which: (whose features, where their matches are looked for), in a fixed order.

    With A and B the models of `studies.main` and `studies.twin`: the main dictionary and its replicates against the twin;
    every dictionary id that both models have, in both directions; each of these features of A against A's own neurons;
    A's neurons against B's; and the dictionaries of shuffled copies of A against A's of the same id. Source: paper, "Are
    features universal?"; replicates and shuffled copies are ours.
    """
    return list(dict.fromkeys((left, right) for left, right in _pairs(config) if left != right))


def tables(config: Config) -> list[str]:
    """The tables that `pairs` names, each once: dictionaries such as A/1, and neurons such as A/neurons."""
    return list(dict.fromkeys(name for pair in pairs(config) for name in pair))


def papers(config: Config) -> list[str]:
    """The dictionaries that the paper's exhibits are about: of the main one's site, on models that differ from its own in seed, text or shuffling only.

    Dictionaries at other sites, or on models of another kind or on their way, answer single questions.
    """
    main = config.dictionaries[config.studies.main]

    def kind(name: str) -> Model:
        model = config.models[model_of(name)]
        return dataclasses.replace(config.models[model.shuffle_of] if model.shuffle_of else model, seed=0, stream=0)

    return [name for name, sae in config.dictionaries.items() if sae.site == main.site and kind(name) == kind(config.studies.main)]


def every(config: Config) -> list[str]:
    """All tables whose features are ranked by contexts: `papers`, and the neurons of their models."""
    return [*papers(config), *dict.fromkeys(f"{model_of(name)}/{NEURONS}" for name in papers(config))]


def without_dictionaries(config: Config) -> list[str]:
    """The sites of trained models that have no dictionary and as many layers as the main one's, each that of the main one: of them only losses are measured."""
    n_layers, having = config.models[model_of(config.studies.main)].n_layers, {model_of(name) for name in config.dictionaries}
    bare = [name for name in config.trained_models() if name not in having and config.models[name].n_layers == n_layers]
    return [f"{name}/{config.dictionaries[config.studies.main].site}" for name in bare]


def replicates(name: str, names: Iterable[str]) -> list[str]:
    """Of some names, a dictionary's and those of its replicates: A/1, A/1-r1, A/1-r2."""
    return [each for each in names if re.fullmatch(re.escape(name) + r"(-r[1-9]\d*)?", each)]


def shuffled(name: str, config: Config) -> list[str]:
    """The dictionaries of the same id on shuffled copies of a dictionary's model, with their replicates: random/1 for A/1."""
    model, _, short = name.partition("/")
    copies = [f"{copy}/{short}" for copy, of in config.models.items() if of.shuffle_of == model]
    return [each for copy in copies for each in replicates(copy, config.dictionaries)]


def sizes(config: Config) -> list[str]:
    """The main dictionary and the paper's other sizes of it (A/0, A/1, A/2), by size."""
    model = model_of(config.studies.main)
    found = [name for name in config.dictionaries if name == config.studies.main or re.fullmatch(re.escape(model) + r"/\d+", name)]
    return sorted(found, key=lambda name: config.dictionaries[name].d_sae)


def shown(config: Config) -> list[str]:
    """The tables whose features can be looked at one by one: `browser.tables`, or the main dictionary, its other sizes, its
    twin, its first counterparts on shuffled copies of its model, all at its site, and the model's neurons.
    """
    main = config.studies.main
    first = [name for name in shuffled(main, config) if name.partition("/")[2] == main.partition("/")[2]]
    default = [main, f"{model_of(main)}/{NEURONS}", *sizes(config), config.studies.twin, *first]
    site = config.dictionaries[main].site
    return list(config.browser.tables) or [name for name in dict.fromkeys(default) if name not in config.dictionaries or config.dictionaries[name].site == site]


def on_texts(config: Config) -> list[str]:
    """The tables that are read on the fixed texts: those shown, and the main dictionary, which the exhibit `text_view` draws."""
    return list(dict.fromkeys([*shown(config), config.studies.main]))


def _pairs(config: Config) -> Iterator[tuple[str, str]]:
    main, twin = config.studies.main, config.studies.twin
    here, there = model_of(main), model_of(twin)
    for name in replicates(main, config.dictionaries):
        yield from ((name, twin), (name, f"{here}/{NEURONS}"))
    yield twin, main
    ids = [name.partition("/")[2] for name in config.dictionaries if name.startswith(f"{here}/")]
    if here != there:
        for short in ids:
            if f"{there}/{short}" in config.dictionaries:
                yield from ((f"{here}/{short}", f"{there}/{short}"), (f"{there}/{short}", f"{here}/{short}"))
                yield f"{here}/{short}", f"{here}/{NEURONS}"
        yield f"{here}/{NEURONS}", f"{there}/{NEURONS}"
    for model, settings in config.models.items():
        if settings.shuffle_of == here:
            yield from ((f"{model}/{short}", f"{here}/{short}") for short in ids if f"{model}/{short}" in config.dictionaries)
