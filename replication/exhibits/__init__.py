"""The exhibits: every figure and table, in the paper's order. A registry that imports nothing heavy.

An exhibit reads its study's `data.csv` and `numbers.json`, the published values and its caption, and draws; it never computes.
A family of the detailed investigations gives one exhibit for each context of the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from replication.provenance import code


@dataclass(frozen=True)
class Exhibit:
    """One figure or table: where in the paper it stands, what it is called, which study it draws, and the module that does.

    `caption` names its template; `context` is the context that an exhibit of a family shows.
    """

    id: str
    section: str
    title: str
    kind: Literal["figure", "table"]
    study: str
    module: str
    caption: str
    context: str = ""


PACKAGES: Mapping[str, str] = {  # where the exhibits of each section of the paper lie
    "Problem setup": "setup", "Detailed investigations": "detailed", "Global analysis": "overall", "Phenomenology": "phenomenology",
    "Appendices": "appendices", "Readers' questions": "questions", "Beyond the paper": "beyond"}


def _exhibit(name: str, section: str, title: str, kind: Literal["figure", "table"] = "figure") -> Exhibit:
    return Exhibit(name, section, title, kind, name, f"replication.exhibits.{PACKAGES[section]}.{name}", name)


def _family(name: str, title: str) -> Exhibit:
    return Exhibit(name, "Detailed investigations", title, "figure", name, f"replication.exhibits.{PACKAGES['Detailed investigations']}.{name}", name)


FAMILIES: Mapping[str, Exhibit] = {family.id: family for family in (
    # the families, in the paper's order
    _family("activation_spectrum", "Activation specificity"),
    _family("sensitivity", "Activation sensitivity"),
    _family("disagreement", "Where feature and proxy disagree"),
    _family("logit_weights", "Logit weights"),
    _family("ablation", "Ablation"),
    _family("pinned", "Samples with the feature pinned"),
    _family("not_a_neuron", "The feature is not a neuron"),
    _family("universality", "Universality"),
)}
EXHIBITS: Mapping[str, Exhibit] = {exhibit.id: exhibit for exhibit in (
    _exhibit("setup_table", "Problem setup", "Transformer and autoencoders", "table"),
    Exhibit("setup_runs", "Problem setup", "All dictionaries of the run", "table", "setup_table", "replication.exhibits.setup.setup_runs", "setup_runs"),
    _exhibit("text_view", "Problem setup", "All features on each token of a text"),
    _exhibit("one_neuron_toy", "Problem setup", "One neuron, four features"),
    _exhibit("live_features", "Global analysis", "Dead, ultralow and live features"),
    _exhibit("rubric_scores", "Global analysis", "Blind ratings by people"),
    _exhibit("autointerp_activations", "Global analysis", "Automated interpretability: activations predicted from explanations"),
    _exhibit("autointerp_logits", "Global analysis", "Automated interpretability: logit weights told from explanations"),
    _exhibit("interval_consistency", "Global analysis", "Scores by activation interval"),
    _exhibit("interval_mass", "Global analysis", "Tokens, activation and effect by activation interval"),
    _exhibit("loss_recovered", "Global analysis", "Loss recovered"),
    _exhibit("baselines", "Global analysis", "What a dictionary must beat"),
    _exhibit("random_transformer", "Global analysis", "A dictionary of a shuffled transformer"),
    _exhibit("downstream_sample", "Global analysis", "Downstream effects of a random sample of features"),
    _exhibit("small_mlp_baseline", "Global analysis", "Transformers with small MLPs"),
    _exhibit("universality_histogram", "Phenomenology", "Universality: best matches between two models"),
    _exhibit("feature_umap", "Phenomenology", "A map of features"),
    _exhibit("splitting_graph", "Phenomenology", "Feature splitting"),
    _exhibit("token_features", "Phenomenology", "Features for one token"),
    _exhibit("base64_split", "Phenomenology", "The base64 family splits"),
    _exhibit("similarity_scatter", "Phenomenology", "Matched features: activation, logit weights, attribution"),
    _exhibit("known_features", "Phenomenology", "Features known from earlier work"),
    _exhibit("automata", "Phenomenology", "Features as states of automata"),
    _exhibit("density_histograms", "Appendices", "Feature density"),
    _exhibit("ultralow_cluster", "Appendices", "The ultralow cluster"),
    _exhibit("tradeoff", "Appendices", "Sparsity against loss recovered"),
    _exhibit("autointerp_appendix", "Appendices", "Automated interpretability: other scores, zeros, lengths"),
    _exhibit("neuron_basis", "Appendices", "Features in the neuron basis"),
    _exhibit("training_curves", "Appendices", "Training curves"),
    _exhibit("recipe_ablations", "Appendices", "What each choice of the recipe does"),
    _exhibit("sites", "Readers' questions", "Where to decompose"),
    _exhibit("logit_target", "Readers' questions", "Autoencoding logit updates"),
    _exhibit("null_space", "Readers' questions", "What the rest of the network cannot see"),
    _exhibit("dictionary_slices", "Readers' questions", "Features seen from one neuron"),
    _exhibit("ultralow_dynamics", "Readers' questions", "Where the low-density cluster comes from"),
    _exhibit("interpretability_tax", "Readers' questions", "What interpretability costs"),
    _exhibit("dictionary_similarity", "Readers' questions", "Which features recur"),
    _exhibit("context_dependence", "Readers' questions", "Token detectors and context detectors"),
    _exhibit("upstream_causes", "Readers' questions", "Which features of the stream cause those of the MLP"),
    _exhibit("feature_growth", "Readers' questions", "How features form, and a second layer"),
    _exhibit("cost_scaling", "Beyond the paper", "What a training step costs"),
)}


def of(contexts: Sequence[str]) -> dict[str, Exhibit]:
    """All exhibits of a run that examines these contexts, by id: `sensitivity_arabic`, `density_histograms`."""
    families = [of_context(family, context) for context in contexts for family in FAMILIES.values()]
    return {exhibit.id: exhibit for exhibit in (*families, *EXHIBITS.values())}


def of_context(family: Exhibit, context: str) -> Exhibit:
    """A family's exhibit for one context."""
    return replace(family, id=f"{family.id}_{context}", title=f"{family.title} ({context})", context=context)


def find(name: str) -> Exhibit | None:
    """The exhibit of an id, whatever contexts a run examines."""
    family, _, context = name.rpartition("_")
    return EXHIBITS.get(name) or (of_context(FAMILIES[family], context) if family in FAMILIES and context else None)


def suffixes(exhibit: Exhibit) -> tuple[str, ...]:
    """Of the files that an exhibit writes: its pictures or tables, and its caption as text."""
    return (".png", ".pdf", ".txt") if exhibit.kind == "figure" else (".csv", ".md", ".txt")


def sources(exhibit: Exhibit) -> list[str]:
    """Source files that the picture depends on."""
    return sorted({*code(exhibit.module), *code("replication.exhibits.draw")})
