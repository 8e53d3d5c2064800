import json

import numpy as np
import pytest

from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.detailed.ablation import KEYS, MIDDLE, TOP, Sample, is_punctuation, measured, nearest, texts
from tests.planted import raw

CONTEXTS, N_CTX = 40, 12


@pytest.fixture
def settings():
    return STUDIES["live_features"].settings(resolve(raw(bootstrap=200)))


@pytest.fixture
def sample():
    """Tokens of the context lose 0.1 f, punctuation gains 0.05 f, the rest loses nothing, but for a little noise; the strongest tokens lose 0.5 themselves."""
    rng = np.random.default_rng(0)
    size = CONTEXTS * N_CTX
    activation = np.where(rng.random(size) < 0.5, rng.uniform(0, 11, size), 0).astype(np.float32)
    activation[13] = 11
    on, punctuation = rng.random(size) < 0.4, rng.random(size) < 0.3
    before = np.concatenate([[0], activation[:-1]]) * (np.arange(size) % N_CTX > 0)
    effect = before * np.where(on, -0.1, np.where(punctuation, 0.05, 0)) + 1e-3 * rng.normal(size=size) * (before > 0) - 0.5 * (activation > 10)
    return Sample(rng.integers(5, size=(CONTEXTS, N_CTX)).astype(np.int32), np.arange(CONTEXTS), activation, effect.astype(np.float32), on, punctuation)


def by_loops(sample):
    """Pairs (activation, hurt of the next token, next in the context, next shared punctuation, interval) one by one."""
    rows = []
    for context in range(CONTEXTS):
        for pos in range(N_CTX - 1):
            t = context * N_CTX + pos
            if sample.activation[t] > 0:
                interval = 11 - int(np.ceil(sample.activation[t]))
                rows.append((sample.activation[t], -sample.effect[t + 1], sample.on[t + 1], sample.punctuation[t + 1] and not sample.on[t + 1], interval))
    return np.array(rows, dtype=float)


def test_numbers_are_those_of_plain_loops(sample, settings):
    table, numbers = measured(sample, settings, "test")
    a, hurt, on, shared, interval = by_loops(sample).T
    assert numbers["context_hurt"].value == pytest.approx(hurt[on == 1].mean() - hurt[on == 0].mean(), rel=1e-5)
    assert numbers["effect_growth"].value == pytest.approx(np.polyfit(a, hurt, 1)[0], rel=1e-5)
    assert numbers["shared_punctuation_helped"].value == pytest.approx(-hurt[shared == 1].mean(), rel=1e-5)
    assert numbers["next_to_top"].value == pytest.approx(hurt[interval == MIDDLE].mean() / hurt[interval == TOP].mean(), rel=1e-4)
    assert numbers["mean_hurt"].n == len(a)
    for k in range(11):
        for name, flag in (("on", 1), ("off", 0)):
            some = hurt[(interval == k) & (on == flag)]
            assert table[f"n_{name}"][k] == len(some)
            assert table[name][k] == pytest.approx(some.mean(), rel=1e-4, abs=1e-7)
    middles = {k: [-sample.effect[t] for t in range(CONTEXTS * N_CTX) if sample.interval[t] == k and t % N_CTX > 0] for k in (TOP, MIDDLE)}
    assert numbers["middle_to_top"].value == pytest.approx(np.mean(middles[MIDDLE]) / np.mean(middles[TOP]), rel=1e-4)


def test_planted_effects_are_told_from_nothing(sample, settings):
    _, numbers = measured(sample, settings, "test")
    assert set(numbers) == set(KEYS)
    for key in ("context_hurt", "effect_growth", "shared_punctuation_helped"):
        assert numbers[key].low > 0
    rng = np.random.default_rng(1)
    null = Sample(sample.tokens, sample.sources, sample.activation, rng.permutation(sample.effect), sample.on, sample.punctuation)
    _, numbers = measured(null, settings, "test")
    assert numbers["context_hurt"].low < 0 < numbers["context_hurt"].high


def test_a_kind_in_a_few_texts_only_gives_no_number(sample, settings):
    few = np.arange(len(sample.on)) < 4 * N_CTX
    table, numbers = measured(Sample(sample.tokens, sample.sources, sample.activation, sample.effect, few, sample.punctuation), settings, "test")
    assert "context_hurt" not in numbers
    assert "effect_growth" in numbers
    assert table["on_low"].isna().all()
    assert table["off_low"].notna().any()


def test_texts_are_near_the_interval_and_of_different_contexts(sample):
    for interval, target in ((TOP, 10.0), (MIDDLE, 5.0)):
        places = nearest(sample, interval)
        assert len({place // N_CTX for place in places}) == len(places) == 5
        assert np.abs(sample.activation[places] - target).max() < 0.5
        assert all(place % N_CTX < N_CTX - 1 for place in places)


def test_a_second_text_of_a_context_is_taken_only_where_none_overlaps():
    activation = np.zeros(200, np.float32)
    activation[[20, 22, 80]] = 11, 10, 10
    activation[150] = 1  # too weak for either interval
    zeros = np.zeros(200, bool)
    sample = Sample(np.zeros((2, 100), np.int32), np.arange(2), activation, np.zeros(200, np.float32), zeros, zeros)
    assert nearest(sample, TOP) == [22, 80]
    assert nearest(sample, MIDDLE) == []


def test_rows_of_text_hold_effects_on_the_tokens_themselves(sample):
    rows = texts(sample, list("abcde"))
    first = rows.iloc[0]
    place = nearest(sample, TOP)[0]
    low = place - first["centre"]
    assert json.loads(first["effects"])[0] == pytest.approx(sample.effect[low], rel=1e-3)
    assert json.loads(first["values"])[first["centre"]] == pytest.approx(first["activation"], rel=1e-3)


def test_punctuation_is_told_by_its_category():
    assert [is_punctuation(token) for token in (",", " .", '"', "،", "a.", " ", "", "+", "...")] == [
        True, True, True, True, False, False, False, False, True]


def test_a_ratio_to_what_may_be_nothing_gives_no_number(sample, settings):
    gains = np.random.default_rng(2).normal(0.5, 1, size=len(sample.effect)).astype(np.float32)
    _, numbers = measured(Sample(sample.tokens, sample.sources, sample.activation, gains, sample.on, sample.punctuation), settings, "test")
    assert set(KEYS) - set(numbers) == {"middle_to_top", "next_to_top"}
