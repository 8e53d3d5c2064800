"""What is asked: demonstrations that are whole, tokens that cannot be misread."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.interpretability.llm import prompts, replies
from replication.interpretability.protocol import FIRING, GROUPS, LEVELS, OUT_OF_CONTEXT, RANDOM, TOP


@pytest.mark.parametrize("each", prompts.demonstrations(), ids=lambda each: each["feature"])
def test_a_demonstration_is_in_the_protocols_form_and_holds_its_windows_apart(each):
    windows = [*each["explain"], *each["predict"]]
    for window in windows:
        assert window["group"] in GROUPS
        assert 5 <= len(window["tokens"]) == len(window["activations"]) <= 9
        assert all(type(level) is int and 0 <= level <= LEVELS for level in window["activations"])
    assert len({tuple(window["tokens"]) for window in windows}) == len(windows)
    for role in ("explain", "predict"):
        groups = {GROUPS.index(window["group"]) for window in each[role]}
        assert {TOP, RANDOM, OUT_OF_CONTEXT} <= groups and groups & set(FIRING[1:])
    assert max(level for window in each["explain"] for level in window["activations"]) >= 7
    assert len(each["positive"]) == len(each["negative"]) == 10
    assert replies.explanation(f"{each['reasoning']}\nExplanation: {each['explanation']}") == each["explanation"]
    assert len(each["explanation"].split()) <= prompts.WORDS and not set(each["explanation"]) & set("\"'`")


def test_eight_demonstrations_of_a_dictionary_that_is_not_scored_by_default():
    features = {each["feature"] for each in prompts.demonstrations()}
    assert len(features) == 8 and {name.rpartition("/")[0] for name in features} == {"A/l1_high"}
    assert any("No clear pattern" in each["explanation"] for each in prompts.demonstrations())


def test_both_conversations_show_the_same_eight_and_end_with_the_question():
    explain = prompts.explain([" sat"], ["\n"], [{"group": "top", "tokens": [" cat"], "activations": [9]}])
    predict = prompts.predict("Cats.", [[" the", " cat"], ["x"]])
    for messages in (explain, predict):
        assert [message["role"] for message in messages] == ["user", "assistant"] * 8 + ["user"]
    assert explain[-1]["content"] == 'Likelier to come next: [" sat"]\nLess likely to come next: ["\\n"]\nWindows:\ntop: [[" cat",9]]'
    assert predict[-1]["content"] == 'Description: Cats.\nWindows:\n1 (2 tokens): [" the", " cat"]\n2 (1 tokens): ["x"]'


def test_a_prediction_is_shown_neither_groups_nor_logits_nor_what_was_explained():
    asked = "\n".join(message["content"] for message in prompts.predict("Cats.", [[" cat"]]) if message["role"] == "user")
    for each in prompts.demonstrations():
        assert each["explanation"] in asked and each["reasoning"] not in asked
        for window in each["explain"]:
            assert ", ".join(map(prompts.quoted, window["tokens"])) not in asked
        assert ", ".join(map(prompts.quoted, each["positive"])) not in asked
    assert "interval" not in asked and "out of context" not in asked


def test_worked_answers_of_the_demonstrations_are_read_as_they_are_meant():
    answers = [message["content"] for message in prompts.predict("Cats.", [[" cat"]]) if message["role"] == "assistant"]
    for each, answer in zip(prompts.demonstrations(), answers, strict=True):
        right = [window["activations"] for window in each["predict"]]
        assert replies.levels(answer, [len(row) for row in right]) == right


@given(st.text())
def test_a_quoted_token_is_the_token_and_every_character_can_be_seen(token):
    written = prompts.quoted(token)
    assert json.loads(written) == token
    assert written.isprintable() and "<|" not in written
    assert written.isascii() or any(each in token for each in written if not each.isascii())


def test_bytes_and_marks_as_they_are_quoted():
    assert prompts.quoted("\\xe2") == '"\\\\xe2"'
    assert prompts.quoted("<|endoftext|>") == '"\\u003c|endoftext|>"'
    assert prompts.quoted("\u00a0é\n") == '"\\u00a0é\\n"'
