"""What every explainer must do, on planted units."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from replication.config import EXPLAINERS, UserError
from replication.features.examples import NO_TOKEN
from replication.interpretability.explainers import make
from replication.interpretability.protocol import LEVELS, OUT_OF_CONTEXT, RANDOM

A, B = 1, 2
CONTEXTUAL = ("ngram", "trie", "tree")


@pytest.fixture(scope="module")
def explainers(vocabulary):
    return {name: make(name, vocabulary) for name in EXPLAINERS}


def correlation(predicted, truth):
    return 0.0 if np.ptp(predicted) == 0 or np.ptp(truth) == 0 else spearmanr(predicted, truth, axis=None).statistic


def predict(explainer, unit, evidence=None):
    return explainer.predict(explainer.explain(evidence or unit.evidence), unit.predict.tokens)


def test_unknown_name(vocabulary):
    with pytest.raises(UserError, match=r"no explainer 'tri'; did you mean 'trie'\?"):
        make("tri", vocabulary)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_single_token_unit_is_predicted_exactly(explainers, single, name):
    assert explainers[name].name == name
    np.testing.assert_array_equal(predict(explainers[name], single), single.predict.activations)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_single_token_unit_in_words(explainers, single, name):
    assert explainers[name].explain(single.evidence).text.startswith("fires on ` apple`; makes likelier `w")


@pytest.mark.parametrize("name", CONTEXTUAL)
def test_context_unit_is_predicted_in_context_and_silent_out_of_it(explainers, context, name):
    truth = context.predict
    told = np.arange(truth.tokens.shape[1]) > 0  # a window does not show what is before its first token
    predicted = predict(explainers[name], context)[:, told]
    on, lone = (truth.activations > 0)[:, told], ((truth.tokens == A) & (truth.activations == 0))[:, told]
    assert predicted[on].min() >= 8
    assert lone[np.isin(truth.group, [RANDOM, OUT_OF_CONTEXT])].sum() >= 20
    assert predicted[lone].max() <= 1
    assert correlation(predicted, truth.activations[:, told]) > 0.75


@pytest.mark.parametrize("name", CONTEXTUAL)
def test_context_unit_in_words(explainers, context, name):
    assert explainers[name].explain(context.evidence).text.startswith("fires on ` apple` after ` bread`; ")


def test_lookup_is_blind_to_context(explainers, context):
    truth = context.predict
    predicted = predict(explainers["lookup"], context)
    assert len(np.unique(predicted[truth.tokens == A])) == 1
    away = np.isin(truth.group, [RANDOM, OUT_OF_CONTEXT])
    assert predicted[away][truth.tokens[away] == A].min() >= 4
    for others, gain in ((slice(None), 0.1), (away, 0.3)):
        by_context = correlation(predict(explainers["trie"], context)[others], truth.activations[others])
        assert correlation(predicted[others], truth.activations[others]) < by_context - gain


@pytest.mark.parametrize("name", EXPLAINERS)
def test_noise_is_not_predicted(explainers, planted, name):
    scores = []
    for seed in range(6):
        noise = np.random.default_rng(100 + seed)
        unit = planted(lambda tokens, noise=noise: int(noise.integers(1, 10)) if noise.random() < 0.1 else 0, seed)
        scores.append(correlation(predict(explainers[name], unit), unit.predict.activations))
    assert abs(np.mean(scores)) < 0.06


@pytest.mark.parametrize("name", EXPLAINERS)
def test_explanation_of_another_unit_scores_near_zero(explainers, planted, context, name):
    scores = [correlation(predict(explainers[name], context, planted(lambda tokens, k=k: 9 * (tokens[-1] == k), k, watched=k).evidence),
                          context.predict.activations) for k in range(20, 26)]
    assert abs(np.mean(scores)) < 0.1


def test_nearest_level(explainers, evidence):
    explainer = explainers["lookup"]
    explanation = explainer.explain(evidence([[A, A, A, B, B, B]], [[5, 5, 4, 5, 4, 4]]))
    np.testing.assert_array_equal(explainer.predict(explanation, np.array([[A, B]], dtype=np.int32)), [[5, 4]])


@pytest.mark.parametrize("name", EXPLAINERS)
def test_deterministic(explainers, vocabulary, planted, name):
    unit = planted(lambda tokens: tokens[-1] % 10 if tokens[-1] < 30 else 0)
    first, second = (explainer.explain(unit.evidence) for explainer in (explainers[name], make(name, vocabulary)))
    assert first.text == second.text
    np.testing.assert_array_equal(explainers[name].predict(first, unit.predict.tokens), make(name, vocabulary).predict(second, unit.predict.tokens))
    assert len(first.text.split()) <= 48


@pytest.mark.parametrize("name", EXPLAINERS)
def test_places_outside_of_the_context(explainers, single, padded, name):
    explainer = explainers[name]
    predicted = explainer.predict(explainer.explain(single.evidence), padded)
    assert predicted.dtype == np.int8
    np.testing.assert_array_equal(predicted, np.where(padded == A, LEVELS, 0))


@pytest.mark.parametrize("name", EXPLAINERS)
def test_evidence_with_places_outside_of_the_context(explainers, evidence, padded, name):
    explainer = explainers[name]
    rows = np.concatenate([padded, [[NO_TOKEN, 10, A, 11, 12, 13, 14, NO_TOKEN, NO_TOKEN], [NO_TOKEN] * 4 + [11, 12, A, B, 10]]])
    explanation = explainer.explain(evidence(rows, np.where(rows == A, 9, 0)))
    np.testing.assert_array_equal(explainer.predict(explanation, np.array([[B, A, 10, NO_TOKEN]], dtype=np.int32)), [[0, 9, 0, 0]])


@pytest.mark.parametrize("name", EXPLAINERS)
def test_evidence_without_activation(explainers, evidence, name):
    explainer = explainers[name]
    explanation = explainer.explain(evidence([[A, B, 10]], [[0, 0, 0]], positive=[B]))
    assert explanation.text == "fires on nothing in the evidence; makes likelier ` bread`"
    np.testing.assert_array_equal(explainer.predict(explanation, np.array([[A, B, 10]], dtype=np.int32)), [[0, 0, 0]])


def test_all_explainers_share_the_judge(explainers, context):
    tokens = np.arange(60, dtype=np.int32)
    answers = [explainer.judge_logits(explainer.explain(context.evidence), tokens) for explainer in explainers.values()]
    assert answers[0].dtype == bool
    assert 0 < answers[0].sum() < 60
    assert all((answer == answers[0]).all() for answer in answers)
