"""The task: from a text to the JSON that it means, under a schema; or from a question to the calls of functions that answer it.

Text: Add Air to my focus playlist.
JSON: {"intent": "AddToPlaylist", "slots": {"artist": "Air", "playlist": "focus"}}

Question: What is 5!?
Calls: [{"name": "math.factorial", "arguments": {"number": 5}}]
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from sofit import Example, Prediction, Record, Scores, Task, read_split
from sofit_grammars.function_calls import calls_schema
from sofit_json.demo import DEMO_SCHEMA, demo_split
from sofit_json.metrics import score_json
from sofit_json.prompt import call_prompt, text_instruction, text_prompt
from sofit_json.sources import FUNCTION_FIELDS, CallRequest, call_example, read_schema, text_example
from sofit_json.values import NOTHING, json_value, schema_grammar

_log = logging.getLogger("sofit.json")


@dataclass(frozen=True, kw_only=True)
class JsonTask(Task):
    """Texts to JSON, and questions to function calls."""

    name: ClassVar[str] = "json"
    description: ClassVar[str] = "texts to JSON under a JSON Schema, questions to function calls"

    schema: str = field(default="", metadata={"help": "a file with the JSON Schema; by default the schema.json of the data"})
    per_field: bool = field(default=False, metadata={"help": "also give precision, recall and F1 of each field"})
    demo_seed: int = field(default=0, metadata={"help": "draws another demo set"})

    def load(self, split: str) -> Iterator[Example]:
        """Yields the demo set, or the rows of `data`; says which of their functions' types are unknown."""
        is_of_arrow = self.data.startswith("hf:")
        unknown: dict[str, str] = {}
        records = demo_split(split, self.demo_seed) if self.is_demo else read_split(self.data, split)
        try:
            for index, record in enumerate(records):
                if record.first(*FUNCTION_FIELDS):
                    example = call_example(record, f"{split}-{index}", is_of_arrow=is_of_arrow)
                    found = [type_ for function in example.input.functions for type_ in function.unknown_types]
                    unknown = {**dict.fromkeys(found, record.where), **unknown}
                else:
                    example = text_example(record, f"{split}-{index}", self.schema_text, is_of_arrow=is_of_arrow)
                yield example
        finally:  # Also where only the first examples are wanted.
            if unknown:
                listing = "; ".join(f"{type_} ({where})" for type_, where in unknown.items())
                _log.warning("%d types are unknown, so that any value may stand there: %s", len(unknown), listing)

    def prompt(self, example: Example) -> str:
        """Returns the schema or the functions, the text, and where the JSON begins."""
        if isinstance(example.input, CallRequest):
            return call_prompt(example.input)
        return text_prompt(example.input, self.schema_text)

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
        """Returns what stands before every text, the text, and the JSON; with functions, the whole prompt and the calls."""
        if isinstance(example.input, CallRequest):
            return super().instruction_row(example)
        return {"instruction": text_instruction(self.schema_text), "input": example.input, "output": example.target}

    @cached_property
    def schema_text(self) -> str:
        """The schema of the texts' JSON."""
        return DEMO_SCHEMA if self.is_demo else read_schema(self.data, self.schema)
