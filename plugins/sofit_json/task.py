"""The task: from a text to the JSON that it means, under a schema; or from a question to the calls of functions that answer it.

Text: Add Air to my focus playlist.
JSON: {"intent": "AddToPlaylist", "slots": {"artist": "Air", "playlist": "focus"}}

Question: What is 5!?
Calls: [{"name": "math.factorial", "arguments": {"number": 5}}]
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from sofit import Example, Prediction, Record, Scores, Task, read_examples
from sofit_grammars.function_calls import calls_schema
from sofit_json.demo import DEMO_SCHEMA, demo_split
from sofit_json.metrics import score_json
from sofit_json.prompt import PromptStyle, call_instruction, call_prompt, text_instruction, text_prompt
from sofit_json.sources import FUNCTION_FIELDS, CallRequest, call_example, read_schema, text_example
from sofit_json.values import NOTHING, json_value, schema_grammar

_log = logging.getLogger("sofit.json")


@dataclass(frozen=True, kw_only=True)
class JsonTask(Task):
    """Texts to JSON, and questions to function calls."""

    name: ClassVar[str] = "json"
    description: ClassVar[str] = "texts to JSON under a JSON Schema, questions to function calls"

    schema: str = field(default="", metadata={"help": "a file with the JSON Schema; by default the schema.json of the data"})
    prompt_style: PromptStyle = field(default="schema", metadata={"help": "none: a text alone; schema: after its schema"})
    per_field: bool = field(default=False, metadata={"help": "also give precision, recall and F1 of each field"})
    demo_seed: int = field(default=0, metadata={"help": "draws another demo set"})

    def load(self, split: str) -> Sequence[Example]:
        """Returns the demo set, or the rows of `data`; when they are read, says what of their functions and calls is unknown."""
        if self.is_demo:
            return [self._example(record, f"{split}-{index}") for index, record in enumerate(demo_split(split, self.demo_seed))]
        return read_examples(self.data, split, self._example)

    def _example(self, record: Record, id: str) -> Example:
        is_of_arrow = self.data.startswith("hf:")
        if not record.first(*FUNCTION_FIELDS):
            return text_example(record, id, self.schema_text, is_of_arrow=is_of_arrow)
        example = call_example(record, id, is_of_arrow=is_of_arrow)
        unknown = (type_ for function in example.input.functions for type_ in function.unknown_types)
        warnings = [f"the type of {type_} is unknown, so that any value may stand there." for type_ in unknown]
        if not example.target and "relevance" not in str(record.fields.get("category")):  # BFCL has rows without answers.
            fields = ", ".join(record.fields)
            warnings.append(f"no field says which calls are right, so that any call that fits is. Its fields: {fields}.")
        for warning in warnings:
            if warning not in self._warnings:
                self._warnings.add(warning)
                _log.warning("%s: %s", record.where, warning)
        return example

    def prompt(self, example: Example) -> str:
        """Returns the schema or the functions, the text, and where the JSON begins."""
        if isinstance(example.input, CallRequest):
            return call_prompt(example.input)
        return text_prompt(example.input, self.schema_text, self.prompt_style)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Scores JSON; see `sofit_json.metrics`."""
        return score_json(predictions, self.grammar_for, per_field=self.per_field)

    def grammar_for(self, example: Example):
        """Returns the grammar of the schema; where functions may be called, of calls of the example's own."""
        is_call = isinstance(example.input, CallRequest)
        return schema_grammar(calls_schema(example.input.functions) if is_call else self.schema_text)

    def example_for(self, text: str) -> Example:
        """Makes an example of a text, or of a row with functions, written as JSON."""
        fields = json_value(text)
        record = Record(fields if isinstance(fields, dict) else {}, "the input")
        return call_example(record, "input") if record.first(*FUNCTION_FIELDS) else super().example_for(text)

    def canonical(self, text: str, example: Example) -> str:
        """Returns the JSON with names in the schema's order and one spacing."""
        value = json_value(text)
        return text if value is NOTHING else self.grammar_for(example).spelling(value) or text

    def instruction_row(self, example: Example):
        """Returns what stands before the text or question, that, and the JSON; with functions, these once more, to be loaded."""
        request, output = example.input, {"output": example.target} if example.target else {}
        if not isinstance(request, CallRequest):
            return {"instruction": text_instruction(self.schema_text, self.prompt_style), "input": request, **output}
        tools = [{"name": one.name, "description": one.description, "parameters": one.parameters} for one in request.functions]
        row = {"instruction": call_instruction(request), "input": request.text, **output}
        return row | {"tools": json.dumps(tools, ensure_ascii=False)}

    @cached_property
    def _warnings(self) -> set[str]:
        """Those that have been given already."""
        return set()

    @cached_property
    def schema_text(self) -> str:
        """The schema of the texts' JSON."""
        return DEMO_SCHEMA if self.is_demo else read_schema(self.data, self.schema)
