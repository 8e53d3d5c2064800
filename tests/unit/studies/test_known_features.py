"""Planted labels: a feature that follows one, one that follows it on one half only, and chance."""

import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies.phenomenology.known import KNOWN
from replication.studies.phenomenology.known_features import Likeness, enough, scored

CONTEXTS, N_CTX = 40, 32


@pytest.fixture
def labels():
    return np.random.default_rng(0).random((CONTEXTS, N_CTX, 2)) < 0.1


@pytest.fixture
def matrix(labels, tmp_path):
    """Feature 0 follows label 0; feature 1 on half 0 only, but there better; feature 2 follows half of label 0; feature 3 nothing;
    feature 4 label 0 on half 0, and a little of it on half 1.
    """
    rng = np.random.default_rng(1)
    on = labels[:, :, 0]
    dense = (rng.random((CONTEXTS, N_CTX, 5)) < 0.02).astype(np.float32)
    dense[:, :, 0] += on & (rng.random(on.shape) < 0.8)
    dense[0::2, :, 1] = on[0::2]
    dense[:, :, 2] += on & (rng.random(on.shape) < 0.5)
    dense[:, :, 4] += on & (rng.random(on.shape) < np.where(np.arange(CONTEXTS) % 2, 0.15, 0.6)[:, None])
    flat = dense.reshape(-1, 5)
    with MatrixWriter(tmp_path / "matrix.safetensors", n_features=5, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=16, dense=False) as writer:
        for start in range(0, CONTEXTS, 16):
            writer.append(sparse.csr_array(flat[start * N_CTX : (start + 16) * N_CTX]))
    return EvaluationMatrix(tmp_path / "matrix.safetensors"), dense


def test_features_are_chosen_on_one_half_and_found_on_both(matrix, labels):
    found, dense = matrix
    first, second = scored(found, labels)
    assert first.feature == 1  # the best on half 0 ...
    assert first.chosen == pytest.approx(1.0)
    assert first.reported < 0.3  # ... which does not hold
    assert first.found == (0, 2)  # 4 follows on half 1 too, above chance, but not well enough
    assert second.found == ()
    expected = np.corrcoef(dense[1::2, :, 0].ravel(), labels[1::2, :, 0].ravel())[0, 1]
    alone = scored(found, labels[:, :, [1, 0]])[1]
    assert alone.found == first.found
    assert expected > 0.7


def test_the_score_is_numpys_correlation_and_chance_that_of_other_texts(matrix, labels):
    found, dense = matrix
    chosen = scored(found, labels)[1]
    for half, value in ((0, chosen.chosen), (1, chosen.reported)):
        assert value == pytest.approx(np.corrcoef(dense[half::2, :, chosen.feature].ravel(), labels[half::2, :, 1].ravel())[0, 1], abs=1e-6)
    moved = [np.roll(labels[:, :, 1], shift, axis=0) for shift in (2, 6, 14)]
    largest = max(np.corrcoef(dense[1::2, :, k].ravel(), label[1::2].ravel())[0, 1] for label in moved for k in range(5) if dense[1::2, :, k].any())
    assert chosen.chance == pytest.approx(largest, abs=1e-6)


def test_a_thing_must_be_in_texts_of_both_halves():
    labels = np.zeros((20, 8, 3), bool)
    labels[:, :4, 0] = True
    labels[0::2, :, 1] = True  # half 0 only
    labels[:2, :, 2] = True  # one text of each half
    assert enough(labels, np.arange(20)).tolist() == [True, False, False]
    assert enough(labels, np.arange(20) % 2).tolist() == [False, False, False]  # all contexts of a half of one text


def test_alike_texts_are_told_from_others():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 500, size=(60, 40)).astype(np.int32)
    tokens[:10, :30] = rng.integers(500, 520, size=(10, 30))
    likeness = Likeness.of(tokens)
    assert likeness(np.arange(10)) > 3
    assert likeness(np.arange(20, 60)) < 1.5
    assert likeness(np.array([3])) == np.inf


@pytest.mark.parametrize(("known", "said", "marked"), [
    ("capitals", b"An UPPER Case WORDs", [b"UPPER"]), ("title_case", b"in The Old Man and the Sea of May", [b"The Old Man"]),
    ("hexadecimal", b"0x3fe0c1aa deadbeef 12345678 cafe0001x 3fe0c1aab", [b"0x3fe0c1aa", b"3fe0c1aab"]),
    ("australia", b"Australian Sydneysider Melbourne's", [b"Australian", b"Melbourne"]), ("canada", "Québec and Canada".encode(), ["Québec".encode(), b"Canada"]),
    ("africa", b"South African Congolese Kenyans", [b"African", b"Congolese", b"Kenyans"]),
    ("israel_palestine", b"Israelis, Palestinians, Gazan West Bank", [b"Israelis", b"Palestinians", b"West Bank"]),
    ("prime_factors", b"List the prime factors of 12.\nno", [b"prime factors of 12."]), ("person_newton", b"Newton Newtonian", [b"Newton"]),
    ("anger", b"Furious and angrily; danger", [b"Furious", b"angrily"])])
def test_definitions(known, said, marked):
    assert [said[slice(*span)] for span in KNOWN[known].find(said)] == marked
