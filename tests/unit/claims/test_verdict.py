"""Every rule of a verdict on rows made by hand."""

import pytest

from replication.claims.scale import amount, facts, met, shortfall
from replication.claims.statements import condition
from replication.claims.verdict import Answer, judge

FACTS = {"vectors": 6029312, "tokens": 8.4e6, "evaluation_tokens": 524288, "corpus": "installed", "d_mlp": 256, "d_sae": 2048,
         "act_fn": "relu", "l1": 0.003, "raters": "none", "explainer": "none"}


def answer(value=0.0, **number):
    return Answer(ran=True, number={"value": value, "unit": "features", **number})


@pytest.mark.parametrize(("published", "tolerance", "value", "word"), [
    ("168", "50", 168, "agrees"), ("168", "50", 218, "agrees"), ("168", "50", 118, "agrees"),
    ("168", "50", 218.001, "differs"), ("168", "50", 117.999, "differs"),
    ("0.79", "0.02", 0.81, "agrees"), ("0.79", "0.02", 0.77, "agrees"), ("1e-7", "0", 1e-7, "agrees"), ("0", "0", 0, "agrees"), ("0", "0", 1e-12, "differs"),
    (">=100", "0", 100, "agrees"), (">=100", "0", 1e6, "agrees"), (">=100", "0", 99, "differs"), (">=100", "2", 98, "agrees"),
    ("<=0", "0.005", 0.005, "agrees"), ("<=0", "0.005", 0.006, "differs"), ("<=0", "0.005", -3, "agrees")])
def test_a_number_agrees_within_its_tolerance_or_on_the_right_side_of_a_bound(parse, published, tolerance, value, word):
    found = judge(parse(published=published, tolerance=tolerance), answer(value), FACTS)
    assert found.word == word
    assert f"{value:.4g}" in found.reason


@pytest.mark.parametrize(("low", "high", "word"), [
    (0.1, 0.3, "agrees"), (-0.3, -0.1, "differs"), (-0.1, 0.3, "undecided"), (0.0, 0.3, "undecided"), (-0.3, 0.0, "undecided")])
def test_an_ordering_needs_an_interval_that_excludes_zero(parse, ordering, low, high, word):
    found = judge(parse(**ordering), answer((low + high) / 2, low=low, high=high, replicates=3), FACTS)
    assert found.word == word
    assert f"{low:.3g} to {high:.3g}" in found.reason


def test_an_ordering_without_interval_is_undecided(parse, ordering):
    assert judge(parse(**ordering), answer(5, replicates=3), FACTS) == judge(parse(**ordering), answer(5, replicates=3, low=1), FACTS)
    assert judge(parse(**ordering), answer(5, replicates=3), FACTS).word == "undecided"


@pytest.mark.parametrize(("replicates", "needed", "word"), [
    (1, "3", "undecided"), (2, "3", "undecided"), (3, "3", "agrees"), (5, "3", "agrees"), (1, "1", "agrees")])
def test_an_ordering_of_trained_things_needs_its_replicates(parse, ordering, replicates, needed, word):
    found = judge(parse(**ordering | {"replicates": needed}), answer(5, low=1, high=9, replicates=replicates), FACTS)
    assert found.word == word
    assert (f"{replicates} of {needed} replicates" in found.reason) == (word == "undecided")


def test_a_number_that_says_nothing_of_replicates_has_one(parse, ordering):
    assert judge(parse(**ordering), answer(5, low=1, high=9), FACTS).word == "undecided"
    assert judge(parse(**ordering | {"replicates": "1"}), answer(5, low=1, high=9), FACTS).word == "agrees"


def test_without_a_study_or_a_number_a_row_was_not_run(parse):
    assert judge(parse(), Answer(ran=False), FACTS).word == "not run"
    assert "no study live_features" in judge(parse(), Answer(ran=False), FACTS).reason
    assert judge(parse(), Answer(ran=True), FACTS).word == "not run"
    assert "gave no dead" in judge(parse(), Answer(ran=True), FACTS).reason


def test_a_study_may_say_why_it_cannot_measure(parse):
    found = judge(parse(), Answer(ran=True, missing="the corpus has no Arabic"), FACTS)
    assert (found.word, found.reason) == ("not comparable", "the corpus has no Arabic")


def test_each_shortfall_is_named_with_what_was_measured(parse):
    needs = "vectors>=8e9; tokens>=1e11; corpus=pile; evaluation_tokens>=1e8; d_sae=4096; d_mlp=512; act_fn=gelu; l1=0.004; raters=human; explainer=llm"
    found = judge(parse(needs=needs), answer(168), FACTS)
    assert found.word == "not comparable"
    assert found.reason == (
        "the dictionary saw 6.0 million vectors, the row needs 8 billion; the model saw 8.4 million tokens, the row needs 100 billion; "
        "the corpus is installed packages, not the Pile; measured on 524,288 tokens, the row needs 100 million; "
        "the dictionary has 2,048 features, the row needs 4,096; the MLP has 256 neurons, the row needs 512; the MLP has relu, the row needs gelu; "
        "l1 is 0.003, the row needs 0.004; no human raters; no language model explains")


def test_what_is_met_is_not_named(parse):
    assert judge(parse(needs="vectors>=6e6; corpus=installed; d_sae=2048; l1<=0.01"), answer(168), FACTS).word == "agrees"
    assert judge(parse(needs="vectors>=6e6; corpus=pile"), answer(168), FACTS).reason == "the corpus is installed packages, not the Pile"


def test_another_unit_is_never_compared(parse):
    found = judge(parse(), answer(168, unit="percent"), FACTS)
    assert (found.word, found.reason) == ("not comparable", "the study counts in percent, the row in features")


def test_a_row_that_differs_says_what_was_looked_at(parse):
    assert judge(parse(), answer(999), FACTS).reason.endswith("looked at: nothing yet")
    assert judge(parse(), answer(999), FACTS, "the density histogram").reason.endswith("looked at: the density histogram")
    assert "looked at" not in judge(parse(), answer(168), FACTS, "the density histogram").reason


@pytest.mark.parametrize(("value", "text"), [(6029312, "6.0 million"), (8e9, "8 billion"), (8.192e9, "8.2 billion"), (1e6, "1 million"),
                                             (2048, "2,048"), (0.003, "0.003"), (0, "0")])
def test_amounts_as_a_person_says_them(value, text):
    assert amount(value) == text


def test_the_facts_of_a_run(settings):
    found = facts(settings, {"tokens": 524288})
    assert found == FACTS | {"tokens": 8_400_000, "l1": 0.004}
    assert facts(settings, {"tokens": 524288}, rated=True) == found | {"raters": "human"}
    assert set(found) == {"vectors", "tokens", "evaluation_tokens", "corpus", "d_mlp", "d_sae", "act_fn", "l1", "raters", "explainer"}


def test_every_condition_has_a_sentence_and_bounds_are_kept():
    for text in ("vectors>=1e12", "tokens>=1e12", "evaluation_tokens>=1e12", "corpus=pile", "d_mlp=1", "d_sae=1", "act_fn=gelu", "l1<=0.0001",
                 "raters=human", "explainer=llm"):
        found = condition(text, "x")
        assert not met(found, FACTS)
        assert shortfall(found, FACTS)
    assert shortfall(condition("l1<=0.0001", "x"), FACTS) == "l1 is 0.003, the row needs at most 0.0001"
