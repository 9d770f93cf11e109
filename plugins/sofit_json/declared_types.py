"""The types that function documents declare, as JSON Schema has them.

    {"type": "dict", "properties": {"ids": {"type": "ArrayList", "items": {"type": "long"}}}}      becomes
    {"type": "object", "properties": {"ids": {"type": "array", "items": {"type": "integer"}}}, "additionalProperties": false}

The names are those of BFCL (Python, Java and JavaScript), of OpenAI's tools, and Python's own (`List[str]`, `int, optional`).
"""

import re
from collections.abc import Mapping
from typing import Any

_NAMES = {
    "string": ("string", "str", "char", "character", "text"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double", "decimal"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "arraylist", "set", "queue", "stack", "vector"),
    "object": ("object", "dict", "hashmap", "hashtable", "map"),
    "null": ("null", "none"),
}
_TYPES = {name: type_ for type_, names in _NAMES.items() for name in names}
_GENERIC = re.compile(r"(\w+)\s*[\[<](.*)[\]>]")
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not")


def to_json_schema(document: Mapping[str, Any], unknown: list[str], place: str) -> dict[str, Any]:
    """Returns the JSON Schema of a function's parameters, or of one of them; descriptions and defaults stay.

    Args:
        document: the parameters as declared.
        unknown: takes "place: type" of each type whose name is not known; such a parameter takes any value.
        place: the names that lead to it, for `unknown`.
    """
    # A null may stand for "nothing said"; only a default of null says something.
    schema = {key: value for key, value in document.items() if key == "default" or value is not None}
    for key in (*_SCHEMAS, *_MAPS_OF_SCHEMAS, *_LISTS_OF_SCHEMAS):
        part = schema.get(key)
        if isinstance(part, Mapping) and key in _MAPS_OF_SCHEMAS:
            named = {name: value for name, value in part.items() if isinstance(value, Mapping)}
            schema[key] = {name: to_json_schema(value, unknown, f"{place}.{name}") for name, value in named.items()}
        elif isinstance(part, list) and key in _LISTS_OF_SCHEMAS:
            schema[key] = [to_json_schema(value, unknown, place) for value in part]
        elif isinstance(part, Mapping) and key in _SCHEMAS:
            schema[key] = to_json_schema(part, unknown, f"{place}[]" if key == "items" else place)
    schema |= _typed(schema.pop("type", None), unknown, place)
    schema.pop("optional", None)
    if schema.get("type") == "array" and not any(isinstance(value, list) for value in schema.get("enum", [[]])):
        # The values are written where those of a single one would stand, and mean the elements.
        schema["items"] = {**schema.get("items", {}), "enum": schema.pop("enum")}
    names = schema.get("properties")
    if names is not None:
        schema.setdefault("additionalProperties", False)
    # Below a parameter "required" may be a switch of its own; and a name that is not declared cannot be given.
    required = schema.pop("required", None)
    if isinstance(required, list) and (wanted := [name for name in required if names is None or name in names]):
        schema["required"] = wanted
    return _with_null(schema) if "default" in schema and schema["default"] is None else schema


def _typed(declared: Any, unknown: list[str], place: str) -> dict[str, Any]:
    """Returns the part of a schema that says the type: nothing where any value is meant."""
    if isinstance(declared, list):
        types = [_typed(one, unknown, place).get("type") for one in declared]
        return {"type": types} if all(types) else {}
    name = str(declared or "any").split(",")[0].strip()
    if generic := _GENERIC.fullmatch(name):
        outer, inner = generic.groups()
        if outer.lower() == "optional":
            return _typed(inner, unknown, place)
        typed = _typed(outer, unknown, place)
        return typed | ({"items": _typed(inner, unknown, place)} if typed == {"type": "array"} and "," not in inner else {})
    if name.lower() in _TYPES:
        return {"type": _TYPES[name.lower()]}
    if name.lower() != "any":
        unknown.append(f"{place}: {declared}")
    return {}


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Lets a value be null, as its default is."""
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
