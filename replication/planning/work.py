"""The jobs of a run and the work in each, counted from the config alone. Nothing here is measured, and nothing is a rate.

Work has two kinds of units. `terms` are counts that a law of `steps.py` prices (steps, logits, arithmetic, fired pairs). `items` counts what else
a job goes through (tokens of evaluation, features, bytes of text); what an item costs is read off jobs of the same kind in another run.
Names are those of Snakemake's benchmarks: `sae/A/1`, `features/A/1.effects`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replication import artifacts, exhibits
from replication.artifacts import Layout
from replication.config import Config, Model, Sae, d_in, model_of
from replication.features import NEURONS, every, on_texts, pairs, shown, sizes, tables, without_dictionaries
from replication.interpretability import LLM, OFFLINE, scored
from replication.studies import STUDIES

STAGES = ("corpus", "model", "activations", "sae", "features", "interpretability", "studies", "exhibits", "claims", "browser")
FLOAT, HALF, INDEX = 4, 2, 4  # bytes


@dataclass(frozen=True)
class Job:
    """One job: its kind, what it waits for, and its work.

    `terms` maps a law of `steps.LAWS` to counts of its terms; a job without `items` is priced by them alone; `meta` is the metadata file of its output in the run's folder, empty where there is none; `memory` are
    bytes of arrays beside what a process of this kind holds anyway; `gpu` says whether it claims a GPU where there is one.
    """

    name: str
    kind: str
    after: tuple[str, ...] = ()
    items: float = 1.0
    terms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    flops: float = 0.0
    memory: float = 0.0
    gpu: bool = False
    threads: int = 1
    meta: str = ""

    @property
    def stage(self) -> str:
        """The stage that its name begins with."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Course:
    """How the share of fired features fell in one training, in units that carry over to another: Adam moves a bias by about the learning rate a step.

    `dense` is the learning rate times the steps on which so many fired that dense products were cheaper; `excess` the learning rate times the share of
    features above the late level, summed over the other steps; `late` the features that fired on a vector over the last half.
    """

    shuffled: bool
    warmup: bool
    init: str
    dense: float
    excess: float
    late: float


def jobs(config: Config, courses: Sequence[Course] = ()) -> list[Job]:
    """Every job of `snakemake --cores all`, each after those that it waits for. Without `courses` the steps of dictionaries have no terms."""
    return [*_corpus(config), *_models(config), *_activations(config), *_dictionaries(config, courses), *_features(config, courses), *_interpretability(config),
            *_studies(config), *_exhibits(config), *_claims(config), *_browser(config)]


def forward_flops(model: Model, d_vocab: int) -> float:
    """Floating-point operations of one token's forward pass up to the logits, two for a multiplication with an addition."""
    block = 4 * model.d_model**2 + 2 * model.d_model * model.d_mlp + 2 * model.n_ctx * model.d_model
    return 2.0 * (model.n_layers * block + model.d_model * d_vocab)


def parameters(model: Model, d_vocab: int) -> int:
    """Numbers of a transformer."""
    block = 4 * model.d_model**2 + 2 * model.d_model * model.d_mlp + 9 * model.d_model + model.d_mlp
    return model.n_layers * block + (2 * d_vocab + model.n_ctx + 2) * model.d_model + d_vocab


def dictionary_flops(sae: Sae, width: int) -> float:
    """Operations that training a dictionary cannot leave out: the product of all its vectors with all its features. Dense steps take five such."""
    return 2.0 * sae.vectors * width * sae.d_sae


def evaluation_tokens(config: Config) -> int:
    """Tokens of the evaluation set that the run shares."""
    return config.features.contexts * next(iter(config.models.values())).n_ctx


def model_step(model: Model, d_vocab: int, tokens: float) -> dict[str, float]:
    """Terms of training steps that see `tokens`: steps, logits, and operations, three forward passes' worth."""
    return {"steps": tokens / (model.batch * model.n_ctx), "logits": tokens * d_vocab, "flops": 3 * forward_flops(model, d_vocab) * tokens}


def forward(model: Model, d_vocab: int, tokens: float) -> dict[str, float]:
    """Terms of losses without gradients: no steps, and a third of a training step's logits and operations."""
    return {"steps": 0.0, "logits": tokens * d_vocab / 3, "flops": forward_flops(model, d_vocab) * tokens}


def sparse_steps(d_sae: int, width: int, batch: int, steps: float, fired: float) -> dict[str, float]:
    """Terms of dictionary steps over fired pairs, `fired` pairs in all: steps, what is screened, its product, pairs x width, weights."""
    return {"steps": steps, "screened": steps * batch * d_sae, "flops": 2.0 * steps * batch * d_sae * width, "pairs": fired * width, "weights": steps * d_sae * width}


def dense_steps(d_sae: int, width: int, batch: int, steps: float) -> dict[str, float]:
    """Terms of dictionary steps by five products with all features."""
    return {"steps": steps, "elements": steps * batch * d_sae, "flops": 10.0 * steps * batch * d_sae * width}


def harvest(model: Model, site: str, vectors: float, per_context: int) -> dict[str, float]:
    """Terms of reading `vectors` off a site: tokens that pass the attention, operations, bytes that are written and hashed."""
    tokens, width = vectors / per_context * model.n_ctx, d_in(model, site)
    before = 2.0 * (4 * model.d_model**2 + 2 * model.n_ctx * model.d_model) * tokens
    return {"tokens": tokens, "flops": before + 2.0 * model.d_model * model.d_mlp * vectors, "elements": vectors * width}


def _corpus(config: Config) -> Iterator[Job]:
    corpus, threads = config.corpus, config.compute.threads
    # installed packages are all read, however much of their text is used
    yield Job("corpus/documents", f"corpus documents, {corpus.source}", items=1.0 if corpus.source == "installed" else corpus.max_bytes, memory=corpus.max_bytes,
              meta=f"corpus/{artifacts.META}")
    yield Job("corpus/tokenizer", "corpus tokenizer", ("corpus/documents",), items=corpus.tokenizer_bytes if corpus.tokenizer == "train" else 1.0,
              threads=threads, meta=f"corpus/{artifacts.TOKENIZER_META}")
    yield Job("corpus/tokens", "corpus tokens", ("corpus/documents", "corpus/tokenizer"), items=corpus.max_bytes, threads=threads, meta=f"corpus/{artifacts.TOKENS_META}")


def _models(config: Config) -> Iterator[Job]:
    d_vocab = config.corpus.d_vocab
    for name, model in config.models.items():
        weights = FLOAT * parameters(model, d_vocab)
        if model.shuffle_of:
            yield Job(f"model/{name}", "model shuffled", (f"model/{model.shuffle_of}",), memory=2.0 * weights, meta=f"model/{name}/{artifacts.META}")
            continue
        seen = model.until * model.tokens
        validations = seen / (model.batch * model.n_ctx) / model.validate_every * model.validation_contexts * model.n_ctx
        looked = forward(model, d_vocab, validations)
        total = {term: count + looked[term] for term, count in model_step(model, d_vocab, seen).items()}
        yield Job(f"model/{name}", "model", ("corpus/tokens",), items=0.0, terms={"model step": total}, flops=total["flops"], threads=config.compute.threads, gpu=True,
                  # weight, gradient, two moments; logits of a chunk with their gradient; what a block keeps for its gradient
                  memory=4.0 * weights + FLOAT * (3.0 * model.head_chunk * d_vocab + model.batch * model.n_ctx * model.n_layers * (12 * model.d_model + 3 * model.d_mlp)),
                  meta=f"model/{name}/{artifacts.META}")


def _activations(config: Config) -> Iterator[Job]:
    settings = config.activations
    measured = settings.vectors if settings.storage == "stored" else settings.block  # a stream is only looked at
    for name in dict.fromkeys(config.site_of(name) for name in config.dictionaries):
        model, site = config.models[model_of(name)], name.partition("/")[2]
        terms = harvest(model, site, measured, settings.per_context)
        yield Job(f"activations/{name}", "activations", (f"model/{model_of(name)}",), items=0.0, terms={"harvest": terms}, flops=terms["flops"], gpu=True,
                  threads=config.compute.threads, memory=_vector(config) * d_in(model, site) * settings.block + 3.0 * 8 * settings.block, meta=f"activations/{name}/{artifacts.META}")


def _vector(config: Config) -> int:
    """Bytes of an element of a stored vector."""
    return HALF if config.activations.dtype == "float16" else FLOAT


def fit_steps(sae: Sae, width: int, course: Course) -> dict[str, dict[str, float]]:
    """Terms of a whole fit that takes a course: dense steps at its beginning, then steps over fired pairs."""
    steps = sae.vectors / sae.batch
    dense = 0.0 if sae.step == "sparse" else steps if sae.step == "dense" else min(steps, course.dense / sae.lr)
    excess = min(course.excess / sae.lr, steps - dense)  # a share is at most one
    fired = sae.batch * ((steps - dense) * min(course.late, sae.d_sae) + excess * sae.d_sae)
    return {"dense step": dense_steps(sae.d_sae, width, sae.batch, dense), "sparse step": sparse_steps(sae.d_sae, width, sae.batch, steps - dense, fired)}


def most_alike(config: Config, name: str, courses: Sequence[Course]) -> Course:
    """The course of the dictionary that starts most like one of this run: a shuffled model's or not, with l1 warm-up or without, then the same start."""
    sae, shuffled = config.dictionaries[name], bool(config.models[model_of(name)].shuffle_of)
    return max(courses, key=lambda course: (course.shuffled == shuffled, course.warmup == (sae.l1_warmup > 0), course.init == sae.init))


def _dictionaries(config: Config, courses: Sequence[Course]) -> Iterator[Job]:
    for name, sae in config.dictionaries.items():
        model = config.models[model_of(name)]
        width, kept = d_in(model, sae.site), 2 if config.activations.storage == "stored" else 1  # blocks: one in use, and the next where it is only read
        terms: dict[str, Mapping[str, float]] = {}
        flops = dictionary_flops(sae, width)
        if courses:
            terms |= fit_steps(sae, width, most_alike(config, name, courses))
        if config.activations.storage == "stored":
            terms["read block"] = {"elements": float(sae.vectors) * width}
        else:  # each dictionary computes its own vectors again
            terms["harvest"] = harvest(model, sae.site, sae.vectors, sae.per_context or config.activations.per_context)
            flops += terms["harvest"]["flops"]
        after = (f"activations/{config.site_of(name)}", *([f"sae/{sae.warm_start}"] if sae.warm_start else []))
        # weights, gradients, both moments, and the start; the pairs of a block; a dense step's arrays, of a limited size
        weights, dense = FLOAT * 2.0 * width * sae.d_sae, FLOAT * 3.0 * min(2**26, sae.batch * sae.d_sae)
        yield Job(f"sae/{name}", "sae", after, items=0.0, terms=terms, flops=flops, gpu=True, threads=config.compute.threads, meta=f"sae/{name}/{artifacts.META}",
                  memory=4.5 * weights + dense + _vector(config) * kept * width * config.activations.block + 3 * FLOAT * sae.batch * width)


def _features(config: Config, courses: Sequence[Course]) -> Iterator[Job]:
    tokens, d_vocab, threads = evaluation_tokens(config), config.corpus.d_vocab, config.compute.threads
    main = config.studies.main
    common = {"threads": threads, "gpu": True}

    def features(name: str) -> int:
        return config.dictionaries[name].d_sae if name in config.dictionaries else config.models[model_of(name)].d_mlp

    def dense(*names: str) -> int:
        """What a token costs a pair of tables: neurons are dense, of features few fire."""
        return max(1 if name in config.dictionaries else features(name) for name in names)

    yield Job("features/tokens", "features tokens", ("corpus/tokens",), meta=f"features/{artifacts.TOKENS_META}")
    having = dict.fromkeys(model_of(name) for name in config.dictionaries)
    neurons = [name for name in having if config.models[name].d_mlp]
    for name in neurons:
        model = config.models[name]
        yield Job(f"features/{name}/{NEURONS}", "features neurons", (f"model/{name}", "features/tokens"), items=tokens * model.d_mlp,
                  flops=forward_flops(model, d_vocab) * tokens, memory=float(HALF + FLOAT) * tokens * model.d_mlp, meta=f"features/{name}/{NEURONS}/{artifacts.META}", **common)
    for name in dict.fromkeys([*(config.site_of(name) for name in config.dictionaries), *without_dictionaries(config)]):
        model = config.models[model_of(name)]
        yield Job(f"features/{name}", "features site", (f"model/{model_of(name)}", "features/tokens"), items=tokens, terms={"model step": forward(model, d_vocab, 3.0 * tokens)},
                  flops=3 * forward_flops(model, d_vocab) * tokens, meta=f"features/{name}/{artifacts.META}", **common)
    for name, sae in config.dictionaries.items():
        model = config.models[model_of(name)]
        width = d_in(model, sae.site)
        fired = tokens * most_alike(config, name, courses).late if courses else 0.0
        encoded = sparse_steps(sae.d_sae, width, tokens, 1, fired) | {"steps": 0.0, "weights": 0.0}
        yield Job(f"features/{name}", "features dictionary", (f"sae/{name}", f"features/{config.site_of(name)}"), items=tokens,
                  terms={"model step": forward(model, d_vocab, tokens), "sparse step": encoded}, flops=forward_flops(model, d_vocab) * tokens + encoded["flops"],
                  memory=FLOAT * 3.0 * width * sae.d_sae + (FLOAT + INDEX) * fired, meta=f"features/{name}/{artifacts.META}", **common)
    matched, ranked, texts, related = tables(config), every(config), on_texts(config), [name for name in shown(config) if name in config.dictionaries]
    yield Job("features/matches", "features matches", tuple(f"features/{name}" for name in matched), items=tokens * sum(dense(left, right) for left, right in pairs(config)),
              flops=sum(2.0 * features(left) * features(right) for left, right in pairs(config)), meta=f"features/{artifacts.MATCHES_META}", **common)
    yield Job("features/contexts", "features contexts", tuple(f"features/{name}" for name in ranked), items=tokens * len(ranked), meta=f"features/{artifacts.CONTEXTS_META}")
    studied = config.models[model_of(main)]
    yield Job(f"features/{main}.ablation", "features ablation", (f"features/{main}",), items=config.studies.ablation_contexts * studied.n_ctx,
              meta=f"features/{main}/{artifacts.ABLATION_META}", **common)
    for name in shown(config):
        yield Job(f"features/{name}.effects", "features effects", (f"features/{name}",), items=features(name), meta=f"features/{name}/{artifacts.EFFECTS_META}", **common)
    yield Job("features/relations", "features relations", tuple(f"features/{name}" for name in related),
              items=tokens * max(1, len([name for name in sizes(config) if name in related])), meta=f"features/{artifacts.RELATIONS_META}",
              flops=sum(2.0 * features(name) ** 2 * d_in(config.models[model_of(name)], config.dictionaries[name].site) for name in related), **common)
    yield Job("features/texts", "features texts", tuple(f"{'sae' if name in config.dictionaries else 'features'}/{name}" for name in texts), items=len(texts),
              meta=f"features/{artifacts.TEXTS_META}", **common)


def _interpretability(config: Config) -> Iterator[Job]:
    wanted, threads = config.interpretability, config.compute.threads
    for name in scored(config):
        have = config.dictionaries[name].d_sae if name in config.dictionaries else config.models[model_of(name)].d_mlp
        units = min(have, round(1.2 * wanted.units)) if wanted.units else have
        yield Job(f"interpretability/{name}", "interpretability units", (f"features/{name}",), items=units, threads=threads, meta=f"interpretability/{name}/{artifacts.META}")
        yield Job(f"interpretability/{name}.{OFFLINE}", "interpretability offline", (f"interpretability/{name}",), items=units, threads=threads,
                  meta=f"interpretability/{name}/{OFFLINE}/{artifacts.META}")
        if wanted.llm:
            yield Job(f"interpretability/{name}.{LLM}", "interpretability llm", (f"interpretability/{name}",), items=units, threads=threads, meta=f"interpretability/{name}/{LLM}/{artifacts.META}")


def _studies(config: Config) -> Iterator[Job]:
    tokens = evaluation_tokens(config)
    for name, study in STUDIES.items():
        read = [select for select in study.inputs(config, Layout(Path())) if select.name == artifacts.MATRIX]
        # features are embedded, by a library that compiles itself first: hardly a matter of tokens
        yield Job(f"studies/{name}", f"studies {name}", _makers(config, study.inputs(config, Layout(Path()))), items=1.0 if name == "feature_umap" else float(tokens * len(read)), meta=f"studies/{name}/{artifacts.META}")


def _makers(config: Config, files: list[Path]) -> tuple[str, ...]:
    """The jobs that make some files of a run, told by their folders."""
    found: dict[str, None] = {}
    for path in files:
        stage, *rest = path.parts[:-1] or ("",)
        if stage == "features" and not rest:
            found[f"features/{path.stem}" if path.stem in ("matches", "contexts", "relations", "texts") else "features/tokens"] = None
        elif stage == "features":
            found[f"features/{'/'.join(rest)}{'.' + path.stem if path.stem in ('ablation', 'effects') else ''}"] = None
        elif stage == "interpretability":
            *table, last = rest
            found[f"interpretability/{'/'.join(table)}.{last}" if last in (OFFLINE, LLM) else f"interpretability/{'/'.join(rest)}"] = None
        elif stage in ("sae", "model"):
            found["/".join((stage, *rest))] = None
        elif stage == "corpus":
            found["corpus/tokens"] = None
    return tuple(found)


def _exhibits(config: Config) -> Iterator[Job]:
    for exhibit in exhibits.of(config.studies.contexts).values():
        yield Job(f"exhibits/{exhibit.id}", "exhibits", (f"studies/{exhibit.study}",))


def _claims(config: Config) -> Iterator[Job]:
    studied, drawn = tuple(f"studies/{name}" for name in STUDIES), tuple(f"exhibits/{name}" for name in exhibits.of(config.studies.contexts))
    yield Job("claims/claims", "claims ledger", studied, meta=artifacts.CLAIMS_META)
    yield Job("claims/report", "claims report", ("claims/claims", *drawn), items=len(drawn), meta=artifacts.REPORT_META)
    yield Job("claims/citation", "claims citation", ("claims/claims",), meta=artifacts.CITATION_META)


def _browser(config: Config) -> Iterator[Job]:
    for name in shown(config):
        features = config.dictionaries[name].d_sae if name in config.dictionaries else config.models[model_of(name)].d_mlp
        explained = (f"interpretability/{name}.{OFFLINE}",) if name in scored(config) else ()
        yield Job(f"browser/{name}", "browser table", (f"features/{name}.effects", "features/contexts", "features/relations", "features/matches", *explained), items=features,
                  meta=f"browser/data/{name}.meta.json")
    yield Job("browser/shared", "browser shared", ("features/texts",), meta=f"browser/data/{artifacts.SHARED_META}")
    yield Job("browser/page", "browser page", ("browser/shared", "claims/claims", *(f"browser/{name}" for name in shown(config))), items=len(shown(config)),
              meta=f"browser/{artifacts.META}")
