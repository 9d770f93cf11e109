"""Functions that a model may call, and the JSON Schema of its calls: a list, in which the order does not count.

{"name": "f", "parameters": {"type": "dict", "properties": {"ids": {"type": "ArrayList", "items": {"type": "long"}}}}}
[{"name": "f", "arguments": {"ids": [1, 2]}}]                   several calls where several are asked for, [] where none fits
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sofit import Record, SofitError
from sofit_json.values import field_value

FUNCTION_FIELDS = ("function", "functions", "tools")
"""Where a row has its functions."""

_NAMES = {
    "string": ("string", "str", "char", "character"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "arraylist", "set", "queue", "stack"),
    "object": ("object", "dict", "hashmap", "hashtable", "map"),
    "null": ("null", "none"),
}
_TYPES = {name: type_ for type_, names in _NAMES.items() for name in names}
"""What JSON Schema calls the types of Python, Java and JavaScript, in lower case."""


@dataclass(frozen=True)
class Function:
    """A function as its document describes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """A JSON Schema, with what the document says of each parameter."""
    unknown_types: tuple[str, ...] = ()
    """"place: type" of each type that JSON Schema has no name for; any value may stand there."""

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter."""
        return self.parameters["properties"]

    @property
    def required(self) -> Sequence[str]:
        """The parameters that a call must have."""
        return self.parameters.get("required", ())


def read_functions(record: Record) -> tuple[Function, ...]:
    """Returns the functions of a row: documents of BFCL or tools of OpenAI, as JSON or its text.

    Raises:
        SofitError: there is no list of functions with names; names the row.
    """
    field = next(name for name in FUNCTION_FIELDS if record.fields.get(name) is not None)
    documents = field_value(record, field)
    if not isinstance(documents, list):
        raise SofitError(f"{record.where}: field {field!r} must be a list of functions. Got {type(documents).__name__}.")
    functions = []
    for document in documents:
        document = document.get("function", document) if isinstance(document, Mapping) else {}
        parameters = document.get("parameters") or {}
        if not isinstance(document.get("name"), str) or not isinstance(parameters, Mapping):
            raise SofitError(f"{record.where}: field {field!r} must hold functions with a name and parameters. Got {document}.")
        unknown: list[str] = []
        schema = to_json_schema({"type": "object", "properties": {}, **parameters}, unknown, document["name"])
        functions.append(Function(document["name"], document.get("description") or "", schema, tuple(unknown)))
    return tuple(functions)


def calls_schema(functions: Sequence[Function]) -> str:
    """Returns the schema of a list of calls of these functions, as text."""
    calls, definitions = [], {}
    for index, function in enumerate(functions):
        properties = {"name": {"const": function.name}, "arguments": {"$ref": f"#/$defs/{index}"}}
        calls.append({"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False})
        definitions[str(index)] = _with_references_below(function.parameters, f"#/$defs/{index}")
    content = {"items": {"anyOf": calls}} if calls else {"maxItems": 0}
    return json.dumps({"type": "array", **content, "$defs": definitions}, ensure_ascii=False)


def to_json_schema(document: Mapping[str, Any], unknown: list[str], place: str) -> dict[str, Any]:
    """Returns the JSON Schema of parameters, or of one; what type is unknown is added to `unknown`, with its place."""
    # Arrow puts a null where nothing is said; only a default may be null itself.
    schema: dict[str, Any] = {key: value for key, value in document.items() if value is not None or key == "default"}
    for key, part in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(part, Mapping):
            named = {name: value for name, value in part.items() if value is not None}
            schema[key] = {name: to_json_schema(value, unknown, f"{place}.{name}") for name, value in named.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            schema[key] = [to_json_schema(value, unknown, place) for value in part]
        elif key in ("items", "additionalProperties") and isinstance(part, Mapping):
            schema[key] = to_json_schema(part, unknown, place)
    declared = schema.pop("type", None) or "any"
    names = [str(name) for name in declared] if isinstance(declared, list) else [str(declared)]
    types = [_TYPES.get(name.lower()) for name in names]
    if all(types):
        schema["type"] = types if isinstance(declared, list) else types[0]
    unknown += [f"{place}: {name}" for name in names if name.lower() not in (*_TYPES, "any")]
    if schema.get("type") == "array" and not any(isinstance(value, list) for value in schema.get("enum", [[]])):
        # Values that stand where those of the list would are meant for its elements.
        schema["items"] = {**schema.get("items", {}), "enum": schema.pop("enum")}
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    # Below a parameter, "required" may be a switch of its own; and a name that is not declared cannot be given.
    required = schema.pop("required", None)
    if isinstance(required, list):
        schema["required"] = [name for name in required if name in schema.get("properties", required)]
    if schema.get("default", "") is None and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        schema |= {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    schema.pop("optional", None)
    return schema


def _with_references_below(value: Any, place: str) -> Any:
    """Leads the references of a schema to where it stands among others."""
    if isinstance(value, list):
        return [_with_references_below(part, place) for part in value]
    if not isinstance(value, Mapping):
        return value
    lead = {"$ref": f"{place}{value['$ref'][1:]}"} if str(value.get("$ref", "")).startswith("#") else {}
    return {key: _with_references_below(part, place) for key, part in value.items()} | lead
