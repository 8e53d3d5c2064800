"""A run whose main dictionary came from elsewhere: what only training leaves behind is asked of nobody, and what needs it says why it is absent."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from replication import artifacts
from replication.artifacts import Layout
from replication.claims.scale import facts, shortfall
from replication.claims.statements import Condition
from replication.features.table import Start, weights
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.resolution import resolve
from replication.sae.dictionary import Dictionary
from replication.studies import STUDIES
from replication.studies.replicates import NO_TWIN
from tests.planted import raw


@pytest.fixture
def config():
    given = raw() | {"models": {"A": {"load": "gelu-1l"}, "random": {"shuffle_of": "A"}}, "studies": {"twin": "A/1"}}
    return resolve(given | {"dictionaries": {"A/1": {"load": "x", "d_sae": 192}, "random/1": {"d_sae": 192}}})


@pytest.fixture
def layout(config, tmp_path):
    """A run with nothing in it but the corpus's summary."""
    layout = Layout(tmp_path)
    artifacts.write_json(layout.corpus() / artifacts.CORPUS, {"manifest_sha256": "c0ffee", "matches_reference": True})
    artifacts.write_meta(layout.corpus(), stage="corpus", settings=config.settings(), files={"corpus": layout.corpus() / artifacts.CORPUS}, inputs={}, stopwatch=Stopwatch())
    return layout


def test_no_study_reads_a_log_or_a_start_of_it(config):
    files = {path for study in STUDIES.values() for path in study.inputs(config, Layout(Path("results")))}
    assert Layout(Path("results")).sae("A/1") / artifacts.SAE_WEIGHTS in files
    left = {artifacts.SAE_START, artifacts.TRAINING_LOG, artifacts.WATCH}
    assert not {path for path in files if path.parent == Layout(Path("results")).sae("A/1") and path.name in left}


@pytest.mark.parametrize(("study", "reason"), [
    ("training_curves", "the main dictionary was not trained in this run"),
    ("universality_histogram", NO_TWIN), ("similarity_scatter", NO_TWIN),
    ("ultralow_dynamics", "how the main dictionary's features began is not known: it was not trained in this run")])
def test_exhibits_of_the_training_or_of_a_second_model_say_why_they_are_absent(study, reason, config, layout, tmp_path):
    out = tmp_path / "studies" / study
    importlib.import_module(STUDIES[study].module).compute(settings=STUDIES[study].settings(config), layout=layout, out=out, progress=Progress())
    found = artifacts.read_json(out / artifacts.NUMBERS)
    assert found["absent"] == reason and not found["numbers"] and set(found["missing"].values()) == {reason}
    asked = pd.read_csv("paper/published/claims.csv")["number"].dropna()
    keys = {number.partition(".")[2] for number in asked if number.startswith(f"{study}.")}
    assert keys and keys <= set(found["missing"])


def test_columns_of_the_start_are_missing_and_stay_so_on_disk(tmp_path):
    draw = torch.Generator().manual_seed(0)
    W_dec = torch.randn(6, 4, generator=draw)
    dictionary = Dictionary(W_enc=torch.randn(4, 6, generator=draw), b_enc=torch.zeros(6), W_dec=W_dec, b_dec=torch.zeros(4))
    artifacts.write_table(tmp_path / "features.parquet", weights(dictionary, None))
    table = artifacts.read_table(tmp_path / "features.parquet")
    known = weights(dictionary, Start(W_dec=W_dec, resampled=torch.zeros(6, dtype=torch.int32)))
    assert table[["start_cosine", "moved", "resampled"]].isna().all(axis=None) and list(table) == list(known)
    assert np.allclose(table["decoder_encoder"], known["decoder_encoder"])


def test_a_claim_that_needs_its_training_is_not_comparable_and_says_that_it_is_unknown(config):
    scale = facts(config.settings("corpus", "studies", models=["A"], dictionaries=["A/1"]), {"tokens": 65_536})
    assert shortfall(Condition("vectors", ">=", 8e9), scale) == "the dictionary saw an unknown number of vectors, the row needs 8 billion"
    assert shortfall(Condition("tokens", ">=", 1e11), scale) == "the model saw an unknown number of tokens, the row needs 100 billion"
