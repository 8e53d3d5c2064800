"""What to run: one frozen dataclass per stage, a sentence per field.

A config file has a section per stage. `model` and `sae` hold the settings that all models and dictionaries share;
`models` and `dictionaries` list them by id, with what differs. Defaults are the paper's values where the paper says
them. A rule gets only the sections that it uses (`Settings`), as JSON, so that it reruns when they change and not else.
"""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from replication.contexts import BUILT_IN, Context
from replication.validation import ABOVE_ZERO, ZERO_OR_MORE, build, mapping, setting
from replication.validation import ConfigError as ConfigError
from replication.validation import UserError as UserError
from replication.validation import nearest as nearest

EXPLAINERS = ("lookup", "ngram", "trie", "tree")
SITES = ("resid_mid", "mlp_act", "mlp_out", "resid_post", "logit_update")
ELEMENT_BYTES = {"float16": 2, "float32": 4}
TOKENIZING = ("tokenizer", "bos", "d_vocab", "tokenizer_bytes")  # settings of `corpus` that its documents do not depend on


@dataclass(frozen=True)
class Compute:
    """Where a computation runs; never changes what is computed, up to rounding."""

    device: Literal["auto", "cpu", "cuda"] = setting("`auto` takes a GPU when there is one.", default="auto")
    threads: int = setting("CPU threads of one computation; fixed here so that `--cores` never changes a bit.", default=1, within=(1, 256))


@dataclass(frozen=True)
class Corpus:
    """The text, its tokenizer and its split."""

    source: Literal["installed", "hub", "local"] = setting("`installed`: text of the locked packages, no network; `hub`: a dataset of the Hugging Face Hub, streamed; `local`: files.", default="installed")
    name: str = setting("`hub` only: the dataset, such as monology/pile-uncopyrighted.", default="")
    subset: str = setting("`hub` only: the configuration of the dataset, empty for the default one.", default="")
    split: str = setting("`hub` only: the split.", default="train")
    revision: str = setting("`hub` only: a commit, tag or branch of the dataset, empty for the newest one when the run begins; all parts are read at the same.", default="")
    shards: int = setting("`hub` only: parts that are collected and encoded side by side, each of every so-manieth file and an equal share of `max_bytes`.", default=1, within=(1, 10_000))
    paths: tuple[str, ...] = setting("`local` only: files or folders of .jsonl, .jsonl.xz, .txt, .md, .parquet.", default=())
    text_field: str = setting("Column or key that holds the text.", default="text")
    max_bytes: int = setting("UTF-8 bytes of text that are used.", default=100_000_000, within=(1, None))
    holdout: float = setting("Share of documents, by content hash, that no model or dictionary is trained on.", default=0.02, within=(0.0, 0.5))
    tokenizer: str = setting("`train` (byte-level BPE on this corpus), a name on the Hub, or a path of a tokenizer.json.", default="train")
    bos: str = setting("Token of the tokenizer that begins every context, as loaded models may expect (such as <|BOS|>); empty for none, as in models trained here.", default="")
    d_vocab: int = setting("Vocabulary of a trained tokenizer; the paper's has 65,536.", default=65_536, within=(258, 1_000_000))
    tokenizer_bytes: int = setting("UTF-8 bytes of text, spread over the corpus, that the tokenizer is trained on.", default=20_000_000, within=(1, None))


@dataclass(frozen=True)
class Model:
    """A one-layer transformer and its training."""

    d_model: int = setting("Width of the residual stream.", default=128, within=(1, None))
    d_mlp: int = setting("Neurons of the MLP; 0 leaves its output bias.", default=512, within=ZERO_OR_MORE)
    n_layers: int = setting("Blocks of attention and MLP; the paper's models have one.", default=1, within=(1, 8))
    n_heads: int = setting("Attention heads (ours: the paper does not say).", default=4, within=(1, None))
    n_ctx: int = setting("Tokens of a context (ours).", default=1024, within=(2, None))
    act_fn: Literal["relu", "gelu", "solu", "solu_ln"] = setting("Activation function of the MLP; `solu` is x softmax(x), `solu_ln` with a layer norm after it.", default="relu")
    tokens: int = setting("Tokens of training; the paper's models see 100 billion.", default=100_000_000_000, within=ZERO_OR_MORE)
    batch: int = setting("Contexts in a step (ours).", default=256, within=(1, None))
    lr: float = setting("Peak learning rate of Adam (ours).", default=1e-3, within=ABOVE_ZERO)
    schedule: Literal["cosine", "constant"] = setting("Course of the learning rate after the warm-up (ours).", default="cosine")
    lr_warmup: float = setting("Share of the run over which the learning rate rises linearly (ours).", default=0.01, within=(0.0, 1.0))
    beta1: float = setting("Adam's first decay.", default=0.9, within=(0.0, 0.9999))
    beta2: float = setting("Adam's second decay.", default=0.99, within=(0.0, 0.99999))
    until: float = setting("Share of the training after which it stops with all else as in the whole: a checkpoint of the whole training.", default=1.0, within=(0.0001, 1.0))
    grad_clip: float = setting("Largest norm of the whole gradient (ours); 0 does not clip.", default=1.0, within=ZERO_OR_MORE)
    head_chunk: int = setting("Tokens whose logits exist at one time.", default=256, within=(1, None))
    validation_contexts: int = setting("Held-out contexts of the validation loss.", default=512, within=(1, None))
    validate_every: int = setting("Steps between validations.", default=200, within=(1, None))
    checkpoint_every: int = setting("Steps between checkpoints.", default=500, within=(1, None))
    seed: int = setting("Seed of start and data order; A has 0, B has 1.", default=0, within=(0, 999))
    stream: int = setting("Which of the disjoint halves of the contexts its dictionaries see; A's and B's differ, as in the paper.", default=0, within=(0, 1))
    replicates: int = setting("Trainings that differ in the seed only: this one and `<id>-r1`, `<id>-r2`, ...", default=1, within=(1, 99))
    load: str = setting("Not trained: a TransformerLens model from a folder, from the Hub (owner/repository) or by its name there (gelu-1l); of the rest only shape, `stream` and, where known, `tokens` are given.", default="")
    shuffle_of: str = setting("Not trained: this model with the entries of each weight matrix shuffled (the paper's control).", default="")


@dataclass(frozen=True)
class Activations:
    """The vectors that dictionaries are trained on."""

    vectors: int = setting("Vectors that are stored, or that a stream can give.", default=10_000_000_000, within=(1, None))
    per_context: int = setting("Tokens sampled from each context.", default=250, within=(1, None))
    storage: Literal["stored", "streamed", "shared"] = setting("`stored` on disk, `streamed`: recomputed from tokens as training asks, or `shared`: stored where several dictionaries read them; the batches are the same.", default="streamed")
    block: int = setting("Vectors of one shuffle block: a shard on disk, or the buffer of a stream.", default=1_024_000, within=(1, None))
    dtype: Literal["float16", "float32"] = setting("Number format on the way to the dictionary.", default="float16")


@dataclass(frozen=True)
class Sae:
    """A sparse autoencoder and its training."""

    d_sae: int = setting("Features.", within=(1, None))
    site: str = setting(f"Where its vectors are read: {', '.join(SITES)}; with a layer (mlp_act_0) in models of several. The paper's is mlp_act, after the ReLU.", default="mlp_act")
    load: str = setting("Not trained: a SAELens dictionary from a folder, from the Hub (owner/repository:folder) or by its name there (release:id); of the rest only `d_sae`, `site` and, where known, `l1` and `vectors` are given.", default="")
    l1: float = setting("Coefficient of the summed L1 beside a squared error that is a mean over vector elements.", default=0.004, within=ZERO_OR_MORE)
    lr: float = setting("Learning rate of Adam (ours: the paper gives no value).", default=1e-4, within=ABOVE_ZERO)
    lr_decay: float = setting("Share of the run, at its end, over which the learning rate falls linearly to 0; 0 in the paper: constant.", default=0.0, within=(0.0, 1.0))
    batch: int = setting("Vectors in a step.", default=8192, within=(1, None))
    vectors: int = setting("Vectors of the whole training, none seen twice unless `repeats` says so.", default=8_192_000_000, within=ZERO_OR_MORE)
    repeats: int = setting("How often the same vectors come again in the same order, `vectors` counting each time; 1 in the paper.", default=1, within=(1, None))
    per_context: int = setting("Tokens of each context, at random among the activations' `per_context`; 0 takes them all.", default=0, within=ZERO_OR_MORE)
    beta1: float = setting("Adam's first decay.", default=0.9, within=(0.0, 0.9999))
    beta2: float = setting("Adam's second decay.", default=0.999, within=(0.0, 0.99999))
    init: Literal["kaiming", "transpose"] = setting("Start of the encoder: the paper's Kaiming uniform, or the decoder's transpose (ours, for short runs).", default="kaiming")
    pre_bias: bool = setting("Whether b_dec is taken off before the encoder, as in the paper.", default=True)
    tied: bool = setting("Whether the encoder is the decoder's transpose; false in the paper.", default=False)
    projection: bool = setting("Whether the decoder's gradient loses its part along its row before a step, as in the paper; rows are set to unit norm in any case.", default=True)
    l1_warmup: float = setting("Share of the run over which l1 rises linearly; 0 in the paper (ours, for short runs).", default=0.0, within=(0.0, 1.0))
    resamplings: int = setting("How often dead features are resampled; 0 never.", default=4, within=(0, 100))
    resampling: Literal["inputs", "kaiming"] = setting("What a dead feature becomes: the paper's badly reconstructed input, or a new Kaiming start.", default="inputs")
    leave: float = setting("Share of features, at random, that no resampling touches (ours, to see what becomes of dying ones).", default=0.0, within=(0.0, 1.0))
    min_window: int = setting("Fewest vectors over which a feature must be silent to count as dead (ours, for short runs).", default=1_000_000, within=(1, None))
    resample_inputs: int = setting("Random inputs whose loss decides what dead features become.", default=819_200, within=(1, None))
    warm_start: str = setting("Dictionary, on a model with the same widths, whose features this one starts from; empty for a start of its own (ours).", default="")
    median_vectors: int = setting("Vectors whose geometric median starts b_dec (ours).", default=65_536, within=(1, None))
    ranks: int = setting("Processes that hold a slice of the features each, on one machine, each with a GPU of its own where there are GPUs; the result is the same up to rounding.", default=1, within=(1, 64), where=True)
    step: Literal["auto", "dense", "sparse"] = setting("How gradients are computed; the result is the same to rounding, `auto` goes by the share of fired pairs.", default="auto")
    log_every: int = setting("Steps between rows of the training log.", default=50, within=(1, None))
    watch_vectors: int = setting("Last vectors of the activations, which training must not see, on which every feature's firing is counted through training; 0 counts none (ours).", default=0, within=ZERO_OR_MORE)
    watch_points: int = setting("How often features are watched: half at steps evenly spaced in their logarithm, half at steps evenly spaced; the start and every resampling come on top.", default=24, within=(2, 1000))
    checkpoint_every: int = setting("Steps between checkpoints.", default=500, within=(1, None))
    seed: int = setting("Seed of start and resampling.", default=0, within=(0, 999))
    replicates: int = setting("Fits that differ in the seed only: this one and `<id>-r1`, `<id>-r2`, ...", default=1, within=(1, 99))


@dataclass(frozen=True)
class Features:
    """The one pass over evaluation tokens, and what is kept of it."""

    contexts: int = setting("Held-out contexts of the evaluation set, shared by the whole run.", default=40_000, within=(2, None))
    shard_contexts: int = setting("Contexts of one shard of the evaluation matrix.", default=512, within=(1, None))
    window: int = setting("Tokens on each side in an example.", default=4, within=(0, None))
    rare_token: int = setting("Tokens seen fewer times than this in the training text are left out of logit weights (ours).", default=10, within=ZERO_OR_MORE)


@dataclass(frozen=True)
class Studies:
    """What the studies compare."""

    published: str = setting("Folder with files in the format of the paper's feature viewer, whose features are drawn beside the run's where a table of features is enough; empty for none.", default="")
    bootstrap: int = setting("Resamples behind a 95 % interval.", default=1000, within=(10, None))
    main: str = setting("The dictionary that stands for the paper's A/1.", default="A/1")
    twin: str = setting("The same dictionary on the other seed's model; the main one itself where the run has no second model.", default="B/1")
    contexts: tuple[str, ...] = setting("Contexts whose features are examined one by one: built-in ones, or of the section `contexts`.", default=tuple(BUILT_IN))
    ablation_contexts: int = setting("Evaluation texts on which every feature is ablated, one at a time.", default=128, within=(1, None))


@dataclass(frozen=True)
class Interpretability:
    """How explanations of features and neurons are made and scored."""

    tables: tuple[str, ...] = setting("Dictionaries and neurons (A/neurons) that are scored; empty for the main one, its replicates, its model's neurons, and its counterparts on shuffled copies.", default=())
    units: int = setting("Features or neurons drawn of each table among those of the upper cluster, and a fifth as many of the lower; 0 takes all.", default=500, within=ZERO_OR_MORE)
    explainers: tuple[str, ...] = setting("Explainers that need no language model, of lookup, ngram, trie, tree.", default=EXPLAINERS)
    headline: str = setting("The explainer whose scores answer the ledger's orderings; a language model's take its place where there is one.", default="ngram")
    llm: bool = setting("Whether a language model explains too: endpoint, model and key come from OPENAI_BASE_URL, OPENAI_MODEL and OPENAI_API_KEY.", default=False)
    concurrency: int = setting("Requests to the language model under way at one time.", default=8, within=(1, 256))
    timeout: float = setting("Seconds after which a reply is late.", default=120.0, within=ABOVE_ZERO)
    retries: int = setting("Further attempts after a late, refused or failed request, each after a longer pause.", default=4, within=(0, 20))


@dataclass(frozen=True)
class Browser:
    """What the feature browser shows."""

    tables: tuple[str, ...] = setting("Dictionaries and neurons (A/neurons) with a card for each feature; empty for the main one, its twin, its other sizes, its counterparts on shuffled copies, and its model's neurons.", default=())


SECTIONS: dict[str, type] = {"compute": Compute, "corpus": Corpus, "model": Model, "activations": Activations, "sae": Sae, "features": Features,
                             "interpretability": Interpretability, "studies": Studies, "browser": Browser}


@dataclass(frozen=True)
class Config:
    """A whole run, resolved: every model and dictionary with all of its settings."""

    run: str
    seed: int
    compute: Compute
    corpus: Corpus
    activations: Activations
    features: Features
    interpretability: Interpretability
    studies: Studies
    browser: Browser
    models: Mapping[str, Model]
    dictionaries: Mapping[str, Sae]
    contexts: Mapping[str, Context]

    def hash(self) -> str:
        """Twelve hex digits that change when any setting other than where it runs and what its browser shows changes."""
        content = {name: value for name, value in to_dict(self, where=False).items() if name not in ("compute", "browser")}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]

    def trained_models(self) -> list[str]:
        """Ids of models that are trained, not loaded or shuffled copies."""
        return [name for name, model in self.models.items() if not model.shuffle_of and not model.load]

    def loaded(self, section: Literal["models", "dictionaries"]) -> list[str]:
        """Ids of models, or names of dictionaries, that come from elsewhere."""
        listed: Mapping[str, Model | Sae] = getattr(self, section)
        return [name for name, entry in listed.items() if entry.load]

    def site_of(self, name: str) -> str:
        """The site of a dictionary with its model: `A/mlp_act` of `A/1`."""
        return f"{model_of(name)}/{self.dictionaries[name].site}"

    def activations_of(self, site: str) -> Activations:
        """The settings of one model's site (`A/mlp_act`), its storage decided: what is `shared` is stored where several dictionaries read it."""
        readers = sum(self.site_of(name) == site for name, sae in self.dictionaries.items() if not sae.load)
        decided: Literal["stored", "streamed"] = "stored" if readers > 1 else "streamed"
        return dataclasses.replace(self.activations, storage=decided) if self.activations.storage == "shared" else self.activations

    def bytes_of(self, site: str) -> int:
        """Bytes of a site's vectors on disk; none where they are streamed."""
        settings, (model, _, read) = self.activations_of(site), site.partition("/")
        return settings.vectors * d_in(self.models[model], read) * ELEMENT_BYTES[settings.dtype] if settings.storage == "stored" else 0

    def ids(self, *, large: bool) -> list[str]:
        """Ids of dictionaries: those that have more features than the main one somewhere, and so take longest; or the others."""
        ids = {name.partition("/")[2] for name in self.dictionaries}
        most = self.dictionaries[self.studies.main].d_sae
        found = {name.partition("/")[2] for name, sae in self.dictionaries.items() if sae.d_sae > most}
        return sorted(found if large else ids - found)

    def settings(self, *sections: str, model: str = "", site: str = "", dictionary: str = "", models: typing.Sequence[str] = (),
                 dictionaries: typing.Sequence[str] = ()) -> "Settings":
        """The slice of this config that one rule uses; `model`, `site` and `dictionary` name the entry of their sections, `models` and `dictionaries` several."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in sections if name not in ("model", "sae")}
        if model:
            parts["model"] = self.models[model]
        if site:
            parts["activations"] = self.activations_of(site)
        if dictionary:
            parts["sae"] = self.dictionaries[dictionary]
        if models:
            parts["models"] = {name: self.models[name] for name in models}
        if dictionaries:
            parts["dictionaries"] = {name: self.dictionaries[name] for name in dictionaries}
        return Settings(run=self.run, seed=self.seed, **parts)


@dataclass(frozen=True)
class Settings:
    """Sections of a config as a rule's parameter. A section that the rule did not ask for is None."""

    run: str
    seed: int
    compute: Compute | None = None
    corpus: Corpus | None = None
    model: Model | None = None
    activations: Activations | None = None
    sae: Sae | None = None
    features: Features | None = None
    interpretability: Interpretability | None = None
    studies: Studies | None = None
    browser: Browser | None = None
    models: Mapping[str, Model] | None = None
    dictionaries: Mapping[str, Sae] | None = None
    contexts: Mapping[str, Context] | None = None

    def seed_of(self, section: Literal["model", "sae"]) -> int:
        """The seed of a model or dictionary inside this run: distinct for every pair of run seed and own seed."""
        own: Model | Sae | None = getattr(self, section)
        assert own
        return 1000 * self.seed + own.seed

    def without(self, section: Literal["corpus", "studies"], *names: str) -> "Settings":
        """The same with these settings of a section at their defaults, for a job that reads none of them and need not rerun when one changes."""
        defaults = {f.name: f.default for f in fields(SECTIONS[section]) if f.name in names}
        assert len(defaults) == len(names), f"{section} has not all of {', '.join(names)}"
        cut: dict[str, Any] = {section: dataclasses.replace(getattr(self, section), **defaults)}
        return dataclasses.replace(self, **cut)

    def site(self, name: str) -> str:
        """The site of a dictionary."""
        assert self.dictionaries
        return self.dictionaries[name].site

    def json(self) -> str:
        """Canonical JSON, the form in which a rule hands settings to the command line."""
        return canonical_json({name: value for name, value in to_dict(self).items() if value is not None})

    @staticmethod
    def parse(text: str) -> "Settings":
        """Back from `json()`. Raises ConfigError on anything that is not a settings object."""
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"--settings is not JSON ({error.msg}); copy the command from `snakemake -n -p`") from None
        if not isinstance(raw, dict):
            raise ConfigError("--settings is not a JSON object; copy the command from `snakemake -n -p`")
        sections = {name: build(SECTIONS[name], value, name) for name, value in raw.items() if name in SECTIONS}
        sections |= {name: {key: build(entry, value, f"{name}.{key}") for key, value in mapping(raw, name).items()}
                     for name, entry in (("models", Model), ("dictionaries", Sae), ("contexts", Context)) if name in raw}
        rest = {name: value for name, value in raw.items() if name not in sections}
        if set(rest) != {"run", "seed"}:
            raise ConfigError(f"--settings needs run, seed and sections ({', '.join(SECTIONS)}); copy the command from `snakemake -n -p`")
        return Settings(**rest, **sections)

    def hash(self) -> str:
        """Twelve hex digits of what was asked for, without where it runs."""
        content = {name: value for name, value in to_dict(self, where=False).items() if value is not None and name != "compute"}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]


def to_dict(value: Any, *, where: bool = True) -> Any:
    """Dataclasses, mappings and tuples as plain JSON values; with or without settings that only say where a result is computed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name), where=where) for f in fields(value) if where or not f.metadata.get("where")}
    if isinstance(value, Mapping):
        return {str(key): to_dict(item, where=where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item, where=where) for item in value]
    return value


def sites(n_layers: int = 1) -> list[str]:
    """The sites of a model of so many layers: with the layer's number where there are several; the logits see the last update only."""
    if n_layers == 1:
        return list(SITES)
    return [f"{kind}_{layer}" for layer in range(n_layers) for kind in SITES if kind != "logit_update" or layer == n_layers - 1]


def place(site: str, n_layers: int = 1) -> tuple[str, int]:
    """Kind and layer of a site: `("mlp_act", 0)`. Raises UserError for one that a model of so many layers has not."""
    if site not in sites(n_layers):
        raise UserError(f"site {site!r} does not exist in a model of {n_layers} layer{'s' if n_layers > 1 else ''}; {nearest(site, sites(n_layers))}")
    kind, _, layer = site.rpartition("_")
    return (site, 0) if n_layers == 1 else (kind, int(layer))


def d_in(model: Model, site: str) -> int:
    """Elements of a vector at a site of a model. Raises UserError for a site that it has not."""
    return model.d_mlp if place(site, model.n_layers)[0] == "mlp_act" else model.d_model


def model_of(name: str) -> str:
    """The model of a dictionary or of neurons: `A` of `A/1` and `A/neurons`."""
    return name.partition("/")[0]


def canonical_json(value: Any) -> str:
    """One spelling per content: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
