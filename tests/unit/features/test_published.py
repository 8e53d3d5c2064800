"""The published viewer's files as a table of features; what is refused is in tests/unit/browser/test_published.py."""

import json

import numpy as np
import pandas as pd
import pytest

from replication import artifacts
from replication.config import Settings
from replication.exhibits.appendices import density_histograms as drawn
from replication.exhibits.study import Study
from replication.features.published import PublishedError, make
from replication.studies.appendices.density_histograms import histogram


def feature(index, density, **statistics):
    window = {"tokens_str_list": [" a", "b"], "tokens_acts_list": [0.5, 0.1], "train_token_ind": 0, "is_repeated_datapoint": 0, "ablations": {"loss_ablation": [0, 0.1]}}
    return {"index": index, "act_buckets": [12, 3], "act_bucket_edges": [0, 0.5, 1.0], "logit_buckets": [5, 2], "logit_bucket_edges": [-0.2, 0.1, 0.4],
            "examples_quantiles": [{"quantile_name": "Top Activations", "quantile_max_act": 0.5, "examples": [window] * 20}],
            "statistics": {"density_frac": density, "global_max_act": 0.98, "abs_max_neuron_weights": [0.4, -0.2], "abs_max_neuron_inds": [3, 1],
                           "l1_max_neuron_weights": [0.04, 0.02], **statistics},
            "logit_effects": {"positives": [["y", 0.2], ["z", 0.31]], "negatives": [["p", -0.2]]}}


@pytest.fixture
def table(tmp_path):
    (tmp_path / "files").mkdir()
    for one in (feature(4, 0.002), feature(1, 5e-7), feature(2, 0.05, abs_max_neuron_weights=[], abs_max_neuron_inds=[], l1_max_neuron_weights=[])):
        (tmp_path / "files" / f"{one['index']}.json").write_text(json.dumps(one))
    make(settings=Settings("test", 0), folder=tmp_path / "files", out=tmp_path / "published" / "1")
    assert artifacts.check(tmp_path / "published" / "1")["count"] == 3
    return artifacts.read_table(tmp_path / "published" / "1" / artifacts.FEATURES)


def test_a_row_for_each_feature_in_the_columns_of_ours(table):
    assert table["feature"].tolist() == [0, 1, 2, 3, 4]
    assert table["part"].tolist() == ["dead", "ultralow", "other", "dead", "other"]
    assert table["density"].tolist() == [0, 5e-7, 0.05, 0, 0.002] and table["single_token"].tolist() == [False, True, True, False, True]
    assert table["max"].tolist() == pytest.approx([0, 0.98, 0.98, 0, 0.98])
    row = table.loc[4]
    assert row["activation_counts"].tolist() == [12, 3] and row["activation_edges"].tolist() == [0, 0.5, 1] and row["logit_counts"].tolist() == [5, 2]
    assert list(row["top_tokens"]) == ["z", "y"] and row["top_weights"].tolist() == pytest.approx([0.31, 0.2])  # strongest first
    assert row["top_neurons"].tolist() == [3, 1] and row["top_neuron_weights"].tolist() == pytest.approx([0.4, -0.2])
    assert len(table.loc[0, "top_tokens"]) == len(table.loc[2, "top_neurons"]) == 0 and table.loc[0, "activation_counts"] is None


def test_their_density_is_drawn_beside_ours_by_the_same_code(table):
    """Theirs have neither l1 nor a number of tokens, and stand last."""
    ours = pd.DataFrame({"density": [0.0, 1e-3, 2e-3, 0.4], "part": ["dead", "other", "other", "other"]})
    about = {"dictionary": "A/1", "group": "A/1", "main": True, "d_sae": 4, "l1": 0.004, "tokens": 65_536}
    rows = [{**about, **row} for row in histogram(ours)]
    rows += [{"dictionary": "published/1", "group": "published/1", "main": False, "d_sae": len(table), **row} for row in histogram(table)]
    data = pd.DataFrame(rows)
    assert drawn.in_order(data, "A/1") == ["A/1", "published/1"]
    bins = pd.DataFrame({"distribution": "density", "dictionary": "A/1", "kind": "bin", "low": [-4.0, -3.5], "high": [-3.5, -3.0], "value": [1.0, 2.0]})
    found = drawn.draw(Study(data, numbers={}, provenance={}, published={}, distributions=bins))
    panel = next(axes for axes in found.figure.axes if axes.get_title() == "published/1")
    assert panel.texts[0].get_text() == "5, 2 silent"
    steps = [patch.get_data() for patch in panel.patches]
    shares = [float((np.diff(step.edges) * (step.values - step.baseline)).sum()) for step in steps]
    assert shares == pytest.approx([200 / 3, 100 / 3])  # of the features that fired: live, ultralow
    assert len(panel.lines) == 0  # no line of one firing in all tokens


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(PublishedError, match="is not a folder; name one with a JSON file for each feature"):
        make(settings=Settings("test", 0), folder=tmp_path / "none", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
