"""The drafts of JSON Schema, and where in a schema other schemas stand."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = dict[str, Any]

_MAPS_OF_SCHEMAS = frozenset(["properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies"])
_VALUES = frozenset(["const", "enum", "default", "examples", "example", "required", "type", "dependentRequired"])
"""Keywords that hold data and names, whatever these look like."""

_DRAFT = re.compile(r"https?://json-schema\.org/draft[-/]([0-9-]+)/schema#?")
_CLASSES = {
    "04": "Draft4Validator",
    "06": "Draft6Validator",
    "07": "Draft7Validator",
    "2019-09": "Draft201909Validator",
    "2020-12": "Draft202012Validator",
}
_BEFORE_PUNYCODE = ("draft-04", "draft-06")
_NEW = ("2019-09", "2020-12")


def validator_class(schema: Schema) -> "type[Validator]":
    """Returns the validator of the draft that `$schema` names; without it, of the latest draft that the schema is valid in.

    Raises:
        SofitError: the draft is unknown, or the schema is none of its draft.
    """
    from jsonschema import FormatChecker, validators
    from jsonschema.exceptions import SchemaError

    named = schema.get("$schema")
    if named is not None:
        draft = _DRAFT.fullmatch(str(named))
        if draft is None or draft[1] not in _CLASSES:
            raise SofitError(f"The JSON Schema is of an unknown draft, {named!r}. Known are {', '.join(_CLASSES)}.")
        candidates = [getattr(validators, _CLASSES[draft[1]])]
    else:
        candidates = [validators.Draft202012Validator, validators.Draft7Validator, validators.Draft4Validator]
    errors = []
    for candidate in candidates:
        try:
            # Without formats: whether an expression is one is decided by JavaScript's syntax, when it is translated.
            candidate.check_schema(schema, format_checker=FormatChecker(formats=()))
        except SchemaError as error:
            errors.append(f"{error.json_path}: {error.message}")
        except Exception as error:  # The check itself meets an odd schema in many ways: recursion, overflow, expressions.
            errors.append(f"{type(error).__name__}: {error}")
        else:
            return candidate
    raise SofitError(f"Not a JSON Schema: {errors[0]}")


def asserts_formats(schema: Schema) -> bool:
    """Whether `format` decides validity: it may up to draft 7, and is a mere note from 2019-09 on."""
    return not any(draft in str(schema.get("$schema", "")) for draft in _NEW)


def reads_punycode(schema: Schema) -> bool:
    """Whether a `hostname` is checked for what its labels after "xn--" stand for, as from draft 7 on."""
    return not any(draft in str(schema.get("$schema", "")) for draft in _BEFORE_PUNYCODE)


def ignores_siblings_of_references(schema: Schema) -> bool:
    """Whether what stands beside a `$ref` counts for nothing, as up to draft 7."""
    return "$schema" in schema and not any(draft in str(schema["$schema"]) for draft in _NEW)


def rewrite(schema: Any, change: Callable[[Schema, str], Schema], pointer: str = "#") -> Any:
    """Returns a schema whose parts went through `change`, outermost first, each with its JSON pointer.

    Under keywords that no draft knows there may be schemas too, to which references lead; so they are rewritten as well.
    """
    if isinstance(schema, list):
        return [rewrite(part, change, f"{pointer}/{index}") for index, part in enumerate(schema)]
    if not isinstance(schema, Mapping):
        return schema
    changed = change(dict(schema), pointer)
    for key, value in changed.items():
        below = f"{pointer}/{key}"
        if key in _MAPS_OF_SCHEMAS and isinstance(value, Mapping):
            changed[key] = {name: rewrite(part, change, f"{below}/{name}") for name, part in value.items()}
        elif key not in _VALUES:
            changed[key] = rewrite(value, change, below)
    return changed


def with_whole_numbers(value: Any) -> Any:
    """Writes numbers such as 1.0 as whole ones, everywhere: to JSON Schema they are the same."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [with_whole_numbers(part) for part in value]
    if isinstance(value, Mapping):
        return {key: with_whole_numbers(part) for key, part in value.items()}
    return value
