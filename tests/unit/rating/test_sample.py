import itertools

import numpy as np
import pytest

from replication.config import UserError
from replication.rating import sample

OFFERED = {"features": {"A/1": np.arange(40), "A/1-r1": np.arange(40)}, "neurons": {"A/neurons": np.arange(30)}, "random": {"random/1": np.arange(40)}}


def draw(units=30, intervals=3, seed=0, offered=OFFERED):
    return sample.draw(offered, units=units, intervals=intervals, seed=seed)


def test_kinds_have_equal_parts_and_replicates_too():
    tables = [unit.table for unit in draw(32)]
    assert [tables.count(name) for name in ("A/1", "A/1-r1", "A/neurons", "random/1")] == [6, 5, 11, 10]
    assert len({unit.name for unit in draw(32)}) == 32


def test_the_order_is_mixed_and_hangs_on_the_seed_alone():
    assert draw() == draw()
    assert draw(seed=1) != draw()
    tables = [unit.table for unit in draw(60)]
    changes = sum(a != b for a, b in itertools.pairwise(tables))
    assert changes > 30  # blocks of a kind would have 2


def test_a_larger_draw_holds_a_smaller_one():
    assert {(unit.name, unit.intervals) for unit in draw(12)} < {(unit.name, unit.intervals) for unit in draw(40)}


def test_each_unit_gives_an_interval_of_every_band():
    assert all(a in range(4) and b in range(4, 8) and c in range(8, 11) for a, b, c in (unit.intervals for unit in draw()))
    assert {unit.intervals for unit in draw(intervals=11)} == {tuple(range(11))}
    assert {unit.intervals[0] for unit in draw(90)} == set(range(4))


def test_a_run_without_a_shuffled_model_is_rated_in_two_kinds():
    offered = {**OFFERED, "random": {}}
    assert {unit.table for unit in draw(10, offered=offered)} == {"A/1", "A/1-r1", "A/neurons"}


@pytest.mark.parametrize(("change", "sentence"), [
    ({"units": 2}, "--units is 2; give at least 3"),
    ({"units": 200}, "only 30 neurons of the run can be rated; give at most 90"),
    ({"intervals": 0}, "--intervals is 0"),
    ({"intervals": 12}, "11 activation intervals"),
])
def test_impossible_draws_are_one_sentence(change, sentence):
    with pytest.raises(UserError, match=sentence):
        draw(**change)


def test_tables_are_those_of_the_main_dictionary_and_of_shuffled_copies():
    names = ["A/1", "A/1-r1", "A/10", "A/1-b", "A/0", "B/1", "random/1", "random/1-r2", "random/0", "A/neurons"]
    assert sample.tables(names, "A/1", ["random"]) == {"features": ["A/1", "A/1-r1"], "neurons": ["A/neurons"], "random": ["random/1", "random/1-r2"]}
    assert sample.tables(names, "B/1", []) == {"features": ["B/1"], "neurons": ["B/neurons"], "random": []}
