"""Start, geometric median, and the folder of a dictionary."""

import pytest
import torch
from scipy.optimize import minimize

from replication import sae as stage
from replication.artifacts import ArtifactError, write_meta
from replication.config import Model, Sae, Settings
from replication.provenance import Stopwatch
from replication.sae.dictionary import save, start
from replication.sae.median import geometric_median


def test_the_papers_start_is_kaiming_uniform_with_unit_decoder_rows():
    made = start(Sae(d_sae=4000), 100, torch.arange(100.0), seed=0)
    assert float(made.W_enc.abs().max()) <= 0.1 and float(made.W_enc.std()) == pytest.approx(0.1 / 3**0.5, rel=0.01)
    assert float(made.b_enc.abs().max()) <= 0.1 and made.b_enc.any()
    torch.testing.assert_close(made.W_dec.norm(dim=1), torch.ones(4000))
    assert torch.equal(made.b_dec, torch.arange(100.0))
    assert abs(float((made.W_enc.T * made.W_dec).sum(1).mean())) < 0.01  # encoder and decoder not tied


def test_the_transpose_start_has_equal_directions_and_no_bias():
    made = start(Sae(d_sae=50, init="transpose"), 10, torch.zeros(10), seed=0)
    assert torch.equal(made.W_enc.T, made.W_dec) and not made.b_enc.any()
    assert made.W_enc.data_ptr() != made.W_dec.data_ptr()  # equal at the start, not shared


def test_seeds_differ_and_repeat():
    one, again, other = (start(Sae(d_sae=5), 3, torch.zeros(3), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.W_enc, again.W_enc) and not torch.equal(one.W_enc, other.W_enc)


def test_geometric_median_against_a_general_optimiser():
    x = torch.distributions.Exponential(1.0).sample((200, 3)).double()
    found = geometric_median(x)
    slow = minimize(lambda point: float((x - torch.from_numpy(point)).norm(dim=1).sum()), x.mean(0).numpy(), tol=1e-10).x
    torch.testing.assert_close(found, torch.from_numpy(slow), atol=1e-3, rtol=1e-3)


def test_geometric_median_by_hand():
    line = torch.tensor([[0.0], [0.0], [0.0], [10.0], [100.0]])
    assert float(geometric_median(line)) == pytest.approx(0.0, abs=1e-3)  # the median, not the mean of 22
    same = torch.full((4, 2), 7.0)
    assert geometric_median(same).tolist() == [7.0, 7.0]


@pytest.fixture
def folder(tmp_path):
    made = start(Sae(d_sae=6, l1=0.002), 4, torch.ones(4), seed=0)
    save(made, tmp_path, sae=Sae(d_sae=6), model=Model(n_ctx=16), name="A")
    write_meta(tmp_path, stage="sae", settings=Settings(run="x", seed=0), files={"weights": tmp_path / "sae_weights.safetensors"}, inputs={}, stopwatch=Stopwatch())
    return tmp_path


def test_a_folder_is_read_back(folder):
    loaded = stage.load(folder)
    assert loaded.W_enc.shape == (4, 6) and loaded.W_dec.shape == (6, 4)


def test_a_flipped_byte_is_refused_in_one_sentence(folder):
    path = folder / "sae_weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"is not what was written \(its checksum differs\); delete .* and run"):
        stage.load(folder)


def test_a_truncated_file_is_refused(folder):
    path = folder / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="sae_weights.safetensors"):
        stage.load(folder)
