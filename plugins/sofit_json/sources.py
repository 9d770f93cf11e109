"""Rows of data: text with its JSON, or a question with the functions that may be called.

{"text": "play Air", "json": {"intent": "PlayMusic", "slots": {"artist": "Air"}}}             and a schema.json beside it
{"question": "5!", "function": [{...}], "ground_truth": [{"factorial": {"number": [5]}}]}     BFCL
{"messages": [..., {"role": "assistant", "tool_calls": [{...}]}], "tools": [{...}]}           OpenAI; or one "function_call"
{"query": "5!", "tools": [{...}], "answers": [{"name": "factorial", "arguments": {...}}]}     and the like
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sofit import Example, Record, SofitError, read_text
from sofit_grammars.function_calls import Function, calls_schema, function_of
from sofit_json.calls import Accepted, accepting, choices
from sofit_json.values import schema_grammar

FUNCTION_FIELDS = ("function", "functions", "tools")
"""Where a row has its functions."""

_TEXTS = ("text", "input", "utterance", "query", "question")
_VALUES = ("json", "output", "answer", "target")
_CONVERSATIONS = ("messages", "question", "query", "text", "input")
_ANSWERS = ("ground_truth", "answers", "calls", "tool_calls", *_VALUES)
_ARGUMENTS = ("arguments", "parameters", "input", "args")


@dataclass(frozen=True)
class CallRequest:
    """What is asked for, and the functions that may be called."""

    text: str
    functions: tuple[Function, ...]
    accepted: Sequence[Accepted] | None = None
    """What each call may be, none where no call is right; None where any call is."""

    def __str__(self) -> str:
        return self.text


def read_schema(data: str, schema: str) -> str:
    """Returns the schema in the file `schema`, or in the schema.json in or beside `data`, as text.

    Raises:
        SofitError: there is none, or it is no JSON Schema; names the file.
    """
    inner, *outer = data.split("::")  # An address may lead into an archive: zip://rows::s3://bucket/data.zip.
    folders = [] if data.startswith("hf:") else [inner.rstrip("/"), os.path.dirname(inner) or "."]
    for place in [schema] if schema else ["::".join([f"{folder}/schema.json", *outer]) for folder in folders]:
        text = read_text(place)
        if text is not None:
            try:
                return schema_grammar(text).text
            except (ValueError, RecursionError, SofitError) as error:
                raise SofitError(f"Cannot read the JSON Schema {place}: {error}") from error
    if schema:
        raise SofitError(f"There is no JSON Schema {schema}.")
    raise SofitError(
        f"The rows of {data} have no functions to call, so they need a JSON Schema, and there is no schema.json with them. Put"
        " one there, or name one with --set task_options.schema=FILE. Functions stand in a field function, functions or tools."
    )


def text_example(record: Record, id: str, schema: str, *, is_of_arrow: bool) -> Example:
    """Makes an example of a text and its JSON.

    Raises:
        SofitError: the row lacks one of them; names its place.
    """
    text, value = record.text(*_TEXTS), record.fields.get(record.first(*_VALUES) or "")
    if not text.strip():
        raise SofitError(f"{record.where}: field {record.first(*_TEXTS)!r} is empty. It must hold the text that the JSON means.")
    accepts = schema_grammar(schema).accepts
    if not isinstance(value, str) or accepts(value) or not accepts(json.dumps(value)):  # Else the text is the value: a label.
        value = record.json(*_VALUES)
    return Example(id=id, input=text, target=_written(value, schema, record, is_of_arrow=is_of_arrow), where=record.where)


def call_example(record: Record, id: str, *, is_of_arrow: bool = False) -> Example:
    """Makes an example of a question and functions. Of several accepted answers, the target is the shortest that fits the schema.

    A row that does not say which call is right has no target: it is for evaluation alone.

    Raises:
        SofitError: the row lacks something; names its place.
    """
    functions = _functions(record)
    text, answers = _conversation(record)
    if answers is None:
        answers = _answers(record)
    if answers is None:
        return Example(id=id, input=CallRequest(text, functions), target="", where=record.where)
    accepted = [accepting(answer) if "name" in answer else answer for answer in answers]
    calls = [answer if "name" in answer else _preferred(answer, functions) for answer in answers]
    target = _written(calls, calls_schema(functions), record, is_of_arrow=is_of_arrow)
    if is_of_arrow:
        accepted = [accepting(call) for call in json.loads(target)]
    return Example(id=id, input=CallRequest(text, functions, accepted), target=target, where=record.where)


def _functions(record: Record) -> tuple[Function, ...]:
    """Returns the functions of a row: documents of BFCL or tools of OpenAI, as JSON or its text."""
    field, documents = record.first(*FUNCTION_FIELDS), record.json(*FUNCTION_FIELDS)
    if not isinstance(documents, list):
        raise SofitError(f"{record.where}: field {field!r} must be a list of functions. Got {type(documents).__name__}.")
    try:
        return tuple(function_of(tool.get("function") or tool if isinstance(tool, Mapping) else tool) for tool in documents)
    except SofitError as error:
        raise SofitError(f"{record.where}: field {field!r}: {error}") from error


def _written(value: Any, schema: str, record: Record, *, is_of_arrow: bool) -> str:
    grammar = schema_grammar(schema)
    value = grammar.without_invented_nulls(value) if is_of_arrow else value
    target = grammar.spelling(value) or json.dumps(value, ensure_ascii=False)
    return Record({"json": target}, record.where).text("json")  # Refuses half of a character, as any text of a row.


def _conversation(record: Record) -> tuple[str, Sequence[Any] | None]:
    """Returns what was said before the answer, and the answer's calls; None for these where a message of others is the last.

    The answer is the last message that calls, of those after the user's last; where none does, it is the last, without calls.
    """
    field = record.first(*_CONVERSATIONS)
    messages = record.json(field) if field == "messages" else record.fields[field] if field else None
    if not isinstance(messages, list):
        return record.text(*_CONVERSATIONS), None
    turns = [message for turn in messages for message in (turn if isinstance(turn, list) else [turn])]
    if not turns or not all(isinstance(turn, Mapping) and isinstance(turn.get("role"), str) for turn in turns):
        raise SofitError(f"{record.where}: field {field!r} must be text, or a list of messages with a role and content.")
    roles, answer = [turn["role"] for turn in turns], len(turns)
    said, calls = zip(*(_said(turn, record) for turn in turns), strict=True)
    if roles[-1] == "assistant":
        asked = max((place for place, role in enumerate(roles) if role == "user"), default=-1)
        answer = max((place for place in range(asked + 1, len(turns)) if calls[place]), default=len(turns) - 1)
    texts = [f"{role.capitalize()}: {text}" for role, text in zip(roles[:answer], said, strict=False)]
    return said[0] if len(texts) == 1 and roles[0] == "user" else "\n".join(texts), dict(enumerate(calls)).get(answer)


def _said(turn: Mapping[str, Any], record: Record) -> tuple[str, list[Mapping[str, Any]]]:
    """Returns the text of a message, which ends in its calls as the model writes them, and the calls."""
    content = turn.get("content") or []
    parts = content if isinstance(content, list) else [content if isinstance(content, str) else json.dumps(content)]
    texts = [text for part in parts if isinstance(text := part.get("text") if isinstance(part, Mapping) else part, str)]
    if len(texts) < len(parts):
        raise SofitError(f"{record.where}: the content of a message must be text. Got {json.dumps(content)[:100]}.")
    # `function_call` is the one call of OpenAI's older form.
    calls = [_call(call, record) for call in turn.get("tool_calls") or filter(None, [turn.get("function_call")])]
    return "\n".join([*texts, *([json.dumps(calls, ensure_ascii=False)] if calls else [])]), calls


def _answers(record: Record) -> Sequence[Any] | None:
    """Returns the calls that are right, none where no call is; None where the row does not say."""
    field = record.first(*_ANSWERS)
    if field is None:
        return [] if "irrelevance" in str(record.fields.get("category")) else None
    answers = record.json(field)
    if not isinstance(answers, list):
        raise SofitError(f"{record.where}: field {field!r} must be a list of calls. Got {type(answers).__name__}.")
    return [_call(answer, record) for answer in answers]


def _call(call: Any, record: Record) -> Mapping[str, Any]:
    """Returns a call as {"name": ..., "arguments": {...}}, or in BFCL's form, {name: {parameter: accepted values}}."""
    if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
        call = call["function"]
    if isinstance(call, Mapping) and isinstance(call.get("name"), str):
        named = {key for key, value in call.items() if value is not None}
        key = next((key for key in _ARGUMENTS if key in named), None)
        arguments = Record({"arguments": call.get(key) or {}}, record.where).json("arguments")
        if isinstance(arguments, Mapping) and (key or named <= {"name", "id", "type"}):
            return {"name": call["name"], "arguments": arguments}
    elif isinstance(call, Mapping) and len(call) == 1:
        accepted = next(iter(call.values()))
        if isinstance(accepted, Mapping) and all(isinstance(values, list) for values in accepted.values()):
            return call
    forms = '{"name": "f", "arguments": {"x": 1}}, or accepted values like {"f": {"x": [1]}}'
    raise SofitError(f"{record.where}: expected a call like {forms}. Got {json.dumps(call, ensure_ascii=False)[:100]}.")


def _preferred(accepted: Accepted, functions: Sequence[Function]) -> dict[str, Any]:
    """Returns the shortest call that is accepted, of values that fit their parameters where there are such."""
    name, values = next(iter(accepted.items()))
    function = next((function for function in functions if function.name == name), Function(name, "", {"properties": {}}))
    grammar = schema_grammar(json.dumps({**function.parameters, "required": []}))
    arguments = {}
    for parameter, answers in values.items():
        possible = [{parameter: value} for value in choices(answers, may_be_absent=parameter not in function.required)]
        fitting = (one for one in possible if len(possible) > 1 and grammar.accepts(json.dumps(one)))
        arguments |= next(fitting, possible[0] if possible else {})
    return {"name": name, "arguments": arguments}
