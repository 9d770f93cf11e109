"""Where a JSON text is not what a schema describes, what the schema has there, and what was probably meant."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sofit.errors import nearest
from sofit.grammar.problem import SCHEMA_VIOLATION, Problem
from sofit.json_schema.json_text import span_of

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_LONGEST_MESSAGE = 300


def describe(text: str, value: Any, error: "ValidationError") -> Problem:
    """Returns an error at its place in the text, whose value is `value`, with what the schema has there."""
    element = value
    for step in error.absolute_path:
        element = element[step]
    name = _wrong_name(element, error)
    expected = _expected(element, error)
    if name is not None:
        # A name that is there already would be written twice, and the first of its values lost.
        taken = set(map(_written, element))
        expected = tuple(choice for choice in expected if choice not in taken)
    start, end = span_of(text, list(error.absolute_path), name)
    found = text[start:end]
    # Without their quotation marks, which all names share.
    choices = {choice.strip('"'): choice for choice in expected}
    is_choice = error.validator in ("enum", "const", "additionalProperties")
    suggestion = choices.get(nearest(found.strip('"'), choices) or "") if is_choice else None
    said = error.message if len(error.message) <= _LONGEST_MESSAGE else error.message[:_LONGEST_MESSAGE] + "…"
    place = error.json_path + (f".{name}" if name is not None else "")
    message = f"{place}: {said}.{f' Did you mean {suggestion}?' if suggestion else ''}"
    return Problem.at(text, start, SCHEMA_VIOLATION, message, found=found, expected=expected, suggestion=suggestion)


def _wrong_name(element: Any, error: "ValidationError") -> str | None:
    """Returns the name in an object, the element at the error's place, that is wrong itself; None where no name is."""
    if isinstance(element, Mapping) and isinstance(error.instance, str):
        # To `propertyNames` a name is a value, which has no place of its own.
        return error.instance
    if error.validator != "additionalProperties" or not isinstance(error.schema, Mapping):
        return None
    known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
    names = (name for name in element if name not in known and not any(re.search(pattern, name) for pattern in patterns))
    return next(names, None)


def _expected(element: Any, error: "ValidationError") -> tuple[str, ...]:
    value: Any = error.validator_value
    if error.validator == "type":
        return (value,) if isinstance(value, str) else tuple(value)
    if error.validator in ("enum", "const"):
        return tuple(map(_written, value if error.validator == "enum" else [value]))
    if error.validator == "required":
        return tuple(_written(name) for name in value if name not in element)
    if error.validator == "additionalProperties" and isinstance(error.schema, Mapping):
        return tuple(map(_written, error.schema.get("properties", {})))
    return ()


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
