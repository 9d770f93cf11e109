"""Rows of every kind become examples, function documents JSON Schemas, and every target has the one spelling of its schema."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sofit import Example, Record, SofitError
from sofit_grammars.function_calls import to_json_schema
from sofit_json import JsonTask
from sofit_json.sources import CallRequest, call_example, text_example

SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"type": "string"},
        "note": {"type": ["string", "null"]},
        "slots": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "number"}}},
    },
    "required": ["intent", "note"],
    "additionalProperties": False,
}
AREA = {
    "name": "geometry.area",
    "description": "Area of a rectangle.",
    "parameters": {
        "type": "dict",
        "properties": {"a": {"type": "float", "description": "A side."}, "b": {"type": "float"}, "unit": {"type": "string"}},
        "required": ["a", "b"],
    },
}
TOOL = {"type": "function", "function": {**AREA, "parameters": {**AREA["parameters"], "type": "object"}}}
CALL = {"name": "geometry.area", "arguments": {"a": 2, "b": 3.5}}
WRITTEN = '[{"name": "geometry.area", "arguments": {"a": 2, "b": 3.5}}]'


def write(folder: Path, rows: Sequence[Mapping[str, Any]], schema: Any = None) -> JsonTask:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if schema is not None:
        (folder / "schema.json").write_text(json.dumps(schema))
    return JsonTask(data=str(folder))


def test_a_target_has_the_schemas_order_one_spacing_and_its_unicode(tmp_path: Path):
    value = {"slots": {"days": 2.0, "place": 'Ōsaka "south"'}, "note": None, "intent": "weather"}
    written = '{"intent": "weather", "note": null, "slots": {"place": "Ōsaka \\"south\\"", "days": 2}}'
    task = write(tmp_path, [{"text": "Hi", "json": value}, {"input": "Hi", "output": json.dumps(value)}], SCHEMA)
    one, other = task.load("train")
    assert one == Example(id="train-0", input="Hi", target=written, where=f"{tmp_path}/train.jsonl:1")
    assert other.target == written
    assert task.canonical(json.dumps(value, indent=1), one) == written
    assert task.canonical("no JSON", one) == "no JSON"


def test_a_schema_that_cannot_constrain_has_the_same_spelling(tmp_path: Path):
    schema = {**SCHEMA, "not": {"required": ["weather"]}}
    (example,) = write(tmp_path, [{"text": "Hi", "json": {"note": "x", "intent": "y"}}], schema).load("train")
    assert example.target == '{"intent": "y", "note": "x"}'


def test_nulls_that_arrow_puts_where_a_row_lacks_a_name_are_left_out_and_no_others():
    value = {"intent": "x", "note": None, "slots": {"place": None, "days": 2.0}, "other": None}
    record = Record({"text": "Hi", "json": value}, "hf:x:train:0")
    example = text_example(record, "0", json.dumps(SCHEMA), is_of_arrow=True)
    assert example.target == '{"intent": "x", "note": null, "slots": {"days": 2}}'
    as_written = text_example(record, "0", json.dumps(SCHEMA), is_of_arrow=False)
    assert json.loads(as_written.target) == value


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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Hi"}, "train.jsonl:1: the row has no field 'json' or 'output' or 'answer' or 'target'. Its fields: text."),
        ({"text": "Hi", "json": "{1}"}, "train.jsonl:1: field 'json' is no JSON: "),
        ({"json": {}}, "train.jsonl:1: the row has no field 'text' or "),
        ({"text": "Hi", "json": {"intent": "\ud83d"}}, "train.jsonl:1: field 'json' holds '\\ud83d', half of a character."),
        ({"question": "?", "tools": {}}, "train.jsonl:1: field 'tools' must be a list of functions. Got dict."),
        ({"question": "?", "tools": [{"x": 1}]}, "train.jsonl:1: field 'tools': A function must have a name, and parameters"),
        ({"question": "?", "tools": ["f"]}, "train.jsonl:1: field 'tools': A function must have a name, and parameters"),
        (
            {"question": "?", "tools": [{"name": "f", "parameters": {"properties": {"x": {"maxLength": "9"}}}}]},
            "train.jsonl:1: field 'tools': The parameters of 'f': Not a JSON Schema: $.properties.x.maxLength: '9' is not",
        ),
        (
            {"question": "?", "tools": [AREA], "answers": [{"name": "f", "with": {}}]},
            'train.jsonl:1: expected a call like {"name"',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "tools": []},
            "train.jsonl:1: the content of a message must be text. Got [",
        ),
        ({"messages": "Hi", "tools": []}, "train.jsonl:1: field 'messages' is no JSON: "),
        ({"input": " ", "json": {}}, "train.jsonl:1: field 'input' is empty."),
        ({"question": "?", "tools": [], "answers": {}}, "train.jsonl:1: field 'answers' must be a list of calls. Got dict."),
        ({"question": "?", "tools": [], "answers": ["f()"]}, 'train.jsonl:1: expected a call like {"name"'),
        ({"question": [1], "tools": []}, "train.jsonl:1: field 'question' must be text, or a list of messages"),
    ],
)
def test_a_row_that_lacks_something_is_named(tmp_path: Path, row: Mapping[str, Any], message: str):
    with pytest.raises(SofitError) as error:
        list(write(tmp_path, [row], SCHEMA).load("train"))
    assert message in str(error.value)


def test_without_a_schema_the_error_says_where_one_is_looked_for(tmp_path: Path):
    with pytest.raises(SofitError, match=r"no schema\.json .* --set task_options\.schema=FILE"):
        list(write(tmp_path, [{"text": "Hi", "json": 1}]).load("train"))


def test_a_data_set_of_the_hub_does_not_take_the_schema_of_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, [], SCHEMA)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SofitError, match=r"The rows of hf:name .* --set task_options\.schema=FILE"):
        _ = JsonTask(data="hf:name").schema_text


def test_the_schema_may_be_named_or_stand_beside_a_file(tmp_path: Path):
    write(tmp_path, [{"text": f"Hi {n}", "json": n} for n in range(20)], {"type": "integer"})
    beside = JsonTask(data=str(tmp_path / "train.jsonl"))
    assert len(list(beside.load("train"))) == 18
    (tmp_path / "schema.json").rename(tmp_path / "other.json")
    named = JsonTask(data=str(tmp_path), schema=str(tmp_path / "other.json"))
    assert [example.target for example in named.load("train")] == [str(n) for n in range(20)]


def test_the_schema_is_found_beside_remote_data_and_may_begin_with_a_byte_order_mark(tmp_path: Path):
    task = write(tmp_path, [{"text": "Hi", "json": 1}] * 20)
    (tmp_path / "schema.json").write_text(json.dumps({"type": "integer"}), encoding="utf-8-sig")
    for place in (task.data, f"{task.data}/train.jsonl"):
        assert JsonTask(data=f"file://{place}").schema_text == '{"type": "integer"}'


@pytest.mark.parametrize("schema", ["{", '{"type": "strng"}', "[]"])
def test_a_file_that_holds_no_schema_is_named(tmp_path: Path, schema: str):
    (tmp_path / "schema.json").write_text(schema)
    with pytest.raises(SofitError) as error:
        _ = JsonTask(data=str(tmp_path)).schema_text
    assert str(error.value).startswith(f"Cannot read the JSON Schema {tmp_path}/schema.json: ")


@pytest.mark.parametrize(
    ("schema", "output", "target"),
    [
        ({"enum": ["positive", "1"]}, "positive", '"positive"'),
        ({"enum": ["positive", "1"]}, "1", '"1"'),
        ({"type": ["string", "integer"]}, "1", "1"),
        ({"type": "string"}, '"positive"', '"positive"'),
    ],
)
def test_a_label_is_the_text_itself_where_it_is_no_json_of_the_schema(tmp_path: Path, schema: Any, output: str, target: str):
    (example,) = write(tmp_path, [{"text": "Hi", "output": output}], schema).load("train")
    assert example.target == target


def test_what_a_user_types_is_a_text_or_a_row_with_functions():
    task = JsonTask()
    assert task.example_for("Play {this}").input == "Play {this}"
    asked = task.example_for(json.dumps({"question": "How large?", "tools": [TOOL]}))
    assert isinstance(asked.input, CallRequest)
    assert task.grammar_for(asked).accepts(WRITTEN)


def test_what_a_task_exports_as_instruction_rows_it_loads_again_with_the_same_prompts(tmp_path: Path):
    task = JsonTask()
    demo = list(task.load("validation"))[:20]
    again = write(tmp_path, [task.instruction_row(example) for example in demo], json.loads(task.schema_text))
    assert [(again.prompt(e), e.target) for e in again.load("train")] == [(task.prompt(e), e.target) for e in demo]


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
