"""A JSON Schema as a grammar: where a text fails, how a value is spelt, and schemas that are none."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sofit import Grammar, SofitError
from sofit.grammar.engine import ByteMatcher

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


def test_a_name_is_offered_for_one_like_it_only():
    grammar = Grammar.from_json_schema({"properties": {"unit": True, "n": True}, "additionalProperties": False})
    problems = [grammar.problem(text) for text in ('{"units": 1}', '{"x": 1}')]
    assert [problem and problem.suggestion for problem in problems] == ['"unit"', None]


def closed(*names: str, **keywords: Any) -> dict[str, Any]:
    return {"properties": dict.fromkeys(names, True), "additionalProperties": False, **keywords}


@pytest.mark.parametrize(
    ("schema", "text", "words", "found", "suggestion"),
    [
        (closed(patternProperties={r"^x_\d": True}), '{"x_1": 1, "bad": 2}', "$.bad: 'bad' does not match", '"bad"', None),
        (closed("first", "last"), '{"frist": "x"}', "$.frist:", '"frist"', '"first"'),
        # A second "first" would hide the one that is there.
        (closed("first", "last"), '{"first": "KEEP", "frist": "x"}', "$.frist:", '"frist"', None),
        ({"propertyNames": {"enum": ["heat", "cold"]}}, '{"haet": 1}', "$.haet: 'haet' is not one of", '"haet"', '"heat"'),
        ({"propertyNames": {"enum": ["heat", "cold"]}}, '{"heat": 0, "haet": 1}', "$.haet:", '"haet"', None),
        ({"items": {"propertyNames": False}}, '[{}, {"a": 1}]', "$[1].a: False schema", '"a"', None),
        # A property of that name, and a text for its value.
        (closed(properties={"propertyNames": {"type": "null"}}), '{"propertyNames": "x"}', "$.propertyNames:", '"x"', None),
    ],
)
def test_a_wrong_name_is_blamed_itself_and_becomes_none_that_is_there(
    schema: dict[str, Any], text: str, words: str, found: str, suggestion: str | None
):
    problem = Grammar.from_json_schema(schema).problem(text)
    assert problem is not None
    assert words in problem.message
    assert (problem.found, problem.suggestion) == (found, suggestion)
    assert text[problem.offset : problem.end_offset] == found


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": r"^\d\-$"}, '"x"'),
        ({"not": {"pattern": r"^\d\-$"}}, '"1-"'),
        (closed(patternProperties={r"^\d\-$": True}), '{"x": 1}'),
    ],
)
def test_a_message_shows_an_expression_as_the_schema_has_it(schema: dict[str, Any], text: str):
    problem = Grammar.from_json_schema(schema).problem(text)
    assert problem is not None
    assert repr(r"^\d\-$") in problem.message


def test_an_output_that_nests_deeper_than_its_schema_can_be_followed_is_invalid_and_no_error():
    tree = {"properties": {"c": {"type": "array", "items": {"$ref": "#"}}}, "additionalProperties": False}
    wrapped = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"allOf": [{"items": {"allOf": [{"allOf": [{"$ref": "#/$defs/tree"}]}]}}]}},
    }
    for schema, opening, closing in ((tree, '{"c": [', "]}"), (wrapped, "[", "]")):
        grammar = Grammar.from_json_schema(schema)
        assert grammar.accepts(opening * 15 + closing * 15)
        for count in (100, 140, 200, 2_000):
            text = opening * count + closing * count
            problem = grammar.problem(text)
            assert grammar.accepts(text) == (problem is None)
            assert problem is None or "nests" in problem.message
        assert problem is not None
    # Here it is the schema that is at fault, whatever the output.
    with pytest.raises(SofitError, match="refers to itself without end"):
        Grammar.from_json_schema({"$ref": "#"}).accepts('"[[[[[[[[[[[[[[[[[[[[[[[[["')


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


def test_a_value_of_any_length_has_a_spelling():
    grammar = Grammar.from_json_schema({"type": "array", "items": {"type": "integer"}})
    assert grammar.spelling([1] * 3_000) == f"[{', '.join('1' * 3_000)}]"
    grammar = Grammar.from_json_schema({"type": "object", "additionalProperties": {"type": "integer"}})
    assert grammar.spelling({str(name): 1.0 for name in range(1_500)}) == json.dumps(dict.fromkeys(map(str, range(1_500)), 1))
    # Two kinds of objects, with their names in two orders: what is written first is not what the masks allow.
    kinds = [
        closed("k", "v", properties={"k": {"const": 1}, "v": True}),
        closed("v", "k", properties={"v": True, "k": {"const": 2}}),
    ]
    grammar = Grammar.from_json_schema({"type": "array", "items": {"anyOf": kinds}})
    assert grammar.spelling([{"v": 0, "k": 1}, {"v": 0, "k": 2}] * 200) == json.dumps([{"k": 1, "v": 0}, {"v": 0, "k": 2}] * 200)


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
