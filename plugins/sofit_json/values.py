"""JSON values: reading them, and telling whether two are the same."""

import functools
import json
from typing import Any

from sofit import Grammar

NOTHING = object()
"""What a text that is no JSON has for a value."""


@functools.lru_cache(2_000)  # Rows of data may bring a schema each, and a grammar takes some 100 KB.
def schema_grammar(schema: str):
    """Returns the grammar of a schema, given as text; the same object for the same text, so that each is compiled once."""
    return Grammar.from_json_schema(json.loads(schema), name="schema")


def json_value(text: str) -> Any:
    """Returns the value of a text, or NOTHING."""
    grammar = schema_grammar("true")
    return grammar.value(text) if grammar.accepts(text) else NOTHING


def comparable(value: Any) -> str:
    """Returns a text that two values share if they are the same: the order of names does not count."""
    return json.dumps(value, sort_keys=True)
