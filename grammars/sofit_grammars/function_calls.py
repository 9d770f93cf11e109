"""The grammar of the calls of functions: a list in JSON, in which the order does not count.

{"name": "f", "parameters": {"type": "dict", "properties": {"ids": {"type": "ArrayList", "items": {"type": "long"}}}}}
[{"name": "f", "arguments": {"ids": [1, 2]}}]                   several calls where several are asked for, [] where none fits
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sofit import Grammar, SofitError

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

_PARAMETERS = ("parameters", "input_schema", "inputSchema")
"""Where a document has the schema of its parameters: in BFCL and OpenAI's tools, in Anthropic's, in MCP's."""

_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMAS = ("items", "prefixItems", "additionalItems", "contains", "additionalProperties", "propertyNames")
_COMBINING = ("anyOf", "oneOf", "not", "if", "then", "else")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


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


def function_of(document: Any) -> Function:
    """Makes a function of its document.

    Raises:
        SofitError: it has no name, or its parameters are no schema.
    """
    unknown: list[str] = []
    is_named = isinstance(document, Mapping) and isinstance(document.get("name"), str)
    declared = next((document[name] for name in _PARAMETERS if document.get(name)), {}) if is_named else None
    if not isinstance(declared, Mapping):
        raise SofitError(f"A function must have a name, and parameters that are an object. Got {document}.")
    if "properties" not in declared and all(isinstance(part, Mapping) and "type" in part for part in declared.values()):
        declared = {"properties": declared}  # Some documents have the parameters themselves there.
    declared = {"type": "object", "properties": {}, **{key: part for key, part in declared.items() if part is not None}}
    schema = to_json_schema(declared, unknown, document["name"], closes=not _is_combined(declared))
    schema.setdefault("additionalProperties", False)
    try:
        _check(json.dumps(schema))
    except SofitError as error:
        raise SofitError(f"The parameters of {document['name']!r}: {error}") from error
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


@functools.lru_cache(10_000)  # A check takes 5 ms, and rows of data share functions.
def _check(parameters: str) -> None:
    # Without the draft, an earlier one would do, in which what this one refuses has no meaning.
    Grammar.from_json_schema({"$schema": _DRAFT, **json.loads(parameters)})


def to_json_schema(document: Any, unknown: list[str], place: str, *, closes: bool = True) -> Any:
    """Returns the JSON Schema (2020-12) of parameters, or of one, which may also be the name of a type, or a boolean.

    What cannot be a schema is left as it is. What type is unknown is added to `unknown`, with its place. `closes` says whether
    an object that declares properties takes no others.
    """
    if isinstance(document, str):
        document = {"type": document}
    if not isinstance(document, Mapping):
        return {} if document is True else document
    # Arrow puts a null where nothing is said; only a default may be null itself.
    schema: dict[str, Any] = {key: value for key, value in document.items() if value is not None or key == "default"}
    for key, part in schema.items():
        if key in _MAPS_OF_SCHEMAS and isinstance(part, Mapping):
            named = {name: value for name, value in part.items() if value is not None and value is not False}
            schema[key] = {
                name: to_json_schema(value, unknown, f"{place}.{name}", closes=closes) for name, value in named.items()
            }
        elif key in (*_SCHEMAS, *_COMBINING, "allOf") and isinstance(part, list):
            schema[key] = [to_json_schema(value, unknown, place, closes=closes) for value in part]
        elif key in (*_SCHEMAS, *_COMBINING):
            schema[key] = to_json_schema(part, unknown, place, closes=closes)
    _update(schema)
    declared = schema.pop("type", None) or "any"
    names = [str(name) for name in declared] if isinstance(declared, list) else [str(declared)]
    types = [_TYPES.get(name.lower()) for name in names]
    unknown += [f"{place}: {name}" for name in names if name.lower() not in (*_TYPES, "any")]
    values, items = schema.get("enum"), schema.get("items")
    if types == ["array"] and isinstance(values, list) and not any(isinstance(value, list) for value in values):
        # Values that stand where those of the list would are meant for its elements.
        schema["items"] = {**(items if isinstance(items, Mapping) else {}), "enum": schema.pop("enum")}
    # These three come last, in this order, so that a schema that is converted again stays as it is.
    if all(types):
        schema["type"] = types if isinstance(declared, list) else types[0]
    if "additionalProperties" in schema or (closes and schema.get("properties")):
        schema["additionalProperties"] = schema.pop("additionalProperties", False)
    # Below a parameter, "required" may be a switch of its own; and a name that is not declared cannot be given.
    required = schema.pop("required", None)
    if isinstance(required, list):
        schema["required"] = [name for name in required if name in schema.get("properties", required)]
    is_nullable = schema.pop("nullable", False) is True or schema.get("default", "") is None
    if is_nullable and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        schema |= {"enum": [*schema["enum"], None]} if isinstance(schema.get("enum"), list) else {}
    schema.pop("optional", None)
    return schema


def _update(schema: dict[str, Any]) -> None:
    """Changes what earlier drafts, and OpenAPI 3.0, write in another way."""
    schema.pop("$schema", None)
    if isinstance(schema.get("items"), list):
        tuple_, others = schema.pop("items"), schema.pop("additionalItems", None)
        schema |= {"prefixItems": tuple_} if tuple_ else {}
        schema |= {"items": others} if others is not None else {}
    for name, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(name), bool) and schema.pop(name) and limit in schema:
            schema[name] = schema.pop(limit)


def _is_combined(part: Any) -> bool:
    """Whether several schemas somewhere describe one value: closed, each would refuse what another one declares."""
    if isinstance(part, Mapping):
        branches = part.get("allOf")
        count = sum(part.get(key) is not None for key in ("properties", "$ref", *_COMBINING))
        return count + (len(branches) if isinstance(branches, list) else 0) > 1 or any(map(_is_combined, part.values()))
    return isinstance(part, list) and any(map(_is_combined, part))
