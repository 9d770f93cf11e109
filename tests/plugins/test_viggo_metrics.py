"""The metrics of ViGGO, against values worked out by hand, and the laws that hold between them."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from sofit import Example, Prediction, Scores, SofitError
from sofit_viggo import ViggoTask
from sofit_viggo.calls import FunctionCall
from sofit_viggo.metrics import attribute_f1

TARGET = "verify_attribute(name[Crysis], rating[good], genres[shooter], platforms[PC, Xbox])"


def score(*pairs: tuple[str, str]) -> Scores:
    return ViggoTask().score(
        [Prediction(example=Example(id=str(i), input="", target=target), text=text) for i, (target, text) in enumerate(pairs)]
    )


def four(metrics: Mapping[str, float], prefix: str = "") -> list[float]:
    names = ("function_name_accuracy", "attribute_set_accuracy", "attribute_value_accuracy", "overall_accuracy")
    return [metrics[prefix + name] for name in names]


def test_the_target_itself_scores_1_in_everything():
    assert set(score((TARGET, TARGET)).metrics.values()) == {1.0}


@pytest.mark.parametrize(
    ("text", "name", "attribute_set", "value", "exact", "f1"),
    [
        # Another function.
        ("confirm(name[Crysis], rating[good], genres[shooter], platforms[PC, Xbox])", 1 - 1, 1, 1, 0, 1),
        # A missing attribute: 3 of 4 values are right; F1 = 2 * 3 / (4 + 3).
        ("verify_attribute(name[Crysis], rating[good], genres[shooter])", 1, 0, 3 / 4, 0, 6 / 7),
        # An extra attribute leaves the values alone; F1 = 2 * 4 / (4 + 5).
        (
            "verify_attribute(name[Crysis], esrb[T (for Teen)], rating[good], genres[shooter], platforms[PC, Xbox])",
            1,
            0,
            1,
            0,
            8 / 9,
        ),
        # A wrong value; F1 = 2 * 3 / (4 + 4).
        ("verify_attribute(name[Crysis], rating[poor], genres[shooter], platforms[PC, Xbox])", 1, 1, 3 / 4, 0, 6 / 8),
        # The order of attributes does not matter, that inside a list does.
        ("verify_attribute(rating[good], name[Crysis], genres[shooter], platforms[PC, Xbox])", 1, 1, 1, 1, 1),
        ("verify_attribute(name[Crysis], rating[good], genres[shooter], platforms[Xbox, PC])", 1, 1, 3 / 4, 0, 6 / 8),
        # Letter case matters only to the stricter ones.
        ("verify_attribute(name[CRYSIS], rating[good], genres[shooter], platforms[PC, Xbox])", 1, 1, 1, 0, 6 / 8),
        # Of a repeated attribute the last value counts; F1 = 2 * 4 / (4 + 5).
        ("verify_attribute(name[Doom], name[Crysis], rating[good], genres[shooter], platforms[PC, Xbox])", 1, 1, 1, 0, 8 / 9),
    ],
)
def test_outputs_that_parse(text: str, name: float, attribute_set: float, value: float, exact: float, f1: float):
    metrics = score((TARGET, text)).metrics
    expected = [name, attribute_set, value, (name + attribute_set + value) / 3]
    assert four(metrics) == pytest.approx(expected)
    assert four(metrics, "text_") == pytest.approx(expected)
    assert metrics["exact_match"] == exact
    assert metrics["attribute_f1"] == pytest.approx(f1)
    assert metrics["valid"] == 1


def test_an_output_that_does_not_parse_scores_0_on_the_tree_and_what_it_is_worth_as_text():
    scores = score((TARGET, "verify_attribute(name[Crysis], rating[good], genres[shooter], platforms[PC"))
    assert four(scores.metrics) == [0, 0, 0, 0]
    assert four(scores.metrics, "text_") == pytest.approx([1, 0, 3 / 4, 7 / 12])
    assert (scores.metrics["valid"], scores.metrics["exact_match"], scores.metrics["attribute_f1"]) == (0, 0, 0)
    assert "SOF003" in scores.per_example[0]["problem"]


def test_an_attribute_without_a_value_is_right_when_both_have_none():
    target = "request_attribute(developer[])"
    assert four(score((target, target)).metrics) == [1, 1, 1, 1]
    assert four(score((target, "request_attribute(esrb[])")).metrics) == pytest.approx([1, 0, 0, 1 / 3])


def test_a_call_without_attributes_is_matched_by_one():
    none = FunctionCall("request", ())
    assert attribute_f1(none, none) == 1
    assert attribute_f1(none, FunctionCall("request", (("specifier", "fun"),))) == 0


def test_metrics_are_means_over_the_examples():
    scores = score((TARGET, TARGET), (TARGET, "nonsense"), (TARGET, TARGET), (TARGET, ""))
    assert scores.metrics["overall_accuracy"] == 0.5
    assert [entry["valid"] for entry in scores.per_example] == [1, 0, 1, 0]


def test_the_confusion_matrix_counts_functions_and_outputs_that_do_not_parse():
    call = "(name[Crysis], genres[shooter])"
    scores = score(("suggest" + call, "recommend" + call), ("suggest" + call, "suggest" + call), ("confirm" + call, "confirm"))
    assert scores.confusion == {"suggest": {"recommend": 1, "suggest": 1}, "confirm": {"unparsed": 1}}


def test_gold_scores_1_and_both_readings_agree_on_what_parses_in_the_real_data(shared_data: Path):
    targets = [example.target for example in ViggoTask(data=str(shared_data / "viggo")).load("validation")]
    assert set(score(*zip(targets, targets, strict=True)).metrics.values()) == {1.0}
    random.Random(0).shuffle(outputs := [target.replace("good", "average") for target in targets])
    scores = score(*zip(targets, outputs, strict=True))
    assert scores.metrics["valid"] == 1
    assert 0 < scores.metrics["overall_accuracy"] < 0.5
    assert four(scores.metrics) == four(scores.metrics, "text_")


def test_a_target_that_is_no_call_is_an_error_that_names_it():
    with pytest.raises(SofitError, match=r"^0: the target 'infrm\(\)' is not a function call: 1:1: "):
        score(("infrm()", TARGET))


def test_each_function_and_attribute_is_counted_as_it_fared():
    breakdown = score(
        (TARGET, "verify_attribute(name[Doom], esrb[T (for Teen)], rating[good], genres[shooter])"),
        (TARGET, "confirm(name[Crysis], rating[good], genres[shooter], platforms[PC, Xbox])"),
        (TARGET, "no call"),
    ).breakdown
    assert breakdown == {
        "function": {"verify_attribute": {"right": 1, "wrong": 2}},
        "attribute": {
            "name": {"right": 1, "wrong value": 1, "missing": 1},
            "rating": {"right": 2, "missing": 1},
            "genres": {"right": 2, "missing": 1},
            "platforms": {"right": 1, "missing": 2},
            "esrb": {"extra": 1},
        },
    }
