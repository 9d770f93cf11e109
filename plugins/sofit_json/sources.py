"""Rows of data: text with its JSON, or a question with the functions that may be called.

{"text": "play Air", "json": {"intent": "PlayMusic", "slots": {"artist": "Air"}}}             and a schema.json beside it
{"question": "5!", "function": [{...}], "ground_truth": [{"factorial": {"number": [5]}}]}     BFCL
{"messages": [..., {"role": "assistant", "tool_calls": [{...}]}], "tools": [{...}]}           OpenAI
{"query": "5!", "tools": [{...}], "answers": [{"name": "factorial", "arguments": {...}}]}     and the like
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sofit import Example, Record, SofitError, read_split
from sofit_json.calls import Accepted, accepting, shortest
from sofit_json.functions import FUNCTION_FIELDS, Function, calls_schema, parsed, read_functions
from sofit_json.values import schema_grammar, spelling, without_invented_nulls, without_nulls

_TEXTS = ("text", "input", "utterance", "query", "question")
_VALUES = ("json", "output", "answer", "target")
_CONVERSATIONS = ("question", "messages", "query", "text", "input")
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


def has_functions(record: Record) -> bool:
    """Whether a row brings the functions that may be called."""
    return any(record.fields.get(name) is not None for name in FUNCTION_FIELDS)


def read_examples(data: str, split: str, schema: str) -> Iterator[Example]:
    """Yields the examples of a split; those that bring no functions of their own are of the schema in the file `schema`.

    Raises:
        SofitError: there is no such data, or no schema where one is needed, or a row lacks something; names its place.
    """
    schema_text = None
    for index, record in enumerate(read_split(data, split)):
        from_arrow = data.startswith("hf:")
        if has_functions(record):
            yield call_example(record, f"{split}-{index}", from_arrow=from_arrow)
            continue
        if schema_text is None:
            schema_text = read_schema(data, schema)
        yield _text_example(record, f"{split}-{index}", schema_text, from_arrow=from_arrow)


def read_schema(data: str, schema: str) -> str:
    """Returns the schema in the file `schema`, or in the schema.json of the folder of `data`, as text.

    Raises:
        SofitError: there is none, or it is no JSON Schema.
    """
    import fsspec

    folder = data.rpartition("/")[0] or "."
    # A folder has it inside, a file beside it; and a data set of the Hub has none.
    paths = [schema] if schema else [] if data.startswith("hf:") else [f"{data.rstrip('/')}/schema.json", f"{folder}/schema.json"]
    for path in paths:
        try:
            with fsspec.open(path, "rt", encoding="utf-8") as stream:
                text = json.dumps(json.load(stream), ensure_ascii=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise SofitError(f"Cannot read the JSON Schema {path}: {error}.") from error
        _ = schema_grammar(text)
        return text
    looked = f" Looked for {' and '.join(paths)}." if paths else ""
    raise SofitError(
        f"The rows of {data} need a JSON Schema, and there is none.{looked} Put a schema.json there, or name one with"
        " --set task_options.schema=FILE. Rows with functions to call need none, but a field 'function', 'functions' or 'tools'."
    )


def call_example(record: Record, id: str, *, from_arrow: bool = False) -> Example:
    """Makes an example of a row with functions. Of several accepted answers, the target is the shortest that fits the schema.

    Raises:
        SofitError: the row lacks something; names its place.
    """
    if from_arrow:
        record = Record(without_nulls(record.fields), record.where)
    functions = read_functions(record)
    text, last_calls = _conversation(record)
    answers = _answers(record) if last_calls is None else last_calls
    if answers is None:
        # Nothing tells which call is right, so no target is: such rows are for evaluation alone.
        return Example(id=id, input=CallRequest(text, functions), target="", where=record.where)
    schema = calls_schema(functions)
    if any("name" not in answer for answer in answers):
        calls = [_preferred(answer, functions) for answer in answers]
        accepted = answers
    else:
        calls = without_invented_nulls(answers, schema) if from_arrow else answers
        accepted = accepting(calls)
    target = spelling(calls, schema)
    return Example(id=id, input=CallRequest(text, functions, accepted), target=target, where=record.where)


def _text_example(record: Record, id: str, schema: str, *, from_arrow: bool) -> Example:
    text = record.text(*_TEXTS)
    field = next((name for name in _VALUES if record.fields.get(name) is not None), None)
    if field is None:
        wanted = " or ".join(map(repr, _VALUES))
        raise SofitError(f"{record.where}: the row has no field {wanted}. Its fields: {', '.join(record.fields)}.")
    value = parsed(record, field)
    if from_arrow:
        value = without_invented_nulls(value, schema)
    # As a field again, so that half of a character is refused as it is in any text.
    target = Record({field: spelling(value, schema)}, record.where).text(field)
    return Example(id=id, input=text, target=target, where=record.where)


def _conversation(record: Record) -> tuple[str, Sequence[Any] | None]:
    """Returns what was said, and the calls of the last message where it is the assistant's, which then is the answer."""
    field = next((name for name in _CONVERSATIONS if record.fields.get(name) is not None), "")
    messages = record.fields.get(field)
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
    """Returns the calls that are right, as the row has them; none where no call is right, None where the row does not say."""
    field = next((name for name in _ANSWERS if record.fields.get(name) is not None), None)
    if field is None:
        return [] if "irrelevance" in str(record.fields.get("category")) else None
    answers = parsed(record, field)
    if not isinstance(answers, list):
        raise SofitError(f"{record.where}: field {field!r} must be a list of calls. Got {type(answers).__name__}.")
    return [_call(answer, record) for answer in answers]


def _call(call: Any, record: Record) -> Mapping[str, Any]:
    """Returns a call as {"name": ..., "arguments": {...}}, or in BFCL's form, {name: {parameter: accepted values}}."""
    if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
        call = call["function"]
    if isinstance(call, Mapping) and isinstance(call.get("name"), str):
        fields = {"arguments": call.get("arguments", call.get("parameters")) or {}}
        arguments = parsed(Record(fields, record.where), "arguments")
        if isinstance(arguments, Mapping):
            return {"name": call["name"], "arguments": dict(arguments)}
    elif isinstance(call, Mapping) and len(call) == 1:
        accepted = next(iter(call.values()))
        if isinstance(accepted, Mapping) and all(isinstance(values, list) for values in accepted.values()):
            return call
    found = json.dumps(call, ensure_ascii=False, default=str)[:100]
    raise SofitError(
        f'{record.where}: expected a call like {{"name": "f", "arguments": {{"x": 1}}}}, or accepted values like {{"f": {{"x": [1]}}}}.'
        f" Got {found}."
    )


def _preferred(accepted: Accepted, functions: Sequence[Function]) -> dict[str, Any]:
    """Returns the shortest call that is accepted, of values that fit their parameters where there are such."""
    name, values = next(iter(accepted.items()))
    function = next((function for function in functions if function.name == name), Function(name, "", {}))
    arguments = {}
    for parameter, choices in values.items():
        choices = shortest(choices, may_be_absent=parameter not in function.required)
        schema = calls_schema([Function(name, "", {**function.parameters, "required": []})])
        fitting = (one for one in choices if len(choices) > 1 and _fits(name, {parameter: one}, schema))
        if choices:
            arguments[parameter] = next(fitting, choices[0])
    return {"name": name, "arguments": arguments}


def _fits(name: str, arguments: Mapping[str, Any], schema: str) -> bool:
    return schema_grammar(schema).accepts(json.dumps([{"name": name, "arguments": arguments}]))
