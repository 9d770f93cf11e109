"""Rows that ask for calls of functions, whatever their kind, and function documents as JSON Schemas."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from json_rows import AREA, CALL, TOOL, WRITTEN, write

from sofit import Record
from sofit_grammars.function_calls import to_json_schema
from sofit_json import JsonTask
from sofit_json.sources import CallRequest, call_example


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "How large?", "function": [AREA], "ground_truth": [{"geometry.area": {"b": [3.5], "a": [2, 2.0]}}]},
        {"question": [[{"role": "user", "content": "How large?"}]], "function": [AREA], "calls": [CALL]},
        {"query": "How large?", "tools": json.dumps([TOOL]), "answers": json.dumps([CALL])},
        {
            "messages": [
                {"role": "user", "content": "How large?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"function": {"name": "geometry.area", "arguments": '{"b": 3.5, "a": 2}'}}],
                },
            ],
            "tools": [TOOL],
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "How large?"}]},
                {"role": "assistant", "function_call": {"name": "geometry.area", "arguments": '{"b": 3.5, "a": 2}'}},
                {"role": "function", "content": "7"},
                {"role": "assistant", "content": "It is 7."},
            ],
            "functions": [AREA],
        },
        {
            "messages": json.dumps([{"role": "user", "content": "How large?"}, {"role": "assistant", "tool_calls": [CALL]}]),
            "tools": json.dumps([TOOL]),
        },
        {"query": "How large?", "tools": [AREA], "answer": [{"name": "geometry.area", "parameters": {"a": 2, "b": 3.5}}]},
        {
            "query": "How large?",
            "tools": [{"name": "geometry.area", "input_schema": AREA["parameters"]}],
            "target": [{"type": "tool_use", "id": "1", "name": "geometry.area", "input": {"a": 2, "b": 3.5}}],
        },
        {
            "query": "How large?",
            "tools": [{"name": "geometry.area", "parameters": AREA["parameters"]["properties"]}],
            "answers": [CALL],
        },
    ],
)
def test_every_kind_of_row_with_functions_becomes_the_same_example(fields: Mapping[str, Any]):
    example = call_example(Record(dict(fields), "rows:3"), "0")
    assert isinstance(example.input, CallRequest)
    assert (example.input.text, example.target, example.where) == ("How large?", WRITTEN, "rows:3")
    assert JsonTask().grammar_for(example).flaws == ()
    assert "A side." in JsonTask().prompt(example)


def test_of_accepted_values_the_target_takes_the_first_that_fits_and_leaves_out_what_may_be():
    accepted = {"a": ["two", 2], "b": [3.5], "unit": ["cm", ""]}
    row = {"question": "?", "function": [AREA], "ground_truth": [{"geometry.area": accepted}]}
    assert call_example(Record(row, "rows:1"), "0").target == WRITTEN


def test_no_call_is_a_target_and_without_any_answer_there_is_none():
    row: dict[str, Any] = {"question": "?", "function": [AREA]}
    targets = [
        call_example(Record({**row, **more}, "rows:1"), "0").target
        for more in ({"category": "irrelevance"}, {"answers": []}, {"function": [], "answers": []}, {"category": "relevance"})
    ]
    assert targets == ["[]", "[]", "[]", ""]


def test_the_messages_before_the_last_are_told_with_who_said_them():
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    example = call_example(Record({"messages": messages, "tools": [TOOL]}, "rows:1"), "0")
    assert (example.input.text, example.target) == ("System: Be short.\nUser: Hi", "[]")


def test_calls_that_a_user_has_answered_are_told_as_the_model_writes_them_and_only_the_last_are_the_answer():
    user = {"role": "user", "content": "Wie groß?"}
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": '{"x": "Köln"}'}]}
    said = {"role": "assistant", "content": "7"}

    def read(*messages: Any) -> tuple[str, str]:
        example = call_example(Record({"messages": list(messages), "tools": [TOOL]}, "rows:1"), "0")
        return example.input.text, example.target

    result = {"role": "tool", "content": "7"}
    written = '[{"name": "f", "arguments": {"x": "Köln"}}]'
    before = f"User: Wie groß?\nAssistant: {written}\nTool: 7"
    assert read(user, call, result, said) == ("Wie groß?", written)
    assert read(user, call, result, call, result, said) == (before, written)
    assert read(user, call, result) == (before, "")
    assert read(user, call, result, said, user, said) == (f"{before}\nAssistant: 7\nUser: Wie groß?", "[]")


def test_a_row_that_says_of_no_call_that_it_is_right_is_warned_of_once_unless_it_is_one_of_bfcls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    row = {"question": "?", "function": [AREA], "reply": [CALL]}
    with caplog.at_level(logging.WARNING):
        list(write(tmp_path, [{**row, "category": "live_relevance"}, row, row]).load("train"))
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}/train.jsonl:2: no field says which calls are right")
    assert message.endswith("Its fields: question, function, reply.")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "dict"}, {"type": "object"}),
        ({"type": "HashMap", "default": {}}, {"type": "object", "default": {}}),
        ({"type": "tuple", "items": {"type": "float"}}, {"type": "array", "items": {"type": "number"}}),
        ({"type": "ArrayList", "items": {"type": "long"}}, {"type": "array", "items": {"type": "integer"}}),
        ({"type": "any"}, {}),
        ({"type": "", "description": "x"}, {"description": "x"}),
        ({"type": "Boolean", "optional": True}, {"type": "boolean"}),
        ({"type": "string", "default": None}, {"type": ["string", "null"], "default": None}),
        (
            {"type": "string", "enum": ["a"], "default": None},
            {"type": ["string", "null"], "enum": ["a", None], "default": None},
        ),
        ({"type": "array", "enum": ["a", "b"]}, {"type": "array", "items": {"enum": ["a", "b"]}}),
        ({"type": ["String", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "array", "items": "string"}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "tuple", "items": [{"type": "float"}]}, {"type": "array", "prefixItems": [{"type": "number"}]}),
        ({"type": "array", "items": [], "additionalItems": {"type": "int"}}, {"type": "array", "items": {"type": "integer"}}),
        (
            {"type": "array", "items": [{"type": "char"}], "enum": ["a"]},
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"enum": ["a"]}},
        ),
        ({"type": "float", "minimum": 0, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 0}),
        ({"type": "float", "maximum": 9, "exclusiveMaximum": False}, {"type": "number", "maximum": 9}),
        (
            {"patternProperties": {"^a": {"type": "float"}}, "not": {"type": "dict"}},
            {"patternProperties": {"^a": {"type": "number"}}, "not": {"type": "object"}},
        ),
        (
            {"properties": {"x": True, "y": False}, "$schema": "http://json-schema.org/draft-07/schema#"},
            {"properties": {"x": {}}, "additionalProperties": False},
        ),
        # An object of which nothing is declared takes anything.
        ({"type": "dict", "properties": {}}, {"type": "object", "properties": {}}),
        (
            {"type": "dict", "properties": {"x": {"type": "int", "required": True}, "type": {"type": "char"}}, "required": ["y"]},
            {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "type": {"type": "string"}},
                "additionalProperties": False,
                "required": [],
            },
        ),
    ],
)
def test_declared_types_become_those_of_json_schema(declared: Mapping[str, Any], expected: Mapping[str, Any]):
    unknown: list[str] = []
    assert to_json_schema(declared, unknown, "f") == expected
    assert unknown == []


def test_a_type_that_is_not_known_takes_any_value_and_is_said_with_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    function = {"name": "f", "parameters": {"properties": {"x": {"type": "array", "items": {"type": "ResultSet"}}}}}
    row = {"question": "?", "function": [function], "answers": [{"name": "f", "arguments": {"x": [1, "a"]}}]}
    with caplog.at_level(logging.WARNING):
        (example,) = write(tmp_path, [row]).load("train")
    assert JsonTask().grammar_for(example).accepts(example.target)
    assert caplog.messages == [
        f"{tmp_path}/train.jsonl:1: the type of f.x: ResultSet is unknown, so that any value may stand there."
    ]


def test_schemas_that_are_combined_do_not_refuse_what_the_others_declare():
    parts = [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "int"}}, "required": ["b"]}]
    definitions = {"A": {"type": "dict", "properties": {"a": {"type": "int"}}}}
    parameters = {"properties": {"x": {"allOf": parts}}, "$defs": definitions}
    row = {"question": "?", "tools": [{"name": "f", "parameters": parameters}], "answers": []}
    grammar = JsonTask().grammar_for(call_example(Record(row, "rows:1"), "0"))
    values = [{"x": {"a": 1, "b": 2}}, {"x": {"a": "1", "b": 2}}, {"x": {"a": 1}}, {"y": 1}]
    verdicts = [grammar.accepts(json.dumps([{"name": "f", "arguments": value}])) for value in values]
    assert verdicts == [True, False, False, False]


def test_references_inside_a_function_lead_to_its_own_definitions():
    def function(name: str, kind: str) -> dict[str, Any]:
        parameters = {"properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": kind}}}
        return {"name": name, "parameters": parameters}

    row = {"question": "?", "tools": [function("f", "string"), function("g", "integer")], "answers": []}
    grammar = JsonTask().grammar_for(call_example(Record(row, "rows:1"), "0"))
    verdicts = [grammar.accepts(json.dumps([{"name": n, "arguments": {"x": x}}])) for n in "fg" for x in ("a", 1)]
    assert verdicts == [True, False, False, True]


def test_exported_rows_of_functions_are_loaded_with_the_same_prompts_targets_and_grammars(tmp_path: Path):
    nested = {"type": "dict", "properties": {"x": {"type": "char", "default": None}}, "required": ["x"]}
    functions = [AREA, {"name": "f", "parameters": {"properties": {"o": nested, "e": {"type": "array", "enum": ["a"]}}}}]
    rows = [
        {"question": "How large?", "function": functions, "ground_truth": [{"geometry.area": {"a": [2], "b": [3.5]}}]},
        {"question": "?", "function": functions, "category": "irrelevance"},
        {"question": "?", "function": functions, "category": "relevance"},
    ]
    task = write(tmp_path, rows)
    read = [(task.prompt(e), e.target, task.grammar_for(e).text) for e in task.load("train")]
    exported = [task.instruction_row(e) for e in task.load("train")]
    assert [(row["input"], row.get("output")) for row in exported] == [("How large?", WRITTEN), ("?", "[]"), ("?", None)]
    again = write(tmp_path, exported)
    assert [(again.prompt(e), e.target, again.grammar_for(e).text) for e in again.load("train")] == read
