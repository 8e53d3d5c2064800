"""Interleaving and ratios, on timers that do as they are told."""

import pytest

from bench import timing


class Clock:
    """Time passes only in the subjects."""

    def __init__(self):
        self.now, self.called = 0.0, []

    def subject(self, name, seconds):
        def call(number):
            self.called.append((name, number))
            self.now += seconds(number) if callable(seconds) else seconds

        return call

    def __call__(self):
        return self.now


def test_every_subject_once_a_round_and_seconds_are_its_own():
    clock = Clock()
    taken = timing.interleave({"a": clock.subject("a", 1.0), "b": clock.subject("b", lambda number: 3.0 + number), "c": clock.subject("c", 0.5)}, rounds=4, clock=clock)
    assert taken["a"] == [1.0] * 4 and taken["c"] == [0.5] * 4
    assert taken["b"] == [4.0, 5.0, 6.0, 7.0]  # call 0 warmed up, and was so long that it was not called twice
    rounds = [[name for name, _ in clock.called[start : start + 3]] for start in range(5, 17, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len({names[0] for names in rounds}) > 1


def test_a_machine_that_slows_down_does_not_move_the_ratio():
    clock, slow = Clock(), {"factor": 1.0}

    def subject(seconds):
        def call(_):
            clock.now += seconds * slow["factor"]

        return call

    def drift(number):
        slow["factor"] = 1 + number
        clock.now += slow["factor"]

    taken = timing.interleave({"drift": drift, "one": subject(1.0), "six": subject(6.0)}, rounds=6, clock=clock)
    middle, _ = timing.ratio(taken["six"], taken["one"])
    assert middle == pytest.approx(6, rel=0.4)  # medians of one order each
    assert timing.ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0]) == (2.0, 0.0)  # a drift that moves both alike leaves no spread


def test_quick_subjects_are_called_often_enough_for_the_clock():
    clock = Clock()
    taken = timing.interleave({"quick": clock.subject("quick", 0.001), "slow": clock.subject("slow", 0.1)}, rounds=2, clock=clock)
    assert taken["quick"] == pytest.approx([0.001] * 2) and taken["slow"] == pytest.approx([0.1] * 2)
    calls = [name for name, _ in clock.called]
    assert calls.count("quick") == 2 + 2 * 50 and calls.count("slow") == 2 + 2
    assert [number for name, number in clock.called if name == "quick"] == list(range(102))  # it walks on through its batches


@pytest.mark.parametrize(("budget", "rounds"), [(30.0, 10), (1.0, timing.FEWEST), (1e6, timing.MOST)])
def test_rounds_fit_the_budget(budget, rounds):
    clock = Clock()
    taken = timing.interleave({"a": clock.subject("a", 1.0), "b": clock.subject("b", 2.0)}, budget=budget, clock=clock)
    assert len(taken["a"]) == len(taken["b"]) == rounds


def test_the_device_is_waited_for_before_the_clock_is_read():
    events = []

    def clock():
        events.append("clock")
        return float(len(events))

    timing.interleave({"a": lambda _: events.append("call")}, rounds=1, clock=clock, wait=lambda: events.append("wait"))
    assert all(events[at - 1] == "wait" for at, event in enumerate(events) if event == "clock")


def test_no_subject_keeps_its_place_or_its_neighbour():
    keys = list("abcde")
    orders = [timing.order(keys, number) for number in range(10)]
    assert all(sorted(found) == keys for found in orders)
    for key in keys:
        assert {found.index(key) for found in orders} == set(range(5))
        assert {found[found.index(key) - 1] for found in orders if found.index(key)} == {keys[keys.index(key) - 1], keys[(keys.index(key) + 1) % 5]}


def test_spread_is_the_interquartile_range():
    assert timing.spread([5.0]) == 0 and timing.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == 2 and timing.spread([1.0, 1.0, 1.0, 1.0, 99.0]) == 0


def test_ratio_by_hand():
    middle, around = timing.ratio([2.0, 6.0, 4.0, 10.0, 12.0], [1.0, 2.0, 2.0, 2.0, 4.0])
    assert middle == 3.0  # 6 over 2
    assert around == 1.0  # of 2, 3, 2, 5, 3
