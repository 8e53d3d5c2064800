"""Cases, subjects of ours, groups, memory and the machine's description; no peer is needed."""

import json

import numpy as np
import pytest
import torch

from bench import cases, groups, machine, memory, models, steps
from replication.randomness import generator


@pytest.fixture(scope="module")
def case():
    return cases.synthetic(32, 256, 20, batch=1024)


def test_made_up_data_have_the_nominal_l0(case):
    assert case.l0(case.dictionary.encode) == pytest.approx(20, rel=0.05)
    assert cases.synthetic(64, 512, 5, batch=2048).l0(lambda x: x.new_zeros(len(x), 3)) == 0
    assert torch.allclose(case.dictionary.W_dec.norm(dim=1), torch.ones(256)) and (case.d_in, case.d_sae, len(case.batches)) == (32, 256, cases.BATCHES)
    assert torch.equal(case.batches[0], cases.synthetic(32, 256, 20, batch=1024).batches[0])


@pytest.mark.parametrize("l0", cases.L0S)
def test_densities_are_uneven_and_add_up(l0):
    found = cases.densities(2048, l0, generator(0, "test"))
    assert found.sum() == pytest.approx(l0, rel=1e-3) and found.max() <= 0.5
    assert np.quantile(found, 0.75) > 3 * np.quantile(found, 0.25)


def test_a_subject_owns_its_dictionary(case):
    own = case.own()
    own.W_dec.zero_()
    own.W_enc.zero_()
    assert case.dictionary.W_dec.any() and case.dictionary.W_enc.any() and own.W_enc.T.is_contiguous()


@pytest.mark.parametrize("make", [steps.ours, steps.ours_dense])
def test_our_steps_leave_the_l0(case, make):
    subject = make(case)
    before = case.l0(subject.encode)
    for x in case.batches * 3:
        subject.step(x)
    assert case.l0(subject.encode) == pytest.approx(before, abs=1e-3)


def test_the_encoder_product_is_the_pre_activation(case):
    x = case.batches[1]
    assert torch.allclose(steps.encoder_product(case).step(x), case.dictionary.pre_activations(x))
    steps.five_products(case).step(x)


def test_a_run_gives_its_own_data_or_nothing(tmp_path):
    assert cases.of_run(tmp_path) is None


def fake(seconds=0.0, encode=True):
    return lambda case: steps.Subject(lambda x: seconds, case.dictionary.encode if encode else None)


def test_a_group_has_a_row_each_and_misses_a_peer_aloud(case, monkeypatch):
    def missing(case):
        raise ImportError("no module named peer")

    monkeypatch.setattr(groups, "MAKERS", {what: fake(encode=what not in groups.PRODUCTS) for what in groups.MAKERS} | {"sae_lens": missing})
    said = []
    rows = groups.measure(groups.of_case(case), say=said.append, rounds=3)
    assert {row["what"] for row in rows} == set(groups.MAKERS) - {"sae_lens", "adam_bytes"} and said == ["sae_lens is left out: no module named peer"]
    by_what = {row["what"]: row for row in rows}
    assert by_what["encoder_product"]["encoder_products"] == by_what["ours"]["times_ours"] == 1
    assert by_what["encoder_product"]["l0"] is None and by_what["encoder_product"]["l0_nominal"] is None
    assert by_what["ours"]["l0_nominal"] == 20 and by_what["ours_dense"]["l0"] == pytest.approx(20, rel=0.05)
    assert all(row["vectors_per_s"] == 1024 / row["median_s"] and row["device"] == "cpu" and row["batch"] == 1024 for row in rows)


def test_a_shape_has_ours_at_every_l0_and_the_products_once():
    found = [(what, case.l0_nominal) for what, case in groups.of_shape(cases.Shape(8, 1024, dense_at=(20,)), "cpu")]
    assert found == [("ours", 5), ("ours", 20), ("ours", 100), ("ours_dense", 20), ("sae_lens", 20), ("dictionary_learning", 20),
                     ("encoder_product", 20), ("five_products", 20)]


def test_shapes_are_those_of_the_issue():
    assert [(shape.d_in, shape.d_sae) for shape in cases.SHAPES] == [(256, 2048), (512, 4096), (512, 16_384)]
    assert all(shape.l0s == (5, 20, 100) and cases.MAIN_L0 in shape.dense_at for shape in cases.SHAPES) and cases.BATCH == 8192


def test_peak_memory_sees_what_was_given_back():
    found = memory.peak_mib(lambda: torch.ones(64 * 2**18).sum(), "cpu")  # 64 MiB that are gone at the end
    assert 60 < found < 100


def test_peak_memory_reaches_its_rows(monkeypatch):
    class Done:
        returncode, stdout, stderr = 0, 'noise\n[{"what": "ours", "d_in": 8, "l0_nominal": 5, "peak_mib": 1.5}]\n', ""

    monkeypatch.setattr(memory.subprocess, "run", lambda *_, **__: Done)
    rows = [{"what": "ours", "d_in": 8, "l0_nominal": nominal, "data": data} for nominal, data in ((5, "synthetic"), (20, "synthetic"), (5, "laptop"))]
    memory.children(["ours"], rows, say=print, arguments=[])
    assert [row.get("peak_mib") for row in rows] == [1.5, None, None]


def test_our_model_step_learns_on_tokens_of_the_vocabulary():
    shape = models.ModelShape(d_model=16, d_mlp=32, n_heads=2, n_ctx=16, d_vocab=64, batch=8)
    batches = models.contexts(shape, "cpu")
    assert len(batches) == models.BATCHES and all(x.min() >= 0 and x.max() < 64 and x.shape == (8, 16) for x in batches)
    step = models.ours(shape, "cpu")
    losses = [step(batches[n % models.BATCHES]).item() for n in range(40)]
    assert losses[-1] < losses[0] - 0.3


def test_the_machine_is_described():
    found = machine.describe(2)
    assert {"cpu", "cores", "threads", "flags", "memory_gib", "mkl", "commit", "date", "load", "packages"} <= set(found)
    assert found["threads"] == 2 and found["packages"]["torch"] == torch.__version__ and set(found["flags"]) <= set(machine.FLAGS)
    json.dumps(found)
    words = machine.in_words(found)
    assert "\n" not in words and found["cpu"] in words and "2 threads" in words


def test_neighbours_are_what_is_busy_beside_us(monkeypatch):
    readings = iter([(100.0, 50.0, 10.0), (120.0, 66.0, 24.0), None])
    monkeypatch.setattr(machine.Neighbours, "_read", staticmethod(lambda: next(readings)))
    watch = machine.Neighbours()
    assert watch.share() == 0.1 and watch.share() is None  # of 20 seconds 16 busy, 14 of them ours


def test_no_processor_file_is_no_error(tmp_path):
    assert machine._fields(tmp_path / "nothing") == {}
