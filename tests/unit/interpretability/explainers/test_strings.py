"""The judge of the logit test."""

from math import log

import numpy as np
import pytest

from replication.interpretability.explainers.characters import CLASSES, classes, looks
from replication.interpretability.explainers.strings import Judge, following
from replication.interpretability.protocol import Evidence, Windows

DIGITS = [str(number) for number in range(100, 200)]
WORDS = [f" {a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "lmnr"]
CODE = [f"{a}{b}" for a in "({[<)" for b in "=+*/;"]


def evidence(positive=(), negative=(), tokens=((0, 0),), activations=((0, 0),)):
    windows = Windows(np.array(tokens, dtype=np.int32), np.array(activations, dtype=np.int8), np.zeros(len(tokens), dtype=np.int8))
    return Evidence(windows, np.array(positive, dtype=np.int32), np.array(negative, dtype=np.int32))


def test_the_formula_by_hand():
    ratio = Judge(["1", "2", "a", "b"]).hear(evidence(positive=[0])).ratio
    digit, letter, seen = log(7 / 6), log(5 / 6), log(1.5)  # shares smoothed by 5: 3.5 / 6 of 1/2, 2.5 / 6 of 1/2, 2.25 / 6 of 1/4
    np.testing.assert_allclose(ratio, [2 * digit + 2 * seen, 2 * digit, 2 * letter, 2 * letter])


def test_suppressed_tokens_count_as_others():
    ratio = Judge(["1", "2", "a", "b"]).hear(evidence(positive=[0], negative=[2])).ratio
    digits = 0.5 / 1.5  # share of digits, where "a" weighs three times as much as another token
    p = (1 + 5 * digits) / 6
    np.testing.assert_allclose(ratio[1], 2 * log(p / digits))
    assert ratio[2] < 0


def test_tokens_that_follow_firing_ones():
    after = evidence(tokens=[[0, 1, 2], [3, 1, -1]], activations=[[6, 0, 9], [2, 4, 0]]).windows
    np.testing.assert_allclose(following(after, 4), [0, 2, 0, 0])  # 1 follows 6 and 2; nothing follows the 9, nor the 4 inside
    after = evidence(tokens=[[0, 1, 2]], activations=[[3, 1, 0]]).windows
    np.testing.assert_allclose(following(after, 4), [0, 1.5, 0.5, 0])
    assert not following(evidence().windows, 4).any()


def test_following_tokens_are_evidence():
    strings = [*DIGITS, *WORDS]
    after = evidence(tokens=[[150, digit] for digit in range(10)], activations=[[9, 0]] * 10)
    judge = Judge(strings)
    answers = judge.likelier(judge.hear(after), np.arange(20, 200, dtype=np.int32))
    np.testing.assert_array_equal(answers, np.arange(20, 200) < 100)


@pytest.mark.parametrize("kind", range(3))
def test_kinds_of_strings_are_told_apart(kind):
    kinds = [DIGITS, WORDS, CODE]
    strings = [string for some in kinds for string in some]
    owner = np.repeat(np.arange(3), [len(some) for some in kinds])
    mine = np.flatnonzero(owner == kind)
    judge = Judge(strings)
    answers = judge.likelier(judge.hear(evidence(positive=mine[:10])), np.arange(len(strings), dtype=np.int32))
    assert answers[mine[10:]].all()
    assert not answers[owner != kind].any()


def test_same_word_with_another_case():
    strings = [*WORDS, " BREAD", " CHAIR", "bread"]  # no beginning and no end of the last is one of the others', only the word is
    judge = Judge(strings)
    same, other = (judge.hear(evidence(positive=[*range(9), promoted])).ratio[-1] for promoted in (100, 101))
    assert same > other


def test_chance_on_random_strings():
    rng = np.random.default_rng(0)
    strings = [*DIGITS, *WORDS, *CODE, *("".join(rng.choice(list("abcdefgh_ X1"), rng.integers(1, 7))) for _ in range(400))]
    judge, right = Judge(strings), []
    for _ in range(120):
        drawn = rng.permutation(len(strings))
        promotion = judge.hear(evidence(positive=drawn[:10], negative=drawn[10:20], tokens=drawn[20:40].reshape(10, 2), activations=[[5, 0]] * 10))
        promoted = rng.permutation(np.arange(100) < 50)
        right.append((judge.likelier(promotion, drawn[40:140].astype(np.int32)) == promoted).mean())
    assert abs(np.mean(right) - 0.5) < 0.02


def test_looks():
    assert looks(" Then") == ["with a leading space", "with a capital", "with a capital with a leading space", "of 4 characters", "signs: "]
    assert looks(" continuous")[3] == "of 6 characters"  # or more
    assert looks("é_\n")[3:] == ["of 3 characters", "signs: outside ASCII, with an underscore, with a line break"]
    assert [looks(string)[1] for string in ("   ", r"\xe2\x80", "42", "OK", "ok", "Ok", "(-", "x2", "")] == [
        "of white space", "of part of a character", "of digits", "in capitals", "in lower case", "with a capital", "of punctuation", "mixed", "mixed"]


@pytest.mark.parametrize(("string", "expected"), [
    (" the", {"with a leading space", "in lower case", "of letters", "of 2 or more characters", "of 3 or more characters"}),
    ("日本", {"outside ASCII", "in Chinese script", "of letters", "of 2 or more characters"}),
    ("Ж", {"outside ASCII", "in Cyrillic script", "of letters", "with a capital"}),
    ("ש", {"outside ASCII", "in Hebrew script", "of letters"}),
    ("\n", {"of white space", "with a line break"}),
    ("", set()),
])
def test_classes(string, expected):
    assert {name for name, of in zip(CLASSES, classes([string])[0], strict=True) if of} == expected
