"""The notebook API refuses what is not there, in one sentence that names what is."""

import pandas as pd
import pytest

from replication import Run, artifacts
from replication.config import UserError


@pytest.fixture
def run(tmp_path):
    layout = artifacts.Layout(tmp_path)
    artifacts.write_json(layout.corpus() / artifacts.CORPUS, {})
    artifacts.write_tensors(layout.sae("A/1") / artifacts.SAE_WEIGHTS, {})
    artifacts.write_table(layout.features("A/1") / artifacts.FEATURES, pd.DataFrame({
        "feature": [0, 1], "density": [0.1, 0.2], "max": [1.0, 2.0], "part": ["other", "dead"],
        "top_tokens": [["a"], ["b"]], "top_weights": [[0.5], [0.6]], "bottom_tokens": [["c"], ["d"]], "bottom_weights": [[-0.5], [-0.6]]}))
    return Run(tmp_path)


def test_a_feature_by_its_name(run):
    feature = run["A/1/1"]
    assert feature.row["max"] == 2.0 and repr(feature) == "A/1/1: density 0.2, max 2, dead, top logits ['b']"
    assert feature.logits().to_dict("list") == {"token": ["b", "d"], "weight": [0.6, -0.6]}


def test_scores_stand_beside_the_features(run):
    assert run.scored == [] and "spearman_ngram" not in run.features("A/1")
    rows = [(1, "ngram", False, 0.5, 0.75, "fires on a"), (1, "ngram", True, 0.0, 0.5, "fires on b")]
    table = pd.DataFrame(rows, columns=["feature", "explainer", "control", "spearman", "logits", "explanation"])
    for kind, name in (("offline", "ngram"), ("llm", "llm")):
        artifacts.write_table(run.layout.interpretability("A/1", kind) / artifacts.SCORES, table.assign(explainer=name))
    assert run.scored == ["A/1"] and run.scores("A/1")["explainer"].tolist() == ["ngram", "ngram", "llm", "llm"]
    features = run.features("A/1")
    assert features["spearman_ngram"].isna().tolist() == [True, False] and features["spearman_ngram"].dtype == float
    assert features.loc[1, ["spearman_ngram", "logits_llm", "explanation_llm"]].tolist() == [0.5, 0.75, "fires on a"]
    assert features["feature"].tolist() == [0, 1]


@pytest.mark.parametrize(("ask", "sentence"), [
    (lambda run: run["A/1"], "'A/1' is not the name of a feature; a name is model/dictionary/number, such as A/1/2357|has no table of features 'A'"),
    (lambda run: run["A/1/2"], "A/1 has features 0 to 1, not 2"),
    (lambda run: run["A/7/2"], "has no table of features 'A/7'; did you mean 'A/1'?"),
    (lambda run: run.sae("A/2"), "has no dictionary 'A/2'; did you mean 'A/1'?"),
    (lambda run: run.model("A"), "has no model 'A'"),
    (lambda run: run.scores("A/1"), "has no scores of 'A/1'"),
    (lambda run: Run(run.path / "none"), "is no run: it has no corpus/"),
])
def test_what_is_not_there(run, ask, sentence):
    with pytest.raises(UserError) as refused:
        ask(run)
    assert any(part in str(refused.value) for part in sentence.split("|"))
