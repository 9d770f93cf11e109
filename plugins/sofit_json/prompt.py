"""What the model reads before it writes JSON."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from sofit_json.functions import Function
from sofit_json.sources import CallRequest

PromptStyle = Literal["full", "short"]
"""With the whole schema or function documents; with the names of functions and parameters alone, or of no schema."""

PROMPT_STYLES: tuple[PromptStyle, ...] = get_args(PromptStyle)

_CALLS = (
    'Write the function calls that answer the question, as a JSON list: [{"name": "...", "arguments": {...}}].'
    " Write several calls where several are asked for, and [] where no function fits."
)
_JSON = "Write the JSON that the text means."
_UNSAID = frozenset(["$schema", "$id", "title"])


def text_prompt(text: str, schema: str, style: PromptStyle) -> str:
    """Returns the prompt for a text, whose JSON follows it."""
    told = f"\nIts JSON Schema:\n{_compact(json.loads(schema), _UNSAID)}" if style == "full" else ""
    return f"{_JSON}{told}\n\nText: {text}\nJSON: "


def call_prompt(request: CallRequest, style: PromptStyle) -> str:
    """Returns the prompt for a question, whose calls follow it."""
    functions = "\n".join(_document(function) if style == "full" else _signature(function) for function in request.functions)
    return f"{_CALLS}\n\nFunctions:\n{functions}\n\nQuestion: {request.text}\nCalls: "


def _document(function: Function) -> str:
    parameters = {key: value for key, value in function.parameters.items() if key != "additionalProperties"}
    described = {"name": function.name, "description": function.description, "parameters": parameters}
    return _compact({key: value for key, value in described.items() if value})


def _signature(function: Function) -> str:
    """Returns "area(base: integer, unit?: string)"."""
    parts = [f"{name}{'' if name in function.required else '?'}{_type(part)}" for name, part in function.properties.items()]
    return f"{function.name}({', '.join(parts)})"


def _type(schema: Mapping[str, Any]) -> str:
    return f": {schema['type']}" if isinstance(schema.get("type"), str) else ""


def _compact(value: Mapping[str, Any], left_out: frozenset[str] = frozenset()) -> str:
    shown = {key: part for key, part in value.items() if key not in left_out}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
