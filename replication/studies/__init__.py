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
from replication.features import NEURONS, without_dictionaries
from replication.interpretability import LLM, OFFLINE, scored
from replication.provenance import written
from replication.studies.questions.starts import starts, watched
from replication.studies.selections import (
    Select,
    activation_functions,
    along_the_training,
    at_any_site,
    at_several_sites,
    every,
    ladder_of_sizes,
    main,
    main_alone,
    main_alone_and_twin,
    main_and_before_its_mlp,
    main_and_paper_start,
    main_and_shuffled,
    main_and_twin,
    main_by_llm,
    neurons_of_the_main_model,
    none,
    of_the_main_model,
    published,
    recipe,
    repeated_data,
    resampled_often,
    scored_at_any_site,
    scored_at_any_site_by_llm,
    scored_by_llm,
    scored_dictionaries,
    seeds_sizes_and_twin,
    sizes_and_l1,
    sizes_and_shuffled,
    sizes_of_neurons,
    sizes_twin_and_shuffled,
    started_from_each_other,
    their_neurons_scored,
    they_or_neurons_by_llm,
    they_or_neurons_scored,
    three_sizes,
    twin,
)

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
    "sources": lambda layout: (layout.evaluation() / artifacts.EVALUATION_SOURCES,),
    "matches": lambda layout: (layout.evaluation() / artifacts.MATCHES,),
    "tokens": lambda layout: (layout.evaluation() / artifacts.EVALUATION_TOKENS,),
    "followers": lambda layout: (layout.evaluation() / artifacts.CONTEXTS,),
    "contexts": lambda layout: (layout.evaluation() / artifacts.PROXIES, layout.evaluation() / artifacts.CONTEXTS),
    "texts": lambda layout: (layout.evaluation() / artifacts.TEXTS, layout.evaluation() / artifacts.TEXT_TOKENS),
    "vocabulary": lambda layout: (layout.corpus() / artifacts.TOKENIZER, layout.corpus() / artifacts.UNIGRAMS),
}


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
        if any(path.name == artifacts.LOSSES for path in files):  # they are sums per context, and a context is of a text
            files += SHARED["sources"](layout)
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
        slice_ = config.settings("corpus", "activations", "features", "studies", *sections, models=models, dictionaries=names)
        return slice_.without("studies", "contexts")  # those who examine contexts have them as a section


STUDIES: Mapping[str, Study] = {study.id: study for study in (
    Study("activation_spectrum", "replication.studies.detailed.activation_spectrum", main_alone, ("matrix",),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("sensitivity", "replication.studies.detailed.sensitivity", main_alone, ("matrix",), neurons=("matrix",),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("disagreement", "replication.studies.detailed.disagreement", main_alone, ("matrix",),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("logit_weights", "replication.studies.detailed.logit_weights", main_alone, ("weights", "model"),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("ablation", "replication.studies.detailed.ablation", main_alone, ("matrix", "weights", "model"),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("pinned", "replication.studies.detailed.pinned", main_alone, ("features", "weights", "model"),
          shared=("tokens", "contexts", "vocabulary", "sources"), contexts=True),
    Study("not_a_neuron", "replication.studies.detailed.not_a_neuron", main_alone, ("matrix", "weights", "model"), neurons=("matrix", "examples"),
          shared=("matches", "tokens", "contexts", "vocabulary", "sources"), contexts=True, beside=twin),
    Study("universality", "replication.studies.detailed.universality", main_alone_and_twin, ("matrix", "weights", "model"),
          shared=("matches", "tokens", "contexts", "vocabulary", "sources"), contexts=True),
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
          shared=("tokens", "vocabulary", "sources")),
    Study("similarity_scatter", "replication.studies.phenomenology.similarity_scatter", main_and_twin, ("features", "matrix", "weights", "model"),
          shared=("matches", "tokens", "vocabulary")),
    Study("known_features", "replication.studies.phenomenology.known_features", ladder_of_sizes, ("matrix",), neurons=("matrix",),
          shared=("tokens", "vocabulary", "sources")),
    Study("automata", "replication.studies.phenomenology.automata", ladder_of_sizes, ("features", "matrix", "weights", "model"),
          shared=("tokens", "vocabulary", "sources")),
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
    Study("logit_target", "replication.studies.questions.logit_target", at_any_site, ("weights", "model"), shared=("tokens", "sources")),
    Study("null_space", "replication.studies.questions.null_space", sizes_twin_and_shuffled, ("features", "weights", "model"), shared=("tokens", "sources")),
    Study("dictionary_slices", "replication.studies.questions.dictionary_slices", sizes_and_shuffled, ("features", "weights"),
          also=((sizes_of_neurons, ("matrix",)), (neurons_of_the_main_model, ("matrix",)))),
    Study("ultralow_dynamics", "replication.studies.questions.ultralow_dynamics", starts, ("features", "weights", "start", "matrix"),
          neurons=("features",), shared=("tokens",), also=((watched, ("watch",)), (main_alone, ("model",))), beside=main_alone),
    Study("interpretability_tax", "replication.studies.questions.interpretability_tax", activation_functions, ("losses",), shared=("tokens", "sources"),
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
