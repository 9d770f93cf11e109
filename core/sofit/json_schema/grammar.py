"""A JSON Schema as a grammar: masks by llguidance, verdicts by `jsonschema`, places by the tree of the text."""

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sofit.errors import SofitError
from sofit.grammar.engine import ByteMatcher
from sofit.grammar.flaw import Flaw
from sofit.grammar.grammar import Grammar
from sofit.grammar.problem import SCHEMA_VIOLATION, Problem
from sofit.grammar.recogniser import Recogniser
from sofit.json_schema.diagnosis import describe
from sofit.json_schema.dialects import Schema, asserts_formats, reads_punycode, rewrite, validator_class
from sofit.json_schema.ecma_regex import UnknownSyntax, translate
from sofit.json_schema.formats import DESCRIBED, has_format
from sofit.json_schema.hostnames import is_hostname, is_international_hostname
from sofit.json_schema.json_text import JSON, depth, read_json
from sofit.json_schema.masks import Masks, make_masks, parts
from sofit.json_schema.spelling import spell, spell_in_order

if TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator
    from lark import Lark

    from sofit.grammar.terminals import Terminals

_T = TypeVar("_T")

_DEEP = 20
"""How deep a text may nest so that only a schema without end can make its check end by recursion."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class JsonSchemaGrammar(Grammar):
    """The JSON texts that a schema describes; `text` is the schema.

    Verdicts take any spelling of a value: white space, the order of names, 1.0 for 1. The masks allow one, see `spelling`.
    """

    checks: ClassVar[Mapping[str, str]] = {"schema": "the masks enforce all of the schema"}
    is_exact: ClassVar[bool] = False
    roles: ClassVar[Mapping[str, str]] = {"key": "key", "WS": "punctuation", "start": "value"}

    formats: bool = True
    """Whether a `format` must be obeyed, not only noted."""

    @classmethod
    def make(cls, schema: Mapping[str, Any] | bool, name: str, path: str, formats: bool | None) -> "JsonSchemaGrammar":
        """Does what `Grammar.from_json_schema` says."""
        if not isinstance(schema, Mapping | bool):
            raise SofitError(f"A JSON Schema is an object, true or false. Got {type(schema).__name__}.")
        plain: Schema = {} if schema is True else {"not": {}} if schema is False else dict(schema)
        validator_class(plain)
        try:
            text = json.dumps(plain, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise SofitError(f"Not a JSON Schema: {error}.") from error
        grammar = cls(name, text, path, formats=asserts_formats(plain) if formats is None else formats)
        _ = grammar._validator
        return grammar

    @property
    def schema(self) -> Schema:
        """The schema."""
        return json.loads(self.text)

    @functools.cached_property
    def masks(self) -> Masks:
        """The schema as llguidance takes it."""
        return make_masks(self.schema, formats=self.formats)

    @functools.cached_property
    def flaws(self) -> tuple[Flaw, ...]:
        """What of the schema the masks would not enforce; none where they enforce all of it."""
        return self.masks.flaws

    def constraint(self, lead: str = "") -> str:
        """Returns the schema as llguidance takes it, for outputs that follow `lead`."""
        return self.masks.constraint(lead)

    @functools.cached_property
    def parser(self) -> "Lark":
        """The parser of any JSON text."""
        return JSON.parser

    @functools.cached_property
    def recogniser(self) -> Recogniser:
        """The recogniser of any JSON text."""
        return JSON.recogniser

    @functools.cached_property
    def terminals(self) -> "Terminals":
        """The terminals of JSON."""
        return JSON.terminals

    def accepts(self, text: str) -> bool:
        """Whether the text is JSON that the schema describes."""
        try:
            value = read_json(text)
        except ValueError:
            return False
        try:
            return self._guarded(text, lambda: self._validator.is_valid(value))
        except _TooDeep:
            return False

    def problem(self, text: str) -> Problem | None:
        """Says where a text is no JSON, or which element the schema does not describe; None where neither is so."""
        from jsonschema.exceptions import best_match

        try:
            value = read_json(text)
        except ValueError as error:
            return JSON.problem(text) or Problem.at(text, 0, SCHEMA_VIOLATION, f"The output cannot be read: {error}.")
        try:
            error = self._guarded(text, lambda: best_match(self._validator.iter_errors(value)))
        except _TooDeep:
            return Problem.at(text, 0, SCHEMA_VIOLATION, "The output nests too deep to be checked.")
        return None if error is None else describe(text, value, error)

    def value(self, text: str) -> Any:
        """Returns the value of an output.

        Raises:
            SofitError: the text is no JSON, or the schema does not describe it.
        """
        problem = self.problem(text)
        if problem is not None:
            raise SofitError(str(problem))
        return read_json(text)

    def spelling(self, value: Any) -> str | None:
        """Returns how a value is written, as a target should be: as the masks let it be; None where they do not.

        A schema with flaws has no masks: there names follow the schema's order, and any value that it describes has a spelling.
        """
        orders = [
            list(dict.fromkeys([*part["properties"], *part.get("required", ())]))
            for part in parts(self.schema)
            if "properties" in part
        ]
        text = json.dumps(value, ensure_ascii=False)
        if not self.accepts(text) or _SURROGATE.search(text):
            return None
        return spell_in_order(value, orders) if self.flaws else spell(value, self._matcher, orders)

    def without_invented_nulls(self, value: Any) -> Any:
        """Leaves out the nulls that Arrow puts where a row lacks a name that other rows of a table have.

        A null stays where the schema wants one: of the values without nulls, with those under names that are required
        somewhere, and with all, it is the first that the schema describes; without nulls if it describes none.
        """
        required = {name for part in parts(self.schema) for name in part.get("required", ())}
        candidates = [_without_nulls(value, set()), _without_nulls(value, required), value]
        return next((one for one in candidates if self.accepts(json.dumps(one))), candidates[0])

    @functools.cached_property
    def _matcher(self) -> ByteMatcher:
        return ByteMatcher(self.constraint())

    @functools.cached_property
    def _validator(self) -> "Validator":
        from jsonschema import validators
        from jsonschema_specifications import REGISTRY

        def change(part: Schema, pointer: str) -> Schema:
            if isinstance(part.get("pattern"), str):
                part["pattern"] = _Expression(part["pattern"])
            if isinstance(part.get("patternProperties"), Mapping):
                part["patternProperties"] = {_Expression(key): value for key, value in part["patternProperties"].items()}
            return part

        # A registry of its own, so that no reference is looked up on the network.
        checker = _format_checker(reads_punycode(self.schema)) if self.formats else None
        exact = validators.extend(validator_class(self.schema), {"multipleOf": _multiple_of})
        return exact(rewrite(self.schema, change), registry=REGISTRY, format_checker=checker)

    def _guarded(self, text: str, ask: Callable[[], _T]) -> _T:
        from referencing.exceptions import Unresolvable

        try:
            return ask()
        except RecursionError as error:
            # One output must not end the judging of many.
            if depth(text) > _DEEP:
                raise _TooDeep from error
            raise SofitError("The JSON Schema refers to itself without end.") from error
        except Unresolvable as error:
            raise SofitError(f"The JSON Schema refers to what is not in it: {error}.") from error


class _TooDeep(Exception):
    """The output nests deeper than the schema can be followed."""


class _Expression(str):
    """An expression as Python reads it, which messages show as the schema has it."""

    _original: str

    def __new__(cls, original: str) -> "_Expression":
        self = super().__new__(cls, _python(original))
        self._original = original
        return self

    def __repr__(self) -> str:
        return repr(self._original)


def _without_nulls(value: Any, kept: Set[str]) -> Any:
    """Leaves out the names whose value is null, but for those to keep."""
    if isinstance(value, Mapping):
        return {name: _without_nulls(part, kept) for name, part in value.items() if part is not None or name in kept}
    return [_without_nulls(part, kept) for part in value] if isinstance(value, list) else value


def _multiple_of(validator: Any, divisor: float, instance: Any, schema: Any) -> "Iterator[ValidationError]":
    """Checks `multipleOf` by the decimals that are written: 0.3 is a multiple of 0.1, which binary fractions deny."""
    from jsonschema import ValidationError

    if not validator.is_type(instance, "number"):
        return
    is_infinite = isinstance(instance, float) and math.isinf(instance)
    if is_infinite or Fraction(repr(instance)) % Fraction(repr(divisor)):
        yield ValidationError(f"{instance!r} is not a multiple of {divisor}")


def _python(expression: str) -> str:
    try:
        return translate(expression).python
    except UnknownSyntax as error:
        raise SofitError(f"The JSON Schema cannot be checked: {error} is not known.") from error


@functools.cache
def _format_checker(punycode: bool) -> "FormatChecker":
    """Returns a checker of the formats that are known; `punycode` tells how a `hostname` is read."""
    from jsonschema import FormatChecker

    checks: dict[str, Callable[[str], bool]] = {name: functools.partial(has_format, name) for name in DESCRIBED}
    checks |= {"regex": _is_expression, "idn-hostname": is_international_hostname}
    if punycode:
        checks["hostname"] = is_hostname
    checker = FormatChecker(formats=())
    for name, check in checks.items():
        checker.checks(name)(_of_texts(check))
    return checker


def _of_texts(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)


def _is_expression(text: str) -> bool:
    try:
        translate(text)
    except UnknownSyntax:
        return False
    return True
