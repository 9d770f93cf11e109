"""What the model reads before it writes JSON."""

import json
from typing import Any, Literal

from sofit_grammars.function_calls import Function
from sofit_json.sources import CallRequest

_CALLS = (
    'Write the function calls that answer the question, as a JSON list: [{"name": "...", "arguments": {...}}].'
    " Write several calls where several are asked for, and [] where no function fits."
)
_JSON = "Write the JSON that the text means. It has this JSON Schema:"


PromptStyle = Literal["schema", "none"]


def text_instruction(schema: str, style: PromptStyle) -> str:
    """Returns what stands before every text."""
    if style == "none":
        return ""
    told = {key: part for key, part in json.loads(schema).items() if key not in ("$schema", "$id", "title")}
    return f"{_JSON}\n{_compact(told)}"


def text_prompt(text: str, schema: str, style: PromptStyle) -> str:
    """Returns the prompt for a text, whose JSON follows it."""
    return f"{text_instruction(schema, style)}\n\nText: {text}\nJSON: ".lstrip()


def call_prompt(request: CallRequest) -> str:
    """Returns the prompt for a question, whose calls follow it."""
    return f"{call_instruction(request)}\n\nQuestion: {request.text}\nCalls: "


def call_instruction(request: CallRequest) -> str:
    """Returns what stands before the question."""
    functions = "\n".join(_document(function) for function in request.functions)
    return f"{_CALLS}\n\nFunctions:\n{functions}"


def _document(function: Function) -> str:
    parameters = {key: value for key, value in function.parameters.items() if key != "additionalProperties"}
    return _compact({"name": function.name, "description": function.description, "parameters": parameters})


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
