"""Each study on a case whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.resolution import resolve
from replication.studies import STUDIES, recovered
from replication.studies.appendices import density_histograms, neuron_basis, tradeoff, training_curves, ultralow_cluster
from replication.studies.directions import carriers, excess_kurtosis, mean_pairwise_cosine, unit
from replication.studies.intervals import random, resampled_sums
from replication.studies.overall import live_features, loss_recovered
from replication.studies.phenomenology import universality_histogram
from replication.studies.replicates import groups
from tests.planted import raw


@pytest.fixture
def settings():
    given = raw(bootstrap=200)
    given["dictionaries"] = {"A/0": {"d_sae": 10, "replicates": 3}, "A/1": {"d_sae": 40, "replicates": 3}, "B/1": {"d_sae": 40},
                             "A/l1_high": {"d_sae": 40, "l1": 0.006, "replicates": 3}}
    return STUDIES["live_features"].settings(resolve(given))


def test_live_features_counts_parts(settings):
    parts = {name: np.array(["dead"] * 2 + ["ultralow"] * 5 + ["other"] * (sae.d_sae - 7)) for name, sae in settings.dictionaries.items()}
    numbers = live_features.headline(parts, settings)
    assert (numbers["dead"].value, numbers["ultralow"].value, numbers["other"].value) == (2, 5, 33)
    assert (numbers["growth_0_1"].value, numbers["growth_0_1"].replicates) == (30, 3)
    assert (numbers["growth_0_1"].low, numbers["growth_0_1"].high) == (30, 30)  # all features of a dictionary are no sample: fits alone vary
    assert numbers["features_per_neuron"].value == 33 / 24
    assert "growth_1_2" not in numbers


def test_density_quantiles_and_their_fall(settings):
    low = np.concatenate([np.full(4, 1e-9), np.logspace(-3, -1, 101)])
    table = pd.DataFrame({"density": low, "part": ["ultralow"] * 4 + ["other"] * 101})
    tables = {name: table if name.startswith("A/0") else table.assign(density=table["density"] / 10) for name in settings.dictionaries}
    numbers = density_histograms.headline(tables, settings)
    assert numbers["q05_fall_0_1"].value == pytest.approx(1.0)
    assert numbers["q05_fall_0_1"].low > 0
    assert numbers["median_density"].value == pytest.approx(np.quantile(low, 0.5) / 10)
    assert numbers["share_above_1_percent"].value == 0.0


def test_density_histogram_keeps_every_feature():
    table = pd.DataFrame({"density": [0.0, 1e-3, 1.01e-3, 0.5, 1.0], "part": ["dead", "other", "other", "other", "other"]})
    rows = pd.DataFrame(density_histograms.histogram(table))
    assert rows["features"].sum() == 5
    assert rows[rows["low"].isna()]["features"].tolist() == [1]
    assert rows.query("low <= -3 < high")["features"].tolist() == [2]


def losses(contexts, share, zero=1.0, l0=8.0):
    base = np.linspace(3, 5, contexts)
    return pd.DataFrame({"tokens": 10, "predicted": 9, "loss": 9 * base, "loss_zero": 9 * (base + zero), "loss_mean": 9 * (base + zero / 2),
                         "loss_reconstructed": 9 * (base + zero * (1 - share)), "l0": 10 * l0})


def measured(share, settings, **kind):
    table = losses(20, share, **kind)
    return recovered.measured(table, resampled_sums(table[list(recovered.COLUMNS)].to_numpy(float), 200, random(settings, "contexts")))


def test_loss_recovered_is_a_ratio_of_sums(settings):
    found = measured(0.8, settings)
    assert found.values["recovered"] == pytest.approx(0.8)
    assert found.values["recovered_mean"] == pytest.approx(0.6)  # (0.5 - 0.2) / 0.5
    assert found.values["loss"] == pytest.approx(4.0)
    assert (found.values["l0"], found.tokens, found.contexts) == (8.0, 180, 20)
    np.testing.assert_allclose(found.draws["recovered"], 0.8)


def test_loss_recovered_means_nothing_where_ablation_does_no_harm(settings):
    assert np.isnan(measured(0.8, settings, zero=-0.1).values["recovered"])


def test_loss_recovered_orderings(settings):
    shares = {"A/0": 0.6, "A/1": 0.8, "B/1": 0.8, "A/l1_high": 0.7}
    members = groups(settings.dictionaries)
    found = {name: measured(shares[group] + 0.001 * k, settings) for group, names in members.items() for k, name in enumerate(names)}
    numbers = loss_recovered.headline(found, members, settings)
    assert numbers["main_recovered"].value == pytest.approx(0.801)
    assert numbers["main_recovered"].sd == pytest.approx(0.001)
    assert numbers["growth_0_1"].value == pytest.approx(0.2)
    assert numbers["l1_fall"].value == pytest.approx(0.1)
    assert 0.08 < numbers["l1_fall"].low < numbers["l1_fall"].high < 0.12
    assert {"recovered_A_1", "recovered_mean_A_1", "l0_A_1", "recovered_B_1"} <= numbers.keys()


def test_tradeoff_finds_the_step_that_goes_the_wrong_way(settings):
    members = {name: names for name, names in groups(settings.dictionaries).items() if name in ("A/1", "A/l1_high")}
    found = {name: measured(0.7 if name.startswith("A/1") else 0.75, settings, l0=12 if name.startswith("A/1") else 6)
             for names in members.values() for name in names}
    numbers = tradeoff.headline(found, members, settings)
    assert numbers["monotone_l1"].value == pytest.approx(-0.05)
    assert numbers["l0_monotone"].value == pytest.approx(6.0)


def test_spikes_are_measured_at_one_l1():
    log = pd.DataFrame({"mse": [1.0, 0.6, 0.9, 0.6], "l1": [50.0, 40.0, 60.0, 40.0], "l1_coefficient": [0.005, 0.01, 0.02, 0.02],
                        "resampled": [0, 7, 0, 0]})
    np.testing.assert_allclose(training_curves.spikes(log), [(0.9 + 0.6) / (0.6 + 0.4) - 1])


def test_a_resampling_in_the_last_row_is_no_spike():
    log = pd.DataFrame({"mse": [1.0, 1.0], "l1": [1.0, 1.0], "l1_coefficient": [0.1, 0.1], "resampled": [0, 3]})
    assert len(training_curves.spikes(log)) == 0


def test_thinning_keeps_resamplings_and_the_last_row():
    log = pd.DataFrame({"step": range(5000), "resampled": [1 if step == 2345 else 0 for step in range(5000)]})
    kept = training_curves.thinned(log)["step"].tolist()
    assert len(kept) < 900
    assert {2344, 2345, 2346, 0, 4999} <= set(kept)


def test_universality_medians_and_paired_difference(settings):
    rng = np.random.default_rng(0)
    high = pd.DataFrame({"correlation": rng.normal(0.7, 0.05, 400)})
    found = {universality_histogram.FEATURES: {name: high for name in ("A/1", "A/1-r1", "A/1-r2")},
             universality_histogram.NEURONS: {"A/neurons": pd.DataFrame({"correlation": rng.normal(0.4, 0.05, 100)})},
             universality_histogram.OWN: {name: high - 0.2 for name in ("A/1", "A/1-r1", "A/1-r2")}}
    numbers = universality_histogram.headline(found, settings)
    assert numbers["features_minus_neurons"].value == pytest.approx(0.3, abs=0.02)
    assert (numbers["features_minus_neurons"].replicates, numbers["features_minus_neurons"].low > 0.2) == (3, True)
    own = numbers["features_minus_own_neurons"]
    assert (own.value, own.low, own.high) == pytest.approx((0.2, 0.2, 0.2))  # shifted by one value, so resampled together exactly


def test_carriers_of_directions():
    one = np.eye(4)[:1]
    equal = unit(np.ones((1, 4)))
    most = unit(np.array([[3.0, 1.0, 1.0, 1.0]]))  # 9 of 12 in one
    assert carriers(np.concatenate([one, equal, most])).tolist() == [1, 2, 1]


def test_kurtosis_of_known_rows():
    rng = np.random.default_rng(0)
    assert excess_kurtosis(np.array([[1.0, -1.0, 1.0, -1.0]])) == pytest.approx([-2])
    assert excess_kurtosis(rng.normal(size=(1, 200_000))) == pytest.approx([0], abs=0.1)
    assert excess_kurtosis(np.eye(100)[:1])[0] > 90


def test_pairwise_cosines():
    assert mean_pairwise_cosine(np.eye(5)) == pytest.approx(0.0)
    assert mean_pairwise_cosine(np.tile(np.eye(5)[:1], (7, 1))) == pytest.approx(1.0)
    rows = unit(np.random.default_rng(0).normal(size=(9, 3)))
    cosines = rows @ rows.T
    assert mean_pairwise_cosine(rows) == pytest.approx(cosines[np.triu_indices(9, 1)].mean())
    assert np.sort(neuron_basis.pair_cosines(rows, np.random.default_rng(0))) == pytest.approx(np.sort(cosines[np.triu_indices(9, 1)]))


def test_a_feature_drawn_twice_is_no_pair_with_itself(settings):
    arm = neuron_basis.cluster_arm([np.eye(30)], settings)
    assert abs(arm.draws).max() < 1e-12


def test_auc_by_hand():
    label = np.array([1, 1, 0, 0])
    assert ultralow_cluster.auc(label, np.array([4.0, 3.0, 2.0, 1.0])) == 1.0
    assert ultralow_cluster.auc(label, np.array([4.0, 1.0, 2.0, 3.0])) == 0.5
    assert ultralow_cluster.auc(label, np.ones(4)) == 0.5


def test_three_axes_beat_density_where_only_they_separate(settings):
    rng = np.random.default_rng(0)
    label = np.arange(400) < 150
    axes = np.stack([rng.normal(size=400), rng.normal(size=400) - 8 * label, rng.normal(size=400)], axis=1)
    three, density, gain = (arm for arm in ultralow_cluster.arms([ultralow_cluster.scores(axes, label, settings)], settings, "test"))
    assert three.values[0] > 0.99
    assert density.values[0] == pytest.approx(0.5, abs=0.1)
    assert np.quantile(gain.draws, 0.025) > 0.3


def test_noise_separates_nothing(settings):
    rng = np.random.default_rng(3)
    label = np.arange(600) < 300
    three, density, _ = ultralow_cluster.arms([ultralow_cluster.scores(rng.normal(size=(600, 3)), label, settings)], settings, "test")
    assert (three.values[0], density.values[0]) == pytest.approx((0.5, 0.5), abs=0.08)


def test_too_few_of_a_label_give_no_score(settings):
    assert len(ultralow_cluster.scores(np.zeros((30, 3)), np.arange(30) < 4, settings)) == 0


def test_two_parts_are_cut_where_they_part():
    assert ultralow_cluster.two_parts(np.array([0.1, 0.9, 0.0, 0.95, 0.2])).tolist() == [False, True, False, True, False]


def test_densities_of_the_two_halves(tmp_path):
    path = tmp_path / "matrix.safetensors"
    dense = np.array([[1, 0], [1, 0], [0, 2], [0, 0], [3, 0], [0, 0], [0, 1], [0, 1]], dtype=np.float32)  # 4 contexts of 2 tokens
    with MatrixWriter(path, n_features=2, contexts=4, n_ctx=2, shard_contexts=2, dense=False) as writer:
        writer.append(sparse.csr_array(dense[:4]))
        writer.append(sparse.csr_array(dense[4:]))
    np.testing.assert_allclose(ultralow_cluster.halves(EvaluationMatrix(path)), [[0.75, 0.0], [0.0, 0.75]])
