"""How good function calls are: the four published measures, read in two ways, and three stricter ones.

The published four (name, attribute set, attribute value, and their mean) ignore letter case. They are given twice:

- from the parse tree, where an output that does not parse scores 0 in all of them;
- as `text_...`, by the regular expressions of the published results, which also find calls in text that does not parse.

On outputs that parse the two are equal, so a gap between them is what malformed outputs would have been worth.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from sofit import Prediction, Scores, SofitError, precision_recall_f1
from sofit_viggo.calls import GRAMMAR, FunctionCall, parse_call, read_call

HEADLINE = (
    "overall_accuracy",
    "function_name_accuracy",
    "attribute_set_accuracy",
    "attribute_value_accuracy",
    "exact_match",
    "valid",
)

UNPARSED = "unparsed"
"""Stands in the confusion matrix for the function of an output that does not parse."""

_NO_CALL = FunctionCall("", ())


def score_calls(predictions: Sequence[Prediction]) -> Scores:
    """Scores predictions against the targets of their examples.

    Raises:
        SofitError: a target does not parse.
    """
    per_example, confusion, calls = [], {}, []
    for prediction in predictions:
        expected, found = _target(prediction), parse_call(prediction.text)
        per_example.append(_score(prediction, expected, found))
        calls.append((expected, found or _NO_CALL))
        counts = confusion.setdefault(expected.function, Counter())
        counts[found.function if found else UNPARSED] += 1
    return Scores.averaged(per_example, confusion=confusion, breakdown=break_down(calls))


def break_down(calls: Iterable[tuple[FunctionCall, FunctionCall]]) -> dict[str, dict[str, Counter[str]]]:
    """Counts how each function and each attribute fared in (expected, found) calls, where letter case counts.

    An attribute is right, has a wrong value, is missing, or is extra: one that the target does not have.
    """
    functions: dict[str, Counter[str]] = {}
    attributes: dict[str, Counter[str]] = {}
    for expected, found in calls:
        functions.setdefault(expected.function, Counter())["right" if found.function == expected.function else "wrong"] += 1
        for name in {**expected.values, **found.values}:
            is_right = found.values.get(name) == expected.values.get(name)
            known = "extra" if name not in expected.values else "missing" if name not in found.values else "wrong value"
            attributes.setdefault(name, Counter())["right" if is_right else known] += 1
    return {"function": functions, "attribute": attributes}


def call_accuracies(expected: FunctionCall, found: FunctionCall) -> dict[str, float]:
    """Returns the published four. Attributes that the target does not have count against the set, not against the values."""
    values = [found.values.get(attribute) == value for attribute, value in expected.values.items()]
    three = {
        "function_name_accuracy": float(found.function == expected.function),
        "attribute_set_accuracy": float(found.values.keys() == expected.values.keys()),
        "attribute_value_accuracy": fmean(values) if values else 1.0,
    }
    return three | {"overall_accuracy": fmean(three.values())}


def attribute_f1(expected: FunctionCall, found: FunctionCall) -> float:
    """Returns the F1 of the attributes with their values; a repeated attribute counts as often as it is written."""
    return precision_recall_f1([(Counter(expected.attributes), Counter(found.attributes))])[2]


def _score(prediction: Prediction, expected: FunctionCall, found: FunctionCall | None) -> dict[str, Any]:
    text_scores = call_accuracies(read_call(prediction.example.target), read_call(prediction.text))
    published = call_accuracies(expected.lower(), (found or _NO_CALL).lower())
    scores = {
        **(published if found else dict.fromkeys(published, 0.0)),
        "exact_match": float(found is not None and found.in_order() == expected.in_order()),
        "attribute_f1": attribute_f1(expected, found) if found else 0.0,
        "valid": float(found is not None),
        **{f"text_{name}": value for name, value in text_scores.items()},
    }
    return scores if found else scores | {"problem": str(GRAMMAR.problem(prediction.text))}


def _target(prediction: Prediction) -> FunctionCall:
    example = prediction.example
    call = parse_call(example.target)
    if call is None:
        problem = GRAMMAR.problem(example.target)
        raise SofitError(f"{example.where or example.id}: the target {example.target!r} is not a function call: {problem}")
    return call
