"""JSON values: reading them, and telling whether two are the same."""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sofit import Grammar, Record, SofitError


@functools.cache
def any_json():
    """Returns the grammar of any JSON text; made when first asked for, since that imports what commands shall not wait for."""
    return Grammar.from_json_schema(True, name="any JSON")


@functools.lru_cache(2_000)  # Rows of data may bring a schema each, and a grammar takes some 100 KB.
def schema_grammar(schema: str):
    """Returns the grammar of a schema, given as text; the same object for the same text, so that each is compiled once."""
    return Grammar.from_json_schema(json.loads(schema), name="schema")


def field_value(record: Record, field: str) -> Any:
    """Returns the value of a field, read as JSON where it is text, with 2.0 as 2.

    Raises:
        SofitError: the text is no JSON; names the row.
    """
    value = record.fields[field]
    try:
        return any_json().value(value if isinstance(value, str) else json.dumps(value))
    except SofitError as error:
        raise SofitError(f"{record.where}: field {field!r} is no JSON: {error}") from error


def comparable(value: Any) -> str:
    """Returns a text that two values share if they are the same: the order of names does not count."""
    return json.dumps(value, sort_keys=True)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields each part of a value that has no parts itself, with the names that lead to it; elements of a list share theirs.

    {"slots": {"artist": ["Air", "Beck"]}} gives ("slots.artist", '"Air"') and ("slots.artist", '"Beck"').
    """
    parts = [(path, part) for part in value] if isinstance(value, list) else []
    if isinstance(value, Mapping):
        parts = [(f"{path}.{name}" if path else name, part) for name, part in value.items()]
    if not parts:
        yield path, comparable(value)
    for name, part in parts:
        yield from leaves(part, name)
