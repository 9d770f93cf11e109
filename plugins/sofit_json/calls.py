"""Whether function calls are right: the match of abstract syntax trees of the Berkeley Function Calling Leaderboard.

    accepted   {"area": {"base": [10], "unit": ["cm", ""]}}
    right      area(base=10), area(base=10, unit="CM")          wrong      area(base=9), area(base=10, side=3), area(unit="cm")

Each parameter has a list of accepted values, in which "" means that it may be left out. Strings are compared without regard to
letter case, spaces and `, . / - _ * ^`. Source: Patil et al., "The Berkeley Function Calling Leaderboard", ICML 2025, and its
checker, which these rules follow but for two: 1 and 1.0 are one number, as JSON has it, and an empty list of accepted values
accepts an empty list.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sofit_json.functions import Function
from sofit_json.values import comparable

Accepted = Mapping[str, Mapping[str, Sequence[Any]]]
"""One call: {function: {parameter: accepted values}}."""

_IGNORED = re.compile(r"[ ,./\-_*^]")
_KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object", type(None): "null"}


def mismatch(calls: Any, accepted: Sequence[Accepted], functions: Sequence[Function]) -> str:
    """Says why calls are not those that are accepted; "" where they are. Their order does not count."""
    if not isinstance(calls, list) or len(calls) != len(accepted):
        found = len(calls) if isinstance(calls, list) else "no list of"
        return f"{found} calls where {len(accepted)} are wanted"
    left = list(calls)
    for wanted in accepted:
        reasons = [_call_mismatch(call, wanted, functions) for call in left]
        if "" not in reasons:
            return "; ".join(reasons)
        del left[reasons.index("")]
    return ""


def accepting(calls: Sequence[Mapping[str, Any]]) -> list[Accepted]:
    """Returns what accepts these calls alone."""
    return [{call["name"]: {name: [_listed(value)] for name, value in call["arguments"].items()}} for call in calls]


def shortest(accepted: Sequence[Any], *, may_be_absent: bool) -> list[Any]:
    """Returns accepted values as they are written, those to prefer first; nothing where the parameter is better left out."""
    if "" in accepted and may_be_absent:
        return []
    return [_unlisted(value) for value in accepted if value != ""] or ([""] if accepted else [[]])


def _call_mismatch(call: Any, wanted: Accepted, functions: Sequence[Function]) -> str:
    name, accepted = next(iter(wanted.items()))
    function = next((function for function in functions if function.name == name), None)
    if not isinstance(call, dict) or call.get("name") != name or function is None:
        return f"{name} is not called"
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return f"{name} has no arguments"
    for parameter in function.required:
        if parameter not in arguments:
            return f"{name} lacks {parameter}"
    for parameter, value in arguments.items():
        if parameter not in accepted or parameter not in function.properties:
            return f"{name} has {parameter}"
        if not _is_accepted(value, accepted[parameter], function.properties[parameter].get("type")):
            return f"{name} has the wrong {parameter}"
    missing = [parameter for parameter, values in accepted.items() if parameter not in arguments and "" not in values]
    return f"{name} lacks {missing[0]}" if missing else ""


def _is_accepted(value: Any, accepted: Sequence[Any], declared: Any) -> bool:
    if not accepted:
        return value == []
    types = [declared] if isinstance(declared, str) else declared or []
    expected = next(("number" if type_ == "integer" else type_ for type_ in types if type_ != "null"), None)
    meant = next((_KINDS[type(one)] for one in accepted if one != ""), expected)
    kind = _KINDS[type(value)]
    if kind not in (expected, meant):
        return False
    # Where the answers are of another type than declared, they are names of variables, or null.
    if expected not in (None, meant):
        return any(comparable(value) == comparable(one) for one in accepted)
    if kind == "object":
        return any(_object_matches(value, one) for one in accepted if one != "")
    if kind == "array":
        return any(_array_matches(value, one if isinstance(one, list) else []) for one in accepted)
    return any(_same(value, one) for one in accepted)


def _array_matches(values: Sequence[Any], wanted: Sequence[Any]) -> bool:
    if len(values) != len(wanted):
        return False
    pairs = zip(values, wanted, strict=True)
    return all(_object_matches(value, one) if isinstance(one, dict) else _same(value, one) for value, one in pairs)


def _object_matches(value: Any, wanted: Any) -> bool:
    """Compares an object with one that has a list of accepted values under each name; deeper ones are compared as they are."""
    if not isinstance(value, dict) or not isinstance(wanted, dict):
        return False
    accepted = {name: one if isinstance(one, list) else [one] for name, one in wanted.items()}
    is_known = all(name in accepted and any(_same(part, one) for one in accepted[name]) for name, part in value.items())
    return is_known and all(name in value or "" in values for name, values in accepted.items())


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return _plain(value) == _plain(wanted)
    return comparable(value) == comparable(wanted)


def _plain(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')


def _listed(value: Any) -> Any:
    """Puts the values of an object, or of objects in a list, into lists of one, as accepted values are written."""
    if isinstance(value, list):
        return [_listed(part) if isinstance(part, dict) else part for part in value]
    return {name: [part] for name, part in value.items()} if isinstance(value, dict) else value


def _unlisted(value: Any) -> Any:
    """Takes the first accepted value under each name of an object, or of objects in a list."""
    if isinstance(value, list):
        return [_unlisted(part) if isinstance(part, dict) else part for part in value]
    if not isinstance(value, dict):
        return value
    lists = {name: one if isinstance(one, list) else [one] for name, one in value.items()}
    chosen = {name: shortest(one, may_be_absent=True) for name, one in lists.items()}
    return {name: one[0] for name, one in chosen.items() if one}
