"""What tasks have in common when they score: means over examples, and counts over all of them together."""

from collections import Counter

import pytest

from sofit import Scores, SofitError, json_fields, precision_recall_f1, take_split


def test_metrics_are_the_means_of_the_floats_and_nothing_else():
    entries = [{"right": 1.0, "count": 3, "problem": "x"}, {"right": 0.0, "count": 1}]
    scores = Scores.averaged(entries, together={"f1": 0.25}, confusion={"a": {"b": 1}})
    assert scores.metrics == {"right": 0.5, "f1": 0.25}
    assert scores.per_example == entries
    assert scores.confusion == {"a": {"b": 1}}


def test_no_examples_have_no_means():
    assert Scores.averaged([]).metrics == {}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("ab", "ab")], (1, 1, 1)),
        ([("", "")], (1, 1, 1)),
        ([], (1, 1, 1)),
        ([("ab", "")], (0, 0, 0)),
        ([("", "ab")], (0, 0, 0)),
        # Of 3 that are found 1 is right, of 2 that are wanted 1 is found.
        ([("ab", "acd")], (1 / 3, 1 / 2, 2 / 5)),
        # Counted over all, which is not the mean of each.
        ([("ab", "ab"), ("cdef", "c")], (3 / 3, 3 / 6, 6 / 9)),
        # What is found twice is wrong once.
        ([("a", "aa")], (1 / 2, 1, 2 / 3)),
    ],
)
def test_precision_recall_and_f1_are_counted_over_all_together(
    pairs: list[tuple[str, str]], expected: tuple[float, float, float]
):
    counted = [(Counter(wanted), Counter(found)) for wanted, found in pairs]
    assert precision_recall_f1(counted) == pytest.approx(expected)


def test_items_may_be_left_out_of_the_count():
    pairs = [(Counter("abX"), Counter("acX"))]
    assert precision_recall_f1(pairs, str.islower) == pytest.approx((1 / 2, 1 / 2, 1 / 2))


def test_the_fields_of_a_json_value_have_the_names_that_lead_to_them():
    value = {"intent": "play", "slots": {"artist": ["Air", "Beck"], "count": 2, "none": None, "empty": {}}}
    assert json_fields(value) == {
        ("intent", '"play"'): 1,
        ("slots.artist", '"Air"'): 1,
        ("slots.artist", '"Beck"'): 1,
        ("slots.count", "2"): 1,
        ("slots.none", "null"): 1,
        ("slots.empty", "{}"): 1,
    }
    assert json_fields([1, 1, {"x": 1}]) == {("", "1"): 2, ("x", "1"): 1}


def test_the_splits_of_a_demo_set_follow_one_another_and_leave_nothing_out():
    sizes = {"train": 3, "validation": 1, "test": 2}
    assert [take_split(range(6), split, sizes) for split in sizes] == [range(3), range(3, 4), range(4, 6)]
    with pytest.raises(SofitError, match=r"no split 'dev'\. It has: train, validation, test"):
        take_split(range(6), "dev", sizes)
