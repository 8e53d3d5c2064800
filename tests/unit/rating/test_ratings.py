import itertools

import pytest

from replication.rating import ratings, rubric
from replication.rating.ratings import RatingError


def write(root, row, *more, name="ann"):
    path = root / "toy" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    ratings.merge(path, [row, *more])
    return path


def test_the_most_is_fourteen_because_separation_counts_only_where_not_all_logits_agree():
    possible = [dict(zip(rubric.KEYS, scores, strict=True)) for scores in itertools.product(*(range(item.most + 1) for item in rubric.RUBRIC))]
    valid = [scores for scores in possible if not rubric.fault(scores)]
    assert [item.most for item in rubric.RUBRIC] == [3, 5, 3, 1, 3]
    assert {rubric.total(scores) for scores in valid} == set(range(rubric.MOST + 1))
    assert max(map(rubric.total, possible)) == 15
    assert len(valid) == 4 * 6 * (3 * 2 + 1) * 4


def test_what_is_written_is_read_again(root, row):
    other = row | {"unit": "A/neurons/32", "interval": 0, "explanation": "none", "total": 12}
    write(root, row, other)
    write(root, row | {"unit": "random/1/5"}, name="ben")
    (root / "toy" / "README.md").write_text("no ratings")
    found = ratings.read("toy")
    assert found[["rater", "table", "feature", "unit"]].to_numpy().tolist() == [
        ["ann", "A/1", 7, "A/1/7"], ["ann", "A/neurons", 32, "A/neurons/32"], ["ben", "random/1", 5, "random/1/5"]]
    assert found.loc[0, list(ratings.COLUMNS)].to_dict() == row
    assert found["total"].dtype == int
    assert ratings.read("another").empty and list(ratings.read("another")) == list(found)


def test_a_second_rating_takes_the_place_of_the_first(root, row):
    path = write(root, row, row | {"interval": 5})
    rows = ratings.merge(path, [row | {"confidence": 0, "total": 9}])
    assert [(one["interval"], one["total"]) for one in rows] == [(4, 9), (5, 12)] == [(one["interval"], one["total"]) for one in ratings.rows_of(path)]


@pytest.mark.parametrize(("change", "sentence"), [
    ({"unit": "A/1"}, "unit 'A/1' is no name such as A/1/2357"),
    ({"unit": "../1/3"}, "is no name"),
    ({"interval": 11}, "interval is 11, not a whole number from 0 to 10"),
    ({"interval": "x"}, "interval is 'x'"),
    ({"confidence": 4}, "confidence is 4, not a whole number from 0 to 3"),
    ({"strong_tokens": -1}, "strong_tokens is -1"),
    ({"specificity": "2.5"}, "specificity is '2.5'"),
    ({"logits": ""}, "logits is ''"),
    ({"logits": 3, "total": 13}, "separation is 1 though all logits agree"),
    ({"total": 11}, "total is 11, but the scores add up to 12"),
    ({"shown": "zz"}, "shown is 'zz', not twelve hex digits"),
    ({"seed": "s"}, "seed is 's'"),
    ({"rated_at": "noon"}, "rated_at is 'noon', not a time"),
])
def test_a_bad_row_is_named_with_its_file_and_what_to_do(root, row, change, sentence):
    path = root / "toy" / "ann.csv"
    ratings.artifacts.write_rows(path, [row, row | {"interval": 5} | change])
    with pytest.raises(RatingError) as error:
        ratings.read("toy")
    assert str(error.value).startswith(f"{path}, row 3: ") and sentence in str(error.value) and "rate again" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_interval_that_is_rated_twice_is_refused(root, row):
    ratings.artifacts.write_rows(root / "toy" / "ann.csv", [row, row])
    with pytest.raises(RatingError, match=r"row 3: A/1/7, interval 4, is rated a second time"):
        ratings.read("toy")


@pytest.mark.parametrize(("content", "sentence"), [
    (b"a,b\n1,2\n", "lacks the column unit; a rating file has unit, interval"),
    (b"", "lacks the column unit"),
    (b"\xff\xfe\n", "is not a csv in UTF-8"),
    (",".join(ratings.COLUMNS).encode() + b"\nA/1/7,4\n", "row 2: it has not as many cells as the header"),
    (",".join(ratings.COLUMNS).encode() + b"\n" + b"1," * 12 + b"1\n", "row 2: it has not as many cells as the header"),
    (",".join(ratings.COLUMNS[1:]).encode() + b"\n", "is the export of a page, which does not know the units; `python -m replication rate <run> --import"),
])
def test_a_file_that_is_no_rating_file_is_one_sentence(root, content, sentence):
    (root / "toy").mkdir(parents=True)
    (root / "toy" / "ann.csv").write_bytes(content)
    with pytest.raises(RatingError) as error:
        ratings.read("toy")
    assert sentence in str(error.value)


def test_a_rater_cannot_be_a_path():
    for name in ("../x", "a/b", "", "Ann"):
        with pytest.raises(RatingError, match="small letters"):
            ratings.path_of("toy", name)
