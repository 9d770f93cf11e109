"""The task: from a text to the JSON that it means, under a schema; or from a question to the calls of functions that answer it.

Text: Add Air to my focus playlist.
JSON: {"intent": "AddToPlaylist", "slots": {"artist": "Air", "playlist": "focus"}}

Question: What is 5!?
Calls: [{"name": "math.factorial", "arguments": {"number": 5}}]
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from sofit import Example, Prediction, Record, Scores, SofitError, Task
from sofit_json.demo import DEMO_SCHEMA, demo_split
from sofit_json.functions import calls_schema
from sofit_json.metrics import score_json
from sofit_json.prompt import PROMPT_STYLES, PromptStyle, call_prompt, text_prompt
from sofit_json.sources import CallRequest, call_example, has_functions, read_examples, read_schema
from sofit_json.values import read_json, schema_grammar, spelling

_log = logging.getLogger("sofit.json")


@dataclass(frozen=True, kw_only=True)
class JsonTask(Task):
    """Texts to JSON, and questions to function calls."""

    name: ClassVar[str] = "json"
    description: ClassVar[str] = "texts to JSON under a JSON Schema, questions to function calls"

    schema: str = field(default="", metadata={"help": "a file with the JSON Schema; by default the schema.json of the data"})
    prompt_style: PromptStyle = field(
        default="full", metadata={"help": "full: with the whole schema or function documents; short: with their names at most"}
    )
    per_field: bool = field(default=False, metadata={"help": "also give precision, recall and F1 of each field"})
    demo_seed: int = field(default=0, metadata={"help": "draws another demo set"})

    def __post_init__(self) -> None:
        if self.prompt_style not in PROMPT_STYLES:
            raise SofitError(f"Option 'prompt_style' must be one of {', '.join(PROMPT_STYLES)}. Got {self.prompt_style!r}.")

    def load(self, split: str) -> Iterator[Example]:
        """Yields the demo set, or the rows of `data`."""
        if self.is_demo:
            for index, (text, value) in enumerate(demo_split(split, self.demo_seed)):
                yield Example(id=f"{split}-{index}", input=text, target=spelling(value, self.schema_text))
            return
        unknown: dict[str, str] = {}
        for example in read_examples(self.data, split, self.schema):
            if isinstance(example.input, CallRequest):
                for function in example.input.functions:
                    unknown |= {type_: example.where for type_ in function.unknown_types if type_ not in unknown}
            yield example
        if unknown:
            found = "; ".join(f"{type_} ({where})" for type_, where in unknown.items())
            _log.warning("%d parameters may take any value, since their types are not known: %s", len(unknown), found)

    def prompt(self, example: Example) -> str:
        """Returns the schema or the functions, the text, and where the JSON begins."""
        if isinstance(example.input, CallRequest):
            return call_prompt(example.input, self.prompt_style)
        return text_prompt(example.input, self.schema_text, self.prompt_style)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Scores JSON; see `sofit_json.metrics`."""
        return score_json(predictions, self._schema_of, per_field=self.per_field)

    def grammar_for(self, example: Example):
        """Returns the grammar of the schema; where functions may be called, of calls of the example's own."""
        return schema_grammar(self._schema_of(example))

    def example_for(self, text: str) -> Example:
        """Makes an example of a text, or of a row with functions, written as JSON."""
        if text.lstrip().startswith("{") and has_functions(record := Record(_row(text), "the input")):
            return call_example(record, "input")
        return Example(id="input", input=text, target="")

    def canonical(self, text: str, example: Example) -> str:
        """Returns the JSON with names in the schema's order and one spacing."""
        try:
            return spelling(read_json(text), self._schema_of(example))
        except ValueError:
            return text

    def instruction_row(self, example: Example) -> dict[str, str]:
        """Returns the whole prompt where it has functions; else what stands before every text, the text, and the JSON."""
        if isinstance(example.input, CallRequest):
            return {"instruction": self.prompt(example).strip(), "input": "", "output": example.target}
        instruction = text_prompt("", self.schema_text, self.prompt_style).rpartition("\n\n")[0]
        return {"instruction": instruction, "input": example.input, "output": example.target}

    @cached_property
    def schema_text(self) -> str:
        """The schema of the texts' JSON."""
        return DEMO_SCHEMA if self.is_demo else read_schema(self.data, self.schema)

    def _schema_of(self, example: Example) -> str:
        return calls_schema(example.input.functions) if isinstance(example.input, CallRequest) else self.schema_text


def _row(text: str) -> dict:
    try:
        return json.loads(text)
    except ValueError:
        return {}
