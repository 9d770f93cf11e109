"""What llguidance makes of a JSON Schema, and what of it would be lost.

llguidance refuses most of what it cannot enforce. The rest, which it reads otherwise than the schema means it, is mended here
where that can be done, and refused where it cannot; `benchmarks/json_schema_coverage.py` compares the verdicts.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sofit.grammar.engine import ByteMatcher, compile_flaws
from sofit.grammar.flaw import Flaw
from sofit.grammar.walks import GivesUp, random_output
from sofit.json_schema.dialects import Schema, ignores_siblings_of_references, reads_punycode, rewrite, with_whole_numbers
from sofit.json_schema.ecma_regex import UnknownSyntax, translate
from sofit.json_schema.formats import DESCRIBED, expressions

_NOT_DESCRIBED = frozenset(["idn-email", "idn-hostname", "relative-json-pointer", "regex"])
"""The formats of JSON Schema that no expression describes whole, in every draft alike."""

_CONTENT = frozenset(["contentEncoding", "contentMediaType"])
_NUMBERS = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
_LARGEST_EXACT = 2**53
_SEPARATORS = {"item_separator": r",\x20?", "key_separator": r":\x20?", "whitespace_flexible": False}
_ESCAPES = '"\\nrtbf'
_ALL_ESCAPES = _ESCAPES + "u"
# Those that JSON can only spell by number.
_CONTROL = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f]")
_TRIED_OUTPUTS = 5
_TRIED_BYTES = 300
_REMEDY = "Leave it out, or constrain by a plainer schema."


@dataclass(frozen=True)
class Masks:
    """A schema for llguidance."""

    schema: Schema
    escapes: str
    """The characters that may follow a backslash. Without \\u each text has one spelling, and so has each name of a property."""
    flaws: tuple[Flaw, ...]
    """Why the masks would not enforce the schema; none where they do."""

    def constraint(self, lead: str = "") -> str:
        """Returns llguidance's form of the schema, whose outputs follow `lead`."""
        options = {**_SEPARATORS, "json_allowed_escapes": self.escapes, "lenient": False, "coerce_one_of": False}
        inner = {"json_schema": {**self.schema, "x-guidance": options}}
        if not lead:
            return json.dumps({"grammars": [inner]})
        return json.dumps({"grammars": [{"lark_grammar": f"start: {json.dumps(lead)} @output"}, {"name": "output", **inner}]})


def make_masks(schema: Schema, *, formats: bool) -> Masks:
    """Prepares a schema for llguidance; `formats` tells whether a `format` must be obeyed."""
    flaws: list[Flaw] = []
    drops_siblings = ignores_siblings_of_references(schema)
    # Up to draft 7 a format, and an encoding, may be enforced or not.
    is_old = drops_siblings or "$schema" not in schema

    def change(part: Schema, pointer: str) -> Schema:
        part.pop("x-guidance", None)
        if "$ref" in part and drops_siblings:
            part = {key: value for key, value in part.items() if key in ("$ref", "definitions", "$schema")}
        form = part.pop("format", None)
        if formats and form in DESCRIBED and not (form == "hostname" and reads_punycode(schema)):
            patterns = [{"pattern": f"^(?:{expression})$"} for expression in expressions(form)]
            part["allOf"] = [*part.get("allOf", ()), *patterns]
        elif formats and form in _NOT_DESCRIBED | DESCRIBED.keys():
            # Any other format is a note.
            flaws.append(Flaw("schema", f"{pointer}: the format {form!r} is not enforced.", _REMEDY))
        part = _with_bounds_of_today(part)
        flaws.extend(Flaw("schema", f"{pointer}: {reason}", _REMEDY) for reason in _unenforced(part, is_old=is_old))
        if isinstance(part.get("pattern"), str):
            part["pattern"] = _rust(part["pattern"], pointer, flaws)
        if isinstance(part.get("patternProperties"), Mapping):
            part["patternProperties"] = {_rust(key, pointer, flaws): value for key, value in part["patternProperties"].items()}
        return part

    prepared = rewrite(with_whole_numbers(schema), change)
    if interval := _leaking_interval(parts(prepared)):
        message = f"exclusiveMinimum or exclusiveMaximum is not enforced where the other bound is near it: {interval}."
        flaws.append(Flaw("schema", message, _REMEDY))
    is_open = any(_is_open_with_names(part) for part in parts(prepared))
    masks = Masks(prepared, _ESCAPES if is_open else _ALL_ESCAPES, ())
    if is_open and any(_has_control_characters(part) for part in parts(prepared)):
        message = "A name or value with a control character cannot be told from other spellings of it."
        flaws.append(Flaw("schema", message, _REMEDY))
    return Masks(masks.schema, masks.escapes, tuple(flaws or _refusals(masks)))


def parts(schema: Any) -> list[Schema]:
    """Returns a schema and all schemas in it."""
    found: list[Schema] = []

    def collect(part: Schema, pointer: str) -> Schema:
        found.append(part)
        return part

    rewrite(schema, collect)
    return found


def _refusals(masks: Masks) -> list[Flaw]:
    """Returns what llguidance itself refuses, at once or in the middle of an output."""
    flaws = compile_flaws(masks.constraint())
    if flaws:
        return [Flaw("schema", flaw.message.replace("the grammar", "the schema"), _REMEDY) for flaw in flaws]
    matcher, chance = ByteMatcher(masks.constraint()), random.Random(0)
    try:
        for _ in range(_TRIED_OUTPUTS):
            random_output(matcher, chance, longest_bytes=_TRIED_BYTES, tries=1)
    except GivesUp as reason:
        return [Flaw("schema", f"llguidance gives up on an output of the schema: {reason}.", _REMEDY)]
    return []


def _unenforced(part: Schema, *, is_old: bool) -> Iterator[str]:
    """Yields what llguidance takes without a word and does not enforce."""
    if is_old and _CONTENT & part.keys():
        yield "whether contentEncoding and contentMediaType decide is left open by the draft."
    is_closed = part.get("additionalProperties") is False and not part.get("patternProperties")
    if isinstance(part.get("minProperties"), int) and part["minProperties"] > 1 and not is_closed:
        yield "minProperties counts a name that is written twice as two."
    for key in _NUMBERS & part.keys():
        if _is_inexact(part[key]):
            yield f"{key}: {part[key]} is beyond the numbers that are told apart, 2**53."
    if any(map(_is_inexact, _values([part.get("const"), part.get("enum")]))):
        yield "a value is beyond the numbers that are told apart, 2**53."


def _with_bounds_of_today(part: Schema) -> Schema:
    """Writes draft 4's `"minimum": 1, "exclusiveMinimum": true` as later drafts do."""
    part = dict(part)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(part.get(exclusive), bool) and part.pop(exclusive) and bound in part:
            part[exclusive] = part.pop(bound)
    return part


def _leaking_interval(schemas: list[Schema]) -> str:
    """Finds an exclusive bound at a whole number with another bound less than one away: llguidance includes the first.

    The two may stand in different schemas, which then count together.
    """
    for exclusive, others, sign in (
        ("exclusiveMinimum", ("maximum", "exclusiveMaximum"), 1),
        ("exclusiveMaximum", ("minimum", "exclusiveMinimum"), -1),
    ):
        whole = [part[exclusive] for part in schemas if isinstance(part.get(exclusive), int)]
        bounds = [part[key] for part in schemas for key in others if isinstance(part.get(key), int | float)]
        for low in whole:
            for high in bounds:
                if 0 < sign * (high - low) < 1:
                    return f"{low} and {high}"
    return ""


def _is_inexact(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) > _LARGEST_EXACT


def _is_open_with_names(part: Schema) -> bool:
    """Whether properties with a name of their own stand beside any others, which then must not spell that name."""
    return bool(part.get("properties") or part.get("patternProperties")) and part.get("additionalProperties") is not False


def _has_control_characters(part: Schema) -> bool:
    texts = [*_values([part.get("const"), part.get("enum")]), *(part.get("properties") or ())]
    return any(_CONTROL.search(text) for text in texts if isinstance(text, str))


def _values(value: Any) -> Iterator[Any]:
    """Yields all names, texts and numbers in a value."""
    if isinstance(value, list):
        for part in value:
            yield from _values(part)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield key
            yield from _values(part)
    else:
        yield value


def _rust(expression: str, pointer: str, flaws: list[Flaw]) -> str:
    try:
        return translate(expression).rust
    except UnknownSyntax as error:
        flaws.append(Flaw("schema", f"{pointer}: {error} is not known.", _REMEDY))
        return expression
