"""Base64 in text, and a planted family of three features: letters, digits, ASCII."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.features.proxies import Pieces
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.phenomenology import base64_split
from replication.studies.phenomenology.base64_family import Text, described, find
from replication.studies.phenomenology.base64_text import decoded, is_ascii, printable, run_around
from tests.planted import raw

N_CTX = 64
SAID = b"plain words, said in base sixty four; "


def test_a_run_is_maximal_and_holds_the_place():
    said = b"x = aGVsbG8gd29ybGQ=; y"
    assert run_around(said, 6) == b"aGVsbG8gd29ybGQ"
    assert run_around(said, 2) == b""


@pytest.mark.parametrize("cut", range(5))
def test_text_is_read_wherever_its_run_begins(cut):
    run = base64.b64encode(SAID)[cut:].rstrip(b"=")
    assert is_ascii(run)
    assert decoded(run).strip() in SAID


def test_random_bytes_are_no_text():
    rng = np.random.default_rng(0)
    assert not any(is_ascii(base64.b64encode(rng.bytes(60))) for _ in range(50))
    assert decoded(b"abc") == b""
    assert printable(b"") == 0


@pytest.fixture
def text():
    """Texts of single bytes: twelve of base64 (half of it ASCII, in pairs, so that both halves have both), twenty of words."""
    rng = np.random.default_rng(0)
    rows = [base64.b64encode(SAID + SAID)[:N_CTX] if k % 4 < 2 else base64.b64encode(rng.bytes(60))[:N_CTX] for k in range(12)]
    rows += [(b"some words that are not " * 4)[:N_CTX]] * 20
    pieces = Pieces([bytes([byte]) for byte in range(256)], np.ones(256, np.int64))
    return Text.of(np.array([list(row) for row in rows], np.int32), np.arange(len(rows)), pieces)


@pytest.fixture
def family(text, tmp_path):
    """Feature 0 fires on letters of base64, 1 on its digits, 2 on base64 that is ASCII, 3 everywhere, 4 on words."""
    flat = text.tokens.ravel()
    ascii_ = np.repeat([k % 4 < 2 and k < 12 for k in range(32)], N_CTX)
    rng = np.random.default_rng(0)
    dense = np.zeros((len(flat), 5), np.float32)
    dense[text.base64 & ~text.digits & ~ascii_, 0] = 1
    dense[text.base64 & text.digits & ~ascii_, 1] = 1
    dense[text.base64 & ascii_, 2] = 1
    dense[:, 3] = 1
    dense[~text.base64, 4] = 1
    dense *= 1 + rng.random(dense.shape).astype(np.float32)
    with MatrixWriter(tmp_path / "matrix.safetensors", n_features=5, contexts=32, n_ctx=N_CTX, shard_contexts=10, dense=False) as writer:
        for start in range(0, 32, 10):
            writer.append(sparse.csr_array(dense[start * N_CTX : (start + 10) * N_CTX]))
    return find(EvaluationMatrix(tmp_path / "matrix.safetensors"), np.arange(5), text)


def test_what_is_base64(text):
    assert text.base64.reshape(32, N_CTX).mean(1).tolist() == [1.0] * 12 + [0.0] * 20
    assert text.absent == ""
    assert "0.00% of" in Text.of(text.tokens[12:], text.sources[12:], text.pieces).absent


def test_the_family_is_found(family):
    assert sorted(family.features) == [0, 1, 2]


def test_roles_of_the_family(family, text):
    table = described(family, text).set_index("feature")
    assert table["digits_1"].idxmax() == 1
    assert (table.loc[1, "digits_1"], table.loc[0, "digits_1"]) == (1.0, 0.0)
    assert (table.loc[2, "ascii_1"], table.loc[0, "ascii_1"]) == (1.0, 0.0)
    assert table.loc[2, "density"] == pytest.approx(6 / 32)


@pytest.fixture
def settings():
    return STUDIES["base64_split"].settings(resolve(raw(bootstrap=50)))


def test_top_examples_are_of_one_half(family, text):
    for half in (0, 1):
        top = family.top(0, text, half)
        assert len(top) == 20
        assert set(text.half[top]) == {half}


def test_what_a_family_covers(family, text, settings):
    whole, some = find_only(family, [2, 0, 1]), find_only(family, [0])
    covered = base64_split.coverage(whole, some, text, settings)["union_coverage"]
    assert covered.value == 0.0  # the surest of `whole` is feature 2, which never fires with feature 0
    covered = base64_split.coverage(some, whole, text, settings)["union_coverage"]
    assert (covered.value, covered.low) == (1.0, 1.0)
    assert base64_split.coverage(None, whole, text, settings) == {}


def find_only(family, features):
    places = [int(np.flatnonzero(family.features == feature)[0]) for feature in features]
    return type(family)(family.features[places], sparse.csc_array(family.columns[:, places]))


def test_cosines_of_a_family(settings):
    decoder = np.eye(4)[:3] + 1
    encoder = np.eye(4)[:3]
    reader = SimpleNamespace(weights=lambda name: {"W_dec": decoder, "W_enc": encoder.T})
    found = base64_split.cosines(reader, {"A/1": np.arange(3), "A/1-r1": np.arange(2)}, settings)
    assert found["decoder_cosine"].value == pytest.approx(6 / 7)  # (2, 1, 1, 1) . (1, 2, 1, 1) / 7
    assert found["encoder_cosine"].value == pytest.approx(0)
    assert found["decoder_minus_encoder_cosine"].low > 0.8
    assert found["decoder_cosine"].replicates == 1  # two features make no family to resample


def test_counts_and_growth(settings):
    families = {name: SimpleNamespace(features=np.arange(count)) for name, count in (
        ("A/0", 1), ("A/0-r1", 1), ("A/0-r2", 1), ("A/1", 3), ("A/1-r1", 4), ("A/1-r2", 5), ("A/2", 9))}
    found = base64_split.counted(families, settings)
    assert [found[f"count_A_{k}"].value for k in range(3)] == [1, 4, 9]
    assert found["growth"].value == pytest.approx(1.0)  # three more over three doublings
