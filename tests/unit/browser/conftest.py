"""A run so small that its cards can be worked out by hand: two contexts of eighty tokens, six tokens, four features."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tokenizers import Tokenizer, models

from replication import artifacts
from replication.artifacts import Layout
from replication.browser import inputs
from replication.config import Config, Settings
from replication.features.columns import column_blocks
from replication.features.examples import table as table_of
from replication.features.examples import windows
from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from tests import planted

WORDS = ["zero", "one", "two", "</script><!--", "four", "\u202efive"]
N_CTX = 80
TOKENS = (np.arange(2 * N_CTX, dtype=np.int32) % len(WORDS)).reshape(2, N_CTX)
# activations by (feature, context, pos)
FIRINGS = {
    "A/1": {(0, 0, 0): 1.0, (0, 0, 40): 3.0, (0, 0, 72): 2.0, (0, 0, 73): 0.5, (0, 1, 5): 4.0, (2, 0, 10): 1.0, (2, 0, 15): 2.0, (3, 1, 79): 0.123456},
    "A/0": {(0, 0, 40): 1.0}, "B/1": {(1, 0, 40): 1.0}, "A/neurons": {(f, c, p): 1.0 + p / 80 for f in range(3) for c in range(2) for p in range(N_CTX)},
}
SIZES = {"A/1": 4, "A/0": 2, "B/1": 3, "A/neurons": 3}


def config() -> Config:
    raw = planted.raw()
    raw |= {"run": "tiny", "models": {"A": {}, "B": {"seed": 1, "stream": 1}}, "dictionaries": {"A/1": {"d_sae": 4}, "A/0": {"d_sae": 2}, "B/1": {"d_sae": 3}}}
    raw["features"] = {"contexts": 2, "shard_contexts": 1}
    raw["interpretability"] = {"explainers": ["lookup", "ngram"], "headline": "ngram", "units": 2, "tables": ["A/1"]}
    return resolve(raw)


@dataclass
class Tiny:
    layout: Layout
    config: Config

    def settings(self) -> Settings:
        return self.config.settings(*inputs.EVERYTHING, models=list(self.config.models), dictionaries=list(self.config.dictionaries))

    def put(self, folder, meta, **tables: pd.DataFrame) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            artifacts.write_table(folder / name.replace("__", "."), table)
        planted.finish(self.config, folder, *(name.replace("__", ".") for name in tables), name=meta)

    def features(self, name: str, firings: dict[tuple[int, int, int], float]) -> None:
        folder, count, neurons = self.layout.features(name), SIZES[name], name.endswith("neurons")
        folder.mkdir(parents=True, exist_ok=True)
        dense = np.zeros((TOKENS.size, count), np.float32)
        for (feature, context, pos), value in firings.items():
            dense[context * N_CTX + pos, feature] = value
        with MatrixWriter(folder / artifacts.MATRIX, n_features=count, contexts=2, n_ctx=N_CTX, shard_contexts=1, dense=neurons) as writer:
            for part in np.split(dense, 2):
                writer.append(part if neurons else sparse.csr_array(part))
        fired = (dense > 0).sum(0)
        blocks = column_blocks(EvaluationMatrix(folder / artifacts.MATRIX), fired)
        examples = pd.concat([table_of(windows(block, TOKENS, side=4), n_ctx=N_CTX) for block in blocks])
        edges = np.linspace(0, 1, 41)
        table = pd.DataFrame({
            "feature": np.arange(count), "fired": fired, "density": fired / TOKENS.size, "max": dense.max(0), "single_token": False,
            "activation_counts": [np.full(40, number) for number in fired], "activation_edges": [edges] * count,
            "top_tokens": [np.array(WORDS[3:])] * count, "top_weights": [np.array([3.0, 2.0, 1.0])] * count,
            "bottom_tokens": [np.array(WORDS[:2])] * count, "bottom_weights": [np.array([-2.0, -1.0])] * count,
            "logit_counts": [np.ones(40, int)] * count, "logit_edges": [edges - 0.5] * count, "part": np.where(fired > 0, "other", "dead")})
        if not neurons:
            table = table.assign(bias=-0.5, top_neurons=[np.array([2, 0])] * count, top_neuron_weights=[np.array([-0.75, 0.5])] * count,
                                 top_neuron_shares=[np.array([0.6, 0.4])] * count)
        artifacts.write_table(folder / artifacts.FEATURES, table)
        artifacts.write_table(folder / artifacts.EXAMPLES, examples)
        (folder / artifacts.EVALUATION).write_text(json.dumps({"dictionary": name, "l0": 1.5, "recovered": None, "dead": int((fired == 0).sum()), "ultralow": 0}))
        planted.finish(self.config, folder, artifacts.MATRIX, artifacts.FEATURES, artifacts.EXAMPLES, artifacts.EVALUATION)
        effects = pd.DataFrame([(f, c, p, value, -value / 2) for (f, c, p), value in firings.items() if p < N_CTX - 1],
                               columns=["feature", "context", "pos", "activation", "effect"])
        self.put(folder, artifacts.EFFECTS_META, effects__parquet=effects)

    def explained(self, name: str) -> None:
        """Feature 0 is explained by both explainers, feature 2 by one that failed."""
        folder = self.layout.interpretability(name)
        window = {"group": "top", "centre": 1, "tokens": np.array([3, 4, 5]), "activations": np.array([0, 9, 1])}
        rows = [{"feature": 0, "role": "explain", **window}, {"feature": 0, "role": "predict", **window}, {"feature": 0, "role": "predict", **window, "group": "random"},
                {"feature": 2, "role": "predict", **window}]
        self.put(folder, artifacts.META, windows__parquet=pd.DataFrame(rows))
        score = {"pearson": 0.25, "logits": np.nan, "intervals": np.array([np.nan, 0.5]), "error": ""}
        scores = pd.DataFrame([
            {"feature": 0, "explainer": "ngram", "control": False, "explanation": "said <b>", "spearman": 0.5, **score},
            {"feature": 0, "explainer": "ngram", "control": True, "explanation": "of another", "spearman": -0.125, **score},
            {"feature": 0, "explainer": "lookup", "control": False, "explanation": "looked up", "spearman": 0.75, **score},
            {"feature": 2, "explainer": "ngram", "control": False, "explanation": "", "spearman": np.nan, **score, "pearson": np.nan, "error": "late"}])
        predictions = pd.DataFrame([
            {"feature": 0, "explainer": explainer, "window": number, "predicted": np.array([number, 9, 0])} for explainer in ("ngram", "lookup") for number in (0, 1)])
        self.put(self.layout.interpretability(name, "offline"), artifacts.META, scores__parquet=scores, predictions__parquet=predictions)


def make(root, firings=FIRINGS, explained=True) -> Tiny:
    tiny = Tiny(Layout(root), config())
    layout, given = tiny.layout, tiny.config
    planted.write_json(given, layout.corpus(), artifacts.CORPUS, {"source": "made up", "manifest_sha256": "c0ffee" * 10 + "beef"})
    Tokenizer(models.WordLevel({word: token for token, word in enumerate(WORDS)}, unk_token="zero")).save(str(layout.corpus() / artifacts.TOKENIZER))
    planted.finish(given, layout.corpus(), artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    planted.save_tokens(given, layout, TOKENS)
    for name, fired in firings.items():
        tiny.features(name, fired)
        if not name.endswith("neurons"):
            planted.save(given, layout.sae(name), artifacts.SAE_WEIGHTS, {"W_dec": np.zeros((1, 1), np.float32)})
    evaluation = layout.evaluation()
    match = ["dictionary", "feature", "other", "match", "correlation_chosen", "correlation", "logit_correlation"]
    tiny.put(evaluation, artifacts.MATCHES_META, matches__parquet=pd.DataFrame([
        ("A/1", 0, "B/1", 1, 0.9, 0.875, 0.5), ("A/1", 2, "B/1", 1, 0.8, 0.75, np.nan), ("A/1", 3, "B/1", -1, np.nan, np.nan, np.nan),
        ("A/1", 1, "B/1", 2, 0.1, np.nan, 0.0), ("A/1", 0, "A/neurons", 2, 0.4, 0.25, 0.125), ("B/1", 1, "A/1", 0, 0.9, 0.875, 0.5)], columns=match))
    tiny.put(evaluation, artifacts.CONTEXTS_META, contexts__parquet=pd.DataFrame([
        ("A/1", "dna", 2, 0, 0.5, 0.25), ("A/1", "dna", 0, 1, 0.4, 0.2), ("A/1", "hex", -1, 0, np.nan, np.nan), ("B/1", "dna", 1, 0, 0.5, 0.5)],
        columns=["dictionary", "context", "feature", "rank", "correlation_chosen", "correlation"]))
    tiny.put(evaluation, artifacts.RELATIONS_META, relations__parquet=pd.DataFrame([
        ("A/0", 0, "child", "A/1", 0, 0.5), ("A/0", 0, "child", "A/1", 2, 0.75), ("A/1", 0, "decoder", "A/1", 2, 0.25)],
        columns=["dictionary", "feature", "kind", "other", "partner", "value"]))
    tiny.put(evaluation, artifacts.TEXTS_META, texts__parquet=pd.DataFrame([
        ("A/1", "poem", 0, 0, 1.0, 0.5), ("A/1", "poem", 1, 0, 3.0, np.nan), ("A/1", "poem", 1, 2, 4.0, np.nan), ("A/1", "code", 0, 0, 2.0, np.nan)],
        columns=["dictionary", "text", "pos", "feature", "activation", "effect"]),
        text_tokens__parquet=pd.DataFrame([("code", "Code", 0, 5), ("poem", "A <poem>", 0, 1), ("poem", "A <poem>", 1, 2)], columns=["text", "title", "pos", "token"]))
    if explained:
        tiny.explained("A/1")
    tiny.put(layout.study("feature_umap"), artifacts.META, data__csv=pd.DataFrame(
        [("A/1/2", 1.5, 2.5, np.nan, np.nan, 7), ("A/0/0", 9.0, 9.0, 9.0, 9.0, np.nan), ("A/1/0", 0.5, 0.25, np.nan, np.nan, np.nan)],
        columns=["name", "x", "y", "x_large", "y_large", "cluster"]))
    return tiny


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory) -> Tiny:
    return make(tmp_path_factory.mktemp("tiny"))
