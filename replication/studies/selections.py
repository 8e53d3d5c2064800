"""Which dictionaries of a config a study is about: names in the order of the config, chosen by their settings and not by what they are called.

Each takes the whole config and imports nothing heavy. Source: ours.
"""

from collections.abc import Callable

from replication.config import Config, model_of
from replication.features import NEURONS, PUBLISHED, papers
from replication.interpretability import scored
from replication.studies.checkpoints import by_layer, chain, fresh
from replication.studies.questions.compared import sizing
from replication.studies.recipe import fitted_for_the_recipe, pairs
from replication.studies.replicates import alike, elsewhere, groups, sibling

Select = Callable[[Config], list[str]]


def every(config: Config) -> list[str]:
    """The dictionaries that the paper's exhibits are about, but those that only weigh the recipe."""
    return [name for name in papers(config) if not fitted_for_the_recipe(name, config.studies.main, config.dictionaries)]


def of_the_main_model(config: Config) -> list[str]:
    """Of these, the dictionaries of the main one's model that were trained here."""
    return [name for name in every(config) if model_of(name) == model_of(config.studies.main) and not config.dictionaries[name].load]


def sizes_and_l1(config: Config) -> list[str]:
    """Dictionaries that differ from the main one in size, l1 and seed only."""
    return [name for name in config.dictionaries if alike(name, config.studies.main, config.dictionaries, "d_sae", "l1")]


def at_any_site(config: Config) -> list[str]:
    """The main dictionary, and those that differ from it in site, l1 and seed only, with as many features or as many for each element."""
    return [name for name in config.dictionaries if sizing(name, config.studies.main, config.dictionaries, config.models)]


def at_several_sites(config: Config) -> list[str]:
    """These and the main dictionary's counterpart on the other seed's model, where they are of more than one site."""
    names = at_any_site(config)
    return list(dict.fromkeys([*names, config.studies.twin])) if len({config.dictionaries[name].site for name in names}) > 1 else []


def scored_at_any_site(config: Config) -> list[str]:
    """Those of them whose explanations are scored."""
    return [name for name in scored(config) if name in at_several_sites(config) and name in at_any_site(config)]


def scored_at_any_site_by_llm(config: Config) -> list[str]:
    """The same, where a language model explains too."""
    return scored_at_any_site(config) if config.interpretability.llm else []


def main(config: Config) -> list[str]:
    """The main dictionary with its replicates."""
    return groups(config.dictionaries)[config.studies.main]


def recipe(config: Config) -> list[str]:
    """The main dictionary and all pairs that differ in one choice of the recipe, with replicates."""
    return [*dict.fromkeys([*main(config), *_of_pairs(config)])]


def repeated_data(config: Config) -> list[str]:
    """The dictionary whose data came several times and the one that it is compared with, with replicates."""
    return _of_pairs(config, "repeated")


def resampled_often(config: Config) -> list[str]:
    """The dictionary whose dead features are resampled often and the one that it is compared with, with replicates."""
    return _of_pairs(config, "frequent")


def _of_pairs(config: Config, choice: str = "") -> list[str]:
    members, found = groups(config.dictionaries), pairs(config.dictionaries, config.studies.main)
    return [name for pair in found if choice in ("", pair.choice.id) for group in (pair.made, pair.not_made) for name in members[group]]


def main_and_paper_start(config: Config) -> list[str]:
    """The main dictionary and, where the run has it, the one with the paper's start (`A/kaiming`), with replicates."""
    return [*main(config), *groups(config.dictionaries).get(sibling(config.studies.main, "kaiming"), [])]


def twin(config: Config) -> list[str]:
    """The main dictionary's counterpart on the other seed's model."""
    return [config.studies.twin]


def main_alone(config: Config) -> list[str]:
    """The main dictionary without its replicates."""
    return [config.studies.main]


def main_alone_and_twin(config: Config) -> list[str]:
    """The main dictionary and its counterpart on the other seed's model."""
    return list(dict.fromkeys([config.studies.main, config.studies.twin]))


def main_and_twin(config: Config) -> list[str]:
    """The main dictionary with its replicates, and its counterpart on the other seed's model."""
    return list(dict.fromkeys([*main(config), config.studies.twin]))


def main_and_before_its_mlp(config: Config) -> list[str]:
    """The main dictionary of an MLP, and one of the stream before that MLP, with replicates; of several the nearest in size. None where either lacks."""
    of, name = config.dictionaries, config.studies.main
    site = of[name].site.replace("mlp_act", "resid_mid")
    before = [group for group in groups(of) if model_of(group) == model_of(name) and of[group].site == site != of[name].site]
    nearest = sorted(before, key=lambda group: abs(of[group].d_sae - of[name].d_sae))[:1]
    return [*main(config), *groups(of)[nearest[0]]] if nearest else []


def main_and_shuffled(config: Config) -> list[str]:
    """The main dictionary and its counterparts on shuffled copies of its model, with replicates."""
    model, _, short = config.studies.main.partition("/")
    copies = [f"{name}/{short}" for name, of in config.models.items() if of.shuffle_of == model]
    return [*main(config), *(name for copy in copies for name in groups(config.dictionaries).get(copy, []))]


def ladder_of_sizes(config: Config) -> list[str]:
    """The paper's sizes of the main model (A/0, A/1, A/2, ...), as far as the run has them, with replicates."""
    sizes = {name: of for name, of in groups(config.dictionaries).items() if model_of(name) == model_of(config.studies.main)}
    return [name for group, of in sizes.items() if group.partition("/")[2].isdigit() for name in of]


def sizes_of_neurons(config: Config) -> list[str]:
    """A/0, the main dictionary with its replicates, and A/2, as far as the run has them at its site."""
    names = dict.fromkeys([*main(config), *three_sizes(config)])
    return [name for name in names if config.dictionaries[name].site == config.dictionaries[config.studies.main].site]


def sizes_and_shuffled(config: Config) -> list[str]:
    """These and the main dictionary's counterparts on shuffled copies of its model, with replicates."""
    return list(dict.fromkeys([*sizes_of_neurons(config), *main_and_shuffled(config)]))


def sizes_twin_and_shuffled(config: Config) -> list[str]:
    """The main dictionary, others of its model by size and l1, and its counterparts on other and shuffled models, all at its site, with replicates."""
    names = dict.fromkeys([*sizes_and_l1(config), *main_and_paper_start(config), *main_and_shuffled(config), config.studies.twin])
    return [name for name in names if config.dictionaries[name].site == config.dictionaries[config.studies.main].site]


def seeds_sizes_and_twin(config: Config) -> list[str]:
    """The main dictionary, the one with the paper's start and the paper's sizes, with replicates, and the counterpart on the other seed's model."""
    return list(dict.fromkeys([*main_and_paper_start(config), *ladder_of_sizes(config), config.studies.twin]))


def along_the_training(config: Config) -> list[str]:
    """The main dictionary with its replicates, dictionaries along its model's training, and those of models with more layers; none where the run lacks both."""
    own = config.studies.main, config.models, config.dictionaries
    found = [name for select in (fresh, chain, by_layer) for of in select(*own).values() for name in of]
    return list(dict.fromkeys([*main(config), *found])) if found else []


def started_from_each_other(config: Config) -> list[str]:
    """The chain of dictionaries along the main model's training, each of which starts from the one before."""
    own = config.studies.main, config.models, config.dictionaries
    return [name for of in chain(*own).values() for name in of]


def three_sizes(config: Config) -> list[str]:
    """A/0, the main dictionary and A/2, as far as the run has them, without replicates."""
    wanted = (sibling(config.studies.main, "0"), config.studies.main, sibling(config.studies.main, "2"))
    return [name for name in dict.fromkeys(wanted) if name in config.dictionaries]


def scored_dictionaries(config: Config) -> list[str]:
    """The dictionaries among the tables whose explanations are scored."""
    return [name for name in scored(config) if name in config.dictionaries]


def scored_by_llm(config: Config) -> list[str]:
    """The tables whose explanations are scored, where a language model explains too."""
    return scored(config) if config.interpretability.llm else []


def neurons_of_the_main_model(config: Config) -> list[str]:
    """The table of the main model's neurons."""
    return [f"{model_of(config.studies.main)}/{NEURONS}"]


def activation_functions(config: Config) -> list[str]:
    """The main dictionary, and one like it but for l1 on each model that differs from its own in seed, stream and activation function only."""
    return elsewhere(config.studies.main, config.models, config.dictionaries, "act_fn", "l1")


def their_neurons_scored(config: Config) -> list[str]:
    """The neurons of these models, where they are scored."""
    neurons = [f"{model_of(name)}/{NEURONS}" for name in activation_functions(config)]
    return [name for name in neurons if name in scored(config)]


def they_or_neurons_scored(config: Config) -> list[str]:
    """These dictionaries and their models' neurons, where they are scored."""
    return [*(name for name in activation_functions(config) if name in scored(config)), *their_neurons_scored(config)]


def they_or_neurons_by_llm(config: Config) -> list[str]:
    """The same, where a language model explains too."""
    return they_or_neurons_scored(config) if config.interpretability.llm else []


def main_by_llm(config: Config) -> list[str]:
    """The main dictionary, where a language model explains too."""
    return [config.studies.main] if config.interpretability.llm else []


def published(config: Config) -> list[str]:
    """The table of features that came as files of the published viewer, where the run has some."""
    return [PUBLISHED] if config.studies.published else []


def none(config: Config) -> list[str]:
    """No dictionary."""
    return []
