"""JSON texts: their grammar, their values, and where in a text each value stands. Source: RFC 8259."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Any, NoReturn

from sofit.grammar import Grammar

_MOST_DIGITS = 4000
_DEEPEST = 300
"""Whatever walks a value may call itself as often, whoever asks: Python stops it at some thousand calls."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')

JSON = Grammar(
    "json",
    r"""
    start: WS? value WS?
    ?value: object | array | STRING | NUMBER | "true" | "false" | "null"
    object: "{" WS? (member ("," WS? member)*)? "}"
    member: key WS? ":" WS? value WS?
    key: STRING
    array: "[" WS? (element ("," WS? element)*)? "]"
    element: value WS?
    STRING: /"(?:[^"\\\x00-\x1f]|\\["\\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"/
    NUMBER: /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/
    WS: /[ \t\r\n]+/
    """,
)
"""Any JSON text, for parsing only."""


def read_json(text: str) -> Any:
    """Returns the value of a JSON text. Whole numbers are exact, and 1.0 is one; those of thousands of digits are infinite.

    Raises:
        ValueError: the text is no JSON, or nests deeper than 300 brackets.
    """
    if text.count("[") + text.count("{") > _DEEPEST and depth(text) > _DEEPEST:
        raise ValueError(f"it nests deeper than {_DEEPEST} brackets")
    return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_refuse)


def depth(text: str) -> int:
    """Returns how many arrays and objects of a JSON text stand in each other at most."""
    return max(accumulate((character in "[{") - (character in "]}") for character in _STRING.sub("", text)), default=0)


def span_of(text: str, path: Sequence[str | int], name: str | None = None) -> tuple[int, int]:
    """Returns where the value at `path` begins and ends in a JSON text, or `name` in the object there; of equals, the last."""
    node: Any = _value(JSON.parser.parse(text))
    for step in path:
        if isinstance(step, int):
            node = _value([child for child in node.children if _rule(child) == "element"][step])
        else:
            node = _value(_members(node, step)[-1])
    if name is not None:
        node = _members(node, name)[-1].children[0]
    return (node.meta.start_pos, node.meta.end_pos) if _rule(node) else (node.start_pos, node.end_pos)


def _members(node: Any, name: str) -> list[Any]:
    return [child for child in node.children if _rule(child) == "member" and json.loads(child.children[0].children[0]) == name]


def _value(node: Any) -> Any:
    """Returns the value of a text, a member or an element: the last child that is one."""
    return [child for child in node.children if _rule(child) in ("object", "array") or _is_scalar(child)][-1]


def _is_scalar(node: Any) -> bool:
    return isinstance(node, str) and getattr(node, "type", "") in ("STRING", "NUMBER", "TRUE", "FALSE", "NULL")


def _rule(node: Any) -> str:
    return "" if isinstance(node, str) else node.data


def _number(text: str) -> int | float:
    value = float(text)
    if math.isfinite(value):
        return int(text) if text.lstrip("-").isdigit() else int(value) if value.is_integer() else value
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return value
    return int(exact) if exact.adjusted() < _MOST_DIGITS else value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
