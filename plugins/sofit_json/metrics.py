"""How good JSON is: whether it is any, whether it fits its schema, and how much of it is right.

- valid_json, schema_valid, exact_match: shares of the outputs. The order of names, and 1.0 for 1, count in none of them.
- field_precision, field_recall, field_f1: over the fields of all outputs together. A field is a value with the names that lead to
  it; elements of a list share theirs. `field_f1[NAME]` is that of one field.
- intent_accuracy, slot_f1: where every target is {"intent": ..., "slots": {...}}; some may lack the slots.
- call_match: where functions are called, see `sofit_json.calls`. Where any call is right, one that fits the schema is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sofit import Example, Grammar, Prediction, Scores, SofitError, json_fields, precision_recall_f1
from sofit_json.calls import mismatch
from sofit_json.sources import CallRequest
from sofit_json.values import NOTHING, comparable, json_value

NO_INTENT = "no intent"
"""Stands in the confusion matrix for the intent of an output that has none."""

_MEASURES = ("field_precision", "field_recall", "field_f1")


def score_json(predictions: Sequence[Prediction], grammar_for: Callable[[Example], Grammar], *, per_field: bool) -> Scores:
    """Scores predictions against the targets of their examples.

    Raises:
        SofitError: a target is no JSON.
    """
    pairs = [(_target(prediction.example), json_value(prediction.text)) for prediction in predictions]
    per_example = [_score(p, *pair, grammar_for(p.example)) for p, pair in zip(predictions, pairs, strict=True)]
    fields = [(_fields(wanted), _fields(value)) for wanted, value in pairs if wanted is not NOTHING]
    together, confusion = {}, {}
    if all(_has_intent(wanted) for wanted, _ in pairs) and any("slots" in wanted for wanted, _ in pairs):
        for scores, (wanted, value) in zip(per_example, pairs, strict=True):
            intent = value["intent"] if _has_intent(value) else NO_INTENT
            scores["intent_accuracy"] = float(intent == wanted["intent"])
            confusion.setdefault(wanted["intent"], Counter())[intent] += 1
        together["slot_f1"] = precision_recall_f1(fields, lambda field: field[0].startswith("slots."))[2]
    together |= zip(_MEASURES, precision_recall_f1(fields), strict=True) if fields else ()
    for path in dict.fromkeys(path for wanted, _ in fields for path, _ in wanted) if per_field else ():
        values = precision_recall_f1(fields, lambda field, path=path: field[0] == path)
        together |= {f"{name}[{path}]": value for name, value in zip(_MEASURES, values, strict=True)}
    return Scores.averaged(per_example, together=together, confusion=confusion)


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
    scores["valid_json"] = float(value is not NOTHING)
    reasons = [str(text) for text in (problem, reason) if text]
    return scores | ({"problem": "; ".join(reasons)} if reasons else {})


def _target(example: Example) -> Any:
    value = json_value(example.target)
    is_open = isinstance(example.input, CallRequest) and example.input.accepted is None
    if value is NOTHING and not is_open:
        raise SofitError(f"{example.where or example.id}: the target {example.target!r} is no JSON.")
    return value


def _same(wanted: Any, value: Any) -> bool:
    return value is not NOTHING and wanted is not NOTHING and comparable(value) == comparable(wanted)


def _in_order(calls: Any) -> Any:
    """Puts calls into an order of their own, since theirs does not count."""
    return sorted(calls, key=comparable) if isinstance(calls, list) else calls


def _has_intent(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("intent"), str) and isinstance(value.get("slots", {}), Mapping)


def _fields(value: Any) -> Counter[tuple[str, str]]:
    """Counts the fields of a value; those of a call stand under the name of its function."""
    if isinstance(value, list):
        value = [{part["name"]: part["arguments"]} if _is_call(part) else part for part in value]
    return Counter() if value is NOTHING else json_fields(value)


def _is_call(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"name", "arguments"} and isinstance(value["name"], str)
