"""Counts of active features on texts of a few tokens."""

import json

import pandas as pd
import pytest

from replication.studies.setup.text_view import drawn, headline, summary


def tokens(length, text="dna"):
    return pd.DataFrame({"text": text, "title": text.upper(), "pos": range(length), "token": 0})


def on(*rows, text="dna"):
    return pd.DataFrame(rows, columns=["pos", "feature", "activation"]).assign(text=text, effect=-0.5)


def test_late_is_the_last_quarter_and_the_leading_feature_is_told_from_before_it():
    found = summary(tokens(8), on((0, 5, 1.0), (0, 7, 4.0), (5, 5, 2.0), (6, 5, 9.0), (6, 7, 1.0), (7, 7, 1.0)))
    assert (found["tokens"], found["late"], found["active"], found["active_late"]) == (8, 2, 6 / 8, 3 / 2)
    assert (found["leading"], found["leading_late"]) == (7, 1.0)  # 4 against 3 before position 6; after it 5 is on once


def test_a_silent_text_and_one_too_short_to_end_are_told_too():
    assert summary(tokens(8), on())["leading"] == -1
    short = summary(tokens(1), on((0, 3, 1.0)))
    assert (short["late"], short["active"], short["active_late"]) == (0, 1.0, 0.0)


def test_the_mean_weighs_texts_by_their_tokens():
    texts = pd.DataFrame([summary(tokens(8), on((7, 1, 1.0))), summary(tokens(2, "log"), on((0, 1, 1.0), (1, 1, 1.0), (1, 2, 1.0), text="log"))])
    numbers = headline(texts)
    assert (numbers["texts"].value, numbers["active"].value, numbers["active"].n) == (2, pytest.approx(0.4), 10)
    assert (numbers["active_at_end_of_dna"].value, numbers["active_at_end_of_dna"].n) == (0.5, 2)
    assert "active_at_end_of_dna" not in headline(texts[texts["text"] != "dna"])


def test_a_long_text_is_drawn_at_both_ends_with_its_strongest_features():
    length = 100
    rows = [(pos, feature, float(feature)) for pos in range(length) for feature in range(1, 14)] + [(50, 99, 1e6)]  # the last where nothing is drawn
    shown, found = drawn(tokens(length), on(*rows), ["\n\"A"])
    assert shown["pos"].tolist() == [*range(32), *range(68, 100)] and (shown["active"] == 13).all()
    assert {json.loads(string) for string in shown["string"]} == {"\n\"A"}
    assert set(found["feature"]) == set(range(4, 14)) and set(found["pos"]) == set(shown["pos"])
    assert drawn(tokens(3), on((1, 2, 1.0)), ["x"])[0]["active"].tolist() == [0, 1, 0]
