"""Whether function calls are right: the match of abstract syntax trees of the Berkeley Function Calling Leaderboard.

    accepted   {"area": {"base": [10], "unit": ["cm", ""]}}
    right      area(base=10), area(base=10, unit="CM")          wrong      area(base=9), area(base=10, side=3), area(unit="cm")

Each parameter has a list of accepted values, in which "" means that it may be left out. Strings are compared without regard to
letter case, spaces and `, . / - _ * ^`. Source: Patil et al., "The Berkeley Function Calling Leaderboard", ICML 2025, and its
checker, which these rules follow but for two: 1 and 1.0 are one number, as JSON has it, and an empty list of accepted values
accepts an empty list.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sofit_grammars.function_calls import Function
from sofit_json.values import comparable

Accepted = Mapping[str, Mapping[str, Sequence[Any]]]
"""One call: {function: {parameter: accepted values}}."""

_IGNORED = re.compile(r"[ ,./\-_*^]")
_KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object", type(None): "null"}


def mismatch(calls: Any, accepted: Sequence[Accepted], functions: Sequence[Function]) -> str:
    """Says why calls are not those that are accepted; "" where they are. Their order does not count."""
    if not isinstance(calls, list) or len(calls) != len(accepted):
        return f"{len(calls) if isinstance(calls, list) else 'no list of'} calls where {len(accepted)} are wanted"
    left = list(calls)
    for wanted in accepted:
        reasons = [_call_mismatch(call, wanted, functions) for call in left]
        if "" not in reasons:
            return "; ".join(reasons)
        del left[reasons.index("")]
    return ""


def accepting(call: Mapping[str, Any]) -> Accepted:
    """Returns what accepts this call alone."""

    def only(value: Any) -> list[Any]:
        return [" " if value == "" else value]  # "" would mean that it may be left out, and spaces do not count.

    values = call["arguments"].items()
    return {call["name"]: {name: only(_in_objects(value, lambda part: [only(part)])) for name, value in values}}


def choices(accepted: Any, *, may_be_absent: bool) -> list[Any]:
    """Returns accepted values as they are written, the first one first; none where the parameter is better left out."""
    values = accepted if isinstance(accepted, list) else [accepted]
    if "" in values and may_be_absent:
        return []
    first = [_in_objects(value, lambda part: choices(part, may_be_absent=True)[:1]) for value in values if value != ""]
    return first or ([""] if values else [[]])


def _in_objects(value: Any, change: Callable[[Any], list[Any]]) -> Any:
    """Changes what stands under each name of an object, or of the objects in a list; leaves out where `change` gives none."""
    if isinstance(value, list):
        return [_in_objects(part, change) if isinstance(part, dict) else part for part in value]
    return {name: one for name, part in value.items() for one in change(part)} if isinstance(value, dict) else value


def _call_mismatch(call: Any, wanted: Accepted, functions: Sequence[Function]) -> str:
    name, accepted = next(iter(wanted.items()))
    function = next((function for function in functions if function.name == name), None)
    if not isinstance(call, dict) or call.get("name") != name or function is None:
        return f"{name} is not called"
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return f"{name} has no arguments"
    for parameter, value in arguments.items():
        if parameter not in accepted or parameter not in function.properties:
            return f"{name} has {parameter}"
        if not _is_accepted(value, accepted[parameter], function.properties[parameter].get("type")):
            return f"{name} has the wrong {parameter}"
    wanted_names = [*function.required, *(parameter for parameter, values in accepted.items() if "" not in values)]
    return next((f"{name} lacks {parameter}" for parameter in wanted_names if parameter not in arguments), "")


def _is_accepted(value: Any, accepted: Sequence[Any], declared: Any) -> bool:
    if not accepted:
        return value == []
    types = [declared] if isinstance(declared, str) else declared or []
    expected = next(("number" if type_ == "integer" else type_ for type_ in types if type_ != "null"), None)
    meant = next((_KINDS[type(one)] for one in accepted if one != ""), expected)
    kind = _KINDS[type(value)]
    if kind not in (expected, meant):
        return False
    if expected not in (None, meant):  # Answers of another type than declared are names of variables, or null.
        return any(comparable(value) == comparable(one) for one in accepted)
    if kind == "object":
        return any(_object_matches(value, one) for one in accepted)
    if kind == "array":
        return any(_array_matches(value, one or []) for one in accepted)
    return any(_same(value, one) for one in accepted)


def _array_matches(values: Sequence[Any], wanted: Sequence[Any]) -> bool:
    pairs = list(zip(values, wanted, strict=False))
    is_same = all(_object_matches(value, one) if isinstance(one, dict) else _same(value, one) for value, one in pairs)
    return len(values) == len(wanted) and is_same


def _object_matches(value: Any, wanted: Any) -> bool:
    """Compares an object with one that has a list of accepted values under each name; deeper ones are compared as they are."""
    if not isinstance(value, dict) or not isinstance(wanted, dict):
        return False
    accepted = {name: one if isinstance(one, list) else [one] for name, one in wanted.items()}
    is_known = all(name in accepted and any(_same(part, one) for one in accepted[name]) for name, part in value.items())
    return is_known and all(name in value or "" in values for name, values in accepted.items())


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        value, wanted = (_IGNORED.sub("", text).lower().replace("'", '"') for text in (value, wanted))
    return comparable(value) == comparable(wanted)
