"""The grammar of the calls of functions: a list in JSON, in which the order does not count.

{"name": "f", "parameters": {"type": "dict", "properties": {"ids": {"type": "ArrayList", "items": {"type": "long"}}}}}
[{"name": "f", "arguments": {"ids": [1, 2]}}]                   several calls where several are asked for, [] where none fits
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def function_of(document: Mapping[str, Any]) -> Function:
    """Makes a function of its document, as BFCL has them; `name` is text, `parameters` an object or absent."""
    unknown: list[str] = []
    declared = {"type": "object", "properties": {}, **(document.get("parameters") or {})}
    schema = to_json_schema(declared, unknown, document["name"])
    return Function(document["name"], document.get("description") or "", schema, tuple(unknown))


def calls_schema(functions: Sequence[Function]) -> str:
    """Returns the schema of a list of calls of these functions, as text."""
    calls, definitions = [], {}
    for index, function in enumerate(functions):
        properties = {"name": {"const": function.name}, "arguments": {"$ref": f"#/$defs/{index}"}}
        calls.append({"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False})
        # With an address of its own, so that the references in it stay in it.
        definitions[str(index)] = {**function.parameters, "$id": f"urn:function:{index}"}
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
