import re
import shutil
import unittest.mock
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.artifacts import ArtifactError
from replication.corpus import runs
from replication.corpus.table import Document


def document(number: int, place: int) -> Document:
    return Document(f"{number:016x}", str(place), number % 3 == 0, 1 + number, "x" * (1 + number))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "state"


@settings(max_examples=30, deadline=None)
@given(numbers=st.lists(st.integers(0, 30), max_size=40), spills=st.sets(st.integers(0, 39)), max_bytes=st.integers(1, 200))
def test_merged_is_each_content_once_by_id_as_it_came_first(folder, numbers, spills, max_bytes):
    made = runs.Runs(folder, "mine", max_bytes)
    runs.MERGED, before = 2, runs.MERGED
    try:
        for place, number in enumerate(numbers):
            made.add(document(number, place))
            if place in spills:
                made.spill(None)
        found = list(made.merged())
    finally:
        runs.MERGED = before
        made.clear()
    first = {number: place for place, number in reversed(list(enumerate(numbers)))}
    expected = [document(number, place) for number, place in sorted(first.items())]
    assert [one._replace(text="") for one in found] == [one._replace(text="") for one in expected]
    total = 0
    for one, wanted in zip(found, expected, strict=True):
        total += one.bytes
        if total > max_bytes:  # no sample of so many bytes has it
            break
        assert one == wanted
    assert made.added == len(numbers)


def test_texts_that_no_sample_has_are_not_kept(tmp_path):
    made = runs.Runs(tmp_path / "state", "mine", 10)
    for number in range(8):
        made.add(document(number, number))
    made.spill(None)
    assert ["".join(one.text) != "" for one in runs.rows(tmp_path / "state" / "run-0.parquet")] == [True] * 4 + [False] * 4  # 1 + 2 + 3 + 4 bytes
    made.add(document(5, 9))
    assert made._held[0].text == ""


def test_a_checkpoint_is_resumed_and_what_came_after_it_is_forgotten(tmp_path):
    made = runs.Runs(tmp_path, "mine", 1000)
    made.skipped["empty"] += 2
    made.add(document(3, 0))
    made.spill({"row": 1})
    made.add(document(1, 1))
    runs.write(tmp_path / "run-1.parquet", made._held)  # killed after the run was written and before its checkpoint
    again = runs.Runs(tmp_path, "mine", 1000)
    assert (again.state, again.added, again.runs, again.skipped) == ({"row": 1}, 1, 1, {"empty": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "run-0.parquet"]
    assert list(again.merged()) == [document(3, 0)]
    with pytest.raises(ArtifactError, match="was written with other settings; delete it to collect from the start"):
        runs.Runs(tmp_path, "other", 1000)


def test_a_checkpoint_that_lacks_a_run_is_refused(tmp_path):
    made = runs.Runs(tmp_path, "mine", 1000)
    for number in range(2):
        made.add(document(number, number))
        made.spill({"row": number})
    (tmp_path / "run-1.parquet").unlink()
    with pytest.raises(ArtifactError, match=re.escape(f"{tmp_path} lacks run-1.parquet, which its checkpoint counts; delete the folder to collect from the start")):
        runs.Runs(tmp_path, "mine", 1000)
    assert (tmp_path / "run-0.parquet").exists()


def test_a_kill_while_all_is_removed_leaves_no_checkpoint_without_its_runs(tmp_path, monkeypatch):
    made = runs.Runs(tmp_path / "state", "mine", 1000)
    made.add(document(1, 0))
    made.spill({"row": 1})
    monkeypatch.setattr(shutil, "rmtree", unittest.mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        made.clear()
    monkeypatch.undo()
    assert (tmp_path / "state" / "run-0.parquet").exists() and runs.Runs(tmp_path / "state", "mine", 1000).state is None


def test_what_has_no_checkpoint_is_removed(tmp_path):
    folder = tmp_path / "state"
    made = runs.Runs(folder, "mine", 1000)
    made.add(document(1, 0))
    made.spill(None)
    assert list(runs.Runs(folder, "mine", 1000).merged()) == []
    assert not folder.exists()


def test_memory_is_that_of_one_run(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RUN_BYTES", 10_000)
    made, most = runs.Runs(tmp_path, "mine", 10**9), 0
    for number in range(500):
        made.add(document(number, number))
        most = max(most, sum(map(len, map(attrgetter("text"), made._held))))
        if made.full:
            made.spill(None)
    assert most <= 10_000 and made.runs > 10
