"""Functions that a model may call: their documents, and the JSON Schema of the calls.

    [{"name": "math.factorial", "arguments": {"number": 5}}]

A list of calls, in which the order does not count: several where several are asked for, none where no function fits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sofit import Record, SofitError
from sofit_json.declared_types import to_json_schema

FUNCTION_FIELDS = ("function", "functions", "tools")
"""Where a row has its functions."""

_SCHEMA_WORDS = frozenset(["type", "properties", "required", "$ref", "anyOf", "oneOf", "allOf", "additionalProperties", "$defs"])


@dataclass(frozen=True)
class Function:
    """A function as its document describes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """A JSON Schema, with what its document says of each parameter."""
    unknown_types: tuple[str, ...] = ()
    """"parameter: type" of each type that is no JSON Schema's; such a parameter takes any value."""

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter."""
        return self.parameters.get("properties", {})

    @property
    def required(self) -> Sequence[str]:
        """The parameters that a call must have."""
        return self.parameters.get("required", ())


def read_functions(record: Record) -> tuple[Function, ...]:
    """Returns the functions of a row: documents of BFCL, tools of OpenAI, or either as JSON text.

    Raises:
        SofitError: a document has no name, or is none; names the row.
    """
    field = next(name for name in FUNCTION_FIELDS if record.fields.get(name) is not None)
    documents = parsed(record, field)
    if not isinstance(documents, list):
        raise SofitError(f"{record.where}: field {field!r} must be a list of functions. Got {type(documents).__name__}.")
    return tuple(_function(document, record, field) for document in documents)


def parsed(record: Record, field: str) -> Any:
    """Returns the value of a field, read as JSON where it is text.

    Raises:
        SofitError: the text is no JSON; names the row.
    """
    value = record.fields[field]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(record.text(field))
    except (ValueError, RecursionError) as error:
        raise SofitError(f"{record.where}: field {field!r} is text that is no JSON: {error}.") from error


def calls_schema(functions: Sequence[Function]) -> str:
    """Returns the schema of a list of calls of these functions, as text."""
    definitions = {str(index): _with_references_below(function.parameters, index) for index, function in enumerate(functions)}
    calls = [_call_schema(function.name, {"$ref": f"#/$defs/{index}"}) for index, function in enumerate(functions)]
    content: dict[str, Any] = {"items": {"anyOf": calls}} if calls else {"maxItems": 0}
    return json.dumps({"type": "array", **content, "$defs": definitions}, ensure_ascii=False)


def _call_schema(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    properties = {"name": {"const": name}, "arguments": arguments}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"], "additionalProperties": False}


def _with_references_below(value: Any, index: int) -> Any:
    """Leaves out what only the prompt needs, and leads references to where the schema stands among the others."""
    if isinstance(value, list):
        return [_with_references_below(part, index) for part in value]
    if not isinstance(value, Mapping):
        return value
    lead = {"$ref": f"#/$defs/{index}{value['$ref'][1:]}"} if str(value.get("$ref", "")).startswith("#") else {}
    return {key: _with_references_below(part, index) for key, part in value.items()} | lead


def _function(document: Any, record: Record, field: str) -> Function:
    if isinstance(document, Mapping) and isinstance(document.get("function"), Mapping):
        document = document["function"]
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        found = json.dumps(document, ensure_ascii=False, default=str)[:100]
        raise SofitError(f"{record.where}: field {field!r} holds a function without a name: {found}.")
    parameters = document.get("parameters") or {}
    if isinstance(parameters, Mapping) and not _SCHEMA_WORDS & parameters.keys():
        parameters = _from_flat(parameters)
    unknown: list[str] = []
    schema = to_json_schema({"type": "object", "properties": {}, **parameters}, unknown, document["name"])
    return Function(document["name"], str(document.get("description") or ""), schema, tuple(unknown))


def _from_flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Makes a schema of parameters that stand in no "properties"; those with a default, or said to be optional, may be left out."""
    is_optional = {
        name: "default" in document or "optional" in str(document.get("type")).lower() for name, document in parameters.items()
    }
    return {"type": "object", "properties": parameters, "required": [name for name in parameters if not is_optional[name]]}
