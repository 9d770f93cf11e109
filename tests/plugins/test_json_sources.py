"""Rows of every kind become examples, function documents JSON Schemas, and every target has the one spelling of its schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from json_rows import AREA, SCHEMA, TOOL, WRITTEN, write

from sofit import Example, Record, SofitError
from sofit_json import JsonTask
from sofit_json.sources import CallRequest, text_example


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


def test_without_the_schema_the_prompt_is_the_text_and_nothing_else_changes():
    shown, alone = JsonTask(), JsonTask(prompt_style="none")
    for example in list(shown.load("validation"))[:20]:
        assert alone.prompt(example) == f"Text: {example.input}\nJSON: "
        assert shown.prompt(example).endswith(f"\n\n{alone.prompt(example)}")
        assert alone.grammar_for(example).text == shown.grammar_for(example).text
        assert alone.instruction_row(example) == {**shown.instruction_row(example), "instruction": ""}
