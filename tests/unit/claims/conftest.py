"""A finished run by hand: corpus, evaluations, two studies, one figure and one table; no stage computes anything."""

import json
from dataclasses import replace

import pytest

from replication import artifacts, provenance
from replication.claims import inputs, ledger, statements
from replication.config import Activations, Corpus, Features, Model, Sae, Settings, Studies
from replication.provenance import Stopwatch

PAPER = inputs.PROJECT / "paper" / "report"
SETTINGS = Settings(
    run="toy", seed=0, corpus=Corpus(), activations=Activations(), features=Features(), studies=Studies(),
    models={"A": Model(d_mlp=256, tokens=8_400_000), "B": Model(seed=1, tokens=8_400_000)},
    dictionaries={"A/1": Sae(d_sae=2048, vectors=6_029_312, batch=4096), "B/1": Sae(d_sae=2048, vectors=6_029_312, batch=4096)})
ROW = {
    "id": "x-y", "section": "Global analysis", "exhibit": "live_features", "statement": "Some <b>features</b> are dead.", "source": "paper",
    "place": "somewhere", "kind": "number", "published": "168", "unit": "features", "tolerance": "50", "tolerance_why": "because",
    "number": "live_features.dead", "needs": "", "replicates": "1"}
ORDERING = ROW | {"id": "x-order", "kind": "ordering", "published": "", "tolerance": "", "number": "live_features.growth_0_1", "replicates": "3"}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082")
CORPUS = {"source": "installed", "documents": 12, "bytes": 3456, "manifest_sha256": "c0ffee" * 8, "matches_reference": True}


@pytest.fixture(autouse=True)
def no_commit(monkeypatch):
    """Asking git for the commit takes longer than the rest of a test."""
    monkeypatch.setattr(provenance, "commit", lambda: "unknown")


@pytest.fixture
def settings():
    return SETTINGS


@pytest.fixture
def row():
    return dict(ROW)


@pytest.fixture
def ordering():
    return dict(ORDERING)


def write_claims(path, rows):
    artifacts.write_rows(path, rows)
    return path


def make_run(root, *, seed=0, shift=0.0, numbers=None, corpus=CORPUS, settings=SETTINGS, claims=(ROW, ORDERING), reference=None):
    """A run folder as the rules leave it; `shift` moves every number, as another seed would."""
    settings = replace(settings, seed=seed)
    layout = artifacts.Layout(root)
    artifacts.write_json(layout.corpus() / artifacts.CORPUS, corpus)
    for name in ("A/1", "B/1"):
        folder = layout.features(name)
        artifacts.write_json(folder / artifacts.EVALUATION, {
            "dictionary": name, "tokens": 524_288, "features": 2048, "l0": 12.25, "recovered": 0.87, "dead": 3, "ultralow": 240,
            "other": 1805, "moved": 1500})
        files = {"evaluation": folder / artifacts.EVALUATION}
        artifacts.write_meta(folder, stage="features", settings=settings, files=files, inputs={}, stopwatch=Stopwatch())
    found = numbers or {
        "live_features": {"dead": {"value": 150 + shift, "unit": "features", "n": 2048, "over": "features"},
                          "growth_0_1": {"value": 1400 + 5 * shift, "unit": "features", "low": 1390, "high": 1410, "replicates": 3}},
        "loss_recovered": {"main_recovered": {"value": 0.87 + shift / 1000, "unit": "share", "n": 4096, "over": "contexts", "sd": 0.001}}}
    for study, values in found.items():
        artifacts.write_json(layout.study(study) / artifacts.NUMBERS, {"provenance": {}, "numbers": values})
    statements_file = write_claims(root.parent / "claims-published.csv", claims)
    explanations = root.parent / "explanations.csv"
    explanations.write_text("run,on,id,looked_at\n")
    ledger.make(settings=settings, claims=statements_file, explanations=explanations, numbers=sorted(root.glob("studies/*/numbers.json")),
                corpus=layout.corpus() / artifacts.CORPUS, evaluation=layout.features("A/1") / artifacts.EVALUATION, reference=reference,
                template=PAPER / "claims.html.j2", out=layout.claims())
    return root


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "toy")


@pytest.fixture
def make(tmp_path):
    return lambda name, **changes: make_run(tmp_path / name, **changes)


@pytest.fixture
def png():
    return PNG


def claim(**changes):
    return statements.parse(ROW | changes)


@pytest.fixture
def parse():
    return claim


@pytest.fixture
def paper():
    """The folder of what people wrote for the report."""
    return PAPER


@pytest.fixture
def as_json():
    return lambda path: json.loads(path.read_text())
