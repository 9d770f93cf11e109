"""JSON values: reading them, writing them in the one spelling of their schema, and telling whether two are the same.

{"slots": {"days": 2.0}, "intent": "GetWeather"}   is written   {"intent": "GetWeather", "slots": {"days": 2}}
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from sofit import Grammar


@functools.cache
def schema_grammar(schema: str):
    """Returns the grammar of a schema, given as its text; the same object for the same text, so that each is compiled once.

    Raises:
        SofitError: the text is no JSON Schema.
    """
    return Grammar.from_json_schema(json.loads(schema), name="schema")


def read_json(text: str) -> Any:
    """Returns the value of a JSON text, whole numbers as `int`.

    Raises:
        ValueError: the text is no JSON.
    """
    try:
        return with_whole_numbers(json.loads(text, parse_constant=_refuse))
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def with_whole_numbers(value: Any) -> Any:
    """Writes 2.0 as 2, everywhere: in JSON they are one number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: with_whole_numbers(part) for key, part in value.items()}
    return [with_whole_numbers(part) for part in value] if isinstance(value, list) else value


def spelling(value: Any, schema: str) -> str:
    """Returns the text of a value: names in the schema's order, one space after "," and ":", no escapes but JSON's own."""
    grammar, text = schema_grammar(schema), json.dumps(value, ensure_ascii=False)
    try:
        constrained = grammar.spelling(value) if not grammar.flaws and grammar.accepts(text) else None
    except UnicodeEncodeError:  # Half of a character, which no text can hold.
        return text
    # Where no masks tell the order, it is that in which names first occur in the schema.
    return constrained or json.dumps(_in_order(value, list(dict.fromkeys(_names(json.loads(schema))))), ensure_ascii=False)


def comparable(value: Any) -> str:
    """Returns a text that two values share if they are the same: the order of names does not count."""
    return json.dumps(with_whole_numbers(value), sort_keys=True)


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


def without_nulls(value: Any, kept: frozenset[str] = frozenset()) -> Any:
    """Leaves out the names whose value is null, but for those in `kept`."""
    if isinstance(value, Mapping):
        return {key: without_nulls(part, kept) for key, part in value.items() if part is not None or key in kept}
    return [without_nulls(part, kept) for part in value] if isinstance(value, list) else value


def without_invented_nulls(value: Any, schema: str) -> Any:
    """Leaves out the nulls that Arrow puts where a row lacks a name that other rows have.

    A null stays where the schema wants one: first none is kept, then those whose name is required somewhere, then all.
    """
    pruned = without_nulls(value)
    for candidate in (pruned, without_nulls(value, frozenset(_required(json.loads(schema)))), value):
        if schema_grammar(schema).accepts(json.dumps(candidate)):
            return candidate
    return pruned


def _in_order(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        known = sorted(value, key=lambda name: names.index(name) if name in names else len(names))
        return {name: _in_order(value[name], names) for name in known}
    return [_in_order(part, names) for part in value] if isinstance(value, list) else value


def _names(schema: Any) -> Iterator[str]:
    """Yields the names of properties, outer ones first."""
    if isinstance(schema, Mapping):
        names = schema.get("properties")
        yield from names if isinstance(names, Mapping) else ()
    for part in _parts(schema):
        yield from _names(part)


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


def _required(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        names = schema.get("required")
        yield from names if isinstance(names, list) else ()
    for part in _parts(schema):
        yield from _required(part)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
