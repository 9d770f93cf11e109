"""sofit fine-tunes language models to write structured output. These are the names that plugins may rely on."""

from sofit.errors import SofitError
from sofit.grammar import Grammar, Problem
from sofit.hookspecs import hookimpl
from sofit.plugins import Plugins, load_plugins
from sofit.records import Record, read_examples, read_split, read_text, take_split
from sofit.scoring import json_fields, precision_recall_f1
from sofit.task import Example, Message, Prediction, Scores, Task

__all__ = [
    "Example",
    "Grammar",
    "Message",
    "Plugins",
    "Prediction",
    "Problem",
    "Record",
    "Scores",
    "SofitError",
    "Task",
    "hookimpl",
    "json_fields",
    "load_plugins",
    "precision_recall_f1",
    "read_examples",
    "read_split",
    "read_text",
    "take_split",
]
