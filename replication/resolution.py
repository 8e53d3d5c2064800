"""From what a config file says to a run: shared settings given to each entry, replicates, what is loaded, and checks across sections.

Every check names the setting and the remedy. Source: ours.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from replication.config import EXPLAINERS, SECTIONS, SITES, Config, Corpus, Model, Sae, d_in, model_of, place, sites
from replication.contexts import Context, examined
from replication.sae.schedule import resampling_steps
from replication.validation import ConfigError, build, checked, mapping, nearest

ID = re.compile(r"[a-z0-9_-]+")
MODEL_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
REPLICATE = re.compile(r"-r[1-9]\d*$")
TAKEN = ("text", "texts", "contexts", "vocabulary")  # pages and folders of the browser beside those of models
SITE = re.compile(rf"({'|'.join(SITES)})(_\d+)?")
MOST_SEED = 999  # of a run, a model or a dictionary: see `Settings.seed_of`
REMOVABLE = ("mlp_act", "mlp_out", "resid_post")  # where, in the last layer, a feature writes a fixed direction to the stream that the logits read
# of what is loaded, not trained: what it is, which the section for all may say too, and what is known of its training, with what stands where it is not
LOADED_SHAPE = {"models": ("d_model", "d_mlp", "n_layers", "n_heads", "n_ctx", "act_fn", "stream"), "dictionaries": ("d_sae", "site")}
LOADED_PAST: Mapping[str, Mapping[str, Any]] = {"models": {"tokens": 0}, "dictionaries": {"vectors": 0, "l1": 0.0}}
LOADED_REST: Mapping[str, Mapping[str, Any]] = {"models": {}, "dictionaries": {"batch": 1, "resamplings": 0}}


def resolve(raw: Mapping[str, Any]) -> Config:
    """A run from the mapping that a config file holds. Raises ConfigError."""
    known = {"run", "seed", "models", "dictionaries", "contexts", *SECTIONS}
    for key in raw:
        if key not in known:
            raise ConfigError(f"{key} is not a section of the config; {nearest(str(key), known)}")
    run = checked(raw.get("run", ""), str, None, "run")
    if not ID.fullmatch(run):
        raise ConfigError(f"run is {run!r}, but must be made of a-z, 0-9, _ and -, because it names a folder under results/")
    seed = checked(raw.get("seed", 0), int, (0, MOST_SEED), "seed")
    models: dict[str, Model] = _listed(raw, "models", Model, "model")
    dictionaries: dict[str, Sae] = _listed(raw, "dictionaries", Sae, "sae")
    dictionaries = {name: _warm(name, sae, dictionaries) for name, sae in dictionaries.items()}
    sections = {name: build(section, mapping(raw, name), name) for name, section in SECTIONS.items() if name not in ("model", "sae")}
    contexts = examined(mapping(raw, "contexts"), sections["studies"].contexts)
    config = Config(run=run, seed=seed, models=models, dictionaries=dictionaries, contexts=contexts, **sections)
    _check_corpus(config.corpus)
    _check_models(config)
    _check_dictionaries(config)
    _check_interpretability(config)
    _check_tables(config, "browser.tables", config.browser.tables)
    for name in set(config.browser.tables) & set(config.dictionaries):
        _check_removable(config, "browser.tables", name)
    return config


def _listed(raw: Mapping[str, Any], key: str, entry: type, common: str) -> dict[str, Any]:
    """The entries of `models` or `dictionaries` with what they share, each with its replicates."""
    found: dict[str, Any] = {}
    for name, own in mapping(raw, key).items():
        if not isinstance(name, str):
            raise ConfigError(f"{key} lists {name!r}, which YAML does not read as a text; put the name in quotes")
        stated = _entry(own, f"{key}.{name}")
        given = {**mapping(raw, common), **stated}
        built = build(entry, _loaded(given, stated, key, name) if given.get("load") else given, f"{key}.{name}")
        if built.seed + built.replicates - 1 > MOST_SEED:
            raise ConfigError(f"{key}.{name}: replicates take the seeds {built.seed} to {built.seed + built.replicates - 1}, but a seed is at most {MOST_SEED}")
        for replicate in range(built.replicates):
            suffix = f"-r{replicate}" if replicate else ""
            if name + suffix in found:
                raise ConfigError(f"{key} has two entries {name + suffix}, one of which is a replicate; give the other another name")
            found[name + suffix] = dataclasses.replace(built, seed=built.seed + replicate, replicates=1)
    return found


def _loaded(given: Mapping[str, Any], own: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """The settings of an entry that is not trained. Raises ConfigError for one of its own that only training has."""
    allowed = ("load", *LOADED_SHAPE[section], *LOADED_PAST[section])
    for key in own:
        if key not in allowed:
            raise ConfigError(f"{section}.{name}.{key} means nothing, because {section}.{name} is loaded, not trained; it can have {', '.join(allowed)}")
    shape = {key: given[key] for key in ("load", *LOADED_SHAPE[section]) if key in given}
    return {**LOADED_REST[section], **LOADED_PAST[section], **shape, **own}


def _warm(name: str, sae: Sae, dictionaries: Mapping[str, Sae]) -> Sae:
    """A replicate starts from the replicate of the same number, where there is one: `A/warm-r1` from `A_50/1-r1`."""
    found = REPLICATE.search(name)
    own = f"{sae.warm_start}{found[0]}" if found and sae.warm_start else ""
    return dataclasses.replace(sae, warm_start=own) if own in dictionaries else sae


def _entry(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a mapping of settings, but is {value!r}")
    return value


def _check_corpus(corpus: Corpus) -> None:
    if corpus.source == "hub" and not corpus.name:
        raise ConfigError("corpus.name is missing: source 'hub' needs the name of a dataset, such as monology/pile-uncopyrighted")
    if corpus.source == "local" and not corpus.paths:
        raise ConfigError("corpus.paths is missing: source 'local' needs files or folders")
    if corpus.source != "hub" and corpus.shards > 1:
        raise ConfigError(f"corpus.shards is {corpus.shards}, but only source 'hub' is read in parts; set it to 1")


def _check_models(config: Config) -> None:
    sources = [name for name, model in config.models.items() if not model.shuffle_of]
    if not sources:
        raise ConfigError("models lists no trained model; add one such as `A: {seed: 0}`")
    for name, model in config.models.items():
        if not MODEL_ID.fullmatch(name):
            raise ConfigError(f"models.{name}: an id begins with a letter and holds letters, digits, _ and - only")
        if name in TAKEN:
            raise ConfigError(f"models.{name}: the feature browser needs this name for itself; take another")
        if config.studies.published and name == "published":
            raise ConfigError("models.published: studies.published needs this name for its features; take another")
        if model.d_model % model.n_heads:
            raise ConfigError(f"models.{name}.n_heads is {model.n_heads}, but must divide d_model, {model.d_model}")
        if model.shuffle_of and model.shuffle_of not in sources:
            raise ConfigError(f"models.{name}.shuffle_of is {model.shuffle_of!r}, not a trained model; {nearest(model.shuffle_of, sources)}")
        for key in LOADED_SHAPE["models"][:-1] if model.shuffle_of else ():
            own, source = getattr(model, key), getattr(config.models[model.shuffle_of], key)
            if own != source:
                raise ConfigError(f"models.{name}.{key} is {own!r}, but it shuffles {model.shuffle_of}, whose {key} is {source!r}; give both the same")
        if not model.tokens and not model.load:
            raise ConfigError(f"models.{name}.tokens is 0, but a model that is trained sees some")
        if config.activations.per_context > model.n_ctx:
            raise ConfigError(f"activations.per_context is {config.activations.per_context}, but a context of models.{name} has n_ctx {model.n_ctx} tokens")
    trained: dict[Model, str] = {}
    for name, model in config.models.items():
        if model.load or model.shuffle_of:
            continue
        first = trained.setdefault(dataclasses.replace(model, stream=0), name)  # the stream is of the dictionaries' vectors
        if first != name and (REPLICATE.search(name) or REPLICATE.search(first)):  # which would count as two independent trainings
            raise ConfigError(f"models.{name} would be models.{first} once more: its settings and its seed, {model.seed}, are the same; give it another seed")
    if len({model.n_ctx for model in config.models.values()}) > 1:
        raise ConfigError("models differ in n_ctx, but the run shares one set of evaluation contexts; give them the same")
    if config.activations.block % config.activations.per_context:
        raise ConfigError(f"activations.block is {config.activations.block}, but must be a multiple of per_context, {config.activations.per_context}")


def _check_dictionaries(config: Config) -> None:
    if not config.dictionaries:
        raise ConfigError("dictionaries is empty; add one such as `A/1: {d_sae: 4096}`")
    for name, sae in config.dictionaries.items():
        model, slash, short = name.partition("/")
        if not slash or not ID.fullmatch(short) or short == "neurons" or SITE.fullmatch(short):
            raise ConfigError(f"dictionaries.{name}: a name is model/id, such as A/1, and an id is made of a-z, 0-9, _ and - "
                              "(neurons and names of sites are taken)")
        if model not in config.models:
            raise ConfigError(f"dictionaries.{name} belongs to model {model!r}, which models does not list; {nearest(model, config.models)}")
        n_layers = config.models[model].n_layers
        if sae.site not in sites(n_layers):
            raise ConfigError(f"dictionaries.{name}.site is {sae.site!r}, which models.{model} has not; {nearest(sae.site, sites(n_layers))}")
        if not config.models[model].d_mlp and place(sae.site, n_layers)[0] == "mlp_act":
            raise ConfigError(f"dictionaries.{name} decomposes the neurons of models.{model}, whose d_mlp is 0; raise it")
        if sae.load:
            continue
        stored = config.activations
        per_context = sae.per_context or stored.per_context
        if per_context > stored.per_context:
            raise ConfigError(f"dictionaries.{name}.per_context is {per_context}, but activations.per_context samples only "
                              f"{stored.per_context} tokens of a context")
        thinned = f" at per_context {per_context}" if sae.per_context else ""
        block, vectors = (size * per_context // stored.per_context for size in (stored.block, stored.vectors))
        if block % sae.batch:
            raise ConfigError(f"dictionaries.{name}.batch is {sae.batch}, but must divide activations.block, {block}{thinned}")
        steps = sae.vectors // sae.batch
        read = -(-steps // sae.repeats) * sae.batch  # different vectors, in whole batches
        if sae.watch_vectors and read > vectors - sae.watch_vectors:
            raise ConfigError(f"dictionaries.{name}.watch_vectors asks for the last {sae.watch_vectors} of {vectors} vectors{thinned}, "
                              f"but training sees {read}; lower one of them, or raise activations.vectors")
        if sae.d_sae % sae.ranks:
            raise ConfigError(f"dictionaries.{name}.ranks is {sae.ranks}, but must divide d_sae, {sae.d_sae}, so that each holds as many features")
        if sae.warm_start:
            _check_warm_start(config, name)
        if read > vectors:
            often = "twice" if sae.repeats == 1 else f"more than {sae.repeats} times"
            raise ConfigError(f"dictionaries.{name}.vectors is {sae.vectors}, but activations.vectors gives only {vectors}{thinned}, and none is seen {often}")
        if steps < 1:
            raise ConfigError(f"dictionaries.{name}.vectors is {sae.vectors}, less than one batch of {sae.batch}")
        schedule = resampling_steps(sae)
        if schedule and schedule[-1] > 0.7 * steps:
            raise ConfigError(
                f"dictionaries.{name}: the last of {sae.resamplings} resamplings would fall at step {schedule[-1]} of {steps}, after 70 % of the run; "
                "lower min_window or resamplings, or raise vectors")
    for role in ("main", "twin"):
        name = getattr(config.studies, role)
        if name not in config.dictionaries:
            raise ConfigError(f"studies.{role} is {name!r}, which dictionaries does not list; {nearest(name, config.dictionaries)}")
        _check_removable(config, f"studies.{role}", name)


def _check_warm_start(config: Config, name: str) -> None:
    """Follow the chain of starts to its end. Raises ConfigError where it names no dictionary, another shape, or itself."""
    seen = [name]
    while following := config.dictionaries[seen[-1]].warm_start:
        if following not in config.dictionaries:
            raise ConfigError(f"dictionaries.{seen[-1]}.warm_start is {following!r}, which dictionaries does not list; "
                              f"{nearest(following, config.dictionaries)}")
        if following in seen:
            raise ConfigError(f"dictionaries.{name}.warm_start leads back to {following}; one of the chain needs a start of its own")
        if _shape(config, following) != _shape(config, seen[-1]):
            raise ConfigError(f"dictionaries.{seen[-1]}.warm_start is {following!r}, whose d_in or d_sae is another; take one of the same shape")
        seen.append(following)


def _shape(config: Config, name: str) -> tuple[int, int]:
    sae = config.dictionaries[name]
    return d_in(config.models[model_of(name)], sae.site), sae.d_sae


def _check_interpretability(config: Config) -> None:
    wanted = config.interpretability
    _check_tables(config, "interpretability.tables", wanted.tables)
    if wanted.tables and config.studies.main not in wanted.tables:
        raise ConfigError(f"interpretability.tables leaves out {config.studies.main}, which the exhibits are about (studies.main); add it")
    for name in wanted.explainers:
        if name not in EXPLAINERS:
            raise ConfigError(f"interpretability.explainers names {name!r}, which does not exist; {nearest(name, EXPLAINERS)}")
    if wanted.headline not in wanted.explainers:
        raise ConfigError(f"interpretability.headline is {wanted.headline!r}, which interpretability.explainers does not list; "
                          f"{nearest(wanted.headline, wanted.explainers)}")


def _check_tables(config: Config, key: str, wanted: typing.Sequence[str]) -> None:
    known = [*config.dictionaries, *(f"{model}/neurons" for model in {model_of(name) for name in config.dictionaries})]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{key} names {name!r}, which is no dictionary of the run and no model's neurons; {nearest(name, known)}")


def _check_removable(config: Config, key: str, name: str) -> None:
    """Raises ConfigError for a dictionary whose features cannot be removed exactly by subtracting what they write: see `features.ablation`."""
    sae, n_layers = config.dictionaries[name], config.models[model_of(name)].n_layers
    kind, layer = place(sae.site, n_layers)
    if kind not in REMOVABLE or layer < n_layers - 1:
        raise ConfigError(f"{key} names {name}, whose site is {sae.site}, but ablation is exact only for {', '.join(REMOVABLE)} of the last layer; "
                          "name a dictionary of one of these")


def read_yaml(path: Path) -> dict[str, Any]:
    """A config file as a mapping. Raises ConfigError."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; the configs that come with the project are in config/") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} is not a mapping of sections; see config/smoke.yaml for the shape")
    return raw


def load(path: Path) -> Config:
    """The run that a config file describes. Raises ConfigError."""
    return resolve(read_yaml(path))


def explain() -> str:
    """Every section and setting with type, default and sentence, as Markdown-like text."""
    lines = ["run: name of the run, the folder under results/", "seed: seed of the whole run, 0 by default",
             "models: id -> what differs from `model`", "dictionaries: model/id -> what differs from `sae`",
             "contexts: id -> a context beside the built-in ones, see the last section"]
    for name, section in {**SECTIONS, "contexts.<id>": Context}.items():
        lines.append(f"\n{name}: {(section.__doc__ or '').splitlines()[0]}")
        hints = typing.get_type_hints(section)
        for f in fields(section):
            hint = hints[f.name]
            kind = " | ".join(typing.get_args(hint)) if typing.get_origin(hint) is Literal else getattr(hint, "__name__", str(hint))
            if isinstance(hint, types.GenericAlias):
                kind = "list of texts"
            default = "required" if f.default is dataclasses.MISSING else f"default {f.default!r}"
            lines.append(f"  {f.name} ({kind}, {default}): {f.metadata['doc']}")
    return "\n".join(lines)
