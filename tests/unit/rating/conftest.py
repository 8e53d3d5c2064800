"""A run by hand: three tables of which 12 units each can be rated, and a tokenizer of tokens that a page could stumble over."""

import argparse
import json

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from replication import artifacts
from replication.artifacts import Layout
from replication.config import Model, Settings, Studies
from replication.provenance import Stopwatch
from replication.rating import ratings
from replication.rating.command import prepare
from replication.rating.source import Source

TOKENS = ["<img src=x onerror=alert(1)>", "</script>", "<!--<script>", "\n", "\t", "\x07", "\u202e", "שלום", " the", "&lt;", "\\xd8", "`${x}`"]
CAN = range(12)  # of 14 units; then comes one that is ultralow and one that fires too seldom


def table(layout, name, index):
    rng = np.random.default_rng(index)
    size, scale = 14, [0.01, 4.0, 700.0][index]  # what a page must not tell
    peak = scale * (1 + rng.random(size))
    features = pd.DataFrame({
        "feature": np.arange(size), "fired": np.where(np.arange(size) == 13, 19, 5000), "part": ["other"] * 12 + ["ultralow", "other"],
        "max": peak.astype(np.float32), "density": [0.001, 0.7, 0.02][index] + np.arange(size) * 1e-6,
        "top_tokens": [[f"t{name}{k}"[-3:] + TOKENS[j] for j in range(10)] for k in range(size)],
        "top_weights": [list(scale * np.linspace(2, 0.2, 10)) for _ in range(size)]})
    rows = []
    for feature in range(size):
        rows.append((feature, "top", -1, 0, [0, 1], [0.0, peak[feature]], 1))
        for interval in range(11):
            for rank in range(5):
                width = 9 if rank else 3  # at the edge of a context a window is shorter
                tokens = rng.integers(len(TOKENS), size=width)
                values = np.zeros(width)
                values[width // 2] = peak[feature] * (10 - interval) / 11
                rows.append((feature, "interval", interval, rank, tokens.tolist(), values.tolist(), width // 2))
    examples = pd.DataFrame(rows, columns=["feature", "group", "interval", "rank", "window_tokens", "window_activations", "centre"])
    folder = layout.features(name)
    artifacts.write_table(folder / artifacts.FEATURES, features)
    artifacts.write_table(folder / artifacts.EXAMPLES, examples.sample(frac=1, random_state=0))
    finish(folder, Settings(run="toy", seed=3), artifacts.FEATURES, artifacts.EXAMPLES)


def finish(folder, settings, *files, name=artifacts.META):
    artifacts.write_meta(folder, stage="test", settings=settings, files={file: folder / file for file in files}, inputs={}, stopwatch=Stopwatch(), name=name)


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("toy"))
    for index, name in enumerate(("A/1", "A/neurons", "random/1")):
        table(layout, name, index)
    finish(layout.evaluation(), Settings(run="toy", seed=3, studies=Studies()), name=artifacts.CONTEXTS_META)
    for model, of in {"A": Model(), "random": Model(shuffle_of="A")}.items():
        layout.model(model).mkdir(parents=True)
        finish(layout.model(model), Settings(run="toy", seed=3, model=of))
    layout.corpus().mkdir()
    Tokenizer(WordLevel({token: k for k, token in enumerate(TOKENS)}, unk_token=" the")).save(str(layout.corpus() / artifacts.TOKENIZER))
    return layout


@pytest.fixture(scope="session")
def source(layout):
    return Source.read(layout.root)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(ratings, "ROOT", tmp_path / "ratings")
    return tmp_path / "ratings"


@pytest.fixture(scope="session")
def task(source):
    return prepare(source, argparse.Namespace(units=18, intervals=3, rater="ann", seed=None))


@pytest.fixture
def row():
    return {"unit": "A/1/7", "interval": 4, "confidence": 3, "strong_tokens": 4, "logits": 2, "separation": 1, "specificity": 2, "total": 12,
            "explanation": 'commas, "quoted"', "shown": "0123456789ab", "seed": 3, "rated_at": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def content():
    def content(page):
        return json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    return content
