"""Rows of JSON tasks: a schema, a function in two kinds of document, a call of it and what the model writes for it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sofit_json import JsonTask

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
