"""The demo set: what one says to an assistant at home, made from templates, with the intent and the slots that it has.

It needs no download, and says nothing about a model's skill on real sentences; whatever shows its scores says so.
"""

import functools
import json
import random
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from sofit import Record, take_split
from sofit_json.demo_words import NUMBERS, SLOTS, TEMPLATES, WORDS

SIZES = {"train": 1200, "validation": 240, "test": 240}
"""Examples in each split."""


def _schema() -> dict[str, Any]:
    intents = []
    for intent, templates in TEMPLATES.items():
        names = sorted({name for template in templates for name in _names(template)}, key=list(SLOTS).index)
        slots = {"type": "object", "properties": {name: SLOTS[name] for name in names}, "additionalProperties": False}
        properties = {"intent": {"const": intent}, "slots": slots}
        intents.append({"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "anyOf": intents}


def _names(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name]


DEMO_SCHEMA = json.dumps(_schema())
"""The schema of the demo set, as text."""


@functools.cache
def demo_split(split: str, seed: int) -> Sequence[Record]:
    """Returns the rows of a split. No text occurs twice, in one split or in two.

    Raises:
        SofitError: there is no such split.
    """
    rng = random.Random(seed)
    rows: dict[str, Record] = {}
    while len(rows) < sum(SIZES.values()):
        core, row = _draw(rng.choice(list(TEMPLATES)), rng)
        rows.setdefault(core, row)
    drawn = list(rows.values())
    rng.shuffle(drawn)
    return take_split(drawn, split, SIZES)


def _draw(intent: str, rng: random.Random) -> tuple[str, Record]:
    """Returns a row, and its text without politeness and punctuation, which two rows must not share."""
    template = rng.choice(TEMPLATES[intent])
    said: dict[str, str] = {}
    slots: dict[str, Any] = {}
    for name in _names(template):
        said[name], slots[name] = _value(name, rng)
    core = template.format(**said)
    text = rng.choice(("", "", "", "please ", "hey, ", "could you ")) + core
    ending = "?" if text.startswith("could") else rng.choice((".", "", "!"))
    fields = {"text": text[0].upper() + text[1:] + ending, "json": {"intent": intent, "slots": slots}}
    return core, Record(fields, "")


def _value(name: str, rng: random.Random) -> tuple[str, Any]:
    """Returns how a value is said, and the value."""
    if name in NUMBERS:
        number = rng.choice(NUMBERS[name])
        return str(number), number
    if SLOTS[name]["type"] == "array":
        values = rng.sample(WORDS[name], rng.choice((1, 2, 2, 3)))
        return " and ".join([", ".join(values[:-1]), values[-1]] if values[1:] else values), values
    word = rng.choice(list(WORDS[name]))
    return word, WORDS[name][word] if isinstance(WORDS[name], Mapping) else word
