"""Planted units score as they must, and an answer that is not given is an error row, never a score."""

import threading

import numpy as np
import pandas as pd
import pytest

from replication import artifacts
from replication.config import UserError
from replication.interpretability.protocol import ExplainerError
from replication.interpretability.score import read, run, score
from replication.interpretability.scores import COLUMNS
from tests.unit.interpretability.conftest import CONTEXT, NOISE, SINGLE, ULTRALOW, Mean

SCORES = [*(name for name in COLUMNS if name not in ("intervals", "constant")), "logits"]


@pytest.fixture(scope="module")
def shown(folder):
    return read(folder)


def scores_of(explainer, shown):
    found = run(explainer, *shown)
    return found.scores[~found.scores["control"]].set_index("feature"), found.scores[found.scores["control"]].set_index("feature"), found.predictions


@pytest.fixture(scope="module")
def by_token(shown):
    return scores_of(Mean(), shown)


@pytest.fixture(scope="module")
def by_context(shown):
    return scores_of(Mean("context", context=True), shown)


def test_a_single_token_scores_near_1_and_noise_near_0(by_token):
    own, _, _ = by_token
    assert own.loc[SINGLE, ["spearman", "pearson", "in_context", "out_of_context"]].min() > 0.98 and own["intervals"][SINGLE][0] > 0.98
    assert abs(own.loc[NOISE, "spearman"]) < 0.25 and not own["constant"].any() and (own["error"] == "").all()


def test_a_context_scores_high_with_an_explainer_that_sees_it_and_low_out_of_context_with_one_that_does_not(by_token, by_context):
    (token, _, _), (context, _, _) = by_token, by_context
    assert context.loc[CONTEXT, ["spearman", "out_of_context"]].min() > 0.9  # not 1: the token before a window is out of sight
    assert token.loc[CONTEXT, "out_of_context"] < 0.8 and token.loc[CONTEXT, "spearman"] < context.loc[CONTEXT, "spearman"] - 0.1


def test_another_units_explanation_scores_near_0(by_token):
    own, control, _ = by_token
    features = list(own.index)
    assert control["explanation"].tolist() == own.loc[[*features[1:], features[0]], "explanation"].tolist()
    assert abs(control.loc[[CONTEXT, NOISE], "spearman"]).max() < 0.2  # explained by the noise, and by the ultralow one
    assert control["spearman"].isna().sum() == 0 and (control["logits"] <= 0.6).all()


def test_one_unit_alone_has_no_control(shown):
    units, truth = shown
    own = truth.unit == 0
    alone = type(truth)(units=1, unit=truth.unit[own], group=truth.group[own], level=truth.level[own], weight=truth.weight[own])
    assert run(Mean(), units[:1], alone).scores["control"].tolist() == [False]


def test_logits_are_the_share_that_is_right(shown):
    units, _ = shown

    class Sure(Mean):
        def judge_logits(self, explanation, tokens):
            return np.isin(tokens, units[0].tokens[units[0].promoted])

    own, _, _ = scores_of(Sure(), shown)
    assert own["logits"].iloc[0] == 1 and (own["logits"].iloc[1:] < 0.9).all()


class Constant(Mean):
    def predict(self, explanation, tokens):
        return np.full(tokens.shape, 3, np.int8)


def test_a_constant_prediction_scores_0_and_is_marked(shown):
    own, control, _ = scores_of(Constant(), shown)
    assert own["constant"].all() and control["constant"].all()
    assert (own[["spearman", "pearson", "weighted", "in_context", "out_of_context"]] == 0).all(axis=None)


def test_answers_that_are_not_given_are_error_rows_and_never_scores(shown):
    class Failing(Mean):
        def explain(self, evidence):
            if np.array_equal(evidence.positive, shown[0][0].evidence.positive):
                raise ExplainerError("late")
            return super().explain(evidence)

        def predict(self, explanation, tokens):
            if np.array_equal(tokens, shown[0][1].predict.tokens):
                raise ExplainerError("malformed")
            if np.array_equal(tokens, shown[0][2].predict.tokens):
                return np.full(tokens.shape, 10, np.int8)
            return super().predict(explanation, tokens)

    own, control, predictions = scores_of(Failing(), shown)
    assert own["error"].tolist() == ["late", "malformed", "no activation from 0 to 9 for each token", ""]
    assert control["error"].tolist() == ["", "malformed", "no activation from 0 to 9 for each token", "late"]
    for rows in (own, control):
        failed = rows["error"] != ""
        assert rows.loc[failed, SCORES].isna().all(axis=None) and not rows.loc[failed, "constant"].any() and rows.loc[~failed, SCORES].notna().all(axis=None)
        assert all(np.isnan(scores).all() for scores in rows.loc[failed, "intervals"])
    assert own["explanation"].iloc[0] == "" and own["words"].tolist()[:2] == [0, 4] and set(predictions["feature"]) == {ULTRALOW}


@pytest.mark.parametrize(("broken", "error"), [
    ({"predict": lambda self, explanation, tokens: np.zeros((2, 9), np.int8)}, "no activation"),
    ({"judge_logits": lambda self, explanation, tokens: np.zeros(3, bool)}, "no judgement")])
def test_an_answer_of_another_shape_is_an_error(shown, broken, error):
    own, _, _ = scores_of(type("Broken", (Mean,), broken)(), shown)
    assert own["error"].str.startswith(error).all() and own["spearman"].isna().all()


def test_several_at_one_time_give_the_same_rows(shown, by_token):
    met = threading.Barrier(2, timeout=20)

    class Meeting(Mean):
        def explain(self, evidence):
            met.wait()  # goes on only when a second one is under way
            return super().explain(evidence)

    own, control, predictions = scores_of(Meeting(concurrency=2), shown)
    for found, expected in zip((own, control, predictions), by_token, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_any_other_failure_stops_the_job(shown):
    class Refused(Mean):
        def explain(self, evidence):
            raise UserError("the key is not accepted")

    for count in (1, 3):
        with pytest.raises(UserError, match="key"):
            run(Refused(concurrency=count), *shown)


def test_an_explainer_sees_no_window_that_it_predicts_and_nothing_but_the_evidence(shown):
    for unit in shown[0]:
        seen = {row.tobytes() for row in unit.evidence.windows.tokens}
        assert len(unit.evidence.windows) > 20 and len(unit.predict) > 30 and not seen & {row.tobytes() for row in unit.predict.tokens}
        assert not set(unit.evidence.positive) & set(unit.tokens)


def test_the_job_writes_what_was_found(folder, world, tmp_path, by_token):
    class Talkative(Mean):
        def usage(self):
            return {"requests": 8}

    out = tmp_path / "offline"
    score(settings=world.config.settings("compute"), explainers=[Mean(), Talkative("talkative")], units=folder, out=out)
    scores, predictions = pd.read_parquet(out / artifacts.SCORES), pd.read_parquet(out / artifacts.PREDICTIONS)
    assert list(scores.columns) == ["feature", "explainer", "control", *COLUMNS, "logits", "explanation", "words", "overlong", "error"]
    assert len(scores) == 2 * 2 * 4 and scores["feature"].dtype == np.int32
    assert scores[(scores["explainer"] == "token") & ~scores["control"]]["spearman"].tolist() == by_token[0]["spearman"].tolist()
    windows = pd.read_parquet(folder / artifacts.WINDOWS)
    truth = windows[windows["role"] == "predict"].copy()
    truth["window"] = truth.groupby("feature").cumcount()
    both = truth.merge(predictions[predictions["explainer"] == "token"], on=["feature", "window"], validate="one_to_one")
    assert len(both) == len(truth) and all(len(row.predicted) == len(row.tokens) for row in both.itertuples())
    single = both[both["feature"] == SINGLE]
    assert np.mean(np.concatenate(single["predicted"].tolist()) == np.concatenate(single["activations"].tolist())) > 0.99
    meta = artifacts.check(out)
    assert meta["usage"] == {"talkative": {"requests": 8}} and meta["errors"] == 0 and meta["stage"] == "interpretability"


def test_with_nothing_to_score_the_tables_are_empty(folder, world, tmp_path):
    for file in (artifacts.UNITS, artifacts.WINDOWS):
        table = pd.read_parquet(folder / file)
        (table.assign(scored=False) if file == artifacts.UNITS else table[:0]).to_parquet(tmp_path / file)
    artifacts.write_json(tmp_path / artifacts.META, {"files": {file: artifacts.digest(tmp_path / file) for file in (artifacts.UNITS, artifacts.WINDOWS)}})
    score(settings=world.config.settings("compute"), explainers=[Mean()], units=tmp_path, out=tmp_path / "out")
    empty = artifacts.read_table(tmp_path / "out" / artifacts.SCORES)
    assert len(empty) == 0 and empty["feature"].dtype == np.int32 and {*SCORES, "intervals", "error"} < set(empty.columns)
    assert len(artifacts.read_table(tmp_path / "out" / artifacts.PREDICTIONS)) == 0
