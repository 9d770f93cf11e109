"""How good JSON is: whether it is any, whether it fits its schema, and how much of it is right.

- valid_json, schema_valid, exact_match: shares of the outputs. The order of names, and 1.0 for 1, count in none of them.
- field_precision, field_recall, field_f1: over the fields of all outputs together. A field is a value with the names that lead to
  it; elements of a list share theirs. `field_f1[NAME]` is that of one field.
- intent_accuracy, slot_f1: where every target is {"intent": ..., "slots": {...}}.
- call_match: where functions are called, see `sofit_json.calls`. Where any call is right, one that fits the schema is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from sofit import Example, Grammar, Prediction, Scores, SofitError
from sofit_json.calls import mismatch
from sofit_json.sources import CallRequest
from sofit_json.values import any_json, comparable, leaves

NO_INTENT = "no intent"
"""Stands in the confusion matrix for the intent of an output that has none."""

_NOTHING = object()

Fields = Counter[tuple[str, str]]
"""How often each (path, value) occurs."""

Pairs = Sequence[tuple[Fields, Fields]]
"""The expected and the found fields of each prediction."""


def score_json(predictions: Sequence[Prediction], grammar_for: Callable[[Example], Grammar], *, per_field: bool) -> Scores:
    """Scores predictions against the targets of their examples.

    Raises:
        SofitError: a target is no JSON.
    """
    expected = [_target(prediction.example) for prediction in predictions]
    found = [_value(prediction.text) for prediction in predictions]
    have_intents = all(_has_intent(value) for value in expected)
    per_example, confusion = [], {}
    for prediction, wanted, value in zip(predictions, expected, found, strict=True):
        scores = _score(prediction, wanted, value, grammar_for(prediction.example))
        if have_intents:
            intent = value["intent"] if _has_intent(value) else NO_INTENT
            scores["intent_accuracy"] = float(intent == wanted["intent"])
            confusion.setdefault(wanted["intent"], Counter())[intent] += 1
        per_example.append(scores)
    names = [name for name, value in per_example[0].items() if isinstance(value, float)] if per_example else []
    metrics = {name: fmean(entry[name] for entry in per_example) for name in names}
    fields = [(_fields(wanted), _fields(value)) for wanted, value in zip(expected, found, strict=True)]
    if have_intents:
        slots = _only(fields, lambda path: path.startswith("slots."))
        metrics["slot_f1"] = precision_recall_f1(slots)[2]
    metrics |= dict(zip(("field_precision", "field_recall", "field_f1"), precision_recall_f1(fields), strict=True))
    return Scores(metrics=metrics | (_by_field(fields) if per_field else {}), per_example=per_example, confusion=confusion)


def precision_recall_f1(pairs: Pairs) -> tuple[float, float, float]:
    """Returns precision, recall and F1 of fields, counted over all (expected, found) together; 1 where there are none at all."""
    right = wanted = written = 0
    for expected, found in pairs:
        right += (expected & found).total()
        wanted += expected.total()
        written += found.total()
    if not wanted and not written:
        return 1.0, 1.0, 1.0
    return right / max(written, 1), right / max(wanted, 1), 2 * right / (wanted + written)


def _score(prediction: Prediction, wanted: Any, value: Any, grammar: Grammar) -> dict[str, Any]:
    request, problem = prediction.example.input, grammar.problem(prediction.text)
    is_exact, reason, scores = _same(wanted, value), "", {}
    if isinstance(request, CallRequest):
        if request.accepted is None:
            reason = "" if problem is None and value else "no call where some call is right"
            is_exact = not reason
        else:
            reason = mismatch(value, request.accepted, request.functions)
            is_exact = _same(_in_order(wanted), _in_order(value))
        scores["call_match"] = float(not reason)
    scores |= {"exact_match": float(is_exact), "schema_valid": float(problem is None)}
    scores["valid_json"] = float(value is not _NOTHING)
    reasons = [str(text) for text in (problem, reason) if text]
    return scores | ({"problem": "; ".join(reasons)} if reasons else {})


def _target(example: Example) -> Any:
    value = _value(example.target)
    is_open = isinstance(example.input, CallRequest) and example.input.accepted is None
    if value is _NOTHING and not is_open:
        raise SofitError(f"{example.where or example.id}: the target {example.target!r} is no JSON.")
    return value


def _value(text: str) -> Any:
    return any_json().value(text) if any_json().accepts(text) else _NOTHING


def _same(wanted: Any, value: Any) -> bool:
    return value is not _NOTHING and wanted is not _NOTHING and comparable(value) == comparable(wanted)


def _in_order(calls: Any) -> Any:
    """Puts calls into an order of their own, since theirs does not count."""
    return sorted(calls, key=comparable) if isinstance(calls, list) else calls


def _has_intent(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("intent"), str) and isinstance(value.get("slots"), Mapping)


def _fields(value: Any) -> Fields:
    """Counts the fields of a value; those of a call stand under the name of its function."""
    if isinstance(value, list):
        value = [{part["name"]: part["arguments"]} if _is_call(part) else part for part in value]
    return Counter() if value is _NOTHING else Counter(leaves(value))


def _is_call(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"name", "arguments"} and isinstance(value["name"], str)


def _only(pairs: Pairs, is_counted: Callable[[str], bool]) -> Pairs:
    """Leaves out the fields whose path does not count."""

    def left(fields: Fields) -> Fields:
        return Counter({field: count for field, count in fields.items() if is_counted(field[0])})

    return [(left(expected), left(found)) for expected, found in pairs]


def _by_field(pairs: Pairs) -> dict[str, float]:
    """Returns the three of each field that a target has."""
    paths = dict.fromkeys(path for expected, _ in pairs for path, _ in expected)
    values = {path: precision_recall_f1(_only(pairs, path.__eq__)) for path in paths}
    names = ("field_precision", "field_recall", "field_f1")
    return {f"{name}[{path}]": value for path, three in values.items() for name, value in zip(names, three, strict=True)}
