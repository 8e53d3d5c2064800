"""The jobs of a run and the work in each, counted from the config alone. Nothing here is measured, and nothing is a rate.

Work has two kinds of units. `terms` are counts that a law of `steps.py` prices (steps, logits, arithmetic, fired pairs). `items` counts what else
a job goes through (tokens of evaluation, features, bytes of text); what an item costs is read off jobs of the same kind in another run.
Names are those of Snakemake's benchmarks: `sae/A/1`, `features/A/1.effects`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from replication import artifacts, exhibits
from replication.artifacts import Layout
from replication.config import ELEMENT_BYTES, Config, Model, Sae, d_in, model_of
from replication.corpus.runs import RUN_BYTES
from replication.features import NEURONS, every, on_texts, pairs, shown, sizes, tables, without_dictionaries
from replication.interpretability import LLM, OFFLINE, scored
from replication.studies import STUDIES

CORPUS = "corpus/corpus"  # the job that puts the parts together
STAGES = ("corpus", "model", "activations", "sae", "features", "interpretability", "studies", "exhibits", "claims", "browser")
FLOAT, HALF, INDEX = 4, 2, 4  # bytes
COLUMN_BUDGET = 2**24  # `replication.features.columns.BUDGET`
COLUMN_ENTRY = 48  # bytes of an entry while a block of columns is put together and read: rows, their stack, columns, tokens, owners and bins
# tables of the whole run, by the job that makes them
SHARED = {artifacts.MATCHES: "matches", artifacts.CONTEXTS: "contexts", artifacts.PROXIES: "contexts", artifacts.RELATIONS: "relations",
          artifacts.TEXTS: "texts", artifacts.TEXT_TOKENS: "texts"}


@dataclass(frozen=True)
class Job:
    """One job: its kind, what it waits for, and its work.

    `terms` maps a law of `steps.LAWS` to counts of its terms; a job without `items` is priced by them alone. `flops` are operations that it cannot leave
    out. Its work is shared by `ranks` processes: `memory` is bytes of arrays beside what a process of this kind holds anyway, `threads` those of one, and
    `gpu` says whether each claims a GPU where there is one.
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
    ranks: int = 1

    @property
    def stage(self) -> str:
        """The stage that its name begins with."""
        return self.name.partition("/")[0]

    @property
    def meta(self) -> str:
        """The metadata file of its output in the folder of the run; empty for exhibits, which have none."""
        table, _, part = self.name.partition(".")
        stage, _, rest = table.partition("/")
        if stage == "exhibits":
            return ""
        if stage == "claims":
            return f"{rest}.{artifacts.META}"
        if stage == "browser":
            return f"browser/{artifacts.META}" if rest == "page" else f"browser/{artifacts.SHARDS}/{rest}.{artifacts.META}"
        if stage == "interpretability" and part:
            return f"{table}/{part}/{artifacts.META}"
        if part:  # one of several artifacts of a table's folder
            return f"{table}/{part}.{artifacts.META}"
        if self.name == CORPUS:
            return f"corpus/{artifacts.META}"
        if stage == "corpus" and "/" in rest:
            verb, _, number = rest.partition("/")
            return f"corpus/parts/{number}/{artifacts.META if verb == 'documents' else artifacts.TOKENS_META}"
        return f"{table}.{artifacts.META}" if "/" not in rest and stage in ("corpus", "features") else f"{table}/{artifacts.META}"


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
    screened = steps * batch * d_sae
    return {"steps": steps, "screened": screened, "flops": 2.0 * screened * width, "pairs": fired * width, "weights": steps * d_sae * width}


def dense_steps(d_sae: int, width: int, batch: int, steps: float) -> dict[str, float]:
    """Terms of dictionary steps by five products with all features."""
    return {"steps": steps, "elements": steps * batch * d_sae, "flops": 10.0 * steps * batch * d_sae * width}


def harvest(model: Model, site: str, vectors: float, per_context: int) -> dict[str, float]:
    """Terms of reading `vectors` off a site: tokens that pass the attention, operations, bytes that are written and hashed."""
    tokens, width = vectors / per_context * model.n_ctx, d_in(model, site)
    before = 2.0 * (4 * model.d_model**2 + 2 * model.n_ctx * model.d_model) * tokens
    return {"tokens": tokens, "flops": before + 2.0 * model.d_model * model.d_mlp * vectors, "elements": vectors * width}


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


def _corpus(config: Config) -> Iterator[Job]:
    corpus, shards = config.corpus, range(config.corpus.shards)
    size = corpus.max_bytes / corpus.shards
    # installed packages are all read, however much of their text is used
    text = 1.0 if corpus.source == "installed" else size
    looked_up = ("corpus/revision",) if corpus.source == "hub" else ()
    for name in looked_up:
        yield Job(name, "corpus revision")
    for part in shards:
        yield Job(f"corpus/documents/{part}", f"corpus documents, {corpus.source}", looked_up, items=text, memory=min(size, RUN_BYTES))
    trained = float(corpus.tokenizer_bytes) if corpus.tokenizer == "train" else 1.0
    yield Job("corpus/tokenizer", "corpus tokenizer", ("corpus/documents/0",), items=trained)
    for part in shards:
        yield Job(f"corpus/tokens/{part}", "corpus tokens", (f"corpus/documents/{part}", "corpus/tokenizer"), items=size)
    yield Job(CORPUS, "corpus join", tuple(f"corpus/tokens/{part}" for part in shards), items=float(corpus.max_bytes))


def _models(config: Config) -> Iterator[Job]:
    d_vocab = config.corpus.d_vocab
    for name, model in config.models.items():
        weights = float(FLOAT * parameters(model, d_vocab))
        if model.shuffle_of:
            yield Job(f"model/{name}", "model shuffled", (f"model/{model.shuffle_of}",), memory=2 * weights)
            continue
        if model.load:
            yield Job(f"model/{name}", "model imported", (CORPUS,), memory=2 * weights)
            continue
        seen = model.until * model.tokens
        looked = forward(model, d_vocab, seen / (model.batch * model.n_ctx) / model.validate_every * model.validation_contexts * model.n_ctx)
        terms = {term: count + looked[term] for term, count in model_step(model, d_vocab, seen).items()}
        # logits of a chunk, their softmax and gradient; what the blocks keep of a batch for theirs
        kept = 3 * model.head_chunk * d_vocab + model.batch * model.n_ctx * model.n_layers * (12 * model.d_model + 3 * model.d_mlp)
        yield Job(f"model/{name}", "model", (CORPUS,), items=0.0, terms={"model step": terms}, flops=terms["flops"],
                  memory=4 * weights + FLOAT * kept, gpu=True, threads=config.compute.threads)


def _activations(config: Config) -> Iterator[Job]:
    settings = config.activations
    for name in sites_read(config):
        measured = settings.vectors if config.activations_of(name).storage == "stored" else settings.block  # a stream is only looked at
        model, site = config.models[model_of(name)], name.partition("/")[2]
        terms = harvest(model, site, measured, settings.per_context)
        drawn = 3 * 8 * settings.block  # contexts, positions and slots of the vectors
        yield Job(f"activations/{name}", "activations", (f"model/{model_of(name)}",), items=0.0, terms={"harvest": terms}, flops=terms["flops"],
                  memory=float(ELEMENT_BYTES[settings.dtype] * d_in(model, site) * settings.block + drawn), gpu=True, threads=config.compute.threads)


def sites_read(config: Config) -> list[str]:
    """The sites, each with its model, that dictionaries are trained on."""
    return list(dict.fromkeys(config.site_of(name) for name, sae in config.dictionaries.items() if not sae.load))


def _dictionaries(config: Config, courses: Sequence[Course]) -> Iterator[Job]:
    settings = config.activations
    for name, sae in config.dictionaries.items():
        model = config.models[model_of(name)]
        width = d_in(model, sae.site)
        if sae.load:
            yield Job(f"sae/{name}", "sae imported", (f"model/{model_of(name)}",), memory=float(6 * FLOAT * width * sae.d_sae))  # beside folds in float64
            continue
        stored = config.activations_of(config.site_of(name)).storage == "stored"
        terms: dict[str, Mapping[str, float]] = dict(fit_steps(sae, width, most_alike(config, name, courses))) if courses else {}
        flops = dictionary_flops(sae, width)
        if stored:
            terms["read block"] = {"elements": float(sae.vectors) * width}
        else:  # each dictionary computes its own vectors again
            terms["harvest"] = harvest(model, sae.site, sae.vectors, sae.per_context or settings.per_context)
            flops += terms["harvest"]["flops"]
        block = ELEMENT_BYTES[settings.dtype] * width * settings.block
        blocks = (2 if stored else 1) * block  # the one in use, and the next where it is only read
        # of a rank's features weights, their gradients and moments, and the start; of all vectors themselves, centred, and residuals; then three arrays
        # of a dense step, of a limited size, or at another time the inputs of a resampling and a block of the second stream that reads them
        d_sae = sae.d_sae // sae.ranks
        arrays = FLOAT * (9 * width * d_sae + 3 * sae.batch * width) + blocks
        in_step = FLOAT * 3 * min(2**26, sae.batch * d_sae)
        in_resampling = FLOAT * min(sae.resample_inputs, sae.vectors) * width + block if sae.resamplings else 0
        yield Job(f"sae/{name}", "sae", (f"activations/{config.site_of(name)}", *([f"sae/{sae.warm_start}"] if sae.warm_start else [])), items=0.0,
                  terms=terms, flops=flops, memory=float(arrays + max(in_step, in_resampling)), gpu=True, threads=config.compute.threads, ranks=sae.ranks)


def _features(config: Config, courses: Sequence[Course]) -> Iterator[Job]:
    tokens, d_vocab, main = evaluation_tokens(config), config.corpus.d_vocab, config.studies.main
    shared = replace(Job("", ""), gpu=True, threads=config.compute.threads)
    shard = min(tokens, config.features.shard_contexts * next(iter(config.models.values())).n_ctx)

    def units(name: str) -> int:
        return _units(config, name)

    def width(*names: str) -> int:
        """What a token costs a pair of tables: neurons are dense, of features few fire."""
        return max(1 if name in config.dictionaries else units(name) for name in names)

    def columns(entries: float, units: int) -> float:
        """Bytes of a block of columns, as many as fit but at least one (`replication.features.columns`)."""
        return COLUMN_ENTRY * min(entries, max(COLUMN_BUDGET, entries / units))

    yield Job("features/tokens", "features tokens", (CORPUS,))
    for name in dict.fromkeys(model_of(name) for name in config.dictionaries):
        model = config.models[name]
        if model.d_mlp:
            yield replace(shared, name=f"features/{name}/{NEURONS}", kind="features neurons", after=(f"model/{name}", "features/tokens"),
                          items=float(tokens * model.d_mlp), flops=forward_flops(model, d_vocab) * tokens,
                          memory=shard * model.d_mlp * (2 * FLOAT + HALF) + columns(tokens * model.d_mlp / 2, model.d_mlp))  # half the time above zero
    for name in dict.fromkeys([*(config.site_of(name) for name in config.dictionaries), *without_dictionaries(config)]):
        terms = forward(config.models[model_of(name)], d_vocab, 3.0 * tokens)  # as it is, zeroed, and at its mean
        yield replace(shared, name=f"features/{name}", kind="features site", after=(f"model/{model_of(name)}", "features/tokens"), items=float(tokens),
                      terms={"model step": terms}, flops=terms["flops"])
    for name, sae in config.dictionaries.items():
        model = config.models[model_of(name)]
        read = d_in(model, sae.site)
        fired = tokens * most_alike(config, name, courses).late if courses else 0.0
        losses, encoded = forward(model, d_vocab, tokens), sparse_steps(sae.d_sae, read, tokens, 1, fired) | {"steps": 0.0, "weights": 0.0}
        yield replace(shared, name=f"features/{name}", kind="features dictionary", after=(f"sae/{name}", f"features/{config.site_of(name)}"),
                      items=float(tokens), terms={"model step": losses, "sparse step": encoded}, flops=losses["flops"] + encoded["flops"],
                      memory=FLOAT * 3.0 * read * sae.d_sae + (FLOAT + INDEX) * shard / tokens * fired + columns(fired, sae.d_sae))
    matched, ranked, texts = tables(config), every(config), on_texts(config)
    related = [name for name in shown(config) if name in config.dictionaries]
    yield replace(shared, name="features/matches", kind="features matches", after=tuple(f"features/{name}" for name in matched),
                  items=float(tokens * sum(width(*pair) for pair in pairs(config))))
    yield Job("features/contexts", "features contexts", tuple(f"features/{name}" for name in ranked), items=float(tokens * len(ranked)))
    yield replace(shared, name=f"features/{main}.ablation", kind="features ablation", after=(f"features/{main}",),
                  items=float(config.studies.ablation_contexts * config.models[model_of(main)].n_ctx))
    for name in shown(config):
        yield replace(shared, name=f"features/{name}.effects", kind="features effects", after=(f"features/{name}",), items=float(units(name)))
    yield replace(shared, name="features/relations", kind="features relations", after=tuple(f"features/{name}" for name in related),
                  items=float(tokens * max(1, sum(name in related for name in sizes(config)))))
    yield replace(shared, name="features/texts", kind="features texts", items=float(len(texts)),
                  after=tuple(f"sae/{name}" if name in config.dictionaries else f"model/{model_of(name)}" for name in texts))


def _units(config: Config, name: str) -> int:
    """Features of a dictionary, or neurons of a table such as A/neurons."""
    return config.dictionaries[name].d_sae if name in config.dictionaries else config.models[model_of(name)].d_mlp


def _interpretability(config: Config) -> Iterator[Job]:
    wanted, threads = config.interpretability, config.compute.threads
    for name in scored(config):
        units = float(min(_units(config, name), round(1.2 * wanted.units)) if wanted.units else _units(config, name))  # a fifth as many of the lower cluster
        yield Job(f"interpretability/{name}", "interpretability units", (f"features/{name}",), items=units, threads=threads)
        for kind in (OFFLINE, *([LLM] if wanted.llm else [])):
            yield Job(f"interpretability/{name}.{kind}", f"interpretability {kind}", (f"interpretability/{name}",), items=units, threads=threads)


def _studies(config: Config) -> Iterator[Job]:
    tokens = evaluation_tokens(config)
    for name, study in STUDIES.items():
        files = study.inputs(config, Layout(Path()))
        matrices = sum(path.name == artifacts.MATRIX for path in files)
        # feature_umap embeds features, by a library that compiles itself first: hardly a matter of tokens
        yield Job(f"studies/{name}", f"studies {name}", _makers(files), items=1.0 if name == "feature_umap" else float(tokens * matrices))


def _makers(files: Sequence[Path]) -> tuple[str, ...]:
    """The jobs that make some files of a run, told by their folders."""
    found: dict[str, None] = {}
    for path in files:
        stage, *rest = path.parts[:-1] or ("",)
        name = "/".join((stage, *rest))
        if stage == "corpus":
            found[CORPUS] = None
        elif stage == "features" and not rest:
            found[f"features/{SHARED.get(path.name, 'tokens')}"] = None
        elif stage == "features":
            found[f"{name}.{path.stem}" if path.stem in ("ablation", "effects") else name] = None
        elif stage == "interpretability":
            found[f"{'/'.join((stage, *rest[:-1]))}.{rest[-1]}" if rest[-1] in (OFFLINE, LLM) else name] = None
        elif stage in ("sae", "model"):
            found[name] = None
    return tuple(found)


def _exhibits(config: Config) -> Iterator[Job]:
    for exhibit in exhibits.of(config.studies.contexts).values():
        yield Job(f"exhibits/{exhibit.id}", "exhibits", (f"studies/{exhibit.study}",))


def _claims(config: Config) -> Iterator[Job]:
    drawn = tuple(f"exhibits/{name}" for name in exhibits.of(config.studies.contexts))
    yield Job("claims/claims", "claims ledger", tuple(f"studies/{name}" for name in STUDIES))
    yield Job("claims/report", "claims report", ("claims/claims", *drawn), items=float(len(drawn)))
    yield Job("claims/citation", "claims citation", ("claims/claims",))


def _browser(config: Config) -> Iterator[Job]:
    shared = ("features/contexts", "features/relations", "features/matches")
    for name in shown(config):
        explained = (f"interpretability/{name}.{OFFLINE}",) if name in scored(config) else ()
        yield Job(f"browser/{name}", "browser table", (f"features/{name}.effects", *shared, *explained), items=float(_units(config, name)))
    yield Job("browser/shared", "browser shared", ("features/texts",))
    packed = tuple(f"browser/{name}" for name in shown(config))
    yield Job("browser/page", "browser page", ("browser/shared", "claims/claims", *packed), items=float(len(packed)))
