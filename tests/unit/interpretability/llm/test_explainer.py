"""The explainer against a real endpoint on this machine."""

import json
import logging
import socket
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import spearmanr

from replication.config import UserError
from replication.features.examples import NO_TOKEN
from replication.interpretability.asked import asked
from replication.interpretability.llm import Description
from replication.interpretability.llm.explainer import LONGEST
from replication.interpretability.protocol import ExplainerError
from tests.chat import CAT, SECRET, STRINGS, completion

CATS = Description("Names of cats.")
TOKENS = np.array([[0, CAT, 2], [NO_TOKEN, 5, CAT], [4, 9, 3]], dtype=np.int32)


def knows_cats(request, number=0):
    """A perfect model of a unit that fires on " cat" and makes " sat" and " on" likelier."""
    question = request["messages"][-1]["content"]
    lines = [line.split(": ", 1)[1] for line in question.splitlines() if line[:1].isdigit()]
    if question.startswith("Likelier"):
        return "Every peak is a cat.\nExplanation: Names of cats."
    if "Windows:" in question:
        return json.dumps({str(k): [9 if token == " cat" else 0 for token in json.loads(line)] for k, line in enumerate(lines, start=1)})
    return json.dumps({str(k): "yes" if json.loads(line) in (" sat", " on") else "no" for k, line in enumerate(lines, start=1)})


def test_what_is_sent(endpoint, made, evidence):
    endpoint.answer = knows_cats
    explainer = made(concurrency=5)
    assert explainer.name == "llm" and explainer.concurrency == 5
    found = explainer.explain(evidence)
    assert found == CATS and not found.overlong
    (sent,) = endpoint.asked
    assert {name: sent[name] for name in ("model", "temperature", "seed")} == {"model": "asked-model", "temperature": 0, "seed": 3}
    assert len(sent["messages"]) == 17 and endpoint.keys == [f"Bearer {SECRET}"]
    assert sent["messages"][-1]["content"].splitlines() == [
        'Likelier to come next: [" sat", " on"]', 'Less likely to come next: ["\\u003c|endoftext|>"]', "Windows:",
        'top: [[" the",0], [" cat",9], [" sat",0]]', 'random: [["\\"",0], ["\\\\xe2",0]]', 'out of context: [[" on",0], [" cat",9], ["\\n",0]]']


def test_a_perfect_model_predicts_all_windows_in_one_request(endpoint, made):
    endpoint.answer = knows_cats
    tokens = np.random.default_rng(0).integers(0, len(STRINGS), (60, 9)).astype(np.int32)
    tokens[0, :3] = tokens[1, -2:] = NO_TOKEN
    predicted = made().predict(CATS, tokens)
    assert predicted.shape == (60, 9) and predicted.dtype == np.int8 and not predicted[tokens == NO_TOKEN].any()
    assert spearmanr(predicted[tokens != NO_TOKEN], (tokens == CAT)[tokens != NO_TOKEN]).statistic == pytest.approx(1)
    assert len(endpoint.asked) == 1


def test_a_perfect_model_judges_every_token(endpoint, made):
    endpoint.answer = knows_cats
    tokens = np.arange(100, dtype=np.int32) % len(STRINGS)
    judged = made().judge_logits(CATS, tokens)
    assert judged.dtype == np.bool_
    np.testing.assert_array_equal(judged, np.isin(tokens, [2, 4]))


def test_an_explanation_that_kept_its_reasoning_is_marked(endpoint, made, evidence):
    endpoint.answer = lambda request, number: "It may be cats, or mats. " * LONGEST
    assert made().explain(evidence).overlong


def test_thoughts_that_the_endpoint_left_in_the_text_are_not_the_answer(endpoint, made):
    endpoint.answer = lambda request, number: f'<think>{{"1": [0]}} no</think>\n{knows_cats(request)}'
    assert made().predict(CATS, TOKENS).tolist() == [[0, 9, 0], [0, 0, 9], [0, 0, 0]]


@pytest.mark.parametrize("said, reason", [
    ("", "^empty$"), ("<think>so</think> ", "^empty$"), (completion(None), "^empty$"),
    (completion("{}", finish_reason="content_filter"), "^refused$"), (completion(None, message={"refusal": "I cannot help with that"}), "^refused$"),
    (completion('{"1": [0,9,0]', finish_reason="length"), "^cut off"),
    ('{"1": [0,9,0]}', "^malformed: 1 windows"), ("I predict 9.", "^malformed: not JSON$"),
    ({"choices": []}, "^malformed: not a chat completion$"), ({"error": "model overloaded"}, "^malformed: not a chat completion$"),
    (completion("{}", usage=[1]), "^malformed: not a chat completion$"), (completion(["{}"]), "^malformed: not a chat completion$"),
    ((200, {}, b"{"), "^malformed: not a chat completion$"), ((200, {"Content-Type": "text/html"}, b"<html>hello</html>"), "^malformed: not a chat completion$"),
    ((400, {}, {"error": {"message": f"{SECRET} is too long", "code": "context_length_exceeded"}}), "^no reply: HTTP 400, context_length_exceeded$"),
    ((400, {}, {"error": {"message": "no", "code": SECRET}}), "^no reply: HTTP 400$"),
    ((500, {}, b"oops"), "^no reply: HTTP 500$"),
])
def test_a_reply_that_is_no_answer_is_an_error_with_a_short_reason(endpoint, made, said, reason):
    endpoint.answer = lambda request, number: said
    with pytest.raises(ExplainerError, match=reason) as caught:
        made().predict(CATS, TOKENS)
    assert len(str(caught.value)) < 90


def test_a_late_reply_is_an_error(endpoint, made):
    endpoint.answer = lambda request, number: time.sleep(1.5) or knows_cats(request)
    with pytest.raises(ExplainerError, match=r"late: no reply in 0.3 s"):
        made(timeout=0.3).predict(CATS, TOKENS)


def test_a_failed_request_is_tried_again_after_the_pause_that_the_endpoint_asks_for(endpoint, made):
    endpoint.answer = lambda request, number: (429, {"Retry-After": "1"}, {}) if number == 1 else (503, {}, {}) if number == 2 else knows_cats(request)
    assert made(retries=2).predict(CATS, TOKENS)[0].tolist() == [0, 9, 0]
    first, second, third = endpoint.times
    assert second - first >= 1 and third - second >= 0.3


@pytest.mark.parametrize("status, remedy", [(401, "OPENAI_API_KEY"), (404, "OPENAI_MODEL and OPENAI_BASE_URL"), (429, "interpretability.concurrency")])
def test_an_endpoint_that_answers_no_request_stops_the_run(endpoint, made, status, remedy):
    endpoint.answer = lambda request, number: (status, {}, {"error": {"message": f"what is {SECRET}?"}})
    with pytest.raises(UserError, match=rf"HTTP {status}.*{remedy}.*run again to go on"):
        made().predict(CATS, TOKENS)


def test_an_endpoint_that_is_not_there_stops_the_run(endpoint, made, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    with pytest.raises(UserError, match="cannot be reached; see OPENAI_BASE_URL"):
        made().predict(CATS, TOKENS)


def test_a_resumed_run_asks_only_what_is_missing_and_the_cache_alone_answers_the_rest(endpoint, made, evidence, alone):
    endpoint.answer = lambda request, number: knows_cats(request) if number != 2 else (500, {}, {})
    explainer = made()
    found = explainer.explain(evidence)
    with pytest.raises(ExplainerError, match="500"):
        explainer.predict(found, TOKENS)
    assert len(endpoint.asked) == 2
    again = made()
    predicted = again.predict(again.explain(evidence), TOKENS)
    assert len(endpoint.asked) == 3 and endpoint.asked[2] == endpoint.asked[1]
    alone()
    offline = made()
    np.testing.assert_array_equal(offline.predict(offline.explain(evidence), TOKENS), predicted)
    with pytest.raises(ExplainerError, match="not in the cache"):
        offline.judge_logits(found, TOKENS[0])
    assert len(endpoint.asked) == 3
    assert offline.usage()["model"] == "asked-model" and offline.usage()["cached"]["requests"] == 2 and offline.usage()["asked"]["requests"] == 0


def test_the_cache_alone_needs_no_sdk(endpoint, made, evidence, alone, monkeypatch):
    endpoint.answer = knows_cats
    made().explain(evidence)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"pip install replication\[llm\]"):
        made()
    alone()
    assert made().explain(evidence) == CATS


def test_a_malformed_reply_is_kept_so_that_nobody_chooses_among_answers(endpoint, made):
    endpoint.answer = lambda request, number: "no numbers" if number == 1 else knows_cats(request)
    for _ in range(2):
        with pytest.raises(ExplainerError, match="not JSON"):
            made().predict(CATS, TOKENS)
    assert len(endpoint.asked) == 1


def test_half_a_surrogate_pair_in_a_reply_harms_nothing(endpoint, made, evidence):
    endpoint.answer = lambda request, number: (200, {}, json.dumps(completion("Explanation: Cats \ud83d.")).encode()) if number == 1 else knows_cats(request)
    explainer = made()
    found = explainer.explain(evidence)
    assert found.text == "Cats ?." and explainer.predict(found, TOKENS).any()


def test_no_more_requests_at_one_time_than_the_config_says(endpoint, made):
    endpoint.answer = lambda request, number: time.sleep(0.1) or knows_cats(request)
    explainer = made(concurrency=3)
    with ThreadPoolExecutor(9) as pool:
        list(pool.map(lambda k: explainer.predict(Description(f"Cat {k}."), TOKENS), range(9)))
    assert endpoint.most == 3 and explainer.usage()["asked"]["requests"] == 9


def test_usage_sums_tokens_of_asked_and_cached_replies_and_prices_them_only_when_told(endpoint, made, monkeypatch):
    endpoint.answer = lambda request, number: knows_cats(request) if number < 3 else completion(knows_cats(request), usage=None, model=None)
    explainer = made()
    for _ in range(2):
        explainer.predict(CATS, TOKENS)
    explainer.judge_logits(CATS, TOKENS[0])
    explainer.judge_logits(CATS, TOKENS[2])
    counted = {"asked": {"requests": 3, "unreported": 1, "prompt_tokens": 2000, "completion_tokens": 20},
               "cached": {"requests": 1, "unreported": 0, "prompt_tokens": 1000, "completion_tokens": 10}}
    assert explainer.usage() == {"model": "asked-model", "answered_by": ["asked-model", "served-model"], **counted}
    monkeypatch.setenv("OPENAI_PRICE_PROMPT", "2.5")
    assert "cost" not in explainer.usage()["asked"]
    monkeypatch.setenv("OPENAI_PRICE_COMPLETION", "10")
    assert explainer.usage()["asked"]["cost"] == pytest.approx(0.0052) and explainer.usage()["cached"]["cost"] == pytest.approx(0.0026)


@pytest.mark.parametrize("environment, sentence", [
    ({}, "OPENAI_MODEL is not set and .* holds no replies"),
    ({"OPENAI_MODEL": "m"}, "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set and .* holds no reply of m"),
    ({"OPENAI_API_KEY": SECRET}, "OPENAI_MODEL is not set"),
    ({"OPENAI_MODEL": "m", "OPENAI_BASE_URL": "localhost:8000"}, "OPENAI_BASE_URL is no address such as"),
    ({"OPENAI_MODEL": "m", "OPENAI_BASE_URL": "http://["}, "OPENAI_BASE_URL is no address such as"),
    ({"OPENAI_MODEL": "m", "OPENAI_BASE_URL": f"http://me:{SECRET}@localhost/v1"}, "without a user or password"),
    ({"OPENAI_MODEL": "m", "OPENAI_API_KEY": f"{SECRET}\n{SECRET}"}, "OPENAI_API_KEY holds characters that no key has"),
    ({"OPENAI_MODEL": "m", "OPENAI_API_KEY": SECRET, "OPENAI_PRICE_PROMPT": "cheap", "OPENAI_PRICE_COMPLETION": "1"}, "OPENAI_PRICE_PROMPT is 'cheap'"),
])
def test_one_sentence_says_what_the_environment_lacks(endpoint, made, alone, monkeypatch, environment, sentence):
    alone()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence) as caught:
        made()
    assert SECRET not in str(caught.value)


def test_replies_of_two_models_need_a_name(endpoint, made, alone, monkeypatch):
    endpoint.answer = knows_cats
    for model in ("one", "two"):
        monkeypatch.setenv("OPENAI_MODEL", model)
        made().predict(CATS, TOKENS)
    alone()
    with pytest.raises(UserError, match="OPENAI_MODEL is not set and .* holds replies of one, two"):
        made()
    monkeypatch.setenv("OPENAI_MODEL", "two")
    assert made().predict(CATS, TOKENS).any()
    monkeypatch.setenv("OPENAI_MODEL", "three")
    with pytest.raises(UserError, match="holds no reply of three"):
        made()


def test_a_rule_knows_the_model_that_is_asked(endpoint, made, alone, monkeypatch, tmp_path):
    endpoint.answer = knows_cats
    monkeypatch.setenv("OPENAI_MODEL", "one")
    explainer = made()
    assert asked(tmp_path / "none") == "one"
    explainer.predict(CATS, TOKENS)
    alone()
    assert asked(explainer.client.cache.folder) == "one"  # as before, without the variable: its replies are kept
    assert asked(tmp_path / "none") == ""


def test_a_local_server_needs_no_key(endpoint, made, monkeypatch):
    endpoint.answer = knows_cats
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", f" {endpoint.url}/ ")
    assert made().predict(CATS, TOKENS).any()


def test_no_key_is_ever_logged_written_or_said(endpoint, made, evidence, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    said = [knows_cats, lambda request: (401, {}, {"error": {"message": SECRET, "code": SECRET}}), lambda request: (500, {}, SECRET.encode()),
            lambda request: time.sleep(2) or ""]
    endpoint.answer = lambda request, number: said[number - 1](request)
    explainer, heard = made(timeout=1.0), []
    heard.append(repr(explainer.explain(evidence)))
    for _ in range(3):
        try:
            explainer.predict(CATS, TOKENS)
        except (UserError, ExplainerError):
            heard.append(traceback.format_exc())
    out, err = capfd.readouterr()
    heard += [out, err, caplog.text, json.dumps(explainer.usage()), *(path.read_text() for path in tmp_path.rglob("*") if path.is_file())]
    assert len(heard) == 9 and "Bearer" in endpoint.keys[0] and caplog.text
    assert not any(SECRET in each or (endpoint.url in each and each is not caplog.text) for each in heard)
