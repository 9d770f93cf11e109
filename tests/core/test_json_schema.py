"""A JSON Schema as a grammar: where a text fails, and masks that enforce all of a schema or are refused."""

import contextlib
import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sofit import Grammar, SofitError
from sofit.grammar.engine import ByteMatcher
from sofit.grammar.walks import random_output
from sofit.json_schema.ecma_regex import UnknownSyntax, translate
from sofit.json_schema.formats import DESCRIBED
from sofit.json_schema.grammar import JsonSchemaGrammar
from sofit.json_schema.json_text import JSON

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}},
    },
    "required": ["place"],
    "additionalProperties": False,
}
GRAMMAR = Grammar.from_json_schema(WEATHER)


@pytest.mark.parametrize(
    ("text", "place", "code", "words", "found", "suggestion"),
    [
        ('{"place": 1}', (1, 11), "SOF007", "$.place: 1 is not of type 'string'", "1", None),
        ('{"place": "x",\n "days": [1, 0]}', (2, 14), "SOF007", "$.days[1]: 0 is less than the minimum", "0", None),
        ('{"place": "x", "unit": "celcius"}', (1, 24), "SOF007", "$.unit:", '"celcius"', '"celsius"'),
        ('{"place": "x", "dais": []}', (1, 16), "SOF007", "$.dais:", '"dais"', '"days"'),
        ('[{"place": "x"}]', (1, 1), "SOF007", "$: [{'place': 'x'}] is not of type 'object'", '[{"place": "x"}]', None),
        ("{}", (1, 1), "SOF007", "'place' is a required property", "{}", None),
        ('{"place": "x"', (1, 14), "SOF003", "ends too early", "", "}"),
        ('{"place" "x"}', (1, 10), "SOF002", "':' is missing", "", ":"),
        ('{"place": "x"} Good bye', (1, 16), "SOF004", "follows the end", "Good bye", None),
        ('{"place": "x",}', (1, 15), "SOF002", "Expected 'STRING'", "}", None),
        ('{"place": NaN}', (1, 11), "SOF001", "'NaN'", "NaN", None),
        ("", (1, 1), "SOF005", "empty", "", None),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_its_path(
    text: str, place: tuple[int, int], code: str, words: str, found: str, suggestion: str | None
):
    problem = GRAMMAR.problem(text)
    assert problem is not None
    assert not GRAMMAR.accepts(text)
    assert ((problem.line, problem.column), problem.code, problem.found) == (place, code, found)
    assert words in problem.message
    assert problem.suggestion == suggestion
    assert text[problem.offset : problem.end_offset] == found


def test_any_spelling_of_a_value_is_accepted_and_one_of_them_is_written():
    for text in ('{"place": "é", "days": [1, 2]}', '{"days":[1.0,2e0],\n"pl\\u0061ce":"\\u00e9"}'):
        assert GRAMMAR.accepts(text)
        assert GRAMMAR.value(text) == {"place": "é", "days": [1, 2]}
    written = GRAMMAR.spelling({"days": [1.0, 2], "place": "é"})
    assert written == '{"place": "é", "days": [1, 2]}'
    assert ByteMatcher(GRAMMAR.constraint()).accepts(written)
    assert GRAMMAR.spelling({"place": 1}) is None


def test_a_tree_of_a_text_has_the_text_in_its_leaves():
    text = '{"days" : [1 ,2],"place":"x" }\n'
    assert "".join(GRAMMAR.parse(text).scan_values(lambda leaf: leaf is not None)) == text


def test_what_precedes_the_output_is_part_of_the_constraint():
    matcher = ByteMatcher(GRAMMAR.constraint(" "))
    assert matcher.accepts(' {"place": "x"}')
    assert not matcher.accepts('{"place": "x"}')


def test_grammars_of_different_schemas_differ():
    assert Grammar.from_json_schema(dict(WEATHER)) == GRAMMAR
    assert len({GRAMMAR, Grammar.from_json_schema({**WEATHER, "title": "other"}), Grammar.from_json_schema(True)}) == 3


REFUSED = [
    # A schema, a word of the reason, and a text that the masks alone would let through, or that they alone would refuse.
    ({"not": {"type": "string"}}, "not", None),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf", None),
    ({"type": "array", "uniqueItems": True}, "uniqueItems", None),
    ({"x-guidance": {"lenient": True}, "not": {}}, "not", None),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}, "minProperties", '{"a": 1, "a": 1}'),
    ({"type": "integer", "minimum": 2**53 + 1}, "2**53", str(2**53)),
    ({"const": 12345678901234567890}, "2**53", "12345678901234567890"),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "exclusive", "0"),
    ({"allOf": [{"type": "number", "exclusiveMaximum": 0}, {"minimum": -0.25}]}, "exclusive", "-0"),
    ({"type": "string", "format": "idn-email"}, "idn-email", None),
    ({"type": "string", "contentEncoding": "base64"}, "contentEncoding", None),
    ({"type": "string", "pattern": "^(?=a)"}, "look-around", None),
    ({"type": "object", "properties": {"a\u0001": {}}, "required": ["a\u0001"]}, "control character", None),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "word", "text"), REFUSED, ids=[json.dumps(schema) for schema, *_ in REFUSED])
def test_what_the_masks_would_not_enforce_is_refused_with_the_reason_and_still_validates(
    schema: dict[str, Any], word: str, text: str | None
):
    grammar = Grammar.from_json_schema(schema)
    assert word in grammar.flaws[0].message
    assert isinstance(grammar.accepts("1"), bool)
    if text is not None:
        assert ByteMatcher(grammar.constraint()).accepts(text) != grammar.accepts(text)


def test_a_name_cannot_be_spelt_around():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "x/y": {"type": "integer"}}}
    grammar = Grammar.from_json_schema(schema)
    assert grammar.flaws == ()
    matcher = ByteMatcher(grammar.constraint())
    for text in ('{"\\u0061": "x"}', '{"a": 1, "a": "x"}', '{"x\\/y": "x"}'):
        assert not grammar.accepts(text)
        assert not matcher.accepts(text)


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "strin"}, "not valid under any"),
        ({"$schema": "http://example.org/draft"}, "unknown draft"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "minimum": "1"}, "minimum"),
        ({"type": "string", "pattern": "(a"}, "expression"),
        ({"type": "string", "pattern": "\\p{L}"}, "\\p"),
        ({"enum": [float("nan")], "type": {1, 2}}, "Not a JSON Schema"),
        ("string", "is an object"),
    ],
)
def test_what_is_no_schema_is_an_error(schema: Any, word: str):
    with pytest.raises(SofitError, match="JSON Schema") as error:
        Grammar.from_json_schema(schema)
    assert word in str(error.value)


def test_a_reference_that_leads_nowhere_is_an_error_and_nothing_is_fetched():
    grammar = Grammar.from_json_schema({"$ref": "http://localhost:9/absent.json"})
    assert grammar.flaws
    with pytest.raises(SofitError, match="refers to what is not in it"):
        grammar.accepts("1")


def test_formats_count_as_the_draft_says_or_as_asked():
    schema = {"type": "string", "format": "date"}
    today = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    for grammar, counts in (
        (Grammar.from_json_schema(schema), True),
        (Grammar.from_json_schema(today), False),
        (Grammar.from_json_schema(schema, formats=False), False),
        (Grammar.from_json_schema(today, formats=True), True),
    ):
        assert grammar.flaws == ()
        for text, is_date in (('"2022-02-28"', True), ('"2022-02-30"', False), ('"soon"', False)):
            assert grammar.accepts(text) == (is_date or not counts)
            assert ByteMatcher(grammar.constraint()).accepts(text) == grammar.accepts(text)


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        (r"^\d\w\s$", ["1a ", "1_\ufeff"], ["٣a ", "1é ", "1a\x1c"]),
        (r"^a$", ["a"], ["a\n", "ab"]),
        (r"^.$", ["é", "\x85"], ["\n", "\r", "\u2028"]),
        (r"^[\w-]+$", ["a-b"], ["a b", "é"]),
        (r"^[^\s,]*$", ["", "é"], ["a b", "\u00a0"]),
        (r"^[a&&b[]$", ["&", "[", "a"], ["c"]),
        (r"^[+--]$", [",", "+"], ["."]),
        (r"^[--/]$", ["-", ".", "/"], [","]),
        (r"^[a-d-z]$", ["c", "-", "z"], ["e"]),
        (r"^[]", [], ["", "a"]),
        (r"^[^]$", ["a", "\n"], ["ab"]),
        (r"^\/\-\<\x41\u00e9\cA\u{1F600}$", ["/-<Aé\x01😀"], ["\\/"]),
        (r"^a{,2}$", ["a{,2}"], ["aa"]),
        (r"\bfoo\b", ["a foo b", "éfoo"], ["afoo"]),
        (r"^(?<year>\d)\k<year>$", ["11"], ["12"]),
        (r"^a|b$", ["ax", "xb"], ["xax"]),
    ],
)
def test_expressions_mean_what_javascript_means_by_them(expression: str, inside: list[str], outside: list[str]):
    grammar = Grammar.from_json_schema({"type": "string", "pattern": expression})
    for text, is_inside in [(text, True) for text in inside] + [(text, False) for text in outside]:
        assert grammar.accepts(json.dumps(text)) == is_inside, text
        if not grammar.flaws:
            assert (grammar.spelling(text) is not None) == is_inside, text


@given(st.text(alphabet=r"ab1-^$.*+?()[]{}|\dwsbBxu&~,/é ", max_size=14))
@settings(max_examples=400)
def test_an_expression_is_translated_or_refused(expression: str):
    with contextlib.suppress(UnknownSyntax):
        pattern = translate(expression)
        re.compile(pattern.python)


@given(st.text(max_size=40) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps) | st.binary().map(repr))
@settings(max_examples=400)
def test_any_text_gets_the_verdict_of_pythons_json(text: str):
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
        is_json = True
    except ValueError:
        is_json = False
    anything = Grammar.from_json_schema(True)
    assert anything.accepts(text) == is_json
    assert (anything.problem(text) is None) == is_json
    assert JSON.accepts(text) == is_json


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 10_000, "1e" + "9" * 1_000, "-1e400", '{"a":' * 3_000, "[" * 5_000 + "]" * 5_000]
)
def test_extreme_texts_get_a_verdict(text: str):
    for schema in (True, {"type": "integer", "multipleOf": 3}, {"type": "number", "maximum": 5}):
        grammar = Grammar.from_json_schema(schema)
        assert (grammar.problem(text) is None) == grammar.accepts(text)


class SchemaMaker:
    """Makes schemas, and values near them, by chance."""

    NAMES = ("a", "b", "ab", "c", "é")
    PATTERNS = ("^a", "b$", "^[ab]{1,3}$", "a", "^a|b$", "\\d", "^\\w+$", "^.b", "[^a]", "^(a|bc)+$", "^\\S{1,2}$")
    FORMATS = (*DESCRIBED, "nonsense")
    TEXTS = ("", "a", "b", "ab", "abc", "bc", "é", "a b", "1", "2020-01-31", "1.2.3.4", "a@b.c", "😀", "\n", "12:00:00Z", 'a"b')
    NUMBERS = (0, 1, -1, 2, 3, 5, 10, -7, 0.5, 1.5, -0.25, 2.75, 0.1, 1e-7, 12.0)

    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        kind = self.chance.randrange(6 if depth < 2 else 4)
        if kind < 4:
            return self.chance.choice([self.TEXTS, self.TEXTS, self.NUMBERS, (None, True, False)][kind])
        if kind == 4:
            return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.chance.choice(self.NAMES): self.value(depth + 1) for _ in range(self.chance.randrange(4))}

    def some(self, share: float, **keywords: Any) -> dict[str, Any]:
        return {key: value for key, value in keywords.items() if self.chance.random() < share}

    def schema(self, depth: int = 0) -> dict[str, Any]:
        choose, below = self.chance.choice, depth + 1
        if depth == 3:
            return choose([{}, {"type": "integer"}, {"type": "string"}, {"type": "boolean"}])
        kind = self.chance.randrange(10)
        if kind == 0:
            return choose([{"enum": [self.value(1), self.value(1)]}, {"const": self.value(1)}])
        if kind == 1:
            bounds = {
                key: choose([0, 1, -3, 5, 0.5, 2.5]) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            }
            return {"type": choose(["integer", "number"]), **self.some(0.3, **bounds, multipleOf=choose([2, 0.5, 0.1]))}
        if kind in (2, 3):
            lengths = self.some(0.3, minLength=choose(range(4)), maxLength=choose(range(6)))
            return {"type": "string", **lengths, **self.some(0.3, pattern=choose(self.PATTERNS), format=choose(self.FORMATS))}
        if kind == 4:
            counts = self.some(0.3, minItems=choose(range(3)), maxItems=choose(range(4)))
            return {"type": "array", **counts, **self.some(0.7, items=self.schema(below), prefixItems=[self.schema(below)])}
        if kind < 8:
            names = self.chance.sample(self.NAMES, 2)
            properties = {name: self.schema(below) for name in names}
            rest = self.some(
                0.4, required=self.chance.sample(self.NAMES, 1), additionalProperties=choose([False, self.schema(below)])
            )
            more = self.some(
                0.15, patternProperties={choose(self.PATTERNS): self.schema(below)}, minProperties=1, maxProperties=2
            )
            return {**self.some(0.9, type="object", properties=properties), **rest, **more}
        return {choose(["anyOf", "allOf", "oneOf"]): [self.schema(below), self.schema(below)]}


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_masks_and_verdicts_agree_on_every_schema_that_constrains(count: int):
    maker = SchemaMaker(seed=count)
    tried = 0
    while tried < count:
        schema = maker.schema()
        grammar = Grammar.from_json_schema(schema)
        assert isinstance(grammar, JsonSchemaGrammar)
        if grammar.flaws:
            continue
        tried += 1
        matcher = ByteMatcher(grammar.constraint())
        for _ in range(5):
            output = random_output(matcher, maker.chance, 300, 1)
            assert output is None or grammar.accepts(output), (schema, output)
        for _ in range(15):
            value = maker.value()
            is_accepted = grammar.accepts(json.dumps(value))
            assert (grammar.spelling(value) is not None) == is_accepted, (schema, value)


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return list(map(json.loads, file))


def test_no_verdict_on_real_schemas_is_wrong(shared_data: Path):
    tried, constrains = 0, 0
    for row in rows(shared_data / "jsonschemabench" / "dev.jsonl")[::4]:
        grammar = Grammar.from_json_schema(row["schema"])
        constrains += not grammar.flaws
        for test in row["tests"]:
            tried += 1
            assert grammar.accepts(json.dumps(test["data"])) == test["valid"], (row["id"], test["description"])
            if not grammar.flaws and test["valid"]:
                written = grammar.spelling(test["data"])
                assert written is not None, (row["id"], test["description"])
                assert grammar.accepts(written)
            elif not grammar.flaws:
                assert not ByteMatcher(grammar.constraint()).accepts(json.dumps(test["data"])), row["id"]
    assert tried > 400
    assert constrains > 100


@pytest.mark.parametrize("draft", ["draft2020-12", "draft7"])
def test_no_verdict_of_masks_on_the_test_suite_is_wrong(shared_data: Path, draft: str):
    constrains = 0
    for row in rows(shared_data / "json-schema-test-suite" / f"{draft}.jsonl"):
        schema, formats = row["schema"], row["file"].startswith("optional/format")
        if draft == "draft7" and isinstance(schema, dict):
            schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
        try:
            grammar = Grammar.from_json_schema(schema, formats=formats)
        except SofitError:
            continue
        if grammar.flaws:
            continue
        constrains += 1
        for test in row["tests"]:
            is_written = grammar.spelling(test["data"]) is not None
            assert is_written == test["valid"], (row["id"], test["description"])
            assert grammar.accepts(json.dumps(test["data"])) == test["valid"], (row["id"], test["description"])
    assert constrains > 90


def test_a_name_is_offered_for_one_like_it_only():
    grammar = Grammar.from_json_schema({"properties": {"unit": True, "n": True}, "additionalProperties": False})
    problems = [grammar.problem(text) for text in ('{"units": 1}', '{"x": 1}')]
    assert [problem and problem.suggestion for problem in problems] == ['"unit"', None]


def test_a_schema_is_read_from_a_file_and_validates_outputs(tmp_path: Path):
    path = tmp_path / "weather.json"
    path.write_text(json.dumps(WEATHER), encoding="utf-8")
    grammar = Grammar.from_file(path)
    assert (grammar.name, grammar.path, grammar.accepts('{"place": "x"}')) == ("weather", str(path), True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(SofitError, match="Cannot read"):
        Grammar.from_file(path)


def test_tables_of_json_are_written_by_the_masks(tmp_path: Path):
    # A tool call as function-calling data has it, through CSV and back.
    tool = {"type": "object", "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q"]}
    grammar = Grammar.from_json_schema(tool)
    written = grammar.spelling({"n": 3, "q": 'say "hi", twice'})
    path = tmp_path / "calls.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow([written])
    with path.open(encoding="utf-8", newline="") as file:
        assert grammar.accepts(next(csv.reader(file))[0])


def test_a_value_has_a_spelling_in_the_schemas_order_even_where_the_schema_cannot_constrain():
    grammar = Grammar.from_json_schema({**WEATHER, "not": {"required": ["unit"]}})
    assert grammar.flaws
    assert grammar.spelling({"days": [1], "place": "é"}) == '{"place": "é", "days": [1]}'
    assert grammar.spelling({"place": "é", "unit": "celsius"}) is None


def test_half_of_a_character_has_no_spelling():
    assert GRAMMAR.spelling({"place": "\ud83d"}) is None


def test_nulls_that_stand_for_nothing_are_told_from_those_that_the_schema_wants():
    nullable = {"type": ["string", "null"]}
    grammar = Grammar.from_json_schema(
        {
            "type": "object",
            "properties": {"a": nullable, "b": {"type": "string"}, "c": {"items": {"properties": {"d": {"type": "string"}}}}},
            "required": ["a"],
        }
    )
    assert grammar.without_invented_nulls({"a": None, "b": None, "c": [{"d": None}]}) == {"a": None, "c": [{}]}
    assert grammar.without_invented_nulls({"a": "x", "b": None}) == {"a": "x"}
    assert Grammar.from_json_schema({"enum": [{"x": None}]}).without_invented_nulls({"x": None}) == {"x": None}
