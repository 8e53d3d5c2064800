"""A run made of planted tables: what the stages up to `features` leave behind, without training anything.

Texts, tokenizer, transformers (untrained) and neuron tables are real; what dictionaries do is planted: feature `k` of every
dictionary fires where the run's context `k` is on.
"""

import base64
import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from scipy import sparse

from replication import artifacts, provenance
from replication.artifacts import Layout
from replication.config import Config, Sae, d_in, model_of
from replication.corpus import tokenizer
from replication.features import effects, every, neurons, on_texts, pairs, profile, relations, shown, sizes, tables, without_dictionaries
from replication.features import site as site_of_model
from replication.features import texts as fixed_texts
from replication.features.ablation import measure as ablate
from replication.features.contexts import make as make_contexts
from replication.features.contexts import pieces, score
from replication.features.logit_weights import Readout, written
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.features.tokens import read
from replication.features.vocabulary import Vocabulary
from replication.interpretability import OFFLINE, scored, units
from replication.interpretability.explainers import make as make_explainer
from replication.interpretability.score import score as score_explainers
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.rating import ratings, rubric, sample
from replication.rating.source import Source
from replication.sae.dictionary import describe
from replication.sae.schedule import resampling_steps


def raw(d_sae: int = 160, d_mlp: int = 24, contexts: int = 128, bootstrap: int = 60) -> dict:
    """A config in the shape of `laptop`, small."""
    return {
        "run": "planted", "corpus": {"d_vocab": 512}, "model": {"d_model": 16, "d_mlp": d_mlp, "n_ctx": 32, "tokens": 10_000},
        "models": {"A": {}, "B": {"seed": 1, "stream": 1}, "random": {"shuffle_of": "A"},
                   "mlp_0": {"d_mlp": 0}, "mlp_8": {"d_mlp": 8}, "mlp_24": {}},
        "activations": {"vectors": 400_000, "per_context": 8, "block": 8000},
        "sae": {"l1": 0.003, "batch": 1000, "vectors": 200_000, "min_window": 5000, "init": "kaiming", "l1_warmup": 0.5, "log_every": 10},
        "dictionaries": {
            "A/2": {"d_sae": 4 * d_sae}, "A/1": {"d_sae": d_sae, "replicates": 3}, "A/0": {"d_sae": d_sae // 8, "replicates": 3},
            "A/l1_low": {"d_sae": d_sae, "l1": 0.002}, "A/l1_high": {"d_sae": d_sae, "l1": 0.005},
            "A/kaiming": {"d_sae": d_sae, "l1_warmup": 0},
            "B/1": {"d_sae": d_sae}, "random/1": {"d_sae": d_sae},
            "A/tied": {"d_sae": d_sae, "tied": True}, "A/no_resampling": {"d_sae": d_sae, "resamplings": 0}},
        "features": {"contexts": contexts, "shard_contexts": contexts // 2}, "studies": {"bootstrap": bootstrap},
        "interpretability": {"units": 60, "explainers": ["lookup"], "headline": "lookup"},
    }


def few() -> dict:
    """A run with the two dictionaries that every run has."""
    given = raw(d_sae=48, bootstrap=20)
    given["dictionaries"] = {"A/1": {"d_sae": 48}, "B/1": {"d_sae": 48}}
    return given


def plant(root: Path, config: Config) -> Layout:
    """Every table that a study reads."""
    layout = Layout(root)
    write_json(config, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10 + "beef", "matches_reference": True})
    text(layout, config)
    for model in config.models:
        transformer(layout, config, model)
    tokens = read(layout.evaluation()).numpy()
    _, scores = score(config.contexts, pieces(layout.corpus()), tokens)
    on = np.stack([row.ravel() > 0 for row in scores.values()], axis=1)
    for index, (name, sae) in enumerate(config.dictionaries.items()):
        dictionary(layout, config, name, sae, on, tokens, np.random.default_rng(index))
    match_table(layout, config)
    settings = config.settings("compute", "activations", "features", "studies", "contexts", "models", "dictionaries")
    make_contexts(settings=settings, names=every(config), corpus=layout.corpus(), out=layout.evaluation())
    main = config.studies.main
    ablate(settings=settings, dictionary=layout.sae(main), model=layout.model(model_of(main)), evaluation=layout.evaluation(),
           matrix=layout.features(main), out=layout.features(main))
    browsed(layout, config)
    for name in scored(config):
        explained(layout, config, name)
    return layout


def browsed(layout: Layout, config: Config) -> None:
    """Effects around examples, relations and fixed texts, by the real jobs."""
    settings = config.settings("compute", "activations", "features")
    models, dictionaries, names = layout.root / "model", layout.root / "sae", shown(config)
    for name in names:
        effects.measure(settings=settings, name=name, models=models, dictionaries=dictionaries, evaluation=layout.evaluation(), out=layout.features(name))
    relations.make(settings=settings, names=[name for name in names if name in config.dictionaries], sizes=[name for name in sizes(config) if name in names],
                   dictionaries=dictionaries, out=layout.evaluation())
    fixed_texts.make(settings=settings, names=on_texts(config), texts=Path(provenance.written("paper", "texts")), models=models,
                     dictionaries=dictionaries, corpus=layout.corpus(), out=layout.evaluation())


SENTENCES = ["the cat sat on the mat, and a dog of the house saw it. ", "import numpy as np\nfor row in range(10):\n    print(row)\n",
             "This is the end of a short story about the sea and the wind. "]
PHRASE = "EVEN THE IMPLIED WARRANTY OF MERCHANTABILITY OR FITNESS FOR A PARTICULAR PURPOSE\n"


@functools.cache
def texts(count: int) -> list[str]:
    """Texts in turn: of each built-in context, and plain ones."""
    rng = np.random.default_rng(5)

    def letters(alphabet: str, size: int) -> str:
        return "".join(rng.choice(list(alphabet), size))

    makers = [
        lambda: " ".join(letters("ابتثجحخدرزسشصطعغفقكلمنهوي", 5) for _ in range(40)),
        lambda: "".join(letters("ACGT", 60) + "\n" for _ in range(6)),
        lambda: base64.b64encode(rng.bytes(150)).decode() + "\n" + base64.b64encode(b"plain words in base sixty four " * 4).decode(),
        lambda: " ".join(letters("אבגדהוזחטיכלמנסעפצקרשת", 5) for _ in range(40)),
        lambda: rng.bytes(120).hex(),
        lambda: PHRASE * 4,
        lambda: " ".join(rf"\\frac{{{letters('abc', 1)}}}{{x_{k}}} + \\alpha" for k in range(30)),
        lambda: "".join(f"<td class='{letters('abcde', 3)}'>{k}</td>\n" for k in range(30)),
        lambda: "".join(f"{letters('ABCDEFGH', 4)}_{letters('ABCDEFGH', 5)} = {k}\n" for k in range(30)),
        *[lambda sentence=sentence: sentence * 6 for sentence in SENTENCES]]
    return [makers[k // 2 % len(makers)]() for k in range(count)]  # two of a kind: one for each half of the evaluation tokens


def text(layout: Layout, config: Config) -> None:
    """Tokenizer, unigram counts and evaluation tokens, a text in each context."""
    corpus, n_ctx = layout.corpus(), config.models["A"].n_ctx
    corpus.mkdir(parents=True, exist_ok=True)
    trained = tokenizer.train(texts(120), config.corpus.d_vocab)
    trained.save(str(corpus / artifacts.TOKENIZER))
    finish(config, corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    encoded = [trained.encode(words).ids for words in texts(config.features.contexts)]
    rows = np.array([(ids * (n_ctx // len(ids) + 1))[:n_ctx] for ids in encoded], dtype=np.int32)
    counts = np.bincount(np.concatenate([trained.encode(words).ids for words in texts(120)]), minlength=trained.get_vocab_size()) + 1
    save(config, corpus, artifacts.UNIGRAMS, {"counts": counts.astype(np.int64)}, name=artifacts.TOKENS_META)
    save_tokens(config, layout, rows)


def transformer(layout: Layout, config: Config, name: str) -> None:
    """An untrained model with large weights, and its neuron tables."""
    d_vocab = len(Vocabulary.read(layout.corpus()).strings)
    made = Transformer(Architecture.of(config.models[name], d_vocab)).initialise(list(config.models).index(name))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter *= 4
    finish(config, layout.model(name), *(path.name for path in store.save(made, layout.model(name)).values()), model=name)
    settings = config.settings("compute", "features")
    for table in {*map(config.site_of, config.dictionaries), *without_dictionaries(config)}:
        if model_of(table) == name:
            site_of_model.measure(settings=settings, site=table.partition("/")[2], model=layout.model(name), evaluation=layout.evaluation(), out=layout.features(table))
    if any(model_of(table) == name for table in config.dictionaries):
        neurons.measure(settings=settings, name=f"{name}/neurons", model=layout.model(name), corpus=layout.corpus(),
                        evaluation=layout.evaluation(), out=layout.features(f"{name}/neurons"))


def dictionary(layout: Layout, config: Config, name: str, sae: Sae, on: np.ndarray, text: np.ndarray, rng: np.random.Generator) -> None:
    """Two clusters of features; the lower one shares its encoder direction. `on` [token, context] is where the first features fire."""
    model, n_ctx = config.models[model_of(name)], config.models["A"].n_ctx
    width = d_in(model, sae.site)
    contexts = config.features.contexts
    tokens = contexts * n_ctx
    lower = rng.random(sae.d_sae) < (0.75 if name == "A/kaiming" else 0.2)
    lower[: on.shape[1]] = False
    shrink = 0.3 * np.log10(sae.d_sae / config.dictionaries["A/1"].d_sae)
    expected = 10 ** np.where(lower, rng.normal(-3.4, 0.3, sae.d_sae), rng.normal(-2.2 - shrink, 0.5, sae.d_sae))
    wanted = rng.binomial(tokens, np.minimum(expected, 0.5))
    places = np.unique(rng.integers(tokens, size=wanted.sum()) * sae.d_sae + np.repeat(np.arange(sae.d_sae), wanted))
    token, context = np.nonzero(on & (rng.random(on.shape) < 0.9))
    planted = token * sae.d_sae + context
    places = np.union1d(places[places % sae.d_sae >= on.shape[1]], planted)
    values = rng.exponential(1, len(places)).astype(np.float32) + np.where(np.isin(places, planted), 3, 0.01).astype(np.float32)
    chosen = sparse.csr_array((values, (places // sae.d_sae, places % sae.d_sae)), shape=(tokens, sae.d_sae))
    folder = layout.features(name)
    with MatrixWriter(path := folder / artifacts.MATRIX, n_features=sae.d_sae, contexts=contexts, n_ctx=n_ctx,
                      shard_contexts=config.features.shard_contexts, dense=False) as writer:
        step = config.features.shard_contexts * n_ctx
        for start in range(0, tokens, step):
            writer.append(chosen[start:start + step])
    shared = rng.normal(size=width)
    encoder = rng.normal(size=(sae.d_sae, width))
    decoder = rng.laplace(size=(sae.d_sae, width)) ** 3
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    encoder = np.where(lower[:, None], 3 * shared + encoder, 0.8 * decoder * np.sqrt(width) + 0.5 * encoder) / np.sqrt(width)
    bias = np.where(lower, rng.normal(-0.6, 0.1, sae.d_sae), rng.normal(-0.3, 0.15, sae.d_sae)).astype(np.float32)
    save(config, layout.sae(name), artifacts.SAE_WEIGHTS, {
        "W_enc": np.ascontiguousarray(encoder.T, np.float32), "b_enc": bias,
        "W_dec": decoder.astype(np.float32), "b_dec": np.zeros(width, np.float32)})
    fired = np.bincount(places % sae.d_sae, minlength=sae.d_sae)
    live = fired > 0
    part = np.where(~live, "dead", np.where(lower, "ultralow", "other"))
    measured, examples = profile.activations(EvaluationMatrix(path), text, side=4)
    examples.to_parquet(folder / artifacts.EXAMPLES, index=False)
    transformer, vocabulary = store.load(layout.model(model_of(name))), Vocabulary.read(layout.corpus())
    readout = Readout.of(transformer, vocabulary.counts, rare_token=config.features.rare_token)
    logits = profile.logits(readout, written(transformer, sae.site, torch.from_numpy(decoder.astype(np.float32))), vocabulary.strings)
    table = pd.concat([measured, logits], axis=1).assign(**{
        "bias": bias, "decoder_encoder": (encoder * decoder).sum(1),
        "moved": ~lower | (rng.random(sae.d_sae) < 0.1), "part": part, "cluster": np.where(live, np.where(lower, "lower", "upper"), None),
        "cosine": (encoder * decoder).sum(1) / np.linalg.norm(encoder, axis=1)})
    table.to_parquet(folder / artifacts.FEATURES, index=False)
    size, strength = np.log2(sae.d_sae), np.log(sae.l1 / 0.003)
    share = (0.55 + 0.035 * size - 0.06 * strength + 0.004 * rng.normal()) if not name.startswith("random") else 0.5
    base = rng.normal(4.0, 0.3, contexts)
    per = n_ctx - 1
    zero = base + (0.5 + 0.1 * rng.random(contexts) if not name.startswith("random") else 0.01 * rng.normal(size=contexts))
    mean = base + (zero - base) * 0.7
    losses = pd.DataFrame({"context": np.arange(contexts), "tokens": n_ctx, "predicted": per, "loss": per * base, "loss_zero": per * zero,
                           "loss_mean": per * mean, "loss_reconstructed": per * (zero - share * (zero - base)),
                           "l0": n_ctx * 10 * np.exp(-0.9 * strength) * rng.gamma(50, 1 / 50, contexts) * (size / 10),
                           "l1": n_ctx * 4 * np.exp(-strength) * rng.gamma(50, 1 / 50, contexts), "variance": n_ctx * 0.05,
                           "squared_error": n_ctx * 0.05 * (1 - share) * rng.gamma(50, 1 / 50, contexts)})
    losses.to_parquet(folder / artifacts.LOSSES, index=False)
    (folder / artifacts.EVALUATION).write_text(json.dumps({
        "dictionary": name, "tokens": tokens, "contexts": contexts, "ultralow_measurable": False, "l0": float(losses["l0"].sum() / tokens),
        "mixture": {"separation": 4.2, "bic_gain": 100.0, "valley": 0.2, "clear": True}, "features": sae.d_sae}))
    finish(config, folder, path.name, artifacts.FEATURES, artifacts.EXAMPLES, artifacts.LOSSES, artifacts.EVALUATION)
    training_log(config, layout.sae(name), sae, rng)
    start = rng.normal(size=(sae.d_sae, width))
    save(config, layout.sae(name), artifacts.SAE_START, {
        "W_dec": (start / np.linalg.norm(start, axis=1, keepdims=True)).astype(np.float32), "resampled": np.zeros(sae.d_sae, np.int32),
        "last_fired": np.zeros(sae.d_sae, np.int32)})
    describe(layout.sae(name), d_in=width, sae=sae, model=model, name=model_of(name))
    finish(config, layout.sae(name), artifacts.SAE_WEIGHTS, artifacts.SAE_CONFIG, artifacts.SAE_START, artifacts.TRAINING_LOG)


def training_log(config: Config, folder: Path, sae: Sae, rng: np.random.Generator) -> None:
    """Loss that falls, and rises by a tenth in the row after each resampling."""
    steps, after = sae.vectors // sae.batch, resampling_steps(sae)
    rows = []
    for step in sorted({*range(sae.log_every, steps + 1, sae.log_every), *after, *(s + 1 for s in after), steps}):
        spike = 1.1 if step - 1 in after else 1.0
        l1 = sae.l1 * min(1.0, step / (sae.l1_warmup * steps)) if sae.l1_warmup else sae.l1
        mse, norm = 0.01 * (1 + 20 / step) * spike, 4.0 * spike * (1 + 5 / step)
        rows.append({"step": step, "vectors": step * sae.batch, "loss": mse + l1 * norm, "mse": mse, "l1": norm, "l1_coefficient": l1,
                     "l0": 12 + 100 / step + 0.1 * rng.normal(), "dead": 12 if step in after else int(20 * np.exp(-step / 60)),
                     "resampled": 12 if step in after else 0})
    artifacts.write_rows(folder / artifacts.TRAINING_LOG, rows)


def match_table(layout: Layout, config: Config) -> None:
    """Correlations as in the paper: features match features best, their own neurons least."""
    rng = np.random.default_rng(7)
    wanted = dict.fromkeys(pairs(config))
    wanted |= dict.fromkeys((name, other) for name in config.dictionaries if name.startswith("A/1-r") for other in ("B/1", "A/neurons"))
    parts = []
    for left, right in wanted:
        n = config.models["A"].d_mlp if left.endswith("neurons") else config.dictionaries[left].d_sae
        centre = 0.46 if left.endswith("neurons") else 0.38 if right.endswith("neurons") else 0.74
        value = np.clip(rng.normal(centre, 0.15, n), -0.1, 0.99)
        parts.append(pd.DataFrame({"dictionary": left, "feature": np.arange(n), "other": right, "match": 0, "correlation_chosen": value,
                                   "correlation": value, "logit_correlation": value}))
    folder = layout.evaluation()
    pd.concat(parts, ignore_index=True).to_parquet(folder / artifacts.MATCHES, index=False)
    finish(config, folder, artifacts.MATCHES, name=artifacts.MATCHES_META)
    assert tables(config)


def rate(layout: Layout, raters: tuple[str, ...] = ("ann", "ben"), count: int = 30) -> None:
    """Ratings into `rating.ratings.ROOT`: features score high, neurons at 0, features of the shuffled model at 0 or in the middle."""
    source = Source.read(layout.root)
    kinds = {table: kind for kind, of in source.offered.items() for table in of}
    drawn = sample.draw(source.offered, units=count, intervals=3, seed=source.seed)
    cards = source.cards({table: [unit.feature for unit in drawn if unit.table == table] for table in kinds})
    for index, rater in enumerate(raters):
        rng = np.random.default_rng(index)
        rows = []
        for unit in drawn:
            share = {"features": 0.85, "neurons": 0.05, "random": 0.45 * (unit.feature % 2)}[kinds[unit.table]]
            for interval in unit.intervals:
                scores = {item.key: int(rng.binomial(item.most, share)) for item in rubric.RUBRIC}
                scores["separation"] *= scores["logits"] < 3
                rows.append({"unit": unit.name, "interval": interval, **scores, "total": rubric.total(scores), "explanation": "planted",
                             "shown": cards[unit.name].id, "seed": source.seed, "rated_at": "2026-01-01T00:00:00+00:00"})
        ratings.merge(ratings.path_of(source.run, rater), rows)


def explained(layout: Layout, config: Config, name: str) -> None:
    """Units, windows and scores of a table, by the real jobs."""
    settings, out = config.settings("compute", "activations", "features"), layout.interpretability(name)
    units.make(settings=settings, name=name, units=config.interpretability.units, features=layout.features(name), evaluation=layout.evaluation(),
               models=layout.root / "model", dictionaries=layout.root / "sae", corpus=layout.corpus(), out=out)
    vocabulary = Vocabulary.read(layout.corpus())
    score_explainers(settings=settings, explainers=[make_explainer(each, vocabulary) for each in config.interpretability.explainers], units=out,
                     out=layout.interpretability(name, OFFLINE))


def write_json(config: Config, folder: Path, file: str, value: dict) -> None:
    artifacts.write_json(folder / file, value)
    finish(config, folder, file)


def save(config: Config, folder: Path, file: str, tensors: dict[str, np.ndarray], name: str = artifacts.META) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / file)
    finish(config, folder, file, name=name)


def save_tokens(config: Config, layout: Layout, tokens: np.ndarray) -> None:
    """Evaluation tokens [context, n_ctx], each context of a text of its own."""
    save(config, layout.evaluation(), artifacts.EVALUATION_SOURCES, {"sources": np.arange(len(tokens))}, name=artifacts.TOKENS_META)
    save_file({"tokens": tokens}, layout.evaluation() / artifacts.EVALUATION_TOKENS)
    finish(config, layout.evaluation(), artifacts.EVALUATION_TOKENS, artifacts.EVALUATION_SOURCES, name=artifacts.TOKENS_META)


def finish(config: Config, folder: Path, *files: str, name: str = artifacts.META, model: str = "") -> None:
    artifacts.write_meta(folder, stage="planted", settings=config.settings(model=model), files={file: folder / file for file in files}, inputs={},
                         stopwatch=Stopwatch(), name=name)
