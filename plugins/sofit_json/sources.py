"""Rows of data: text with its JSON, or a question with the functions that may be called.

{"text": "play Air", "json": {"intent": "PlayMusic", "slots": {"artist": "Air"}}}             and a schema.json beside it
{"question": "5!", "function": [{...}], "ground_truth": [{"factorial": {"number": [5]}}]}     BFCL
{"messages": [..., {"role": "assistant", "tool_calls": [{...}]}], "tools": [{...}]}           OpenAI
{"query": "5!", "tools": [{...}], "answers": [{"name": "factorial", "arguments": {...}}]}     and the like
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sofit import Example, Grammar, Record, SofitError
from sofit_grammars.function_calls import Function, calls_schema, function_of
from sofit_json.calls import Accepted, accepting, choices
from sofit_json.values import schema_grammar

FUNCTION_FIELDS = ("function", "functions", "tools")
"""Where a row has its functions."""

_TEXTS = ("text", "input", "utterance", "query", "question")
_VALUES = ("json", "output", "answer", "target")
_CONVERSATIONS = ("messages", "question", "query", "text", "input")
_ANSWERS = ("ground_truth", "answers", "calls", "tool_calls", "output")


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
        SofitError: there is none, or it is no JSON Schema.
    """
    folders = [] if data.startswith("hf:") else [Path(data), Path(data).parent]
    for path in [Path(schema)] if schema else [folder / "schema.json" for folder in folders]:
        if schema or path.is_file():
            return schema_grammar(Grammar.from_file(path).text).text
    raise SofitError(
        f"The rows of {data} have no functions to call, so they need a JSON Schema, and there is no schema.json with them. Put"
        " one there, or name one with --set task_options.schema=FILE. Functions stand in a field function, functions or tools."
    )


def text_example(record: Record, id: str, schema: str, *, is_of_arrow: bool) -> Example:
    """Makes an example of a text and its JSON.

    Raises:
        SofitError: the row lacks one of them; names its place.
    """
    target = _written(record.json(*_VALUES), schema, record, is_of_arrow=is_of_arrow)
    return Example(id=id, input=record.text(*_TEXTS), target=target, where=record.where)


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
    documents = [document.get("function", document) if isinstance(document, Mapping) else {} for document in documents]
    for document in documents:
        if not isinstance(document.get("name"), str) or not isinstance(document.get("parameters") or {}, Mapping):
            raise SofitError(f"{record.where}: field {field!r} must hold functions with a name and parameters. Got {document}.")
    return tuple(map(function_of, documents))


def _written(value: Any, schema: str, record: Record, *, is_of_arrow: bool) -> str:
    grammar = schema_grammar(schema)
    value = grammar.without_invented_nulls(value) if is_of_arrow else value
    target = grammar.spelling(value) or json.dumps(value, ensure_ascii=False)
    return Record({"json": target}, record.where).text("json")  # Refuses half of a character, as any text of a row.


def _conversation(record: Record) -> tuple[str, Sequence[Any] | None]:
    """Returns what was said, and the calls of the last message where it is the assistant's, which then is the answer."""
    field = record.first(*_CONVERSATIONS)
    messages = record.fields[field] if field else None
    if not isinstance(messages, list):
        return record.text(*_CONVERSATIONS), None
    turns = [message for turn in messages for message in (turn if isinstance(turn, list) else [turn])]
    if not turns or not all(isinstance(turn, Mapping) and isinstance(turn.get("role"), str) for turn in turns):
        raise SofitError(f"{record.where}: field {field!r} must be text, or a list of messages with a role and content.")
    calls = None
    if turns[-1]["role"] == "assistant":
        *turns, last = turns
        calls = [_call(call, record) for call in last.get("tool_calls") or ()]
    if [turn["role"] for turn in turns] == ["user"]:
        return str(turns[0].get("content") or ""), calls
    said = [f"{turn['role'].capitalize()}: {turn.get('content') or json.dumps(turn.get('tool_calls'))}" for turn in turns]
    return "\n".join(said), calls


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
        arguments = Record({"arguments": call.get("arguments") or {}}, record.where).json("arguments")
        if isinstance(arguments, Mapping):
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
