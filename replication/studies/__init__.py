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
from replication.features import NEURONS, PUBLISHED, papers, without_dictionaries
from replication.interpretability import LLM, OFFLINE, scored
from replication.provenance import written
from replication.studies.checkpoints import by_layer, chain, fresh
from replication.studies.questions.compared import sizing
from replication.studies.questions.starts import starts, watched
from replication.studies.recipe import fitted_for_the_recipe, pairs
from replication.studies.replicates import alike, elsewhere, groups, sibling

Select = Callable[[Config], list[str]]

FILES: Mapping[str, Callable[[Layout, str], Path]] = {
    "features": lambda layout, name: layout.features(name) / artifacts.FEATURES,
    "evaluation": lambda layout, name: layout.features(name) / artifacts.EVALUATION,
    "losses": lambda layout, name: layout.features(name) / artifacts.LOSSES,
    "matrix": lambda layout, name: layout.features(name) / artifacts.MATRIX,
    "weights": lambda layout, name: layout.sae(name) / artifacts.SAE_WEIGHTS,
    "log": lambda layout, name: layout.sae(name) / artifacts.TRAINING_LOG,
    "start": lambda layout, name: layout.sae(name) / artifacts.SAE_START,
    "watch": lambda layout, name: layout.sae(name) / artifacts.WATCH,
    "examples": lambda layout, name: layout.features(name) / artifacts.EXAMPLES,
    "ablation": lambda layout, name: layout.features(name) / artifacts.ABLATION,
    "model": lambda layout, name: layout.model(model_of(name)) / artifacts.WEIGHTS,
    "units": lambda layout, name: layout.interpretability(name) / artifacts.UNITS,
    "windows": lambda layout, name: layout.interpretability(name) / artifacts.WINDOWS,
    "scores": lambda layout, name: layout.interpretability(name, OFFLINE) / artifacts.SCORES,
    "llm_scores": lambda layout, name: layout.interpretability(name, LLM) / artifacts.SCORES,
}
SHARED: Mapping[str, Callable[[Layout], tuple[Path, ...]]] = {
    "matches": lambda layout: (layout.evaluation() / artifacts.MATCHES,),
    "tokens": lambda layout: (layout.evaluation() / artifacts.EVALUATION_TOKENS,),
    "followers": lambda layout: (layout.evaluation() / artifacts.CONTEXTS,),
    "contexts": lambda layout: (layout.evaluation() / artifacts.PROXIES, layout.evaluation() / artifacts.CONTEXTS),
    "texts": lambda layout: (layout.evaluation() / artifacts.TEXTS, layout.evaluation() / artifacts.TEXT_TOKENS),
    "vocabulary": lambda layout: (layout.corpus() / artifacts.TOKENIZER, layout.corpus() / artifacts.UNIGRAMS),
}


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


@dataclass(frozen=True)
class Study:
    """One study: its module, the dictionaries of which it reads files, and the kinds of files (of `FILES`) that it reads of each.

    `neurons` are kinds that it reads of the neurons of their models, `shared` the files of the whole run (of `SHARED`).
    `also` are kinds that it reads of some dictionaries, or of models without one. Matches also depend on the dictionaries
    `beside`. With `contexts` it examines the run's contexts, with `explained` scores of explanations. `written` is a file of
    the project that it reads, or all files of a pattern, with `{run}` for the name of the run.
    """

    id: str
    module: str
    dictionaries: Select
    reads: tuple[str, ...]
    shared: tuple[str, ...] = ()
    neurons: tuple[str, ...] = ()
    also: tuple[tuple[Select, tuple[str, ...]], ...] = ()
    contexts: bool = False
    explained: bool = False
    beside: Select = none
    written: tuple[str, ...] = ()

    def inputs(self, config: Config, layout: Layout) -> list[Path]:
        """Every file that the study reads."""
        names = self.dictionaries(config)
        files = [FILES[kind](layout, name) for name in names for kind in self.reads]
        files += [FILES[kind](layout, f"{model_of(name)}/{NEURONS}") for name in names for kind in self.neurons]
        files += [FILES[kind](layout, name) for select, kinds in self.also for name in select(config) for kind in kinds]
        files += [path for kind in self.shared for path in SHARED[kind](layout)]
        files += self._of_people(config)
        return list(dict.fromkeys([layout.corpus() / artifacts.CORPUS, *files]))

    def _of_people(self, config: Config) -> list[Path]:
        if not self.written:
            return []
        path = Path(written(*(part.format(run=config.run) for part in self.written)))
        return sorted(path.parent.glob(path.name)) if "*" in path.name else [path]

    def settings(self, config: Config) -> Settings:
        """The slice of the config that its numbers depend on; its hash is printed on the exhibit."""
        names = list(dict.fromkeys([*self.dictionaries(config), *self.beside(config)]))
        models = sorted({model_of(name) for name in [*names, *(name for select, _ in self.also for name in select(config))]} & set(config.models))
        sections = [name for name, wanted in (("contexts", self.contexts), ("interpretability", self.explained)) if wanted]
        return config.settings("corpus", "activations", "features", "studies", *sections, models=models, dictionaries=names)


STUDIES: Mapping[str, Study] = {study.id: study for study in (
    Study("activation_spectrum", "replication.studies.detailed.activation_spectrum", main_alone, ("matrix",),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("sensitivity", "replication.studies.detailed.sensitivity", main_alone, ("matrix",), neurons=("matrix",),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("disagreement", "replication.studies.detailed.disagreement", main_alone, ("matrix",),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("logit_weights", "replication.studies.detailed.logit_weights", main_alone, ("weights", "model"),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("ablation", "replication.studies.detailed.ablation", main_alone, ("matrix", "weights", "model"),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("pinned", "replication.studies.detailed.pinned", main_alone, ("features", "weights", "model"),
          shared=("tokens", "contexts", "vocabulary"), contexts=True),
    Study("not_a_neuron", "replication.studies.detailed.not_a_neuron", main_alone, ("matrix", "weights", "model"), neurons=("matrix", "examples"),
          shared=("matches", "tokens", "contexts", "vocabulary"), contexts=True, beside=twin),
    Study("universality", "replication.studies.detailed.universality", main_alone_and_twin, ("matrix", "weights", "model"),
          shared=("matches", "tokens", "contexts", "vocabulary"), contexts=True),
    Study("setup_table", "replication.studies.setup.setup_table", every, ("features", "losses")),
    Study("text_view", "replication.studies.setup.text_view", main_alone, (), shared=("texts", "vocabulary")),
    Study("one_neuron_toy", "replication.studies.setup.one_neuron_toy", none, ()),
    Study("rubric_scores", "replication.studies.overall.rubric_scores", main_and_shuffled, ("features", "examples"),
          also=((neurons_of_the_main_model, ("features", "examples")),), written=("paper", "ratings", "{run}", "*.csv")),
    Study("live_features", "replication.studies.overall.live_features", every, ("features", "evaluation")),
    Study("autointerp_activations", "replication.studies.overall.autointerp_activations", scored_dictionaries, (),
          also=((scored, ("units", "scores")), (scored_by_llm, ("llm_scores",))), explained=True),
    Study("autointerp_logits", "replication.studies.overall.autointerp_logits", scored_dictionaries, (),
          also=((scored, ("units", "scores")), (scored_by_llm, ("llm_scores",))), explained=True),
    Study("interval_consistency", "replication.studies.overall.interval_consistency", scored_dictionaries, (),
          also=((scored, ("units", "scores")), (scored_by_llm, ("llm_scores",)), (main_and_shuffled, ("features", "examples")),
                (neurons_of_the_main_model, ("features", "examples"))),
          beside=main_and_shuffled, written=("paper", "ratings", "{run}", "*.csv"), explained=True),
    Study("interval_mass", "replication.studies.overall.interval_mass", main_alone, ("features", "matrix", "ablation", "units", "scores"),
          also=((main_by_llm, ("llm_scores",)),), explained=True),
    Study("loss_recovered", "replication.studies.overall.loss_recovered", every, ("losses",)),
    Study("baselines", "replication.studies.overall.baselines", main_alone, ("losses", "weights", "model"), shared=("tokens",)),
    Study("random_transformer", "replication.studies.overall.random_transformer", main_and_shuffled, ("features", "examples", "evaluation", "model"),
          shared=("tokens", "vocabulary"),
          also=((scored, ("units", "scores")), (scored_by_llm, ("llm_scores",))), explained=True),
    Study("downstream_sample", "replication.studies.overall.downstream_sample", main_alone, ("features", "matrix", "weights", "model"),
          shared=("tokens", "vocabulary")),
    Study("small_mlp_baseline", "replication.studies.overall.small_mlp_baseline", ladder_of_sizes, ("losses",), also=((without_dictionaries, ("losses",)),)),
    Study("universality_histogram", "replication.studies.phenomenology.universality_histogram", main, ("features",),
          shared=("matches",), beside=twin),
    Study("feature_umap", "replication.studies.phenomenology.feature_umap", three_sizes, ("features", "matrix", "weights"),
          shared=("contexts", "tokens", "vocabulary"), contexts=True),
    Study("splitting_graph", "replication.studies.phenomenology.splitting_graph", three_sizes, ("features", "matrix", "weights", "model"),
          shared=("tokens", "vocabulary")),
    Study("token_features", "replication.studies.phenomenology.token_features", ladder_of_sizes, ("features", "matrix"),
          shared=("tokens", "vocabulary")),
    Study("base64_split", "replication.studies.phenomenology.base64_split", ladder_of_sizes, ("features", "matrix", "weights", "model"),
          shared=("tokens", "vocabulary")),
    Study("similarity_scatter", "replication.studies.phenomenology.similarity_scatter", main_and_twin, ("features", "matrix", "weights", "model"),
          shared=("matches", "tokens", "vocabulary")),
    Study("known_features", "replication.studies.phenomenology.known_features", ladder_of_sizes, ("matrix",), neurons=("matrix",),
          shared=("tokens", "vocabulary")),
    Study("automata", "replication.studies.phenomenology.automata", ladder_of_sizes, ("features", "matrix", "weights", "model"),
          shared=("tokens", "vocabulary")),
    Study("density_histograms", "replication.studies.appendices.density_histograms", every, ("features", "evaluation"), also=((published, ("features",)),)),
    Study("ultralow_cluster", "replication.studies.appendices.ultralow_cluster", main_and_paper_start,
          ("features", "evaluation", "matrix", "weights")),
    Study("tradeoff", "replication.studies.appendices.tradeoff", sizes_and_l1, ("losses",)),
    Study("autointerp_appendix", "replication.studies.appendices.autointerp_appendix", scored_dictionaries, (),
          also=((scored, ("units", "windows", "scores")), (scored_by_llm, ("llm_scores",))), explained=True),
    Study("neuron_basis", "replication.studies.appendices.neuron_basis", main, ("features", "weights")),
    Study("training_curves", "replication.studies.appendices.training_curves", of_the_main_model, ("log",), beside=main_alone),
    Study("recipe_ablations", "replication.studies.appendices.recipe_ablations", recipe, ("features", "losses"), shared=("contexts",),
          also=((repeated_data, ("matrix",)), (resampled_often, ("log",))), contexts=True),
    Study("sites", "replication.studies.questions.sites", at_several_sites, ("losses", "features", "matrix"),
          also=((scored_at_any_site, ("units", "scores")), (scored_at_any_site_by_llm, ("llm_scores",))), explained=True),
    Study("logit_target", "replication.studies.questions.logit_target", at_any_site, ("weights", "model"), shared=("tokens",)),
    Study("null_space", "replication.studies.questions.null_space", sizes_twin_and_shuffled, ("features", "weights", "model"), shared=("tokens",)),
    Study("dictionary_slices", "replication.studies.questions.dictionary_slices", sizes_and_shuffled, ("features", "weights"),
          also=((sizes_of_neurons, ("matrix",)), (neurons_of_the_main_model, ("matrix",)))),
    Study("ultralow_dynamics", "replication.studies.questions.ultralow_dynamics", starts, ("features", "weights", "start", "matrix"),
          neurons=("features",), shared=("tokens",), also=((watched, ("watch",)), (main_alone, ("model",))), beside=main_alone),
    Study("interpretability_tax", "replication.studies.questions.interpretability_tax", activation_functions, ("losses",), shared=("tokens",),
          also=((they_or_neurons_scored, ("units", "scores")), (their_neurons_scored, ("windows", "model")), (they_or_neurons_by_llm, ("llm_scores",))),
          explained=True),
    Study("dictionary_similarity", "replication.studies.questions.dictionary_similarity", seeds_sizes_and_twin, ("features", "weights"),
          also=((main_and_paper_start, ("matrix",)),)),
    Study("context_dependence", "replication.studies.questions.context_dependence", main, ("features", "examples", "weights"),
          shared=("tokens", "followers", "vocabulary"), also=((neurons_of_the_main_model, ("features", "examples")), (main_alone, ("model",)))),
    Study("upstream_causes", "replication.studies.questions.upstream_causes", main_and_before_its_mlp, ("matrix", "weights", "model"),
          shared=("tokens", "vocabulary")),
    Study("feature_growth", "replication.studies.questions.feature_growth", along_the_training, ("features", "matrix", "losses"),
          shared=("tokens", "matches"), also=((started_from_each_other, ("weights",)),), beside=twin),
    Study("cost_scaling", "replication.studies.beyond.cost_scaling", none, (), written=("results", "bench", "scaling.csv")),
)}
