from replication.resolution import resolve
from replication.studies.replicates import alike, base, groups, lacking
from tests.planted import raw


def test_replicates_are_grouped_under_the_first():
    found = groups(resolve(raw()).dictionaries)
    assert found["A/1"] == ["A/1", "A/1-r1", "A/1-r2"]
    assert found["A/2"] == ["A/2"]
    assert sum(map(len, found.values())) == len(resolve(raw()).dictionaries)


def test_a_name_that_looks_like_a_replicate_but_differs_is_none():
    given = raw()
    given["dictionaries"]["A/2-r1"] = {"d_sae": 5}
    assert base("A/2-r1", resolve(given).dictionaries) == "A/2-r1"


def test_replicates_that_start_from_replicates_are_replicates():
    given = raw()
    given["dictionaries"]["A/warm"] = {"d_sae": 160, "replicates": 3, "warm_start": "A/1"}
    found = resolve(given).dictionaries
    assert found["A/warm-r1"].warm_start == "A/1-r1" and groups(found)["A/warm"] == ["A/warm", "A/warm-r1", "A/warm-r2"]


def test_alike_ignores_the_seed_and_what_is_named():
    dictionaries = resolve(raw()).dictionaries
    assert alike("A/1-r1", "A/1", dictionaries)
    assert not alike("A/l1_low", "A/1", dictionaries)
    assert alike("A/l1_low", "A/1", dictionaries, "l1")
    assert not alike("A/kaiming", "A/1", dictionaries, "l1", "d_sae")
    assert not alike("B/1", "A/1", dictionaries)


def test_lacking_names_the_dictionary():
    given = raw()
    del given["dictionaries"]["A/2"]
    assert lacking("A/1", resolve(given).dictionaries, "growth") == {"growth_1_2": "the run has no A/2"}
